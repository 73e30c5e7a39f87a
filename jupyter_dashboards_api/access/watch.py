"""Looks whether those who are connected may still be.

A websocket outlives the request that opened it: the session that it was opened with may end, a link be disabled, a rule
changed, here or by another process. Whatever changes a right in this process says so, and all are looked at at once; what
others change is seen within `interval`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..errors import Unavailable
from .callers import Caller


@dataclass(eq=False, slots=True)
class _Watched:
    caller: Caller
    path: str
    ended: Callable[[], None]
    still: Callable[[Caller, str], Awaitable[bool]]


class CallerWatch:
    """Calls back when a caller's right to a dashboard has ended. For one event loop."""

    def __init__(
        self,
        still_permitted: Callable[[Caller, str], Awaitable[bool]],
        interval: float,
        log: logging.Logger,
    ) -> None:
        """`still_permitted` says whether a caller may still use a kernel of the dashboard at a path; `interval` is in seconds."""
        self._still_permitted = still_permitted
        self._interval = interval
        self._log = log
        self._watched: set[_Watched] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(
        self,
        caller: Caller,
        path: str,
        ended: Callable[[], None],
        still: Callable[[Caller, str], Awaitable[bool]] | None = None,
    ) -> Callable[[], None]:
        """Watches a caller until the returned function is called; `ended` is called once at most.

        `still` says whether the caller may still do what this is about, if it is not the use of a kernel.
        """
        watched = _Watched(caller, path, ended, still or self._still_permitted)
        self._watched.add(watched)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        return lambda: self._watched.discard(watched)

    def rights_changed(self) -> None:
        """Looks at all of them now."""
        self._changed.set()

    def stop(self) -> None:
        """Watches nobody any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._watched.clear()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._interval)
            self._changed.clear()
            await self._look()

    async def _look(self) -> None:
        known: dict[tuple[Any, Caller, str], bool] = {}
        for watched in list(self._watched):
            place = (watched.still, watched.caller, watched.path)
            try:
                if place not in known:
                    known[place] = await watched.still(watched.caller, watched.path)
            except Unavailable as error:
                # Not known now is not ended; nobody new gets in meanwhile.
                self._log.warning("Rights can't be looked at: %s", error.message)
                return
            except Exception:
                # This task must go on: without it nobody's right would ever end.
                self._log.exception("The right of a caller can't be looked at")
                continue
            if not known[place] and watched in self._watched:
                self._watched.discard(watched)
                self._end(watched)

    def _end(self, watched: _Watched) -> None:
        try:
            watched.ended()
        except Exception:
            # The others are still to be looked at.
            self._log.exception("A connection whose right has ended was not closed")
