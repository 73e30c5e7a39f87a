"""What runs on this server: each attempt's body, its log, its cancellation, and the noting of its outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

from ..errors import DashboardsError
from .logs import CommandLogger
from .models import CommandInfo, Outcome
from .store import CommandStore

Run = Callable[[CommandInfo, CommandLogger], Awaitable[Outcome]]

LOST = "The server that ran this command was stopped."

AGAIN = 2.0
"""Seconds after which a database that did not answer is asked again."""

_STOP_SECONDS = 15.0
_SERVED = 50


class CommandQueue(Protocol):
    """Brings commands that wait to a server that has room, and runs them there."""

    @property
    def accepts(self) -> bool:
        """Whether commands that are stored now will be run, as far as this server knows."""
        ...

    async def start(self) -> None:
        """Takes commands from now on."""
        ...

    def wake(self) -> None:
        """There may be something to do: a command was stored."""
        ...

    async def cancel(self, command_id: int) -> None:
        """Cancels a command where it runs, once; its row says so already."""
        ...

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted and handed back: it waits again if it has retries left."""
        ...


class Attempts:
    """The attempts that run here. For one event loop."""

    def __init__(
        self, commands: CommandStore, run: Run, *, log: logging.Logger, again: float = AGAIN
    ) -> None:
        """`again`: seconds after which a database that did not answer is asked again."""
        self._commands = commands
        self._run = run
        self._log = log
        self._again = again
        self._running: dict[int, Attempt] = {}
        # Cancelled while they were being taken: their rows say so, and nothing runs yet.
        self._early: set[int] = set()
        self._claims = 0
        self._stopping = False
        self.served: list[str] = []
        """Owners whose commands have begun here, the latest at the end."""

    def __len__(self) -> int:
        return len(self._running)

    @property
    def ids(self) -> dict[int, int]:
        """The number of the attempt, by its command's id."""
        return {each: attempt.command.attempt for each, attempt in self._running.items()}
