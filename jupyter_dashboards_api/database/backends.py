"""SQLite and PostgreSQL, set up so that nothing else need know which of them it works with."""

from __future__ import annotations

import importlib.util
import math
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import InvalidRequest

READ_ONLY = {"dashboards_read_only": True, "postgresql_readonly": True}
"""Execution options of a connection whose transactions only read; they raise for anything else."""

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql+psycopg": "postgresql+psycopg",
    # As other programs write it, and without a say in which driver it is.
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}

_POSTGRES_PACKAGES = ("psycopg", "psycopg_pool", "procrastinate")

# Classes of SQL states: a value that no column takes, and more than an index can hold.
_UNSTORABLE = ("22", "54")

# A file or disk that is mounted so, and a PostgreSQL that follows another one, as after a failover.
_ONLY_READABLE = ("SQLITE_READONLY", "25006")


def create(stated: str, wait: float) -> Engine:
    """The engine for a URL; it connects at first use. `wait`: seconds that a transaction waits for others.

    Raises `ValueError` for what can't be used. Its text says nothing of the URL, which may hold a password.
    """
    url = _parsed(stated)
    if not _is_sqlite(url) and not all(map(importlib.util.find_spec, _POSTGRES_PACKAGES)):
        raise ValueError(
            "Database.url needs packages that are not installed: pip install 'jupyter_dashboards_api[postgres]'"
        )
    engine = _sqlite(url, wait) if _is_sqlite(url) else _postgres(url, wait)
    event.listen(engine, "handle_error", _refuse_unstorable)
    return engine


def is_shared(stated: str) -> bool:
    """Whether servers on several machines may share the database of a URL. Raises `ValueError` as `create` does."""
    return not _is_sqlite(_parsed(stated))


def postgres_arguments(stated: str, wait: float) -> dict[str, Any]:
    """What psycopg connects with to the PostgreSQL of a URL. Raises `ValueError` as `create` does."""
    url = _parsed(stated)
    _, given = url.get_dialect()().create_connect_args(url)
    return {**_defaults(wait), **given}


def fault(error: Exception, *, write: bool) -> str | None:
    """A word for the log if an error means that the database does not work now; None for an error of another kind.

    `write`: whether it came from a transaction that may write.
    """
    if isinstance(error, PoolTimeout):
        return "no free connection"
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None)
    if code in _ONLY_READABLE and not write:
        return None
    if not (
        isinstance(error, OperationalError)
        or error.connection_invalidated
        or code in _ONLY_READABLE
    ):
        return None
    # The text holds the statement and the address of the database.
    return f"{type(error.orig).__name__} {code or ''}".rstrip()


def _parsed(stated: str) -> URL:
    try:
        url = make_url(stated)
    except (ArgumentError, ValueError):
        raise ValueError("Database.url is no SQLAlchemy URL.") from None
    if url.drivername not in _DRIVERS:
        raise ValueError("Database.url must begin with sqlite:/// or postgresql+psycopg://.")
    url = url.set(drivername=_DRIVERS[url.drivername])
    file = url.drivername == "sqlite"
    # Each thread would have a database of its own in memory.
    if file and (url.database or ":memory:").startswith((":memory:", "file:")):
        raise ValueError("Database.url needs the path of a file: sqlite:///PATH")
    # Then a part of the password is taken for the address, and turns up in messages.
    if not file and "@" in f"{url.host}{url.database}":
        raise ValueError("Database.url: write @ as %40 and / as %2F in user names and passwords.")
    return url


def _is_sqlite(url: URL) -> bool:
    return url.drivername == "sqlite"


def _defaults(wait: float) -> dict[str, Any]:
    # A host that is gone without a word is noticed after as long; libpq by itself would wait for minutes.
    seconds = max(5, math.ceil(wait))
    return {
        "application_name": "jupyter_dashboards_api",
        "connect_timeout": seconds,
        "keepalives_idle": seconds,
        "tcp_user_timeout": seconds * 1000,
    }


def _postgres(url: URL, wait: float) -> Engine:
    engine = create_engine(
        url,
        connect_args={
            name: value for name, value in _defaults(wait).items() if name not in url.query
        },
        pool_pre_ping=True,
        pool_timeout=wait,
        # A password, or what a viewer typed, is nothing for a log.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # 0 would be for ever.
        milliseconds = max(1, round(wait * 1000))
        connection.execute(f"SET lock_timeout = {milliseconds}")
        # A server that freezes in the middle of a transaction must not keep its locks from its peers.
        connection.execute(f"SET idle_in_transaction_session_timeout = {max(1000, milliseconds)}")
        connection.commit()

    return engine


def _sqlite(url: URL, wait: float) -> Engine:
    file = Path(str(url.database))
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made by us, so that nobody else can read it from the first moment on; WAL files get the same mode.
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(
        url,
        connect_args={"timeout": wait, "check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # Transactions are begun below: sqlite3 by itself begins none before a SELECT or a CREATE TABLE.
        connection.isolation_level = None
        cursor = connection.cursor()
        _switch_to_wal(cursor, wait)
        # A key or session that was revoked stays so after a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A transaction that reads first and then writes can't wait for another writer, and fails; so it asks at once.
        reading = connection.get_execution_options().get("dashboards_read_only", False)
        connection.exec_driver_sql(f"PRAGMA query_only={int(reading)}")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _switch_to_wal(cursor: sqlite3.Cursor, wait: float) -> None:
    # SQLite does not wait by itself here when another process switches the same new file.
    end = time.monotonic() + wait
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _refuse_unstorable(context: ExceptionContext) -> None:
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    if (
        isinstance(context.sqlalchemy_exception, DataError)
        or isinstance(error, UnicodeEncodeError | OverflowError)
        or state[:2] in _UNSTORABLE
    ):
        raise InvalidRequest("A value is too long, or holds characters that can't be stored.")
