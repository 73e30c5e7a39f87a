"""The connection to the database, and how work reaches it without holding the event loop.

A manager hands a function of a SQLAlchemy session to `read` or `write`; it runs in a thread, in one transaction, and what it
returns must be plain data: objects of a closed session can't be used any more.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jupyter_core.paths import jupyter_data_dir
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from traitlets import Float, Unicode, default
from traitlets.config import LoggingConfigurable

from ..errors import Unavailable
from .migrations import upgrade

URL_VARIABLE = "JUPYTER_DASHBOARDS_DATABASE_URL"

_THREADS = 4
_RETRY_AFTER = 5

T = TypeVar("T")


class Database(LoggingConfigurable):
    """Keeps accounts, sessions, API keys, share links and the activity log."""

    url = Unicode(
        help=f"""Where the database is, as a SQLAlchemy URL: `sqlite:///PATH` or `postgresql+psycopg://USER@HOST/NAME`.
        The default is the environment variable `{URL_VARIABLE}`, so that a password need not be in a file or on a command
        line; without it, the file `dashboards.sqlite` in Jupyter's data folder.""",
    ).tag(config=True)

    busy_timeout = Float(
        15.0,
        min=0.0,
        help="""Seconds that a request waits for a database that others are writing to; 503 beyond it.""",
    ).tag(config=True)

    @default("url")
    def _default_url(self) -> str:
        stated = os.environ.get(URL_VARIABLE)
        if stated:
            return stated
        return f"sqlite:///{Path(jupyter_data_dir()) / 'dashboards.sqlite'}"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dashboards-database")

    @property
    def engine(self) -> Engine:
        """The engine, with the schema of this version; opened at first use. Raises `ValueError` for a bad `url`."""
        with self._opening:
            if self._engine is None:
                engine = self._connect()
                upgrade(engine)
                self._engine = engine
            return self._engine

    def open(self) -> None:
        """Connects, and brings the schema up to date. Blocks; raises what keeps a server from starting."""
        self.engine  # noqa: B018

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[Session]:
        """A session in the calling thread, committed at the end of the block, rolled back if it raises."""
        options = {} if write else {"dashboards_read": True}
        with (
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
            Session(connection, expire_on_commit=False) as session,
        ):
            yield session
            session.flush()

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` returns for a session that only reads. Raises `Unavailable` when the database does not answer."""
        return await self._in_thread(work, write=False)

    async def write(self, work: Callable[[Session], T]) -> T:
        """What `work` returns for a session whose changes are committed when it has returned.

        Raises `Unavailable` when the database does not answer; nothing has changed then.
        """
        return await self._in_thread(work, write=True)

    def close(self) -> None:
        """Ends the threads and the connections."""
        self._pool.shutdown(wait=True)
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    async def _in_thread(self, work: Callable[[Session], T], *, write: bool) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work, write)

    def _run(self, work: Callable[[Session], T], write: bool) -> T:
        try:
            with self.transaction(write=write) as session:
                return work(session)
        except OperationalError as error:
            # Its text holds the statement and the address of the database.
            self.log.error("The database does not answer: %s", type(error.orig).__name__)
            raise Unavailable("The database does not answer.", _RETRY_AFTER) from None

    def _connect(self) -> Engine:
        try:
            url = make_url(self.url)
        except ArgumentError:
            # The URL may hold a password.
            raise ValueError("Database.url is no SQLAlchemy URL.") from None
        if url.get_backend_name() == "sqlite":
            return _sqlite(url, self.busy_timeout)
        try:
            return create_engine(
                url,
                pool_pre_ping=True,
                pool_timeout=self.busy_timeout,
                # A password, or what a viewer typed, is nothing for a log.
                hide_parameters=True,
            )
        except (SQLAlchemyError, ImportError) as error:
            raise ValueError(
                f"Database.url needs a driver that is not installed ({url.get_backend_name()}): "
                "pip install 'jupyter_dashboards_api[postgres]'"
            ) from error


def _sqlite(url: URL, busy_timeout: float) -> Engine:
    if url.database and url.database != ":memory:":
        file = Path(url.database)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made by us, so that nobody else can read it from the first moment on; WAL files get the same mode.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(
        url,
        connect_args={"timeout": busy_timeout, "check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # Transactions are begun below: sqlite3 by itself begins none before a SELECT or a CREATE TABLE.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A transaction that reads first and then writes can't wait for another writer, and fails; so it asks at once.
        reading = connection.get_execution_options().get("dashboards_read")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
