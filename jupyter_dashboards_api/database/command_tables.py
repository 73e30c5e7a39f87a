"""The tables of commands, their attempts, logs and results. A change here needs a migration, as in `tables.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from .tables import Table, now

WAITING = text("status = 'waiting'")


class Command(Table):
    """What was asked for, and what has become of it.

    `payload` is what the API shows as `command`, and what the runner needs; `tag_text` has each tag between two line ends,
    so that both databases find it alike. A command that waits runs after `not_before`, in the order of `priority` (higher
    first) and id. When it has ended, `callback_url` is called, with `callback_secret` (gone from here by then), and `mail_to`
    gets a mail.
    """

    __tablename__ = "commands"
    __table_args__ = (
        UniqueConstraint("owner", "idempotency_key", name="one_command_per_key"),
        Index(
            "waiting_commands",
            "priority",
            "id",
            sqlite_where=WAITING,
            postgresql_where=WAITING,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    command_type: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(String(128), index=True)
    status: Mapped[str] = mapped_column(String(16), default="waiting", index=True)
    name: Mapped[str | None] = mapped_column(String(255))
    tags: Mapped[list[str]]
    tag_text: Mapped[str] = mapped_column(Text, default="")
    label: Mapped[str | None] = mapped_column(String(255))
    source: Mapped[str] = mapped_column(String(16), default="API")
    notebook_id: Mapped[int | None] = mapped_column(
        ForeignKey("notebooks.id", ondelete="SET NULL"), index=True
    )
    path: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    priority: Mapped[int] = mapped_column(default=0)
    timeout: Mapped[int | None]
    retry: Mapped[int] = mapped_column(default=0)
    retry_delay: Mapped[int] = mapped_column(default=0)
    idempotency_key: Mapped[str | None] = mapped_column(String(128))
    request_hash: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int] = mapped_column(default=0)
    cells: Mapped[int] = mapped_column(default=0)
    cells_done: Mapped[int] = mapped_column(default=0)
    cell_index: Mapped[int | None]
    error: Mapped[dict[str, Any] | None]
    callback_url: Mapped[str | None] = mapped_column(Text)
    callback_secret: Mapped[str | None] = mapped_column(String(128))
    mail_to: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    not_before: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class CommandAttempt(Table):
    """One try. `outcome` is empty while it goes on; `kernel_pid` is what is ended if its server dies.

    `stage` is `sending` while a mail server is given the attempt's mail, and `sent` afterwards; empty before, or without mail.
    """

    __tablename__ = "command_attempts"
    __table_args__ = (UniqueConstraint("command_id", "number", name="one_attempt_per_number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    command_id: Mapped[int] = mapped_column(ForeignKey("commands.id", ondelete="CASCADE"))
    number: Mapped[int]
    worker: Mapped[str] = mapped_column(String(64))
    kernel_id: Mapped[str | None] = mapped_column(String(64))
    kernel_pid: Mapped[int | None]
    stage: Mapped[str] = mapped_column(String(16), default="")
    outcome: Mapped[str] = mapped_column(String(16), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    started_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class CommandLog(Table):
    """A piece of a command's log; the pieces in the order of their ids are the log."""

    __tablename__ = "command_logs"

    id: Mapped[int] = mapped_column(primary_key=True)
    command_id: Mapped[int] = mapped_column(
        ForeignKey("commands.id", ondelete="CASCADE"), index=True
    )
    attempt: Mapped[int]
    text: Mapped[str] = mapped_column(Text)


class CommandResult(Table):
    """What the last attempt has left: the executed notebook (JSON, deflated), its outputs as text, and a converted file."""

    __tablename__ = "command_results"

    command_id: Mapped[int] = mapped_column(
        ForeignKey("commands.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    notebook: Mapped[bytes] = mapped_column(LargeBinary)
    file_name: Mapped[str] = mapped_column(Text, default="")
    file_type: Mapped[str] = mapped_column(String(64), default="")
    # Large, and of no interest to who asks for the text.
    file: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
