"""Commands, their attempts, logs and results; since when a notebook is missing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _command(*, primary_key: bool = False) -> sa.Column[Any]:
    key = sa.ForeignKey("commands.id", ondelete="CASCADE")
    return sa.Column("command_id", sa.Integer(), key, nullable=False, primary_key=primary_key)


def upgrade() -> None:
    """Makes the tables."""
    op.add_column("notebooks", _time("missing_since", nullable=True))
    op.create_table(
        "commands",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("command_type", 64),
        _text("owner", 128),
        _text("status", 16),
        _text("name", 255, nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        _text("tag_text"),
        _text("label", 255, nullable=True),
        _text("source", 16),
        sa.Column(
            "notebook_id",
            sa.Integer(),
            sa.ForeignKey("notebooks.id", ondelete="SET NULL"),
            nullable=True,
        ),
        _text("path"),
        sa.Column("payload", sa.JSON(), nullable=False),
        _number("priority"),
        _number("timeout", nullable=True),
        _number("retry"),
        _number("retry_delay"),
        _text("idempotency_key", 128, nullable=True),
        _text("request_hash", 64),
        _number("attempt"),
        _number("cells"),
        _number("cells_done"),
        _number("cell_index", nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        _time("created_at"),
        _time("updated_at"),
        _time("not_before"),
        _time("started_at", nullable=True),
        _time("ended_at", nullable=True),
        sa.UniqueConstraint("owner", "idempotency_key", name="one_command_per_key"),
        # An id is never used again, not even that of the last row.
        sqlite_autoincrement=True,
    )
    for column in ("owner", "status", "notebook_id", "created_at"):
        op.create_index(f"ix_commands_{column}", "commands", [column])
    waiting = sa.text("status = 'waiting'")
    op.create_index(
        "waiting_commands",
        "commands",
        ["priority", "id"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_table(
        "command_attempts",
        sa.Column("id", sa.Integer(), primary_key=True),
        _command(),
        _number("number"),
        _text("worker", 64),
        _text("kernel_id", 64, nullable=True),
        _number("kernel_pid", nullable=True),
        _text("stage", 16),
        _text("outcome", 16),
        _text("reason"),
        _time("started_at"),
        _time("ended_at", nullable=True),
        sa.UniqueConstraint("command_id", "number", name="one_attempt_per_number"),
    )
    op.create_table(
        "command_logs",
        sa.Column("id", sa.Integer(), primary_key=True),
        _command(),
        _number("attempt"),
        _text("text"),
    )
    op.create_index("ix_command_logs_command_id", "command_logs", ["command_id"])
    op.create_table(
        "command_results",
        _command(primary_key=True),
        _number("attempt"),
        _text("text"),
        sa.Column("notebook", sa.LargeBinary(), nullable=False),
        _text("file_name"),
        _text("file_type", 64),
        sa.Column("file", sa.LargeBinary(), nullable=True),
    )


def downgrade() -> None:
    """Drops the tables, with all that is in them."""
    for table in ("command_results", "command_logs", "command_attempts", "commands"):
        op.drop_table(table)
    op.drop_column("notebooks", "missing_since")
