"""How a command is watched: its log on stdout, and on stderr a bar of its cells where that is a terminal."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

from .client import CommandsClient

_CLEAR = "\r\x1b[K"
# What a terminal would obey, except colours: a log may be another person's.
_OBEYED = re.compile(
    r"\x1b\[(?P<colour>[0-9;]*m)|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


def plain(text: str) -> str:
    """A log's text as a terminal may have it: with its colours, without other commands to the terminal."""
    return _OBEYED.sub(lambda found: found[0] if found["colour"] else "", text)


def bar(status: Mapping[str, Any], seconds: float, width: int) -> str:
    """One line: how many cells have run, which runs, and for how long."""
    cells, done, index = status["cells"], status["cells_done"], status["cell_index"]
    words = str(status["status"])
    if status["status"] == "running" and index is not None:
        words = f"cell {index}"
    if status["attempt"] > 1:
        words += f", attempt {status['attempt']}"
    count = f"{done}/{cells}" if cells else "-"
    minutes, rest = divmod(int(seconds), 60)
    tail = f" {count} {words} {minutes}:{rest:02d}"
    room = max(min(width - len(tail) - 3, 40), 4)
    filled = room * done // cells if cells else 0
    return f"[{'#' * filled}{'.' * (room - filled)}]{tail}"[: max(width - 1, 1)]


class Watch:
    """Shows a command until its end."""

    def __init__(self, *, with_log: bool, with_bar: bool = True) -> None:
        self._with_log = with_log
        self._with_bar = with_bar and sys.stderr.isatty()
        self._plain = sys.stdout.isatty()
        # The bar is drawn below whole lines only: an unfinished one waits.
        self._shares = self._with_bar and sys.stdout.isatty()
        self._unfinished = ""
        self._status: dict[str, Any] | None = None
        self._begin = time.monotonic()

    def until_end(self, client: CommandsClient, command_id: int) -> dict[str, Any]:
        """The command's last status. Raises `Refused`."""
        try:
            for event in client.events(command_id):
                if event.name == "log" and self._with_log:
                    self._log(str(event.data["text"]))
                elif event.name == "status":
                    self._status = event.data
                    self._draw()
            assert self._status is not None
            return self._status
        finally:
            self._wipe()
            self._write(self._unfinished)

    def _log(self, text: str) -> None:
        if self._plain:
            text = plain(text)
        if not self._shares:
            self._write(text)
            return
        lines, end, self._unfinished = (self._unfinished + text).rpartition("\n")
        if end:
            self._wipe()
            self._write(lines + end)
            self._draw()

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _draw(self) -> None:
        if self._with_bar and self._status is not None:
            width = shutil.get_terminal_size().columns
            line = bar(self._status, time.monotonic() - self._begin, width)
            sys.stderr.write(_CLEAR + line)
            sys.stderr.flush()

    def _wipe(self) -> None:
        if self._with_bar:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
