"""The queue of one server: tasks in its event loop, woken when there may be something to do. It never polls.

Our rows are the truth (`store.py`). A few commands run at once; who is next of those that wait says `claims.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from ..database.tables import now
from .attempts import LOST, Attempts, Run
from .models import Limits
from .orphans import end_kernels, host_of
from .outages import AGAIN, log_failure
from .runner_lock import RunnerLock
from .store import CommandStore

_LONGEST_WAIT = 60.0
"""Seconds: the clock may be set, and a machine that slept has not counted."""

_LOOK = 3.0
"""Seconds between two looks at whether the server that runs the commands is gone."""


class LocalQueue:
    """Runs commands on this server, and on no other one of its database."""

    def __init__(
        self,
        commands: CommandStore,
        run: Run,
        *,
        worker: str,
        limits: Limits,
        log: logging.Logger,
        lock: RunnerLock | None = None,
        again: float = AGAIN,
        look: float = _LOOK,
    ) -> None:
        """`worker` names this server, as `host:pid`; `lock` is held by the one that runs commands (None: there is no other).

        `again`: seconds after which a database that did not answer is asked again; `look`: after which the lock is.
        """
        self._commands = commands
        self._worker = worker
        self._limits = limits
        self._log = log
        self._lock = lock
        self._again = again
        self._look = look
        self._wake = asyncio.Event()
        self._attempts = Attempts(commands, run, ended=self.wake, log=log, again=again)
        self._in_doubt = False
        self._loop: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.accepts = True
        """False while another server runs the commands."""

    @property
    def places(self) -> int:
        """How many commands may run at once."""
        return self._limits.places

    async def start(self) -> None:
        """Takes commands from now on, unless another server has the lock; else when that one is gone."""
        try:
            self.accepts = await self._has_turn()
        except Exception as error:
            self.accepts = False
            log_failure(self._log, error)
        else:
            if not self.accepts:
                self._log.warning("Another server runs the commands of this database.")
        self._loop = asyncio.ensure_future(self._take())

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def tell(self, command_id: int) -> None:
        """Nobody else needs to know."""

    async def cancel(self, command_id: int) -> None:
        """Cancels a command that runs here, once; its row says so already."""
        self._attempts.cancel(command_id)

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted and handed back: it waits again if it has retries left."""
        self._stopping.set()
        self._wake.set()
        await self._attempts.stop()
        if self._loop is not None:
            # A claim that is under way is put back.
            await asyncio.wait({self._loop})
        if self._lock is not None:
            await asyncio.to_thread(self._lock.release)

    async def _has_turn(self) -> bool:
        """Whether this server runs the commands from now on: no other one does, and what one has left that died has ended."""
        if self._lock is not None and not await asyncio.to_thread(self._lock.take):
            return False
        # Whatever runs, by its row, is an orphan.
        found = await self._commands.orphans(LOST)
        await asyncio.to_thread(end_kernels, found, host_of(self._worker), self._log)
        return True

    async def _wait_for_turn(self) -> None:
        while not self._stopping.is_set():
            wait = self._look
            try:
                self.accepts = await self._has_turn()
            except Exception as error:
                log_failure(self._log, error)
                wait = self._again
            if self.accepts:
                self._log.warning("This server runs the commands of this database now.")
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _take(self) -> None:
        if not self.accepts:
            await self._wait_for_turn()
        while not self._stopping.is_set():
            # Before looking: what comes while we look must wake us again.
            self._wake.clear()
            wait: float | None = None
            try:
                free = self._limits.places - len(self._attempts)
                if free > 0:
                    looked = now()
                    await self._claim(free)
                    wait = await self._commands.next_due(looked)
            except Exception as error:
                log_failure(self._log, error)
                wait = self._again
            if wait is not None:
                wait = min(wait, _LONGEST_WAIT)
            if not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)

    async def _claim(self, places: int) -> None:
        if self._in_doubt:
            await self._put_back()
            self._in_doubt = False
        with self._attempts.taking():
            try:
                taken = await self._commands.claim(
                    self._worker, places, self._limits, self._attempts.served
                )
            except Exception:
                # It may have broken off after it had noted them as taken.
                self._in_doubt = True
                raise
        if self._stopping.is_set():
            await self._put_back()
            return
        for command in taken:
            self._attempts.begin(command, self._worker)

    async def _put_back(self) -> None:
        await self._commands.put_back(self._worker, self._attempts.keys)
