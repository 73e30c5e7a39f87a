"""What Procrastinate needs in a PostgreSQL: tables and functions that come with its package, in a schema of their own.

Beside our migrations, because another version of that package may bring more at any time. Which of its migrations a database
has, is noted in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Text, column, insert, select, table, text

if TYPE_CHECKING:
    from procrastinate.schema import SchemaManager

SCHEMA = "dashboards_queue"
"""Apart from the tables of whoever else may use Procrastinate on this database."""

_APPLIED = table("applied", column("name", Text), schema=SCHEMA)


def missing(connection: Connection) -> list[str]:
    """The migrations of the installed Procrastinate that a database lacks; none on SQLite, which does without it."""
    if connection.dialect.name != "postgresql":
        return []
    applied = set(connection.scalars(select(_APPLIED.c.name)))
    return [name for name in sorted(_shipped()) if name not in applied]


def upgrade_one(connection: Connection) -> bool:
    """Runs the first of those in the transaction of a connection; False when there is none.

    Each needs a transaction of its own: what one adds to a type, the next one may use.
    """
    names = missing(connection)
    if not names:
        return False
    connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
    if set(names) == set(_shipped()):
        # A new database gets all of it at once.
        _run(connection, _manager().get_schema())
    else:
        names = names[:1]
        _run(connection, _shipped()[names[0]].read_text(encoding="utf-8"))
    connection.execute(insert(_APPLIED), [{"name": name} for name in names])
    return True


def _run(connection: Connection, script: str) -> None:
    # Without parameters at all: then several statements may be sent at once, and a percent sign is one.
    connection.execution_options(no_parameters=True).exec_driver_sql(script)


def _shipped() -> dict[str, Path]:
    return {file.name: file for file in Path(_manager().get_migrations_path()).glob("*.sql")}


def _manager() -> type[SchemaManager]:
    # Only where there is a PostgreSQL is it installed.
    from procrastinate.schema import SchemaManager

    return SchemaManager
