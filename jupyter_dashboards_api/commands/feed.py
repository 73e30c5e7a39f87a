"""Who follows a command, live: told that its rows have changed, and given what is new in them.

The rows are the truth; a bell only says that it is worth a look. So whoever comes late, or comes back, misses nothing, and
the database is not asked without need.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DashboardsError, NotFound, Unavailable
from .models import CommandInfo

if TYPE_CHECKING:
    from .store import CommandStore

_ELSEWHERE = 2.0
"""Seconds between two looks at a command of which this server has heard nothing: another one may be running it."""

_PIECE_CHARACTERS = 64 * 1024
_ROWS = 100


@dataclass(frozen=True)
class LogPiece:
    """A part of a command's log; `end` is the offset in bytes after it."""

    text: str
    end: int


class Bell:
    """Rings for one who follows."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.heard = False
        self.ended = False

    def ring(self) -> None:
        """Something has changed."""
        self.heard = True
        self._rung.set()

    def end(self) -> None:
        """There is nobody to follow any more, or nothing."""
        self.ended = True
        self._rung.set()

    def clear(self) -> None:
        """Before a look: what changes during it rings again."""
        self._rung.clear()

    async def wait(self, seconds: float) -> None:
        """Until it rings, or for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), seconds)


class CommandFeed:
    """The bells of all who follow commands on this server. For one event loop."""

    def __init__(self, most: int) -> None:
        """`most` is how many may follow at once."""
        self._most = most
        self._bells: dict[int, set[Bell]] = {}
        self.count = 0
        """How many follow now."""

    def changed(self, command_id: int) -> None:
        """The rows of a command have changed."""
        for bell in self._bells.get(command_id, ()):
            bell.ring()

    @contextmanager
    def follow(self, command_id: int) -> Iterator[Bell]:
        """A bell for a command. Raises `Unavailable` when too many follow commands."""
        if self.count >= self._most:
            raise Unavailable("Too many streams of commands are open on this server.")
        bell = Bell()
        bells = self._bells.setdefault(command_id, set())
        bells.add(bell)
        self.count += 1
        try:
            yield bell
        finally:
            self.count -= 1
            bells.discard(bell)
            if not bells and self._bells.get(command_id) is bells:
                del self._bells[command_id]

    def close(self) -> None:
        """Ends all of it."""
        for bells in self._bells.values():
            for bell in bells:
                bell.end()


async def news(
    commands: CommandStore, command_id: int, bell: Bell, *, offset: int = 0, heartbeat: float = 15.0
) -> AsyncGenerator[LogPiece | CommandInfo | None, None]:
    """What is new of a command until its end: its log from an offset in bytes on, and how it stands whenever that changes.

    The last is the command as it has ended, after its whole log. None, every `heartbeat` seconds, when nothing is new.
    """
    row = position = 0
    shown: tuple[object, ...] = ()
    loop = asyncio.get_running_loop()
    last = loop.time()
    while not bell.ended:
        bell.clear()
        try:
            # Before its log: the log of a command that has ended is complete.
            command = await commands.get(command_id)
            while pieces := await commands.log_after(command_id, row, _ROWS):
                row = pieces[-1][0]
                for _, text in pieces:
                    data = text.encode()
                    begin = max(offset - position, 0)
                    position += len(data)
                    if begin < len(data):
                        for piece in _cut(data[begin:].decode(errors="replace"), position):
                            last = loop.time()
                            yield piece
        except NotFound:
            return
        except DashboardsError:
            # The database does not answer just now.
            await bell.wait(_ELSEWHERE)
            continue
        if _facts(command) != shown:
            shown = _facts(command)
            last = loop.time()
            yield command
        if command.is_final:
            return
        silent = loop.time() - last
        if silent >= heartbeat:
            last, silent = loop.time(), 0.0
            yield None
        left = heartbeat - silent
        await bell.wait(left if bell.heard else min(left, _ELSEWHERE))


def _cut(text: str, end: int) -> list[LogPiece]:
    """The text in pieces that are quickly handled; `end` is the offset after all of it."""
    found = []
    for begin in reversed(range(0, len(text), _PIECE_CHARACTERS)):
        piece = text[begin : begin + _PIECE_CHARACTERS]
        found.append(LogPiece(piece, end))
        end -= len(piece.encode())
    return found[::-1]


def _facts(command: CommandInfo) -> tuple[object, ...]:
    return (
        command.status,
        command.attempt,
        command.cells,
        command.cells_done,
        command.cell_index,
        command.error,
    )
