"""A running command's log: lines are gathered and written a few times a second, not one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

_EVERY = 0.3
"""Seconds between two writes."""

MAX_BYTES = 16 * 1024 * 1024
"""Of one command's log; what comes later is dropped, and that is said."""

_DROPPED = "\n[The log is full: what follows is left out.]\n"


class CommandLogger:
    """Takes what is logged at once, and hands it on in pieces. For one event loop."""

    def __init__(self, write: Callable[[str], Awaitable[None]]) -> None:
        """`write` stores a piece."""
        self._write = write
        self._pieces: list[str] = []
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Logs a line of our own, with the time."""
        self.add(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")

    def add(self, text: str) -> None:
        """Logs what a cell has printed, as it is."""
        if self._bytes > MAX_BYTES:
            return
        text = text.replace("\0", "\ufffd").encode(errors="replace").decode()
        self._bytes += len(text)
        self._pieces.append(_DROPPED if self._bytes > MAX_BYTES else text)
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write_soon())

    async def close(self) -> None:
        """Writes what is left."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.cancel()
            await asyncio.wait({writer})
        await self._flush()

    async def _write_soon(self) -> None:
        await asyncio.sleep(_EVERY)
        self._writer = None
        await self._flush()

    async def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            await self._write("".join(pieces))
