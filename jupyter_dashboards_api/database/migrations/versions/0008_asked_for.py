"""Runs that somebody has asked for are marked: they don't wait until a suspended schedule goes on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Marks those that are run again."""
    op.add_column(
        "schedule_actions",
        sa.Column("is_asked_for", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute(
        sa.text("UPDATE schedule_actions SET is_asked_for = true WHERE rerun_of IS NOT NULL")
    )


def downgrade() -> None:
    """The version before tells them by their times."""
    with op.batch_alter_table(
        "schedule_actions", table_kwargs={"sqlite_autoincrement": True}
    ) as table:
        table.drop_column("is_asked_for")
