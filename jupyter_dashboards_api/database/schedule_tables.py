"""The tables of schedules, what they have fired, and what is to be told of it. A change here needs a migration, as in `tables.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from .tables import Table, now

LOOKED_AT = text("look_at IS NOT NULL")
DIGESTED = text("digest_at IS NOT NULL")
UNTOLD = text("told_at IS NULL")
COLLECTED = text("collected_at IS NOT NULL")
WAITING_FOR_FILES = text("status = 'waiting for dependencies'")
PENDING = text("state = 'pending'")

MAIL, WEBHOOK = "mail", "webhook"
"""Kinds of notifications."""


class Schedule(Table):
    """When commands are made, and which. `body` is the command as the API takes it, `trigger` what says when.

    No nominal time before `since` counts. `next_time` is the next nominal time, None when there is none any more; `look_at` is when that is worth a look: the same,
    or later while actions under way leave no place. `sequence` counts the nominal times that have come.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        Index("due_schedules", "look_at", sqlite_where=LOOKED_AT, postgresql_where=LOOKED_AT),
        Index("due_digests", "digest_at", sqlite_where=DIGESTED, postgresql_where=DIGESTED),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), index=True)
    owner: Mapped[str] = mapped_column(String(128), index=True)
    name: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(16), default="RUNNING")
    notebook_id: Mapped[int | None] = mapped_column(
        ForeignKey("notebooks.id", ondelete="SET NULL"), index=True
    )
    body: Mapped[dict[str, Any]]
    fields: Mapped[dict[str, Any]]
    trigger: Mapped[dict[str, Any]]
    since: Mapped[datetime]
    catch_up: Mapped[str] = mapped_column(String(8), default="all")
    concurrency: Mapped[int] = mapped_column(default=1)
    keep_last: Mapped[int | None]
    keep_days: Mapped[int | None]
    sequence: Mapped[int] = mapped_column(default=0)
    next_time: Mapped[datetime | None]
    last_time: Mapped[datetime | None]
    look_at: Mapped[datetime | None]
    webhook_secret: Mapped[str | None] = mapped_column(String(128))
    digest_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class ScheduleAction(Table):
    """One nominal time of a schedule that has come, or a rerun of it.

    Its command says how it went; `status` and `reason` do where there is none (yet). `told_at` is when those who are told of
    each run were, `collected_at` when it was put by for the next digest: None when it is not in one, or has been told.
    Somebody has asked for one that `is_asked_for`, by hand or again.
    """

    __tablename__ = "schedule_actions"
    __table_args__ = (
        UniqueConstraint("schedule_id", "nominal_time", "rerun_number", name="one_action_per_time"),
        Index("untold_actions", "schedule_id", sqlite_where=UNTOLD, postgresql_where=UNTOLD),
        Index(
            "collected_actions",
            "schedule_id",
            sqlite_where=COLLECTED,
            postgresql_where=COLLECTED,
        ),
        Index(
            "waiting_actions",
            "id",
            sqlite_where=WAITING_FOR_FILES,
            postgresql_where=WAITING_FOR_FILES,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    sequence_id: Mapped[int]
    nominal_time: Mapped[datetime]
    rerun_number: Mapped[int] = mapped_column(default=0)
    rerun_of: Mapped[int | None]
    is_asked_for: Mapped[bool] = mapped_column(default=False, server_default=false())
    command_id: Mapped[int | None] = mapped_column(
        ForeignKey("commands.id", ondelete="SET NULL"), index=True
    )
    status: Mapped[str] = mapped_column(String(32), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    told_at: Mapped[datetime | None]
    collected_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Notification(Table):
    """What is to be told to whom: `kind` is `mail` or `webhook`, `state` is `pending`, `sent` or `dead`.

    It is of a schedule's runs, or of a command. `dead` is what could not be delivered after all its tries; `last_error` says
    why. `is_under_way` while one is made. `secret` signs the call of a command until it has been taken; a schedule has its
    own.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index(
            "pending_notifications", "not_before", sqlite_where=PENDING, postgresql_where=PENDING
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    schedule_id: Mapped[int | None] = mapped_column(
        ForeignKey("schedules.id", ondelete="CASCADE"), index=True
    )
    command_id: Mapped[int | None] = mapped_column(
        ForeignKey("commands.id", ondelete="SET NULL"), index=True
    )
    kind: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(Text)
    secret: Mapped[str | None] = mapped_column(String(128))
    message: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), default="pending")
    tries: Mapped[int] = mapped_column(default=0)
    is_under_way: Mapped[bool] = mapped_column(default=False)
    not_before: Mapped[datetime] = mapped_column(default=now)
    last_error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]


class NotebookRecord(Table):
    """What the notebooks API tells of a notebook that was made through it.

    `runs` counts its commands up to the id `counted_to`, all of which have ended, and `last_run` is when the last of them
    did: commands may be forgotten, what they were counted for stays.
    """

    __tablename__ = "notebook_records"

    notebook_id: Mapped[int] = mapped_column(
        ForeignKey("notebooks.id", ondelete="CASCADE"), primary_key=True
    )
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(128))
    updated_at: Mapped[datetime] = mapped_column(default=now)
    updated_by: Mapped[str] = mapped_column(String(128))
    last_run: Mapped[datetime | None]
    runs: Mapped[int] = mapped_column(default=0)
    counted_to: Mapped[int] = mapped_column(default=0)
