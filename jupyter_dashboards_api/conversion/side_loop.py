"""An event loop in a thread of its own, for work whose pieces are too large for the server's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_STOP_SECONDS = 20.0

T = TypeVar("T")


class SideLoop:
    """Runs coroutines of other loops. It starts with the first of them."""

    def __init__(self, name: str) -> None:
        """`name` is the thread's."""
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._loop is not None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns or raises. Cancelled, it does not wait until the coroutine has cleaned up."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # A server that is killed must not wait for it.
            self._thread = threading.Thread(target=self._main, name=self._name, daemon=True)
            self._thread.start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def stop(self) -> None:
        """Cancels what still runs, and ends the thread."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, _STOP_SECONDS)

    def _main(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()
