"""Brings a database to the schema of this version, and back. Programmatic Alembic: there is no alembic.ini."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

_HERE = Path(__file__).parent

# Any number will do, as long as no other program locks by it.
_ADVISORY_LOCK = 7_239_140_553


class NewerSchema(RuntimeError):
    """The database was made by a later version of this project."""


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Runs the migrations that are missing, all or none. Servers that start at once take turns.

    Raises `NewerSchema` when the database is ahead of this version.
    """
    with engine.connect() as connection, connection.begin():
        # SQLite's transaction is exclusive to writers as it is (`engine.py`).
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        config = _config(connection)
        current = MigrationContext.configure(connection).get_current_revision()
        script = ScriptDirectory.from_config(config)
        known = {each.revision for each in script.walk_revisions()}
        if current is not None and current not in known:
            raise NewerSchema(
                "The database was made by a newer version of jupyter_dashboards_api: install that one, or set Database.url."
            )
        if revision != "head" or current != script.get_current_head():
            command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Takes migrations back, down to a revision. What only the later schema can hold is lost."""
    with engine.connect() as connection, connection.begin():
        command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
