"""Notebooks of schedules whose file has vanished: nobody tells of one that is deleted past the contents manager.

It is looked for before the transaction that makes commands: storage may be slow, and whoever wants to write would wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from ..database.engine import Database
from ..database.schedule_tables import Schedule
from ..database.tables import Notebook
from ..errors import DashboardsError
from .firing import due_schedules

IsNotebook = Callable[[str], Awaitable[bool]]
"""Whether a notebook is at a path; raises `DashboardsError` where that can't be said."""

PATIENCE = 1.0
"""Seconds that what is due waits for the storage. A notebook of which it has not told by then counts as there."""


class LostNotebooks:
    """Says which notebooks can't be run any more."""

    def __init__(self, database: Database, is_notebook: IsNotebook) -> None:
        self._database = database
        self._is_notebook = is_notebook

    async def of_due(self, moment: datetime) -> frozenset[int]:
        """The ids of those that the schedules have that are due, as far as the storage tells it soon."""
        notebooks = await self._database.read(lambda session: _due(session, moment))
        found: set[int] = set()
        if notebooks:
            looking = asyncio.ensure_future(self._look(notebooks, found))
            await asyncio.wait({looking}, timeout=PATIENCE)
            if looking.done():
                looking.result()
            looking.cancel()
        return frozenset(found)

    async def of_schedule(self, schedule_id: int) -> frozenset[int]:
        """The same for one schedule, for whom the storage is waited for."""
        wanted = _NOTEBOOKS.where(Schedule.id == schedule_id)
        found: set[int] = set()
        await self._look(await self._database.read(lambda session: _paths(session, wanted)), found)
        return frozenset(found)

    async def _look(self, notebooks: Mapping[int, str], found: set[int]) -> None:
        for number, path in notebooks.items():
            try:
                is_there = await self._is_notebook(path)
            except DashboardsError:
                # The run says why.
                is_there = True
            if not is_there:
                found.add(number)
            # Many contents managers answer without ever letting others run.
            await asyncio.sleep(0)


_NOTEBOOKS = (
    select(Notebook.id, Notebook.path)
    .join(Schedule, Schedule.notebook_id == Notebook.id)
    .where(Notebook.deleted_at.is_(None))
)


def _due(session: Session, moment: datetime) -> dict[int, str]:
    due = due_schedules(moment).with_only_columns(Schedule.id).subquery()
    return _paths(session, _NOTEBOOKS.where(Schedule.id.in_(select(due.c.id))))


def _paths(session: Session, wanted: Select[int, str]) -> dict[int, str]:
    return {row.id: row.path for row in session.execute(wanted)}
