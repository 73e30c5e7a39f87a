"""Actions that wait for files: looks for those, and lets the action make its command, or says that they did not come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..database.engine import Database
from ..database.schedule_tables import Schedule, ScheduleAction
from ..errors import DashboardsError, InvalidRequest
from . import firing
from .dependencies import files_at, not_there, read_files, until
from .lost import LostNotebooks
from .models import CANCELLED, KILLED, NOT_FOUND, SUSPENDED, WAITING_FOR_DEPENDENCIES, FilesLook
from .triggers import trigger_of

IsThere = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True)
class Waiting:
    """An action, the files that it waits for, and until when."""

    action_id: int
    schedule_id: int
    files: tuple[str, ...]
    until: datetime
    is_held: bool
    """Whether it makes no command now even if they are there."""


class WaitingActions:
    """Looks for the files; several servers may do so at once."""

    def __init__(
        self,
        database: Database,
        is_there: IsThere,
        again: timedelta,
        lost: LostNotebooks | None = None,
    ) -> None:
        """`again` is the time between two looks while an action waits. Without `lost` no notebook counts as vanished."""
        self._database = database
        self._is_there = is_there
        self._again = again
        self._lost = lost

    async def look(self, moment: datetime) -> FilesLook:
        """Makes the commands of those whose files are there, and ends those that have waited for too long."""
        made: list[int] = []
        still = has_ended = False
        for each in await self._database.read(_waiting):
            missing = await self.missing(each.files)
            if not missing and each.is_held:
                still = True
            elif not missing:
                command_id = await self._release(each)
                made += [command_id] if command_id is not None else []
                has_ended |= command_id is None
            elif each.until <= moment:
                await self._give_up(each.action_id, missing)
                has_ended = True
            else:
                still = True
        return FilesLook(tuple(made), has_ended, moment + self._again if still else None)

    async def missing(self, files: Sequence[str]) -> tuple[str, ...]:
        """Those that are not there now; what can't be looked at is not there."""
        found = []
        for file in files:
            try:
                is_there = await self._is_there(file)
            except DashboardsError:
                is_there = False
            if not is_there:
                found.append(file)
            # Many contents managers answer without ever letting others run.
            await asyncio.sleep(0)
        return tuple(found)

    async def cancel(self, action_id: int) -> bool:
        """Ends an action that waits; False when it does not wait."""

        def work(session: Session) -> bool:
            found = _locked(session, action_id)
            if found is None:
                return False
            _end(session, found[1], CANCELLED, "It was killed while it waited for its files.")
            return True

        return await self._database.write(work)

    async def _release(self, waiting: Waiting) -> int | None:
        of = waiting.schedule_id
        lost = await self._lost.of_schedule(of) if self._lost is not None else ()

        def work(session: Session) -> int | None:
            found = _locked(session, waiting.action_id)
            if found is None:
                return None
            schedule, action = found
            # Not a rerun: somebody has asked for it, and without files it would run as well.
            if schedule.status == KILLED and action.rerun_of is None:
                _end(session, action, CANCELLED, "The schedule was killed.")
                return None
            if _is_held(schedule, action):
                # It was suspended just now.
                return None
            firing.command(session, schedule, action, lost)
            if action.command_id is None:
                free(session, schedule.id)
            return action.command_id

        return await self._database.write(work)

    async def _give_up(self, action_id: int, missing: Sequence[str]) -> None:
        def work(session: Session) -> None:
            found = _locked(session, action_id)
            if found is not None:
                _end(session, found[1], NOT_FOUND, not_there(missing))

        await self._database.write(work)


def waits_for_files(session: Session) -> bool:
    """Whether an action waits."""
    wanted = select(ScheduleAction.id).where(ScheduleAction.status == WAITING_FOR_DEPENDENCIES)
    return session.scalar(wanted.limit(1)) is not None


def free(session: Session, schedule_id: int) -> None:
    """A schedule that has waited for a place is worth a look now."""
    session.execute(
        update(Schedule)
        .where(Schedule.id == schedule_id, Schedule.next_time < Schedule.look_at)
        .values(look_at=Schedule.next_time)
    )


def _end(session: Session, action: ScheduleAction, status: str, reason: str) -> None:
    action.status, action.reason = status, reason
    free(session, action.schedule_id)


def _locked(session: Session, action_id: int) -> tuple[Schedule, ScheduleAction] | None:
    """An action that still waits, and its schedule. The schedule first, as everywhere: nobody then waits for each other."""
    wanted = (
        select(Schedule)
        .join(ScheduleAction, ScheduleAction.schedule_id == Schedule.id)
        .where(ScheduleAction.id == action_id)
        # What refers to the schedule, such as a notification, may be added meanwhile.
        .with_for_update(of=Schedule, key_share=True)
    )
    schedule = session.scalar(wanted)
    action = session.get(ScheduleAction, action_id, with_for_update=True)
    if schedule is None or action is None or action.status != WAITING_FOR_DEPENDENCIES:
        return None
    return schedule, action


def _is_held(schedule: Schedule, action: ScheduleAction) -> bool:
    """Whether an action waits until its schedule goes on. Not one that somebody has asked for, by hand or again."""
    return schedule.status == SUSPENDED and not action.is_asked_for


def _waiting(session: Session) -> list[Waiting]:
    rows = session.execute(
        select(ScheduleAction, Schedule)
        .join(Schedule, Schedule.id == ScheduleAction.schedule_id)
        .where(ScheduleAction.status == WAITING_FOR_DEPENDENCIES)
        .order_by(ScheduleAction.id)
    )
    found = []
    for action, schedule in rows:
        # One that can't be read must not keep the others from their files.
        with contextlib.suppress(InvalidRequest):
            files = wanted_files(schedule.fields, schedule.trigger, action.nominal_time)
            end = until(action.created_at, schedule.fields)
            held = _is_held(schedule, action)
            found.append(Waiting(action.id, schedule.id, files, end, held))
    return found


def wanted_files(
    fields: Mapping[str, Any], trigger: Mapping[str, Any], nominal: datetime
) -> tuple[str, ...]:
    """The files that a schedule's run of a nominal time waits for. Raises `InvalidRequest` for what can't be read."""
    files = read_files(fields.get("dependency_info"))
    return files_at(files, nominal, trigger_of(trigger).zone) if files else ()
