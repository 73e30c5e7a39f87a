"""Forgets runs that nobody keeps any more: by age and by number, of each schedule and of all commands.

What goes on is never forgotten, nor what somebody is still to be told of, nor a run of a notebook that is still to be counted.
What is to go is looked for while others may write, and goes a few rows at a time, so that nobody waits for the database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
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
from .telling import has_forgotten, recall
from .ticker import Ticker

_AT_ONCE = 200
_FOUND = 10_000
"""Rows that one search brings at most."""

Forget = Callable[[Sequence[int], Session], int]
"""Deletes rows by their ids, those that may still go; how many."""


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
        # What is collected for a digest is kept until it is told.
        if await self._database.read(has_forgotten):
            await self._database.write(lambda session: recall(session, moment))
        numbered, days = await self._database.read(_said_by_schedules)
        for wanted, forget in self._finders(moment, numbered, days):
            total += await self._forget(wanted, forget)
        return total

    async def _forget(self, wanted: Select[int], forget: Forget) -> int:
        total = 0
        while True:
            ids = await self._database.read(lambda s: list(s.scalars(wanted.limit(_FOUND))))
            gone = 0
            for start in range(0, len(ids), _AT_ONCE):
                some = ids[start : start + _AT_ONCE]
                # In between, others have their turn.
                gone += await self._database.write(partial(forget, some))
            total += gone
            if len(ids) < _FOUND or not gone:
                return total

    def _finders(
        self, moment: datetime, numbered: bool, days: list[int]
    ) -> Iterator[tuple[Select[int], Forget]]:
        def before(number: int) -> datetime:
            return moment - timedelta(days=number)

        if self.keep_last or numbered:
            yield _beyond(self.keep_last), _forget_runs
        for number in days:
            yield _aged(before(number), Schedule.keep_days == number), _forget_runs
        if self.keep_days:
            yield _aged(before(self.keep_days), Schedule.keep_days.is_(None)), _forget_runs
        if self.keep_commands:
            kept = (
                select(Command.id)
                .where(Command.status.in_(ENDED))
                .order_by(Command.ended_at.desc(), Command.id.desc())
                .limit(self.keep_commands)
            )
            yield _commands().where(Command.id.not_in(kept)), _forget_commands
        if self.keep_command_days:
            old = Command.ended_at < before(self.keep_command_days)
            yield _commands().where(old), _forget_commands
        if self.keep_output_days:
            yield _parts(CommandResult, CommandResult.command_id, before(self.keep_output_days))
        if self.keep_log_days:
            yield _parts(CommandLog, CommandLog.id, before(self.keep_log_days))
        old = Notification.created_at < before(self.keep_notification_days)
        yield select(Notification.id).where(_IS_NOTED, old), _forget_notifications


def _said_by_schedules(session: Session) -> tuple[bool, list[int]]:
    """Whether any keeps its runs by number, and the days for which some do."""
    numbered = select(Schedule.id).where(Schedule.keep_last.is_not(None)).limit(1)
    query = select(Schedule.keep_days).where(Schedule.keep_days.is_not(None)).distinct()
    days = [each for each in session.scalars(query) if each is not None]
    return session.scalar(numbered) is not None, days


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


_IS_NOTED = Notification.state != PENDING


def _runs() -> Select[int]:
    return (
        select(ScheduleAction.id)
        .join(Schedule, Schedule.id == ScheduleAction.schedule_id)
        .outerjoin(Command, Command.id == ScheduleAction.command_id)
        .where(_FORGETTABLE)
    )


def _beyond(default: int) -> Select[int]:
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


def _aged(before: datetime, of_schedules: ColumnElement[bool]) -> Select[int]:
    return _runs().where(of_schedules, ScheduleAction.created_at < before)


def _forget_runs(ids: Sequence[int], session: Session) -> int:
    found = session.execute(
        _runs()
        .add_columns(ScheduleAction.command_id)
        .where(ScheduleAction.id.in_(ids))
        .with_for_update(of=ScheduleAction, skip_locked=True)
    ).all()
    _delete(session, ScheduleAction, ScheduleAction.id, [action for action, _ in found])
    _delete_commands(session, [command for _, command in found if command is not None])
    return len(found)


def _commands() -> Select[int]:
    untold = select(ScheduleAction.id).where(
        ScheduleAction.command_id == Command.id, _IS_TO_BE_TOLD
    )
    return select(Command.id).where(Command.status.in_(ENDED), ~untold.exists(), ~_IS_TO_BE_COUNTED)


def _forget_commands(ids: Sequence[int], session: Session) -> int:
    wanted = _commands().where(Command.id.in_(ids)).with_for_update(skip_locked=True)
    found = list(session.scalars(wanted))
    _delete(session, ScheduleAction, ScheduleAction.command_id, found)
    _delete_commands(session, found)
    return len(found)


def _delete_commands(session: Session, ids: Sequence[int]) -> None:
    # Attempts, logs and results go with them.
    _delete(session, Command, Command.id, ids)


def _parts(table: Any, key: Any, before: datetime) -> tuple[Select[int], Forget]:
    wanted = (
        select(key)
        .join(Command, Command.id == table.command_id)
        .where(Command.status.in_(ENDED), Command.ended_at < before)
    )

    def forget(ids: Sequence[int], session: Session) -> int:
        _delete(session, table, key, ids)
        return len(ids)

    return wanted, forget


def _forget_notifications(ids: Sequence[int], session: Session) -> int:
    wanted = select(Notification.id).where(Notification.id.in_(ids), _IS_NOTED)
    # Somebody may just have asked to try one again.
    found = list(session.scalars(wanted.with_for_update(skip_locked=True)))
    _delete(session, Notification, Notification.id, found)
    return len(found)


def _delete(session: Session, table: Any, key: Any, ids: Sequence[int]) -> None:
    session.execute(
        delete(table).where(key.in_(ids)), execution_options={"synchronize_session": False}
    )
