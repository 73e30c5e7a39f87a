"""Which server runs the commands of an SQLite database: one at a time, so that whatever it finds running is an orphan."""

from __future__ import annotations

import contextlib
import fcntl
from io import TextIOWrapper
from pathlib import Path


class RunnerLock:
    """A file beside the database, locked by the server that runs commands; it ends with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        """`path` is the file; it is made if need be, and stays."""
        self._path = path
        self._held: TextIOWrapper | None = None

    def take(self) -> bool:
        """Whether this server has it now. Blocks, though not for another server."""
        self.release()
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._held = file
        return True

    def release(self) -> None:
        """Gives it back."""
        held, self._held = self._held, None
        if held is not None:
            with contextlib.suppress(OSError):
                held.close()
