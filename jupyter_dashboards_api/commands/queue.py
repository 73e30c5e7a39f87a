"""The queue of one server: tasks in its event loop, woken when there may be something to do. It never polls.

Our rows are the truth (`store.py`). A few commands run at once; who is next of those that wait says `claims.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from ..database.tables import now
from ..errors import DashboardsError
from .logs import CommandLogger
from .models import CommandInfo, Limits, Outcome
from .store import CommandStore

Run = Callable[[CommandInfo, CommandLogger], Awaitable[Outcome]]

LOST = "The server that ran this command was stopped."

_AGAIN = 2.0
"""Seconds after which a database that did not answer is asked again."""

_LONGEST_WAIT = 60.0
"""Seconds: the clock may be set, and a machine that slept has not counted."""

_STOP_SECONDS = 15.0
_SERVED = 50


class LocalQueue:
    """Runs commands on this server."""

    def __init__(
        self,
        commands: CommandStore,
        run: Run,
        *,
        worker: str,
        limits: Limits,
        log: logging.Logger,
    ) -> None:
        """`worker` names this server."""
        self._commands = commands
        self._run = run
        self._worker = worker
        self._limits = limits
        self._log = log
        self._wake = asyncio.Event()
        self._running: dict[int, _Attempt] = {}
        self._served: list[str] = []
        # Cancelled while they were being taken: their rows say so, and nothing runs yet.
        self._early: set[int] = set()
        self._is_claiming = False
        self._in_doubt = False
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
        """Cancels a command that runs here, once; its row says so already."""
        attempt = self._running.get(command_id)
        if attempt is not None:
            attempt.cancel()
        elif self._is_claiming:
            self._early.add(command_id)

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted and handed back: it waits again if it has retries left."""
        self._stopping = True
        self._wake.set()
        tasks = [attempt.task for attempt in self._running.values()]
        for attempt in self._running.values():
            attempt.interrupt()
        if self._loop is not None:
            tasks.append(self._loop)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        # Their rows are found when a server starts again.
        for task in late:
            task.cancel()

    async def _take(self) -> None:
        while not self._stopping:
            # Before looking: what comes while we look must wake us again.
            self._wake.clear()
            wait: float | None = None
            try:
                free = self._limits.places - len(self._running)
                if free > 0:
                    looked = now()
                    await self._claim(free)
                    wait = await self._commands.next_due(looked)
            except DashboardsError as error:
                self._log.error("Commands: %s", error.message)
                wait = _AGAIN
            if wait is not None:
                wait = min(wait, _LONGEST_WAIT)
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)

    async def _claim(self, places: int) -> None:
        if self._in_doubt:
            await self._put_back()
            self._in_doubt = False
        self._early.clear()
        self._is_claiming = True
        try:
            taken = await self._commands.claim(self._worker, places, self._limits, self._served)
        except DashboardsError:
            # It may have broken off after it had noted them as taken.
            self._in_doubt = True
            raise
        finally:
            self._is_claiming = False
        if self._stopping:
            await self._put_back()
            return
        for command in taken:
            self._begin(command)

    async def _put_back(self) -> None:
        await self._commands.put_back(self._worker, set(self._running))

    def _begin(self, command: CommandInfo) -> None:
        log = CommandLogger(lambda text: self._commands.log(command, text))
        log.say(f"Attempt {command.attempt} on {self._worker}")
        attempt = _Attempt(command, log, self._body(command, log))
        self._running[command.id] = attempt
        attempt.task = asyncio.ensure_future(self._attend(attempt))
        attempt.task.add_done_callback(lambda done: self._ended(command.id, done))
        if command.id in self._early:
            attempt.cancel()
        with contextlib.suppress(ValueError):
            self._served.remove(command.owner)
        self._served = [*self._served, command.owner][-_SERVED:]

    async def _body(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        return await self._run(command, log)

    def _ended(self, command_id: int, task: asyncio.Task[None]) -> None:
        self._running.pop(command_id, None)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("Command %d", command_id, exc_info=task.exception())
        self._wake.set()

    async def _attend(self, attempt: _Attempt) -> None:
        # Only the body is ever cancelled: what notes its outcome is not.
        await asyncio.wait({attempt.body})
        try:
            outcome = attempt.outcome()
        except Exception:
            self._log.exception("Command %d", attempt.command.id)
            outcome = Outcome("error", {"message": "The server could not run this command."})
        if outcome is None and not self._stopping:
            outcome = Outcome("error", {"message": "This command broke itself off."})
        await self._finish(attempt.command, outcome, attempt.log)

    async def _finish(
        self, command: CommandInfo, outcome: Outcome | None, log: CommandLogger
    ) -> None:
        """Notes the outcome; a database that does not answer is asked until it does: an outcome is never dropped."""
        while True:
            try:
                await log.close()
                if outcome is None:
                    await self._commands.hand_back(command, LOST)
                elif await self._commands.finish(command, outcome) is None:
                    self._log.warning(
                        "Command %d was taken over, or the database broke off: its outcome is not noted again.",
                        command.id,
                    )
                return
            except DashboardsError:
                await asyncio.sleep(_AGAIN)


class _Attempt:
    """A command that runs here."""

    task: asyncio.Task[None]

    def __init__(
        self, command: CommandInfo, log: CommandLogger, body: Coroutine[Any, Any, Outcome]
    ) -> None:
        self.command = command
        self.log = log
        self.body = asyncio.ensure_future(body)
        self._is_cancelled = False
        self._is_interrupted = False

    def cancel(self) -> None:
        """Somebody has asked for it."""
        if not self._is_cancelled:
            self._is_cancelled = True
            self.log.say("Cancelled.")
            self.interrupt()

    def interrupt(self) -> None:
        """Once: a second one would fall into the clearing up of the first."""
        if not self._is_interrupted:
            self._is_interrupted = True
            self.body.cancel()

    def outcome(self) -> Outcome | None:
        """What has become of it; None when it was interrupted without being cancelled. Raises what the body has raised."""
        if self.body.cancelled():
            return Outcome("cancelled", retryable=False) if self._is_cancelled else None
        if self._is_cancelled and self.body.exception() is not None:
            return Outcome("cancelled", retryable=False)
        outcome = self.body.result()
        if self._is_cancelled:
            # What has run is kept.
            return replace(outcome, status="cancelled", error=None, retryable=False)
        return None if outcome.status == "cancelled" else outcome
