"""What runs on this server: each attempt's body, its log, its cancellation, and the noting of its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from .logs import CommandLogger
from .models import CommandInfo, Outcome
from .outages import AGAIN, log_failure
from .store import CommandStore

Run = Callable[[CommandInfo, CommandLogger], Awaitable[Outcome]]

LOST = "The server that ran this command was stopped."

_STOP_SECONDS = 15.0
_SERVED = 50


class CommandQueue(Protocol):
    """Brings commands that wait to a server that has room, and runs them there."""

    @property
    def accepts(self) -> bool:
        """Whether commands that are stored now will be run, as far as this server knows."""

    @property
    def places(self) -> int:
        """How many commands may run at once, on all servers that are there."""

    async def start(self) -> None:
        """Takes commands from now on."""

    def wake(self) -> None:
        """There may be something to do."""

    def tell(self, command_id: int) -> None:
        """The rows of a command have changed: who follows it on another server wants to know."""

    async def cancel(self, command_id: int) -> None:
        """Cancels a command where it runs, once; its row says so already."""

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted and handed back: it waits again if it has retries left."""


class Attempts:
    """The attempts that run here. For one event loop."""

    def __init__(
        self,
        commands: CommandStore,
        run: Run,
        *,
        ended: Callable[[], None] = lambda: None,
        log: logging.Logger,
        again: float = AGAIN,
    ) -> None:
        """`ended` is called whenever one has ended; `again`: seconds after which a database that was away is asked again."""
        self._commands = commands
        self._run = run
        self._told = ended
        self._log = log
        self._again = again
        self._running: dict[tuple[int, int], Attempt] = {}
        # Cancelled while they were being taken: their rows say so, and nothing runs yet.
        self._early: set[int] = set()
        self._is_taking = False
        self._stopping = False
        commands.tell_refused(lambda command: self.give_up((command.id, command.attempt)))
        self.served: list[str] = []
        """Owners whose commands have begun here, the latest at the end."""

    def __len__(self) -> int:
        return len(self._running)

    @property
    def keys(self) -> frozenset[tuple[int, int]]:
        """Command's id and attempt's number of each."""
        return frozenset(self._running)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """While commands are taken from the database: one that is cancelled meanwhile is remembered."""
        self._early.clear()
        self._is_taking = True
        try:
            yield
        finally:
            self._is_taking = False

    def begin(self, command: CommandInfo, worker: str) -> asyncio.Task[None]:
        """Runs a command that was taken; the task ends when its outcome is noted."""
        log = CommandLogger(lambda text: self._commands.log(command, text))
        log.say(f"Attempt {command.attempt} on {worker}")
        key = (command.id, command.attempt)
        attempt = Attempt(command, log, self._body(command, log))
        self._running[key] = attempt
        attempt.task = asyncio.ensure_future(self._attend(attempt))
        attempt.task.add_done_callback(lambda done: self._ended(key, done))
        if command.id in self._early:
            attempt.cancel()
        with contextlib.suppress(ValueError):
            self.served.remove(command.owner)
        self.served = [*self.served, command.owner][-_SERVED:]
        return attempt.task

    def cancel(self, command_id: int) -> bool:
        """Cancels a command that runs here, or begins just now, once; False when there is none."""
        found = [each for key, each in self._running.items() if key[0] == command_id]
        for attempt in found:
            attempt.cancel()
        if not found and self._is_taking:
            self._early.add(command_id)
        return bool(found)

    async def one_ended(self) -> None:
        """Waits until one of those has ended that run now, if any do."""
        if self._running:
            tasks = [attempt.task for attempt in self._running.values()]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    def give_up(self, key: tuple[int, int]) -> None:
        """Interrupts an attempt that was taken over by another server."""
        attempt = self._running.get(key)
        if attempt is not None and attempt.interrupt():
            self._log.warning("Command %d was taken over by another server.", key[0])

    async def stop(self) -> None:
        """Interrupts all, and waits until they are handed back."""
        self._stopping = True
        tasks = [attempt.task for attempt in self._running.values()]
        for attempt in self._running.values():
            attempt.interrupt()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        # Their rows are found when a server starts again, or by another one.
        for task in late:
            task.cancel()

    async def _body(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        return await self._run(command, log)

    def _ended(self, key: tuple[int, int], task: asyncio.Task[None]) -> None:
        self._running.pop(key, None)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("Command %d", key[0], exc_info=task.exception())
        self._told()

    async def _attend(self, attempt: Attempt) -> None:
        # Only the body is ever cancelled: what notes its outcome is not.
        await asyncio.wait({attempt.body})
        try:
            outcome = attempt.outcome()
        except Exception:
            self._log.exception("Command %d", attempt.command.id)
            outcome = Outcome("error", {"message": "The server could not run this command."})
        if outcome is None and not self._stopping:
            outcome = Outcome("error", {"message": "This command broke itself off."})
        if outcome is not None and outcome.status == "cancelled":
            attempt.log.say("Cancelled.")
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
            except Exception as error:
                log_failure(self._log, error)
                await asyncio.sleep(self._again)


class Attempt:
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
        # What has ended is only noted any more.
        if not self._is_cancelled and not self.body.done():
            self._is_cancelled = True
            self.log.say("Cancelling.")
            self.interrupt()

    def interrupt(self) -> bool:
        """Once: a second one would fall into the clearing up of the first. Whether this was it."""
        is_first = not self._is_interrupted and not self.body.done()
        if is_first:
            self._is_interrupted = True
            self.body.cancel()
        return is_first

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
