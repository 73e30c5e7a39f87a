"""What flows between the parts of this room: plain data, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FINAL = frozenset({"done", "error", "cancelled"})
"""Statuses that never change again."""

DEFAULT_LABEL = "default"
"""The label of those `JupyterNotebookCommand`s that name none."""

STATUSES = frozenset({"waiting", "running", "cancelling"}) | FINAL


@dataclass(frozen=True)
class Submission:
    """A command that is to be stored. `payload` is echoed as `command` by the API.

    When it has ended, `callback_url` is called, signed with `callback_secret`, and `mail_to` gets a mail.
    """

    command_type: str
    owner: str
    path: str
    notebook_id: int | None
    payload: Mapping[str, Any]
    request_hash: str
    name: str | None = None
    tags: tuple[str, ...] = ()
    label: str | None = None
    source: str = "API"
    priority: int = 0
    timeout: int | None = None
    retry: int = 0
    retry_delay: int = 0
    idempotency_key: str | None = None
    callback_url: str | None = None
    callback_secret: str | None = field(default=None, repr=False)
    mail_to: str | None = None


@dataclass(frozen=True)
class Limits:
    """How many commands may run at once: in all, of some labels, of one notebook (0: as many as there are places)."""

    places: int
    labels: Mapping[str, int] = field(default_factory=dict)
    notebook: int = 0


@dataclass(frozen=True)
class AttemptInfo:
    """One try. `outcome` is `done`, `error`, `cancelled`, `lost` (its server died), or empty while it goes on."""

    number: int
    outcome: str
    reason: str
    kernel_id: str | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class CommandInfo:
    """A command as it stands. `error` says what went wrong: `message`, and `cell_index`, `ename`, `evalue` of a cell.

    `callback_secret` is known only to who has just made the command.
    """

    id: int
    command_type: str
    owner: str
    status: str
    path: str
    notebook_id: int | None
    payload: Mapping[str, Any]
    name: str | None
    tags: tuple[str, ...]
    label: str | None
    source: str
    priority: int
    timeout: int | None
    retry: int
    retry_delay: int
    attempt: int
    cells: int
    cells_done: int
    cell_index: int | None
    error: Mapping[str, Any] | None
    created_at: datetime
    updated_at: datetime
    not_before: datetime
    started_at: datetime | None
    ended_at: datetime | None
    callback_url: str | None = None
    mail_to: str | None = None
    callback_secret: str | None = field(default=None, repr=False)

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in FINAL

    @property
    def progress(self) -> int:
        """Percent of the cells that have run; 100 only for a command that is done."""
        if self.status == "done":
            return 100
        return min(99, 100 * self.cells_done // self.cells) if self.cells else 0


@dataclass(frozen=True)
class Filter:
    """Which commands of the history. `owners` None: everybody's; times are inclusive."""

    owners: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    command_types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    source: str | None = None
    name: str | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    command_id: int | None = None
    notebook_id: int | None = None


@dataclass(frozen=True)
class ResultFile:
    """A file that a command has made."""

    name: str
    mime: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: `done`, `error` or `cancelled`, and why."""

    status: str
    error: Mapping[str, Any] | None = None
    retryable: bool = True
    text: str = ""
    notebook: bytes = field(default=b"", repr=False)
    file: ResultFile | None = None
