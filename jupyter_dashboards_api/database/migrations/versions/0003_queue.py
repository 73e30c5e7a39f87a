"""Where Procrastinate's tables are, on PostgreSQL; `queue_schema.py` makes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SCHEMA = "dashboards_queue"


def upgrade() -> None:
    """Makes the schema, and the table of what is in it."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE SCHEMA {_SCHEMA}")
        op.create_table("applied", sa.Column("name", sa.Text(), primary_key=True), schema=_SCHEMA)


def downgrade() -> None:
    """Drops it, with all that is in it. No command is lost: what waits is in our tables."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")
