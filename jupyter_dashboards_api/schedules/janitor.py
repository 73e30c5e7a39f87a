"""Forgets runs that nobody keeps any more: by age and by number, of each schedule and of all commands.

What goes on is never forgotten, nor what somebody is still to be told of, nor a run of a notebook that is still to be counted.
Rows go a few at a time, so that nobody waits for
the database meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session
from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from ..commands.models import FINAL as ENDED
from ..database.command_tables import Command, CommandLog, CommandResult
from ..database.engine import Database
from ..database.schedule_tables import NotebookRecord, Notification, Schedule, ScheduleAction
from .models import WAITING_FOR_DEPENDENCIES
from .notebook_records import NotebookRecords
from .notifier import PENDING
from .ticker import Ticker

_AT_ONCE = 200


class Janitor(LoggingConfigurable):
    """Forgets what its traits, and the fields of schedules, say."""

    keep_last = Integer(
        0,
        min=0,
        help="""How many runs of each schedule are kept, with their commands, outputs and logs: the latest. 0: all. A schedule's
        own `keep_last` goes before it.""",
    ).tag(config=True)

    keep_days = Integer(
        0,
        min=0,
        help="""For how many days the runs of a schedule are kept. 0: for ever. A schedule's own `keep_days` goes before it.""",
    ).tag(config=True)

    keep_commands = Integer(
        0,
        min=0,
        help="""How many commands are kept in all, those that have ended latest. 0: all.""",
    ).tag(config=True)

    keep_command_days = Integer(
        0, min=0, help="""For how many days commands that have ended are kept. 0: for ever."""
    ).tag(config=True)

    keep_output_days = Integer(
        0,
        min=0,
        help="""For how many days the outputs of a command that has ended are kept: its results, the executed notebook, a
        converted file. The command and its log stay. 0: as long as the command.""",
    ).tag(config=True)

    keep_log_days = Integer(
        0,
        min=0,
        help="""For how many days the log of a command that has ended is kept. 0: as long as the command.""",
    ).tag(config=True)

    keep_notification_days = Integer(
        30,
        min=1,
        help="""For how many days it is kept what was told of runs, or could not be.""",
    ).tag(config=True)

    interval = Float(
        3600.0, min=1.0, help="""Seconds between two times that what is not kept is forgotten."""
    ).tag(config=True)

    def __init__(self, *, database: Database, **options: Any) -> None:
        """The other options are traits."""
        super().__init__(**options)
        logger = self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
        self._database = database
        self._records = NotebookRecords(database)
        self._ticker = Ticker(self._look, log=logger, longest=self.interval)

    def start(self) -> None:
        """Forgets from now on."""
        self._ticker.start()

    async def stop(self) -> None:
        """Forgets nothing any more."""
        await self._ticker.stop()

    async def _look(self, moment: datetime) -> datetime | None:
        count = await self.clean(moment)
        if count:
            self.log.info("Retention: %d commands, outputs and logs were forgotten.", count)
        return None

    async def clean(self, moment: datetime) -> int:
        """Forgets what is not kept at a moment; how many rows of commands, actions, outputs and logs."""
        total = 0
        # What a server has run that died is not kept for ever.
        await self._records.count_all()
        days = await self._database.read(_days_of_schedules)
        for find in self._finders(moment, days):
            while True:
                count = await self._database.write(find)
                total += count
                if count < _AT_ONCE:
                    break
                # Others have their turn.
                await asyncio.sleep(0)
        return total

    def _finders(self, moment: datetime, days: list[int]) -> Iterator[Callable[[Session], int]]:
        def before(number: int) -> datetime:
            return moment - timedelta(days=number)

        yield _forgets_runs(_beyond(self.keep_last))
        for number in days:
            yield _forgets_runs(_aged(before(number), Schedule.keep_days == number))
        if self.keep_days:
            yield _forgets_runs(_aged(before(self.keep_days), Schedule.keep_days.is_(None)))
        if self.keep_commands:
            kept = (
                select(Command.id)
                .where(Command.status.in_(ENDED))
                .order_by(Command.ended_at.desc(), Command.id.desc())
                .limit(self.keep_commands)
            )
            yield _forgets_commands(Command.id.not_in(kept))
        if self.keep_command_days:
            yield _forgets_commands(Command.ended_at < before(self.keep_command_days))
        if self.keep_output_days:
            yield _forgets_parts(
                CommandResult, CommandResult.command_id, before(self.keep_output_days)
            )
        if self.keep_log_days:
            yield _forgets_parts(CommandLog, CommandLog.id, before(self.keep_log_days))
        yield _forgets_notifications(before(self.keep_notification_days))


def _days_of_schedules(session: Session) -> list[int]:
    query = select(Schedule.keep_days).where(Schedule.keep_days.is_not(None)).distinct()
    return [days for days in session.scalars(query) if days is not None]


_HAS_ENDED = or_(
    Command.status.in_(ENDED),
    and_(ScheduleAction.command_id.is_(None), ScheduleAction.status != WAITING_FOR_DEPENDENCIES),
)
_IS_TO_BE_TOLD = or_(ScheduleAction.told_at.is_(None), ScheduleAction.collected_at.is_not(None))
# Those after a command that goes on are counted when that has ended.
_IS_TO_BE_COUNTED = exists().where(
    NotebookRecord.notebook_id == Command.notebook_id, NotebookRecord.counted_to < Command.id
)
_FORGETTABLE = and_(~_IS_TO_BE_TOLD, _HAS_ENDED, ~_IS_TO_BE_COUNTED)


def _runs() -> Select[ScheduleAction]:
    return (
        select(ScheduleAction)
        .join(Schedule, Schedule.id == ScheduleAction.schedule_id)
        .outerjoin(Command, Command.id == ScheduleAction.command_id)
        .where(_FORGETTABLE)
        .limit(_AT_ONCE)
        .with_for_update(of=ScheduleAction, skip_locked=True)
    )


def _beyond(default: int) -> Select[ScheduleAction]:
    """Runs that as many later ones of their schedule follow as are kept."""
    rank = (
        select(
            ScheduleAction.id.label("id"),
            ScheduleAction.schedule_id.label("schedule_id"),
            func.row_number()
            .over(partition_by=ScheduleAction.schedule_id, order_by=ScheduleAction.id.desc())
            .label("rank"),
        )
    ).subquery()
    # Of a schedule that keeps all, none.
    kept = func.coalesce(Schedule.keep_last, default)
    too_many = (
        select(rank.c.id)
        .join(Schedule, Schedule.id == rank.c.schedule_id)
        .where(kept > 0, rank.c.rank > kept)
    )
    return _runs().where(ScheduleAction.id.in_(too_many))


def _aged(before: datetime, of_schedules: ColumnElement[bool]) -> Select[ScheduleAction]:
    return _runs().where(of_schedules, ScheduleAction.created_at < before)


def _forgets_runs(query: Select[ScheduleAction]) -> Callable[[Session], int]:
    def work(session: Session) -> int:
        actions = session.scalars(query).all()
        commands = [each.command_id for each in actions if each.command_id is not None]
        session.execute(
            delete(ScheduleAction).where(ScheduleAction.id.in_([each.id for each in actions])),
            execution_options={"synchronize_session": False},
        )
        _delete_commands(session, commands)
        return len(actions)

    return work


def _forgets_commands(condition: ColumnElement[bool]) -> Callable[[Session], int]:
    untold = select(ScheduleAction.id).where(
        ScheduleAction.command_id == Command.id, _IS_TO_BE_TOLD
    )
    query = (
        select(Command.id)
        .where(Command.status.in_(ENDED), condition, ~untold.exists(), ~_IS_TO_BE_COUNTED)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )

    def work(session: Session) -> int:
        found = list(session.scalars(query))
        session.execute(
            delete(ScheduleAction).where(ScheduleAction.command_id.in_(found)),
            execution_options={"synchronize_session": False},
        )
        _delete_commands(session, found)
        return len(found)

    return work


def _delete_commands(session: Session, command_ids: list[int]) -> None:
    # Attempts, logs and results go with them.
    session.execute(
        delete(Command).where(Command.id.in_(command_ids)),
        execution_options={"synchronize_session": False},
    )


def _forgets_parts(table: Any, key: Any, before: datetime) -> Callable[[Session], int]:
    query = (
        select(key)
        .join(Command, Command.id == table.command_id)
        .where(Command.status.in_(ENDED), Command.ended_at < before)
        .limit(_AT_ONCE)
    )

    def work(session: Session) -> int:
        found = list(session.scalars(query))
        session.execute(
            delete(table).where(key.in_(found)), execution_options={"synchronize_session": False}
        )
        return len(found)

    return work


def _forgets_notifications(before: datetime) -> Callable[[Session], int]:
    query = (
        select(Notification.id)
        .where(Notification.state != PENDING, Notification.created_at < before)
        .limit(_AT_ONCE)
    )

    def work(session: Session) -> int:
        found = list(session.scalars(query))
        session.execute(
            delete(Notification).where(Notification.id.in_(found)),
            execution_options={"synchronize_session": False},
        )
        return len(found)

    return work
