"""Who may change what: one upload or deletion at a time in any part of the tree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PathLocks:
    """Exclusive use of a contents path with all that is above and below it in its own line.

    `a/b` waits for `a`, `a/b` and `a/b/c`, not for `a/x`. For one event loop.
    """

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def hold(self, path: str) -> AsyncIterator[None]:
        """Waits for its turn, then keeps others waiting."""
        await self.settled(path)
        self._held.add(path)
        try:
            yield
        finally:
            # Nothing is awaited here: a holder that is cancelled twice must let go, too.
            self._held.remove(path)
            released, self._released = self._released, asyncio.Event()
            released.set()

    def is_held(self, path: str) -> bool:
        """Whether somebody holds anything in the line of `path`."""
        return any(_in_line(path, held) for held in self._held)

    async def settled(self, path: str) -> None:
        """Waits until nobody holds anything in the line of `path`."""
        while self.is_held(path):
            await self._released.wait()


def _in_line(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
