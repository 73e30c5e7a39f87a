"""The queue of several servers on one PostgreSQL: whichever has room is told by the carrier, and takes what is next.

Our rows are the truth (`store.py`), and who is next of those that wait says `claims.py`, as on one server. With each heartbeat
a server looks at all that runs: for what it was not told, for what it runs no longer, and for servers that have died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sqlalchemy import Executable

from ..database.engine import Database
from ..errors import DashboardsError
from .attempts import LOST, Attempts, Run
from .carrier import Carrier, word_of_cancelled, word_of_changed
from .models import Limits
from .orphans import end_kernels, host_of
from .outages import AGAIN, log_failure
from .peers import Sight, Watch, name_of
from .store import CommandStore

HEARTBEAT, STALLED = 5.0, 15.0
"""Seconds between two signs of life of a server, and after which it may be dead."""

_STOP_SECONDS = 5.0
_TELL_EVERY = 0.3
"""Seconds for which changes are gathered."""

_TOLD_AT_ONCE = 500
"""PostgreSQL takes 8000 bytes."""


class SharedQueue:
    """Runs commands on this server, as its peers do on theirs."""

    accepts = True

    def __init__(
        self,
        database: Database,
        commands: CommandStore,
        run: Run,
        *,
        worker: str,
        limits: Limits,
        log: logging.Logger,
        heartbeat: float = HEARTBEAT,
        stalled: float = STALLED,
        again: float = AGAIN,
        changed: Callable[[int], object] = lambda command_id: None,
    ) -> None:
        """`worker` names this server, as `host:pid`. `again`: seconds after which a database that was away is asked again.

        `changed` is called with the id of each command whose rows another server has changed.
        """
        self._database = database
        self._commands = commands
        self._worker = worker
        self._limits = limits
        self._log = log
        self._stalled = stalled
        self._heartbeat = heartbeat
        self._attempts = Attempts(commands, run, log=log, again=again)
        self._watch = Watch(heartbeat, stalled)
        self._carrier = Carrier(
            database.postgres_arguments,
            places=limits.places,
            take=self._serve,
            cancel=self._attempts.cancel,
            changed=changed,
            beaten=self._beaten,
            heartbeat=heartbeat,
            again=again,
            log=log,
        )
        # One at a time claims, or looks at what is claimed.
        self._claiming = asyncio.Lock()
        self._name = ""
        self._servers = 1
        self._stopping = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._untold: set[int] = set()

    @property
    def places(self) -> int:
        """How many commands may run at once on all servers that are there, if they have as many places as this one."""
        return self._limits.places * self._servers

    async def start(self) -> None:
        """Takes commands from now on."""
        self._carrier.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._carrier.send()

    def tell(self, command_id: int) -> None:
        """The rows of a command have changed: who follows it on another server hears of it, some at once."""
        if self._servers < 2 or self._stopping.is_set():
            return
        if not self._untold:
            self._keep(self._tell_soon())
        self._untold.add(command_id)

    async def cancel(self, command_id: int) -> None:
        """Cancels a command on whichever server runs it, once; its row says so already."""
        if not self._attempts.cancel(command_id):
            # What does not arrive is found with the next heartbeat.
            await self._say(word_of_cancelled(command_id))

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted and handed back: it waits again if it has retries left."""
        self._stopping.set()
        await self._carrier.pause()
        async with self._claiming:
            pass
        await self._attempts.stop()
        self._carrier.send()
        left = {*self._tasks, *([self._looking] if self._looking is not None else [])}
        if left:
            await asyncio.wait(left, timeout=_STOP_SECONDS)
        await self._carrier.stop()

    @property
    def _is_full(self) -> bool:
        return len(self._attempts) >= self._limits.places

    async def _serve(self) -> None:
        """Runs what a token stands for. One that came to a full server is passed on, or waits until there is a place."""
        await self._take()
        # What was begun by a look holds no token: so many come too many. Each is held here, so they do not come again.
        while self._is_full and not self._stopping.is_set():
            self._carrier.send()
            await self._attempts.one_ended()
            await self._take()

    async def _take(self) -> None:
        """Runs what may run here, one after the other, until there is nothing or no place."""
        while True:
            task = await self._begin_next()
            if task is None:
                return
            await asyncio.wait({task})

    async def _begin_next(self) -> asyncio.Task[None] | None:
        async with self._claiming:
            if self._stopping.is_set() or not self._name or self._is_full:
                return None
            with self._attempts.taking():
                try:
                    command, more = await self._commands.claim_next(
                        self._name, self._limits, self._attempts.served
                    )
                except Exception as error:
                    # Whether it was taken is found with the next heartbeat.
                    log_failure(self._log, error)
                    return None
            if command is None:
                return None
            if self._stopping.is_set():
                await self._put_back()
                return None
            if more:
                self._carrier.send()
            return self._attempts.begin(command, self._name)

    async def _put_back(self) -> None:
        await self._commands.put_back(self._name, self._attempts.keys)

    def _beaten(self, is_first: bool) -> None:
        if is_first:
            self._watch.forget()
        if not self._stopping.is_set() and (self._looking is None or self._looking.done()):
            self._looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        try:
            async with self._claiming:
                await self._rename()
                before = self._attempts.keys
                sight = await self._commands.look()
                await self._compare(sight, before)
            await self._bury(sight)
        except Exception as error:
            self._watch.forget()
            log_failure(self._log, error)
        else:
            self._servers = max(1, sight.alive(self._stalled))
            if sight.is_due:
                self._fill()
            if sight.next_due is not None and sight.next_due < self._heartbeat:
                asyncio.get_running_loop().call_later(sight.next_due, self._fill)

    async def _rename(self) -> None:
        """Goes by the row that this server has now; its former one was removed, though it lives."""
        name = name_of(self._worker, self._carrier.id)
        if self._name and name != self._name:
            await self._commands.rename(self._name, name)
        self._name = name

    async def _compare(self, sight: Sight, before: frozenset[tuple[int, int]]) -> None:
        """Brings what runs here into line with the rows."""
        mine = {
            (each.command_id, each.number): each.status
            for each in sight.under_way
            if each.worker == self._name
        }
        for key in before - mine.keys():
            self._attempts.give_up(key)
        for (command_id, _), status in mine.items():
            if status == "cancelling":
                self._attempts.cancel(command_id)
        if mine.keys() - before:
            await self._put_back()

    async def _bury(self, sight: Sight) -> None:
        """Ends what servers that have died have left."""
        at = asyncio.get_running_loop().time()
        dead = self._watch.dead(sight, self._carrier.id, at)
        if not dead:
            return
        found = await self._commands.take_over(LOST, dead)
        await asyncio.to_thread(end_kernels, found, host_of(self._worker), self._log)
        if found:
            self._fill()
            self._carrier.send()

    def _fill(self) -> None:
        if not self._stopping.is_set():
            self._keep(self._take())

    async def _tell_soon(self) -> None:
        await asyncio.sleep(_TELL_EVERY)
        told = sorted(self._untold)
        self._untold.clear()
        for begin in range(0, len(told), _TOLD_AT_ONCE):
            await self._say(word_of_changed(self._carrier.id, told[begin : begin + _TOLD_AT_ONCE]))

    async def _say(self, statement: Executable) -> None:
        with contextlib.suppress(DashboardsError):
            await self._database.write(lambda session: session.execute(statement).all())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
