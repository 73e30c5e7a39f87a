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
from .janitor import Janitor
from .lost import LostNotebooks
from .missed import first_to_run
from .models import ActionInfo, Bounds, NewSchedule, ScheduleInfo
from .notifier import NotificationInfo, Notifier
from .store import ScheduleStore
from .ticker import ELSEWHERE, Ticker
from .triggers import Trigger
from .waiting import WaitingActions


class SchedulesManager(LoggingConfigurable):
    """Makes commands when their time has come."""

    misfire_grace = Float(
        60.0,
        min=1.0,
        help="""Seconds after which a nominal time counts as missed. What is done about missed ones says each schedule.""",
    ).tag(config=True)

    max_schedules = Integer(
        10_000,
        min=1,
        help="""Most schedules of one owner that have not ended; a further one is refused.""",
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

    dependency_poll = Float(
        10.0,
        min=0.1,
        help="""Seconds between two looks for the files that an action of a schedule waits for (`dependency_info`).""",
    ).tag(config=True)

    notification_tries = Integer(
        8,
        min=1,
        help="""How many times a notification (a mail, or the call of a webhook) is tried; what fails then is dead, and shown
        with its reason by `/api/v1.2/scheduler/ID/notifications` and `/api/v1.2/commands/ID/notifications`.""",
    ).tag(config=True)

    notification_delay = Float(
        10.0,
        min=0.01,
        help="""Seconds until a notification that failed is tried again; four times as many each time, up to six hours.""",
    ).tag(config=True)

    webhook_timeout = Float(
        10.0,
        min=0.1,
        help="""Seconds in which the receiver of a webhook or callback must have answered.""",
    ).tag(config=True)

    def __init__(self, *, database: Database, commands: CommandsManager, **options: Any) -> None:
        """The other options are traits."""
        super().__init__(**options)
        logger = self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
        self.commands = commands
        self._bounds = Bounds(
            timedelta(seconds=self.misfire_grace),
            self.max_missed_runs,
            most_schedules=self.max_schedules,
        )
        self.store = ScheduleStore(database, self._bounds)
        self.lost = LostNotebooks(database, commands.notebooks)
        self.waiting = WaitingActions(
            database, self._is_there, timedelta(seconds=self.dependency_poll), self.lost
        )
        self.notifier = Notifier(
            database,
            commands.mailer,
            tries=self.notification_tries,
            first_delay=timedelta(seconds=self.notification_delay),
            timeout=self.webhook_timeout,
            log=logger,
        )
        self.janitor = Janitor(parent=self, database=database)
        self._freeing: set[asyncio.Task[None]] = set()
        self._ticker = Ticker(self._look, log=logger, longest=ELSEWHERE)
        # A clock of their own: a slow storage must not hold up what is due. The server that has made an action looks for
        # its files; others need not hurry.
        self._files = Ticker(self._look_for_files, log=logger)
        # So is a receiver.
        self._notices = Ticker(self.notifier.look, log=logger)

    async def start(self) -> None:
        """Fires what is due from now on."""
        self.commands.on_end(self._ended)
        self._ticker.start()
        self._files.start()
        self._notices.start()
        self.janitor.start()

    async def stop(self) -> None:
        """Fires nothing any more."""
        await self.janitor.stop()
        await self._notices.stop()
        self.notifier.close()
        await self._files.stop()
        await self._ticker.stop()

    async def _look(self, moment: datetime) -> datetime | None:
        if not self.commands.runs_here:
            return moment + timedelta(seconds=ELSEWHERE)
        found = await self.store.look(moment, await self.lost.of_due(moment))
        await self.commands.added(found.command_ids)
        if found.waits_for_files:
            self._files.wake()
        if found.has_notices:
            self._notices.wake()
        return found.next_look

    async def _look_for_files(self, moment: datetime) -> datetime | None:
        if not self.commands.runs_here:
            return moment + timedelta(seconds=ELSEWHERE)
        found = await self.waiting.look(moment)
        await self.commands.added(found.command_ids)
        if found.has_ended:
            self._ticker.wake()
        return found.next_look

    async def _is_there(self, path: str) -> bool:
        return await self.commands.contents.stat(path) is not None

    def _ended(self, command: CommandInfo) -> None:
        if command.callback_url or command.mail_to:
            self._notices.wake()
        if "schedule" in command.payload:
            task = asyncio.ensure_future(self._free(command.id))
            self._freeing.add(task)
            task.add_done_callback(self._freeing.discard)

    async def _free(self, command_id: int) -> None:
        # A database that is away: the schedule is looked at in a minute anyway.
        with contextlib.suppress(DashboardsError):
            await self.store.freed(command_id)
            self._ticker.wake()

    def first_time(
        self, trigger: Trigger, since: datetime, catch_up: str, moment: datetime
    ) -> datetime | None:
        """The first nominal time that a schedule runs which is made at a moment. None: there is none. For a thread."""
        first = trigger.first(since)
        if first is None:
            return None
        return first_to_run(trigger, first, moment, catch_up, self._bounds)

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
        """Runs an action again, now.

        Raises `NotFound`, `InvalidRequest` when it has been run too often, `Unavailable` when another server runs commands.
        """
        self.commands.require_turn()
        before = await self.store.action(action_id)
        lost = await self.lost.of_schedule(before.schedule_id)
        action = await self.store.rerun(action_id, self.max_reruns, lost)
        await self._made(action)
        return action

    async def run_now(self, schedule_id: int) -> ActionInfo:
        """Runs a schedule's command now, besides its nominal times.

        Raises `NotFound`, and `Unavailable` when another server runs commands.
        """
        self.commands.require_turn()
        lost = await self.lost.of_schedule(schedule_id)
        action = await self.store.run_now(schedule_id, lost)
        await self._made(action)
        return action

    async def retry(
        self, notification_id: int, *, command_id: int | None = None
    ) -> NotificationInfo:
        """Tries once more a notification that was given up; with `command_id` only one of that command is there.

        Raises `NotFound`, and `InvalidRequest` for one that was not given up.
        """
        found = await self.notifier.again(notification_id, command_id=command_id)
        self._notices.wake()
        return found

    async def kill(self, action_id: int) -> tuple[bool, ActionInfo]:
        """Ends an action, and whether this call has, or has asked for it. Raises `NotFound`."""
        killed = await self.waiting.cancel(action_id)
        if killed:
            self._ticker.wake()
        # Its files may have come just now.
        action = await self.store.action(action_id)
        if action.command_id is not None:
            killed, _ = await self.commands.cancel(action.command_id)
            action = await self.store.action(action_id)
        return killed, action

    async def _made(self, action: ActionInfo) -> None:
        if action.command_id is not None:
            await self.commands.added((action.command_id,))
        elif not action.is_final:
            self._files.wake()
