"""A running command's log: lines are gathered and written a few times a second, not one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from .outages import AGAIN

_EVERY = 0.3
"""Seconds between two writes."""

MAX_BYTES = 16 * 1024 * 1024
"""Of one command's log; what comes later is dropped, and that is said."""

_DROPPED = "\n[The log is full: what follows is left out.]\n"


def line_of(text: str) -> str:
    """A line of our own, with the time."""
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n"


class CommandLogger:
    """Takes what is logged at once, and hands it on in pieces. For one event loop."""

    def __init__(self, write: Callable[[str], Awaitable[None]]) -> None:
        """`write` stores a piece."""
        self._write = write
        self._pieces: list[str] = []
        self._room = MAX_BYTES
        self._is_open = False
        self._hurry = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Logs a line of our own, with the time."""
        # What a cell has printed need not end its line.
        end = "\n" if self._is_open else ""
        self.add(end + line_of(text))

    def add(self, text: str) -> None:
        """Logs what a cell has printed, as it is."""
        if self._room < 0 or not text:
            return
        self._is_open = not text.endswith("\n")
        data = text.replace("\0", "\ufffd").encode(errors="replace")
        if len(data) > self._room:
            data = data[: self._room] + _DROPPED.encode()
            self._room = -1
        else:
            self._room -= len(data)
        self._pieces.append(data.decode(errors="ignore"))
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write_soon())

    async def close(self) -> None:
        """Writes what is left. Raises what `write` raises; it may be tried again."""
        self._hurry.set()
        if self._writer is not None:
            # A write that is under way must not be broken off: nobody would know whether it was done.
            await asyncio.wait({self._writer})
        await self._flush()

    async def _write_soon(self) -> None:
        try:
            wait = _EVERY
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), wait)
                try:
                    await self._flush()
                    wait = _EVERY
                except Exception:
                    # What can't be written now is kept for the next time, and for `close`, which says why.
                    wait = AGAIN
                # What has come meanwhile has started no writer; what comes while it is closed, `close` writes.
                if not self._pieces or self._hurry.is_set():
                    break
        finally:
            self._writer = None

    async def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return
        try:
            await self._write("".join(pieces))
        except Exception:
            self._pieces = [*pieces, *self._pieces]
            raise
