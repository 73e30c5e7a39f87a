"""Schedules and their actions in the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from ..database.command_tables import Command
from ..database.engine import Database
from ..database.schedule_tables import Schedule, ScheduleAction
from ..database.tables import Notebook, now
from ..errors import Conflict, InvalidRequest, NotFound
from . import firing, telling
from .models import (
    FAILED,
    GOING,
    KILLED,
    RUNNING,
    SUSPENDED,
    ActionInfo,
    Bounds,
    Look,
    NewSchedule,
    ScheduleInfo,
)
from .triggers import trigger_of
from .waiting import waits_for_files


@dataclass(frozen=True)
class ScheduleFilter:
    """Which schedules: all, unless a field says otherwise."""

    kind: str | None = None
    name: str | None = None
    statuses: tuple[str, ...] = ()


class ScheduleStore:
    """Stores schedules, and fires those that are due."""

    def __init__(self, database: Database, bounds: Bounds) -> None:
        self._database = database
        self._bounds = bounds

    async def create(
        self, new: Sequence[NewSchedule], *, replacing: bool = False
    ) -> list[ScheduleInfo]:
        """New schedules, all or none. `replacing`: those of the same kind and notebook end.

        A nominal time that lies before now runs as `catch_up` says. Raises `InvalidRequest` for too many.
        """

        def work(session: Session) -> list[ScheduleInfo]:
            if replacing:
                _lock(session, [each.notebook_id for each in new])
            made = []
            for each in new:
                if replacing:
                    end(session, each.kind, [each.notebook_id])
                made.append(self._add(session, each))
            self._refuse_beyond(session, {each.owner for each in new})
            return [info(row) for row in made]

        return await self._database.write(work)

    def _add(self, session: Session, new: NewSchedule) -> Schedule:
        row = Schedule(
            kind=new.kind,
            owner=new.owner,
            name=new.name or "",
            notebook_id=new.notebook_id,
            body=dict(new.body),
            fields=dict(new.fields),
            trigger=dict(new.trigger),
            since=new.since,
            catch_up=new.catch_up,
            concurrency=new.concurrency,
            keep_last=new.keep_last,
            keep_days=new.keep_days,
            webhook_secret=new.webhook_secret,
        )
        row.next_time = trigger_of(new.trigger).first(new.since)
        session.add(row)
        session.flush()
        row.name = new.name or str(row.id)
        telling.set_digest(row, now())
        firing.settle(row, now(), self._bounds)
        return row

    async def end(self, kind: str, notebook_ids: Sequence[int]) -> int:
        """Ends the schedules of a kind that some notebooks have; how many."""
        return await self._database.write(lambda session: end(session, kind, notebook_ids))

    async def get(self, schedule_id: int) -> ScheduleInfo:
        """A schedule. Raises `NotFound`."""
        return await self._database.read(lambda session: info(found(session, schedule_id)))

    async def page(
        self, wanted: ScheduleFilter, limit: int, offset: int
    ) -> tuple[list[ScheduleInfo], bool]:
        """A page of schedules, the newest first, and whether there is more.

        Of those of one name the ones that have not ended come first: who asks by name means these.
        """
        query = _filtered(wanted)
        if wanted.name:
            query = query.order_by(Schedule.status.not_in(GOING))
        query = query.order_by(Schedule.id.desc()).limit(limit + 1).offset(offset)

        def look(session: Session) -> tuple[list[ScheduleInfo], bool]:
            rows = [info(row) for row in session.scalars(query)]
            return rows[:limit], len(rows) > limit

        return await self._database.read(look)

    async def change(
        self, schedule_id: int, change: Callable[[ScheduleInfo], dict[str, Any]]
    ) -> ScheduleInfo:
        """Changes columns to what `change` returns for the schedule as it stands; a new trigger counts from then on.

        Raises `NotFound`, `Conflict` for one that has ended, and what `change` raises.
        """

        def work(session: Session) -> ScheduleInfo:
            row = found(session, schedule_id, lock=True)
            if row.status == KILLED:
                raise Conflict("This schedule has been killed: make a new one.")
            values = change(info(row))
            counted = row.owner if row.status in GOING else None
            for name, value in values.items():
                setattr(row, name, value)
            if values.keys() & {"trigger", "since"}:
                self._reckon(row)
            if "fields" in values:
                telling.set_digest(row, now())
            if "concurrency" in values and row.status == RUNNING:
                firing.settle(row, now(), self._bounds)
            row.updated_at = now()
            session.flush()
            if row.status in GOING and row.owner != counted:
                self._refuse_beyond(session, {row.owner})
            return info(row)

        return await self._database.write(work)

    def _refuse_beyond(self, session: Session, owners: Collection[str]) -> None:
        most = self._bounds.most_schedules
        for owner in owners:
            going = select(Schedule.id).where(Schedule.owner == owner, Schedule.status.in_(GOING))
            if session.scalar(going.offset(most).limit(1)) is not None:
                raise InvalidRequest(
                    f"Nobody can have more than {most} schedules at once: kill some first."
                )

    def _reckon(self, row: Schedule) -> None:
        """The next nominal time of a trigger that has changed: none runs again, and none before the new start."""
        trigger = trigger_of(row.trigger)
        first = trigger.first(row.since)
        if row.last_time is not None and first is not None and first <= row.last_time:
            first = trigger.next_after(row.last_time)
        row.next_time = first
        if row.next_time is not None and row.status not in (SUSPENDED, KILLED):
            # One that had come to its end goes on.
            row.status = RUNNING
        firing.settle(row, now(), self._bounds)

    async def set_status(
        self, schedule_id: int, status: str, *, skip_missed: bool | None = None
    ) -> ScheduleInfo:
        """Suspends, resumes (`RUNNING`) or kills a schedule. `skip_missed`: what was missed meanwhile does not run.

        Raises `NotFound`, and `InvalidRequest` for one that has ended.
        """

        def work(session: Session) -> ScheduleInfo:
            row = found(session, schedule_id, lock=True)
            if row.status not in GOING:
                raise InvalidRequest(f"The schedule is {row.status} already.")
            if status == RUNNING and row.status == SUSPENDED and skip_missed:
                row.next_time = trigger_of(row.trigger).next_after(now())
            row.status = status
            row.updated_at = now()
            firing.settle(row, now(), self._bounds)
            session.flush()
            return info(row)

        return await self._database.write(work)

    async def look(self, moment: datetime, lost: Collection[int] = ()) -> Look:
        """Fires what is due, and notes who is to be told of what has ended. `lost`: notebooks that have vanished."""

        def work(session: Session) -> Look:
            made, has_fired = firing.look(session, moment, self._bounds, lost)
            session.flush()
            noted, is_more = telling.tell(session, moment)
            noted += telling.digest(session, moment)
            session.flush()
            following = [firing.next_look(session), telling.next_digest_at(session)]
            worth = moment if is_more else min(filter(None, following), default=None)
            if worth is not None and worth <= moment and not (has_fired or noted or is_more):
                # Another server is at it.
                worth = moment + self._bounds.elsewhere
            return Look(
                tuple(made),
                worth,
                waits_for_files(session),
                noted > 0,
            )

        return await self._database.write(work)

    async def freed(self, command_id: int) -> bool:
        """A command has ended: whether a schedule that waited for its place is worth a look now."""
        waiting = (
            select(ScheduleAction.schedule_id)
            .where(ScheduleAction.command_id == command_id)
            .scalar_subquery()
        )
        changed = await self._database.execute(
            update(Schedule)
            .where(Schedule.id == waiting, Schedule.next_time < Schedule.look_at)
            .values(look_at=Schedule.next_time)
        )
        return changed > 0

    async def owners(self) -> list[str]:
        """Everybody who has a schedule."""
        wanted = select(Schedule.owner).distinct().order_by(Schedule.owner)
        return await self._database.read(lambda session: list(session.scalars(wanted)))

    async def actions(
        self,
        limit: int,
        offset: int,
        *,
        schedule_id: int | None = None,
        sequence_id: int | None = None,
    ) -> tuple[list[ActionInfo], bool]:
        """A page of actions, the newest first, and whether there is more."""
        query = _actions()
        if schedule_id is not None:
            query = query.where(ScheduleAction.schedule_id == schedule_id)
        if sequence_id is not None:
            query = query.where(ScheduleAction.sequence_id == sequence_id)
        query = query.order_by(ScheduleAction.id.desc()).limit(limit + 1).offset(offset)

        def look(session: Session) -> tuple[list[ActionInfo], bool]:
            rows = [action_info(*row) for row in session.execute(query)]
            return rows[:limit], len(rows) > limit

        return await self._database.read(look)

    async def some(self, schedule_ids: Collection[int]) -> list[ScheduleInfo]:
        """The schedules of these ids that there are."""
        wanted = select(Schedule).where(Schedule.id.in_(schedule_ids))
        return await self._database.read(lambda session: list(map(info, session.scalars(wanted))))

    async def commands_of(
        self, schedule_id: int, limit: int, offset: int
    ) -> tuple[list[int], bool]:
        """A page of the ids of the commands that a schedule has made, the newest first, and whether there is more."""
        query = (
            select(ScheduleAction.command_id)
            .where(
                ScheduleAction.schedule_id == schedule_id, ScheduleAction.command_id.is_not(None)
            )
            .order_by(ScheduleAction.id.desc())
            .limit(limit + 1)
            .offset(offset)
        )

        def look(session: Session) -> tuple[list[int], bool]:
            ids = [each for each in session.scalars(query) if each is not None]
            return ids[:limit], len(ids) > limit

        return await self._database.read(look)

    async def of_command(self, command_id: int) -> ActionInfo | None:
        """The action that has made a command; None for a command that no schedule has made."""
        query = _actions().where(ScheduleAction.command_id == command_id)

        def look(session: Session) -> ActionInfo | None:
            row = session.execute(query).first()
            return action_info(*row) if row is not None else None

        return await self._database.read(look)

    async def action(self, action_id: int) -> ActionInfo:
        """An action. Raises `NotFound`."""
        return await self._database.read(lambda session: found_action(session, action_id))

    async def rerun(self, action_id: int, most: int, lost: Collection[int] = ()) -> ActionInfo:
        """Runs an action again, now. Raises `NotFound`, and `InvalidRequest` beyond `most` reruns of one nominal time."""

        def work(session: Session) -> ActionInfo:
            again = session.get(ScheduleAction, action_id)
            if again is None:
                raise NotFound("There is no such action.")
            if not found_action(session, action_id).is_final:
                raise InvalidRequest("The action has not ended; it can be run again when it has.")
            schedule = found(session, again.schedule_id, lock=True)
            action = firing.act(session, schedule, again.nominal_time, again, lost)
            if action.rerun_number > most:
                raise InvalidRequest(f"An action can be run again {most} times at most.")
            session.flush()
            return found_action(session, action.id)

        return await self._database.write(work)

    async def run_now(self, schedule_id: int, lost: Collection[int] = ()) -> ActionInfo:
        """An action of a schedule now, besides its nominal times. Raises `NotFound`."""

        def work(session: Session) -> ActionInfo:
            schedule = found(session, schedule_id, lock=True)
            if schedule.status == KILLED:
                raise InvalidRequest("The schedule is KILLED: make a new one.")
            action = firing.act(session, schedule, now(), lost=lost, by_hand=True)
            session.flush()
            return found_action(session, action.id)

        return await self._database.write(work)


def found(session: Session, schedule_id: int, *, lock: bool = False) -> Schedule:
    """A schedule's row. Raises `NotFound`."""
    row = session.get(Schedule, schedule_id, with_for_update=lock or None)
    if row is None:
        raise NotFound("There is no such schedule.")
    return row


def found_action(session: Session, action_id: int) -> ActionInfo:
    """An action. Raises `NotFound`."""
    row = session.execute(_actions().where(ScheduleAction.id == action_id)).first()
    if row is None:
        raise NotFound("There is no such action.")
    return action_info(*row)


def _actions() -> Select[ScheduleAction, str | None, Any]:
    return select(ScheduleAction, Command.status, Command.error).outerjoin(
        Command, Command.id == ScheduleAction.command_id
    )


def _lock(session: Session, notebook_ids: Sequence[int | None]) -> None:
    """Lets one at a time replace a notebook's schedules: a row that another one is adding can't be locked."""
    wanted = select(Notebook.id).where(Notebook.id.in_(notebook_ids))
    # Not against those who only refer to it: who fires one of these schedules holds that one, and adds a command.
    session.execute(wanted.order_by(Notebook.id).with_for_update(key_share=True)).all()


def end(session: Session, kind: str, notebook_ids: Sequence[int | None]) -> int:
    """Ends the schedules of a kind that some notebooks have; how many."""
    rows = session.scalars(
        select(Schedule)
        .where(
            Schedule.kind == kind,
            Schedule.notebook_id.in_(notebook_ids),
            Schedule.status.in_(GOING),
        )
        .with_for_update()
    ).all()
    for row in rows:
        row.status, row.look_at, row.updated_at = KILLED, None, now()
    return len(rows)


def _filtered(wanted: ScheduleFilter) -> Select[Schedule]:
    query = select(Schedule)
    for column, value in (
        (Schedule.kind, wanted.kind),
        (Schedule.name, wanted.name),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.statuses:
        query = query.where(Schedule.status.in_(wanted.statuses))
    return query


def info(row: Schedule) -> ScheduleInfo:
    """A row as plain data."""
    return ScheduleInfo(
        id=row.id,
        kind=row.kind,
        owner=row.owner,
        name=row.name,
        status=row.status,
        notebook_id=row.notebook_id,
        body=row.body,
        fields=row.fields,
        trigger=row.trigger,
        since=row.since,
        catch_up=row.catch_up,
        concurrency=row.concurrency,
        keep_last=row.keep_last,
        keep_days=row.keep_days,
        sequence=row.sequence,
        next_time=row.next_time,
        last_time=row.last_time,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def action_info(row: ScheduleAction, status: str | None, error: Any) -> ActionInfo:
    """An action as plain data; `status` and `error` are those of its command."""
    why = error.get("message") if status == FAILED and isinstance(error, Mapping) else None
    return ActionInfo(
        id=row.id,
        schedule_id=row.schedule_id,
        sequence_id=row.sequence_id,
        nominal_time=row.nominal_time,
        rerun_number=row.rerun_number,
        rerun_of=row.rerun_of,
        command_id=row.command_id,
        status=row.status or status or "",
        reason=row.reason or str(why or ""),
        created_at=row.created_at,
    )
