"""Brings a database to the schema of this version, and back. Programmatic Alembic: there is no alembic.ini."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from .. import queue_schema
from ..backends import READ_ONLY

_HERE = Path(__file__).parent

# Any number will do, as long as no other program locks by it.
_ADVISORY_LOCK = 7_239_140_553

_ALONE = threading.Lock()


class NewerSchema(RuntimeError):
    """The database was made by a later version of this project."""


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Runs the migrations that are missing, all of ours or none. Servers that start at once take turns.

    Raises `NewerSchema` when the database is ahead of this version.
    """
    # Most starts find nothing to do, and then wait for nobody.
    with engine.connect().execution_options(**READ_ONLY) as connection:
        if revision == "head" and _is_current(connection) and not queue_schema.missing(connection):
            return
    with migrating(engine) as connection:
        if revision != "head" or not _is_current(connection):
            command.upgrade(_config(connection), revision)
    while revision == "head":
        with migrating(engine) as connection:
            if not queue_schema.upgrade_one(connection):
                return


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Takes migrations back, down to a revision. What only the later schema can hold is lost."""
    with migrating(engine) as connection:
        command.downgrade(_config(connection), revision)


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A connection for migrations, in one transaction. Others that ask for one, in any process, wait for its end."""
    # Alembic keeps what it works on in the process, not in the thread.
    with (
        _ALONE,
        engine.connect() as connection,
        _without_foreign_keys(connection),
        connection.begin(),
    ):
        # SQLite's transaction is exclusive to writers as it is (`backends.py`).
        if engine.dialect.name == "postgresql":
            # Others' migrations may take longer than a request may wait.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        yield connection


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    """Where a column is changed by copying its table, the old table's rows would take those along that refer to them."""
    if connection.dialect.name != "sqlite":
        yield
        return
    # Not by SQLAlchemy, which would begin a transaction first: in one, SQLite ignores this.
    sqlite: Any = connection.connection.dbapi_connection
    sqlite.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        sqlite.execute("PRAGMA foreign_keys=ON")


def _is_current(connection: Connection) -> bool:
    """Whether the schema is this version's. Raises `NewerSchema` for one that is nothing that this version came from."""
    script = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return True
    if current is not None and current not in {each.revision for each in script.walk_revisions()}:
        raise NewerSchema(
            "The database belongs to a newer version of jupyter_dashboards_api, or to another program: install that version, or set Database.url."
        )
    return False


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
