"""The queue of one server: tasks in its event loop, woken when there may be something to do. It never polls.

Our rows are the truth (`store.py`). At most `places` commands run at once; waiting ones are taken in their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ..errors import DashboardsError
from .logs import CommandLogger
from .models import CommandInfo, Outcome
from .store import CommandStore

Run = Callable[[CommandInfo, CommandLogger], Awaitable[Outcome]]

_AGAIN = 2.0
"""Seconds after which a database that did not answer is asked again."""


class LocalQueue:
    """Runs commands on this server."""

    def __init__(
        self,
        commands: CommandStore,
        run: Run,
        *,
        worker: str,
        places: int,
        most_of: Mapping[str, int],
        log: logging.Logger,
    ) -> None:
        """`worker` names this server, `most_of` limits how many commands of a label run at once."""
        self._commands = commands
        self._run = run
        self._worker = worker
        self._places = places
        self._most_of = most_of
        self._log = log
        self._wake = asyncio.Event()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Takes commands from now on."""
        self._loop = asyncio.ensure_future(self._take())
        self._wake.set()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def cancel(self, command_id: int) -> None:
        """Cancels a command that runs here, once."""
        task = self._running.get(command_id)
        if task is not None and command_id not in self._cancelled:
            self._cancelled.add(command_id)
            task.cancel()

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted, and left to be found when a server starts again."""
        self._stopping = True
        tasks = [*self._running.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=15)

    async def _take(self) -> None:
        while True:
            # Before looking: what comes while we look must wake us again.
            self._wake.clear()
            wait: float | None = None
            try:
                free = self._places - len(self._running)
                if free > 0:
                    for command in await self._commands.claim(self._worker, free, self._most_of):
                        self._begin(command)
                    wait = await self._commands.next_due()
            except DashboardsError as error:
                self._log.error("Commands: %s", error.message)
                wait = _AGAIN
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)

    def _begin(self, command: CommandInfo) -> None:
        task = asyncio.ensure_future(self._attempt(command))
        self._running[command.id] = task
        task.add_done_callback(lambda done: self._ended(command.id, done))

    def _ended(self, command_id: int, task: asyncio.Task[None]) -> None:
        self._running.pop(command_id, None)
        self._cancelled.discard(command_id)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("Command %d", command_id, exc_info=task.exception())
        self._wake.set()

    async def _attempt(self, command: CommandInfo) -> None:
        log = CommandLogger(lambda text: self._commands.log(command, text))
        log.say(f"Attempt {command.attempt} on {self._worker}")
        running = asyncio.ensure_future(self._run(command, log))
        try:
            outcome = await asyncio.shield(running)
        except asyncio.CancelledError:
            # Once: a second one would fall into the clearing up of the first.
            running.cancel()
            await asyncio.wait({running})
            if self._stopping and command.id not in self._cancelled:
                with contextlib.suppress(DashboardsError):
                    await log.close()
                raise
            log.say("Cancelled.")
            outcome = Outcome("cancelled", retryable=False)
            if not running.cancelled() and running.exception() is None:
                # What has run is kept.
                outcome = replace(running.result(), status="cancelled", error=None, retryable=False)
        except Exception:
            self._log.exception("Command %d", command.id)
            outcome = Outcome("error", {"message": "The server could not run this command."})
        await self._finish(command, outcome, log)

    async def _finish(self, command: CommandInfo, outcome: Outcome, log: CommandLogger) -> None:
        """Notes the outcome; a database that does not answer is asked until it does: an outcome is never dropped."""
        while True:
            try:
                await log.close()
                if await self._commands.finish(command, outcome) is None:
                    self._log.warning(
                        "Command %d was taken over; its outcome is refused.", command.id
                    )
                return
            except DashboardsError:
                await asyncio.sleep(_AGAIN)
