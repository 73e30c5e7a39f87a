"""What Alembic runs: the migrations, on the connection that it was given."""

from __future__ import annotations

from alembic import context

from jupyter_dashboards_api.database import command_tables, schedule_tables  # noqa: F401
from jupyter_dashboards_api.database.tables import Table

connection = context.config.attributes["connection"]
# SQLite can change a column only by copying its table.
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
