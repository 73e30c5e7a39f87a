"""How notebooks looked when they were seen last, by which one that was missing is known again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the column; the next look at a notebook fills it."""
    op.add_column("notebooks", sa.Column("revision", sa.String(100)))


def downgrade() -> None:
    """Whatever is at the path of a notebook in time is that notebook again."""
    with op.batch_alter_table("notebooks", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_column("revision")
