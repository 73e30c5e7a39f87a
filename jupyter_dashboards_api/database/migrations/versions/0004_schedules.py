"""Schedules, their actions, what is told of them, and the records of the notebooks API."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _of(
    name: str, target: str, *, then: str = "CASCADE", nullable: bool = False, key: bool = False
) -> sa.Column[Any]:
    return sa.Column(
        name,
        sa.Integer(),
        sa.ForeignKey(target, ondelete=then),
        nullable=nullable,
        primary_key=key,
    )


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "schedules",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("kind", 16),
        _text("owner", 128),
        _text("name", 255),
        _text("status", 16),
        _of("notebook_id", "notebooks.id", then="SET NULL", nullable=True),
        _json("body"),
        _json("fields"),
        _json("trigger"),
        _time("since"),
        _text("catch_up", 8),
        _number("concurrency"),
        _number("keep_last", nullable=True),
        _number("keep_days", nullable=True),
        _number("sequence"),
        _time("next_time", nullable=True),
        _time("last_time", nullable=True),
        _time("look_at", nullable=True),
        _text("webhook_secret", 128, nullable=True),
        _time("digested_at", nullable=True),
        _time("digest_at", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        # Clients keep ids: none is used again.
        sqlite_autoincrement=True,
    )
    for column in ("kind", "owner", "notebook_id"):
        op.create_index(f"ix_schedules_{column}", "schedules", [column])
    _partial("due_schedules", "schedules", "look_at", "look_at IS NOT NULL")
    _partial("due_digests", "schedules", "digest_at", "digest_at IS NOT NULL")
    op.create_table(
        "schedule_actions",
        sa.Column("id", sa.Integer(), primary_key=True),
        _of("schedule_id", "schedules.id"),
        _number("sequence_id"),
        _time("nominal_time"),
        _number("rerun_number"),
        _number("rerun_of", nullable=True),
        _of("command_id", "commands.id", then="SET NULL", nullable=True),
        _text("status", 32),
        _text("reason"),
        _time("told_at", nullable=True),
        _time("created_at"),
        sa.UniqueConstraint(
            "schedule_id", "nominal_time", "rerun_number", name="one_action_per_time"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_schedule_actions_command_id", "schedule_actions", ["command_id"])
    _partial("untold_actions", "schedule_actions", "schedule_id", "told_at IS NULL")
    _partial("waiting_actions", "schedule_actions", "id", "status = 'waiting for dependencies'")
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer(), primary_key=True),
        _of("schedule_id", "schedules.id", nullable=True),
        _text("kind", 16),
        _text("target"),
        _json("message"),
        _text("state", 16),
        _number("tries"),
        sa.Column("is_under_way", sa.Boolean(), nullable=False),
        _time("not_before"),
        _text("last_error"),
        _time("created_at"),
        _time("sent_at", nullable=True),
    )
    op.create_index("ix_notifications_schedule_id", "notifications", ["schedule_id"])
    _partial("pending_notifications", "notifications", "not_before", "state = 'pending'")
    op.create_table(
        "notebook_records",
        _of("notebook_id", "notebooks.id", key=True),
        _time("created_at"),
        _text("created_by", 128),
        _time("updated_at"),
        _text("updated_by", 128),
        _time("last_run", nullable=True),
        _number("runs"),
        _number("counted_to"),
    )


def _partial(name: str, table: str, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    """Drops the tables, with all that is in them."""
    for table in ("notebook_records", "notifications", "schedule_actions", "schedules"):
        op.drop_table(table)
