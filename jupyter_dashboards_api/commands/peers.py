"""Several servers on one database: one of them runs its commands; another one takes its place when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from ..database.engine import Database
from ..errors import DashboardsError
from .runner_lock import RunnerLock

_LOOK = 3.0
"""Seconds between two looks at whether nobody runs the commands. A runner that lost its connection is back before the second."""

_AGAIN = 0.5
_AWAY = (SQLAlchemyError, DashboardsError)


class Peers:
    """Whether this server runs the commands, and what the others tell it. For one event loop."""

    def __init__(
        self,
        database: Database,
        *,
        begin: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
        heard: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        """`begin` is awaited when this server is to run them, `end` when another one does by now."""
        self._database = database
        self._lock = RunnerLock(database)
        self._begin = begin
        self._end = end
        self._heard = heard
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.runs: bool | None = None
        """None before the start."""

    @property
    def can_tell(self) -> bool:
        """Whether commands may be stored here though another server runs them."""
        return self._lock.is_shared

    async def start(self) -> None:
        """Runs them if nobody does."""
        self.runs = await asyncio.to_thread(self._lock.take)
        if self.runs:
            await self._begin()
        else:
            self._log.warning("Another server runs the commands of this database.")
        if not self.runs or self.can_tell:
            self._task = asyncio.ensure_future(self._keep())

    def close(self) -> None:
        """Takes no other server's place any more; the own one is kept until `stop`."""
        self._stopping.set()
        self._lock.end()

    async def stop(self) -> None:
        """Lets another one run them; what runs here has ended."""
        self.close()
        if self._task is not None:
            if not self.runs:
                self._task.cancel()
            await asyncio.wait({self._task}, timeout=5)
        await asyncio.to_thread(self._lock.release)

    async def tell(self, word: str) -> None:
        """Tells whoever runs them. What does not arrive is found some seconds later."""
        statement = self._lock.tell(word)
        with contextlib.suppress(DashboardsError):
            await self._database.write(lambda session: session.execute(statement).all())

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self.runs:
                    await self._wait_for_turn()
                    if self._stopping.is_set():
                        return
                    self.runs = True
                    self._log.warning("This server runs the commands of this database now.")
                    await self._begin()
                if not self.can_tell:
                    return
                await self._watch()
            except _AWAY:
                self._log.error("Commands: the database does not answer.")
                if self.runs:
                    # Taking over was broken off in the middle: from the beginning.
                    self.runs = False
                    await asyncio.to_thread(self._lock.release)
                await asyncio.sleep(_AGAIN)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()

        def heard(word: str) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._heard, word)

        await asyncio.to_thread(self._lock.watch, heard)
        while not self._stopping.is_set():
            try:
                is_still = await asyncio.to_thread(self._lock.take)
            except _AWAY:
                await asyncio.sleep(_AGAIN)
                continue
            if not is_still:
                self._log.warning("Another server has taken over the commands of this database.")
                self.runs = False
                await self._end()
            return

    async def _wait_for_turn(self) -> None:
        looks = 0
        while looks < 2 or not await asyncio.to_thread(self._lock.take):
            await asyncio.sleep(_LOOK)
            try:
                looks = looks + 1 if await asyncio.to_thread(self._lock.is_free) else 0
            except _AWAY:
                looks = 0
