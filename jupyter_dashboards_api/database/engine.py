"""The connection to the database, and how work reaches it without holding the event loop.

A manager hands a function of a SQLAlchemy session to `read` or `write`; it runs in a thread, in one transaction, and what it
returns must be plain data: objects of a closed session can't be used any more.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jupyter_core.paths import jupyter_data_dir
from sqlalchemy import CursorResult, Engine, Executable
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from traitlets import Float, Unicode, default
from traitlets.config import LoggingConfigurable

from ..errors import Unavailable
from .backends import READ_ONLY, create, fault, is_shared, postgres_arguments
from .default_file import default_file
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
        line; without it, the file `dashboards.sqlite` in Jupyter's data folder. A server with other notebooks than the one
        that used that file first has a file of its own there, which its log names.""",
    ).tag(config=True)

    busy_timeout = Float(
        15.0,
        min=0.1,
        help="""Seconds that a request waits for its turn, and then for a database that others are writing to; 503 beyond
        either.""",
    ).tag(config=True)

    @default("url")
    def _default_url(self) -> str:
        stated = os.environ.get(URL_VARIABLE)
        if stated:
            return stated
        return f"sqlite:///{default_file(Path(jupyter_data_dir()), self._place, self.log)}"

    def __init__(self, place: str | None = None, **options: Any) -> None:
        """`place` says where the notebooks are that the paths in it name; None: in the place of the first server."""
        super().__init__(**options)
        self._place = place
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        # SQLite has one writer at a time: here they take turns in order, and don't hold up those who read.
        writers = 1 if self.url.startswith("sqlite") else _THREADS
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="dashboards-write")
        self._readers = ThreadPoolExecutor(_THREADS, thread_name_prefix="dashboards-read")

    @property
    def engine(self) -> Engine:
        """The engine, with the schema of this version; opened at first use. Raises `ValueError` for a bad `url`."""
        with self._opening:
            if self._engine is None:
                engine = create(self.url, self.busy_timeout)
                try:
                    upgrade(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    @property
    def is_shared(self) -> bool:
        """Whether servers on several machines may share it."""
        return is_shared(self.url)

    @property
    def postgres_arguments(self) -> dict[str, Any]:
        """What psycopg connects with, where something needs a connection of its own to a PostgreSQL."""
        return postgres_arguments(self.url, self.busy_timeout)

    def open(self) -> None:
        """Connects, and brings the schema up to date. Blocks; raises what keeps a server from starting."""
        self.engine  # noqa: B018

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[Session]:
        """A session in the calling thread, committed at the end of the block, rolled back if it raises.

        Raises `Unavailable` when the database does not answer, `InvalidRequest` for a value that it can't hold.
        """
        options: dict[str, Any] = {} if write else READ_ONLY
        try:
            with (
                self.engine.connect().execution_options(**options) as connection,
                connection.begin(),
                Session(connection, expire_on_commit=False) as session,
            ):
                yield session
                session.flush()
        except SQLAlchemyError as error:
            named = fault(error, write=write)
            if named is None:
                raise
            self.log.error("The database does not answer: %s", named)
            raise Unavailable("The database does not answer.", _RETRY_AFTER) from None

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` returns for a session that only reads. Raises as `transaction` does."""
        return await self._in_thread(work, write=False)

    async def write(self, work: Callable[[Session], T]) -> T:
        """What `work` returns for a session whose changes are committed when it has returned.

        Raises as `transaction` does; nothing has changed then, unless the connection broke during the commit itself. If
        the caller is cancelled, work that has begun is still carried out. PostgreSQL does several at once: what `work`
        reads in order to change it, it reads with `with_for_update()`.
        """
        return await self._in_thread(work, write=True)

    async def execute(self, statement: Executable) -> int:
        """Runs one statement that changes rows; how many it changed."""

        def work(session: Session) -> int:
            result = session.execute(statement)
            assert isinstance(result, CursorResult)
            return int(result.rowcount)

        return await self.write(work)

    def close(self) -> None:
        """Ends the threads and the connections, after the work that has been handed over. Blocks."""
        self._writers.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    async def _in_thread(self, work: Callable[[Session], T], *, write: bool) -> T:
        pool = self._writers if write else self._readers
        latest = time.monotonic() + self.busy_timeout
        return await asyncio.get_running_loop().run_in_executor(
            pool, self._run, work, write, latest
        )

    def _run(self, work: Callable[[Session], T], write: bool, latest: float) -> T:
        # Whoever waited long enough behind others must not start to wait for the database.
        if time.monotonic() > latest:
            self.log.error("The database does not answer: too much is waiting for it")
            raise Unavailable("The database does not answer.", _RETRY_AFTER)
        with self.transaction(write=write) as session:
            return work(session)
