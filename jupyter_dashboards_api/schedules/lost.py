"""Notebooks of schedules whose file has vanished: nobody tells of one that is deleted past the contents manager.

It is looked for before the transaction that makes commands: storage may be slow, and whoever wants to write would wait.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ..database.engine import Database
from ..database.schedule_tables import Schedule
from ..database.tables import Notebook
from ..notebooks.registry import NotebookId, NotebookRegistry, ids_of
from .firing import due_schedules

PATIENCE = 1.0
"""Seconds that what is due waits for the storage. If it has not told of all notebooks by then, they count as there."""


class LostNotebooks:
    """Says which notebooks can't be run any more."""

    def __init__(self, database: Database, notebooks: NotebookRegistry) -> None:
        self._database = database
        self._notebooks = notebooks

    async def of_due(self, moment: datetime) -> frozenset[int]:
        """The ids of those that the schedules have that are due, if the storage tells it soon."""
        notebooks = await self._database.read(lambda session: _due(session, moment))
        if not notebooks:
            return frozenset()
        looking = asyncio.ensure_future(self._look(notebooks))
        await asyncio.wait({looking}, timeout=PATIENCE)
        if looking.done():
            return looking.result()
        looking.cancel()
        return frozenset()

    async def of_schedule(self, schedule_id: int) -> frozenset[int]:
        """The same for one schedule, for whom the storage is waited for."""
        wanted = _NOTEBOOKS.where(Schedule.id == schedule_id)
        return await self._look(await self._database.read(lambda session: _ids(session, wanted)))

    async def _look(self, notebooks: list[NotebookId]) -> frozenset[int]:
        # What the storage can't tell of counts as there: the run says why.
        return frozenset((await self._notebooks.look(notebooks)).gone)


_NOTEBOOKS = (
    select(Notebook)
    .join(Schedule, Schedule.notebook_id == Notebook.id)
    .where(Notebook.deleted_at.is_(None))
)


def _due(session: Session, moment: datetime) -> list[NotebookId]:
    due = due_schedules(moment).with_only_columns(Schedule.id).subquery()
    return _ids(session, _NOTEBOOKS.where(Schedule.id.in_(select(due.c.id))))


def _ids(session: Session, wanted: Select[Notebook]) -> list[NotebookId]:
    return [ids_of(notebook) for notebook in session.scalars(wanted.distinct())]
