"""How a command is watched: its log on stdout, and on stderr a bar of its cells where that is a terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

from .client import CommandsClient
from .output import plain, say

_CLEAR = "\r\x1b[K"


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


def show_log(client: CommandsClient, command_id: int, *, follow: bool) -> None:
    """Shows a command's log as it is, or goes on until its end. Raises `Refused`."""
    if follow:
        Watch(with_log=True).until_end(client, command_id)
        return
    text = client.read(f"commands/{command_id}/logs").decode(errors="replace")
    sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def watched(client: CommandsClient, command_id: int, *, with_log: bool) -> dict[str, Any]:
    """The command's last status. Ctrl-C cancels it, unless the person at the terminal says otherwise. Raises `Refused`."""
    try:
        return Watch(with_log=with_log).until_end(client, command_id)
    except KeyboardInterrupt:
        try:
            if _wants_to_cancel(command_id):
                cancelled(client, command_id)
        except KeyboardInterrupt:
            # In a hurry: what was the default is done without asking.
            cancelled(client, command_id)
        raise


def _wants_to_cancel(command_id: int) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"\nCancel command {command_id}? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() not in ("n", "no")


def cancelled(client: CommandsClient, command_id: int) -> bool:
    """Cancels a command, and says so; False when it has ended before. Raises `Refused`."""
    answer = client.send("PUT", f"commands/{command_id}", {"status": "kill"})
    killed = bool(answer["kill_succeeded"])
    say(
        f"Command {command_id}: {answer.get('status', 'cancelling') if killed else answer['result']}"
    )
    return killed


def exit_code(command_id: int, status: Mapping[str, Any]) -> int:
    """The exit code for a command that has ended so, after saying why where it is not 0."""
    if status["status"] == "done":
        return 0
    why = (status.get("error") or {}).get("message", "")
    say(plain(f"Command {command_id}: {status['status']}{': ' if why else ''}{why}"))
    return 1
