"""Schedules as a whole: takes them, fires what is due, answers what has come of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from ..commands.manager import CommandsManager
from ..commands.models import CommandInfo
from ..database.engine import Database
from ..errors import DashboardsError
from .models import ActionInfo, Bounds, NewSchedule, ScheduleInfo
from .store import ScheduleFilter, ScheduleStore
from .ticker import Ticker


class SchedulesManager(LoggingConfigurable):
    """Makes commands when their time has come."""

    misfire_grace = Float(
        60.0,
        min=1.0,
        help="""Seconds after which a nominal time counts as missed. What is done about missed ones says each schedule.""",
    ).tag(config=True)

    max_missed_runs = Integer(
        1000,
        min=1,
        help="""Most runs that a schedule makes up for when the server was off: the latest ones. They run one after another,
        as many at once as the schedule's `concurrency` says.""",
    ).tag(config=True)

    max_reruns = Integer(
        20, min=0, help="""How many times an action of a schedule can be run again."""
    ).tag(config=True)

    def __init__(self, *, database: Database, commands: CommandsManager, **options: Any) -> None:
        """The other options are traits."""
        super().__init__(**options)
        logger = self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
        self.commands = commands
        self._bounds = Bounds(timedelta(seconds=self.misfire_grace), self.max_missed_runs)
        self.store = ScheduleStore(database, self._bounds)
        self._freeing: set[asyncio.Task[None]] = set()
        self._ticker = Ticker(self._look, shared=database.is_shared, log=logger)

    async def start(self) -> None:
        """Fires what is due from now on."""
        self.commands.on_end(self._ended)
        self._ticker.start()

    async def stop(self) -> None:
        """Fires nothing any more."""
        await self._ticker.stop()

    async def _look(self, moment: datetime) -> datetime | None:
        found = await self.store.look(moment)
        await self.commands.added(found.command_ids)
        return found.next_look

    def _ended(self, command: CommandInfo) -> None:
        if "schedule" in command.payload:
            task = asyncio.ensure_future(self._free(command.id))
            self._freeing.add(task)
            task.add_done_callback(self._freeing.discard)

    async def _free(self, command_id: int) -> None:
        # A database that is away: the schedule is looked at in a minute anyway.
        with contextlib.suppress(DashboardsError):
            await self.store.freed(command_id)
            self._ticker.wake()

    async def create(
        self, new: Sequence[NewSchedule], *, replacing: bool = False
    ) -> list[ScheduleInfo]:
        """New schedules, all or none; `replacing` ends those that their notebooks have of the same kind."""
        made = await self.store.create(new, replacing=replacing)
        self._ticker.wake()
        return made

    async def change(
        self, schedule_id: int, change: Callable[[ScheduleInfo], dict[str, Any]]
    ) -> ScheduleInfo:
        """Changes a schedule as `change` says of what it finds. Raises `NotFound`, `Conflict`, and what `change` raises."""
        changed = await self.store.change(schedule_id, change)
        self._ticker.wake()
        return changed

    async def set_status(
        self, schedule_id: int, status: str, *, skip_missed: bool | None = None
    ) -> ScheduleInfo:
        """Suspends, resumes or kills a schedule. Raises `NotFound`, and `InvalidRequest` for one that has ended."""
        changed = await self.store.set_status(schedule_id, status, skip_missed=skip_missed)
        self._ticker.wake()
        return changed

    async def rerun(self, action_id: int) -> ActionInfo:
        """Runs an action again, now. Raises `NotFound`, and `InvalidRequest` when it has been run too often."""
        action = await self.store.rerun(action_id, self.max_reruns)
        await self._made(action)
        return action

    async def run_now(self, schedule_id: int) -> ActionInfo:
        """Runs a schedule's command now, besides its nominal times. Raises `NotFound`."""
        action = await self.store.run_now(schedule_id)
        await self._made(action)
        return action

    async def _made(self, action: ActionInfo) -> None:
        if action.command_id is not None:
            await self.commands.added((action.command_id,))


__all__ = ["ScheduleFilter", "SchedulesManager"]
