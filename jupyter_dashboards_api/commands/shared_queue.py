"""The queue of several servers on one PostgreSQL. Procrastinate brings the word that there is something to do to whichever
server has room; which command that is, says `claims.py`, and our rows are the truth (`store.py`)."""

from __future__ import annotations

import logging

from ..database.engine import Database
from .attempts import AGAIN, Run
from .models import Limits
from .store import CommandStore

HEARTBEAT, STALLED = 5.0, 15.0


class SharedQueue:
    """Runs commands on this server, as do its peers on theirs."""

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
    ) -> None:
        """`worker` names this server, as `host:pid`."""

    async def start(self) -> None:
        """Takes commands from now on."""

    def wake(self) -> None:
        """There may be something to do."""

    async def cancel(self, command_id: int) -> None:
        """Cancels a command on whichever server runs it; its row says so already."""

    async def stop(self) -> None:
        """Takes no more; what runs is interrupted and handed back."""
