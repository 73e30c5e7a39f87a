"""Runs that the next digest tells of are marked, in place of a time up to which all have been told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Marks those that no digest has told yet."""
    op.add_column("schedule_actions", sa.Column("collected_at", sa.DateTime(timezone=True)))
    condition = sa.text("collected_at IS NOT NULL")
    op.create_index(
        "collected_actions",
        "schedule_actions",
        ["schedule_id"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.execute(
        "UPDATE schedule_actions SET collected_at = told_at WHERE EXISTS (SELECT 1 FROM schedules"
        " WHERE schedules.id = schedule_actions.schedule_id AND digest_at IS NOT NULL"
        " AND told_at > COALESCE(digested_at, schedules.created_at))"
    )
    with op.batch_alter_table("schedules", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("digested_at")


def downgrade() -> None:
    """A digest tells again what others have told since its schedule was made."""
    op.add_column("schedules", sa.Column("digested_at", sa.DateTime(timezone=True)))
    op.drop_index("collected_actions", "schedule_actions")
    with op.batch_alter_table(
        "schedule_actions", table_kwargs={"sqlite_autoincrement": True}
    ) as table:
        table.drop_column("collected_at")
