"""Which server runs the commands of a database: one at a time, so that whatever it finds running at its start is an orphan.

A file beside an SQLite database, an advisory lock of PostgreSQL: both end with the process that holds them, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ..database.engine import Database

# Any number below 2³¹ will do, as long as no other program locks by it; migrations have another.
_ADVISORY_LOCK = 1_139_140_554
_CHANNEL = "dashboards_commands"
_FREE = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND classid = 0 AND objid = :number"
)

_LOOK = 0.5
"""Seconds between two looks at whether to end."""

_NET = 5.0
"""Seconds after which the lock's connection is tried, and what was not heard is looked for."""


class RunnerLock:
    """Held by the server that runs commands. Its methods block, and raise `SQLAlchemyError` for a database that is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: Any = None
        self._ended = False

    @property
    def is_shared(self) -> bool:
        """Whether servers that don't hold it can tell the one that does."""
        return make_url(self._database.url).get_backend_name() != "sqlite"

    def take(self) -> bool:
        """Whether this server has it now."""
        self.release()
        if not self.is_shared:
            return self._take_file(Path(f"{make_url(self._database.url).database}.lock"))
        # The lock is the connection's; what is told arrives only between transactions.
        connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            taken = connection.scalar(select(func.pg_try_advisory_lock(_ADVISORY_LOCK)))
            if taken:
                connection.execute(text(f"LISTEN {_CHANNEL}"))
                self._held = connection
        finally:
            if self._held is not connection:
                connection.close()
        return bool(taken)

    def is_free(self) -> bool:
        """Whether no server has it."""
        if not self.is_shared:
            return True
        with self._database.engine.connect() as connection:
            return not connection.scalar(_FREE, {"number": _ADVISORY_LOCK})

    def watch(self, heard: Callable[[str], None]) -> None:
        """Hands on what other servers tell, and the empty text now and then, until the lock is lost or `end` is called."""
        held = self._held
        latest = -_NET
        # Whatever goes wrong, the connection is of no use any more.
        with contextlib.suppress(Exception):
            while not self._ended:
                if time.monotonic() > latest + _NET:
                    held.execute(text("SELECT 1"))
                    heard("")
                    latest = time.monotonic()
                for told in held.connection.driver_connection.notifies(timeout=_LOOK):
                    heard(told.payload)

    def end(self) -> None:
        """Ends `watch` soon. From any thread."""
        self._ended = True

    def release(self) -> None:
        """Gives it back."""
        held, self._held = self._held, None
        if held is None:
            return
        # A connection that went back to its pool would go on holding it.
        with contextlib.suppress(SQLAlchemyError):
            if hasattr(held, "invalidate"):
                held.invalidate()
            held.close()

    def tell(self, word: str) -> Any:
        """The statement by which the holder hears a word."""
        return select(func.pg_notify(_CHANNEL, word))

    def _take_file(self, path: Path) -> bool:
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._held = file
        return True
