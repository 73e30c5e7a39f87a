"""The records of the notebooks API in the database: who made a notebook, how often it has run, what is scheduled.

Runs are counted from the commands themselves, so that it is the same which server has run one, and whether it has died
since: whoever looks counts those that have ended, and what has been counted stays when commands are forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from ..commands.convert_submission import CONVERT
from ..commands.models import FINAL
from ..database.command_tables import Command
from ..database.engine import Database
from ..database.schedule_tables import NotebookRecord, Schedule
from ..database.tables import Notebook, now
from .models import GOING, NOTEBOOKS, ScheduleInfo
from .store import info

_AT_ONCE = 500
"""A database takes so many values in one statement."""


@dataclass(frozen=True)
class RecordInfo:
    """A notebook that the notebooks API has made, as it stands. `schedule` is the one that is live."""

    id: int
    uuid: str
    path: str
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    runs: int
    last_run: datetime | None
    schedule: ScheduleInfo | None
    missing_since: datetime | None = None
    revision: str | None = None


class NotebookRecords:
    """Stores the records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, notebook_id: int, created_at: datetime, created_by: str) -> None:
        """A record of a new notebook."""

        def work(session: Session) -> None:
            session.add(
                NotebookRecord(
                    notebook_id=notebook_id,
                    created_at=created_at,
                    created_by=created_by,
                    updated_at=created_at,
                    updated_by=created_by,
                )
            )

        await self._database.write(work)

    async def touch(self, notebook_id: int, updated_by: str) -> None:
        """Somebody has changed the notebook, now."""

        def work(session: Session) -> None:
            row = session.get(NotebookRecord, notebook_id, with_for_update=True)
            if row is not None:
                row.updated_at, row.updated_by = now(), updated_by

        await self._database.write(work)

    async def all(self) -> list[RecordInfo]:
        """All notebooks that are not known to be deleted, the oldest first."""
        return await self._database.read(lambda session: _records(session, None))

    async def some(self, uuids: Sequence[str]) -> dict[str, RecordInfo]:
        """Those of some ids that there are."""

        def look(session: Session) -> dict[str, RecordInfo]:
            found = {}
            for start in range(0, len(uuids), _AT_ONCE):
                for record in _records(session, uuids[start : start + _AT_ONCE]):
                    found[record.uuid] = record
            return found

        return await self._database.read(look)

    async def count_all(self) -> None:
        """Counts what servers have run that died before they could count it."""
        wanted = (
            select(NotebookRecord.notebook_id)
            .join(Command, Command.notebook_id == NotebookRecord.notebook_id)
            .where(Command.id > NotebookRecord.counted_to, Command.status.in_(FINAL))
            .distinct()
        )
        for notebook_id in await self._database.read(lambda session: list(session.scalars(wanted))):
            await self.count_runs(notebook_id)

    async def count_runs(self, notebook_id: int) -> None:
        """Counts the runs of a notebook that have ended, for good. To call it once more, or too late, changes nothing."""

        def work(session: Session) -> None:
            record = session.get(NotebookRecord, notebook_id, with_for_update=True)
            if record is None:
                return
            later = (Command.notebook_id == notebook_id, Command.id > record.counted_to)
            # Those after one that goes on are counted when that has ended; until then whoever looks adds them.
            going_on = (
                select(func.min(Command.id))
                .where(*later, Command.status.not_in(FINAL))
                .scalar_subquery()
            )
            ended = or_(going_on.is_(None), Command.id < going_on)
            # In one statement: another server may make a command between two, and that one would never be counted.
            last, runs, at = session.execute(
                select(
                    func.max(Command.id),
                    func.count().filter(_is_run()),
                    func.max(Command.ended_at).filter(_is_run()),
                ).where(*later, ended)
            ).one()
            if not last:
                return
            record.runs, record.last_run = record.runs + runs, _later(record.last_run, at)
            record.counted_to = last

        await self._database.write(work)


def _is_run() -> ColumnElement[bool]:
    """Of a command that has run its notebook: not one that was cancelled before, and no conversion."""
    return and_(
        Command.status.in_(FINAL), Command.started_at.is_not(None), Command.command_type != CONVERT
    )


def _records(session: Session, uuids: Sequence[str] | None) -> list[RecordInfo]:
    uncounted = (
        select(
            Command.notebook_id, func.count().label("runs"), func.max(Command.ended_at).label("at")
        )
        .join(
            NotebookRecord,
            and_(
                NotebookRecord.notebook_id == Command.notebook_id,
                Command.id > NotebookRecord.counted_to,
            ),
        )
        .where(_is_run())
        .group_by(Command.notebook_id)
    )
    live = select(Schedule).where(Schedule.kind == NOTEBOOKS, Schedule.status.in_(GOING))
    if uuids is not None:
        ids: Select[int] = select(Notebook.id).where(Notebook.uuid.in_(uuids))
        uncounted = uncounted.where(Command.notebook_id.in_(ids))
        live = live.where(Schedule.notebook_id.in_(ids))
    more = uncounted.subquery()
    # In one statement: a run that is counted between two would be there twice.
    wanted = (
        select(NotebookRecord, Notebook, more.c.runs, more.c.at)
        .join(Notebook, Notebook.id == NotebookRecord.notebook_id)
        .outerjoin(more, more.c.notebook_id == NotebookRecord.notebook_id)
        .where(Notebook.deleted_at.is_(None))
        .order_by(NotebookRecord.created_at, NotebookRecord.notebook_id)
    )
    if uuids is not None:
        wanted = wanted.where(Notebook.uuid.in_(uuids))
    schedules = {row.notebook_id: info(row) for row in session.scalars(live)}
    found = []
    for record, notebook, runs, at in session.execute(wanted):
        found.append(
            RecordInfo(
                id=notebook.id,
                uuid=notebook.uuid,
                path=notebook.path,
                created_at=record.created_at,
                created_by=record.created_by,
                updated_at=record.updated_at,
                updated_by=record.updated_by,
                runs=record.runs + (runs or 0),
                last_run=_later(record.last_run, at),
                schedule=schedules.get(notebook.id),
                missing_since=notebook.missing_since,
                revision=notebook.revision,
            )
        )
    return found


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each is not None), default=None)
