"""What flows between the parts of this room: plain data, no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..commands.models import FINAL as ENDED

RUNNING, SUSPENDED, KILLED, DONE = "RUNNING", "SUSPENDED", "KILLED", "DONE"
"""Statuses of a schedule. Nothing comes of one that is not RUNNING. KILLED is for ever; one that is DONE runs again after an
edit that gives it times to come."""
GOING = (RUNNING, SUSPENDED)
"""Those of a schedule that has not ended."""

FINAL = frozenset({KILLED, DONE})

SCHEDULER, NOTEBOOKS = "scheduler", "notebooks"
"""Kinds of schedules: those of the scheduler API, and those of the notebooks API."""

WAITING_FOR_DEPENDENCIES = "waiting for dependencies"
FAILED = "error"
NOT_FOUND = "not_found"
CANCELLED = "cancelled"


@dataclass(frozen=True)
class NewSchedule:
    """A schedule that is to be stored. `body` is the command as the API takes it; `fields` is what only the API tells again.

    `name` None: its id. No nominal time before `since` counts. `catch_up` says which of the nominal times that were missed still run: `all`, `last` or `none`.
    """

    kind: str
    owner: str
    name: str | None
    notebook_id: int | None
    body: Mapping[str, Any]
    trigger: Mapping[str, Any]
    since: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)
    catch_up: str = "all"
    concurrency: int = 1
    keep_last: int | None = None
    keep_days: int | None = None
    webhook_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ScheduleInfo:
    """A schedule as it stands. `next_time` is the next nominal time; it lies in the past while that one has no place yet."""

    id: int
    kind: str
    owner: str
    name: str
    status: str
    notebook_id: int | None
    body: Mapping[str, Any]
    fields: Mapping[str, Any]
    trigger: Mapping[str, Any]
    since: datetime
    catch_up: str
    concurrency: int
    keep_last: int | None
    keep_days: int | None
    sequence: int
    next_time: datetime | None
    last_time: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether nothing will ever come of it again."""
        return self.status in FINAL


@dataclass(frozen=True)
class ActionInfo:
    """One nominal time of a schedule that has come. `status` is its own where it has no command, else that of its command."""

    id: int
    schedule_id: int
    sequence_id: int
    nominal_time: datetime
    rerun_number: int
    rerun_of: int | None
    command_id: int | None
    status: str
    reason: str
    created_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        if self.command_id is not None:
            return self.status in ENDED
        return self.status != WAITING_FOR_DEPENDENCIES


@dataclass(frozen=True)
class Bounds:
    """How much a schedule may make up for.

    A nominal time is missed once it is `grace` old; of those that are all to run, the latest `most_missed` do. One look
    fires at most `batch` of a schedule, and comes back to one without a free place after `busy` unless it is told earlier.
    An owner may have `most_schedules` that have not ended. After `longest` a look takes up no further schedule: whoever
    wants to write waits for it. Where another server has all that is due, it is looked at again after `elsewhere`.
    """

    grace: timedelta = timedelta(minutes=1)
    most_missed: int = 1000
    batch: int = 20
    busy: timedelta = timedelta(minutes=1)
    most_schedules: int = 10_000
    longest: timedelta = timedelta(seconds=0.2)
    elsewhere: timedelta = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Look:
    """What a look at the schedules that were due has brought: the new commands, and when the next look is worth it."""

    command_ids: tuple[int, ...]
    next_look: datetime | None
    waits_for_files: bool = False
    has_notices: bool = False


@dataclass(frozen=True)
class FilesLook:
    """What a look for files has brought: the new commands, and whether actions have ended without one."""

    command_ids: tuple[int, ...]
    has_ended: bool
    next_look: datetime | None
