"""The clock of the schedules: looks when something is due, and sleeps in between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from ..database.tables import now
from ..errors import DashboardsError

_AGAIN = 2.0
"""Seconds after which a database that did not answer is asked again."""

ELSEWHERE = 5.0
"""Seconds between two looks where another server may have made a schedule that is due sooner.

That server looks at it in time itself: it is found here should that one die, or have more than it can do.
"""

_PATIENCE = 10.0
"""Seconds that a look which goes on has at the stop; storage may be slow."""

LONGEST_WAIT = 30.0
"""Seconds: the clock may be set, and a machine that slept has not counted."""


class Ticker:
    """Calls `look` when something may be due. For one event loop."""

    def __init__(
        self,
        look: Callable[[datetime], Awaitable[datetime | None]],
        *,
        log: logging.Logger,
        longest: float = LONGEST_WAIT,
    ) -> None:
        """`look` answers when the next one is worth it; it comes after `longest` seconds in any case."""
        self._look = look
        self._longest = longest
        self._log = log
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Looks from now on."""
        self._task = asyncio.ensure_future(self._run())

    def wake(self) -> None:
        """Something may be due sooner than it seemed."""
        self._wake.set()

    async def stop(self) -> None:
        """Looks no more. One that goes on is waited for: it may have made commands."""
        if self._task is None:
            return
        # Not by cancelling: `wait_for` of Python 3.11 loses a cancellation that comes together with the wake-up.
        self._stopping.set()
        self._wake.set()
        _, late = await asyncio.wait({self._task}, timeout=_PATIENCE)
        for task in late:
            task.cancel()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            # Before looking: what comes while we look must wake us again.
            self._wake.clear()
            try:
                wait = _until(await self._look(now()))
            except DashboardsError as error:
                self._log.error("Schedules: %s", error.message)
                wait = _AGAIN
            except Exception:
                self._log.exception("Schedules")
                wait = _AGAIN
            if self._stopping.is_set():
                return
            wait = self._longest if wait is None else min(wait, self._longest)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)


def _until(moment: datetime | None) -> float | None:
    return max((moment - now()).total_seconds(), 0.0) if moment is not None else None
