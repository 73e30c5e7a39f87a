"""The clock of the schedules: looks when something is due, and sleeps in between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from ..database.tables import now
from ..errors import DashboardsError

_AGAIN = 2.0
"""Seconds after which a database that did not answer is asked again."""

_ELSEWHERE = 2.0
"""Seconds between two looks where another server may have made a schedule that is due sooner."""

_LONGEST_WAIT = 30.0
"""Seconds: the clock may be set, and a machine that slept has not counted."""


class Ticker:
    """Calls `look` when something may be due. For one event loop."""

    def __init__(
        self,
        look: Callable[[datetime], Awaitable[datetime | None]],
        *,
        shared: bool,
        log: logging.Logger,
    ) -> None:
        """`look` answers when the next one is worth it. `shared`: other servers make schedules too."""
        self._look = look
        self._longest = _ELSEWHERE if shared else _LONGEST_WAIT
        self._log = log
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._looking: set[asyncio.Future[datetime | None]] = set()

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
        self._task.cancel()
        under_way: set[asyncio.Future[Any]] = {self._task, *self._looking}
        await asyncio.wait(under_way)

    async def _run(self) -> None:
        while True:
            # Before looking: what comes while we look must wake us again.
            self._wake.clear()
            try:
                looking = asyncio.ensure_future(self._look(now()))
                self._looking = {looking}
                wait = _until(await asyncio.shield(looking))
            except DashboardsError as error:
                self._log.error("Schedules: %s", error.message)
                wait = _AGAIN
            except Exception:
                self._log.exception("Schedules")
                wait = _AGAIN
            wait = self._longest if wait is None else min(wait, self._longest)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)


def _until(moment: datetime | None) -> float | None:
    return max((moment - now()).total_seconds(), 0.0) if moment is not None else None
