"""Which server runs the commands of a database: one at a time, so that whatever it finds running at its start is an orphan.

A file beside an SQLite database, an advisory lock of PostgreSQL: both end with the process that holds them, however it ends.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from ..database.engine import Database

# Any number will do, as long as no other program locks by it; migrations have another.
_ADVISORY_LOCK = 7_239_140_554


class RunnerLock:
    """Held by the server that runs commands. Its methods block."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: Any = None

    def take(self) -> bool:
        """Whether this server has it now."""
        url = make_url(self._database.url)
        if url.get_backend_name() == "sqlite":
            return self._take_file(Path(f"{url.database}.lock"))
        connection = self._database.engine.connect()
        taken = connection.scalar(text(f"SELECT pg_try_advisory_lock({_ADVISORY_LOCK})"))
        # The lock is the connection's, not the transaction's.
        connection.commit()
        if not taken:
            connection.close()
            return False
        self._held = connection
        return True

    def release(self) -> None:
        """Gives it back."""
        held, self._held = self._held, None
        if held is not None:
            # A connection that went back to its pool would go on holding it.
            if hasattr(held, "invalidate"):
                held.invalidate()
            held.close()

    def _take_file(self, path: Path) -> bool:
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._held = file
        return True
