"""The activity log: what was done to a notebook, or by somebody who logged in, as an API reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..database.engine import Database
from ..database.tables import Activity, now
from .secret_values import new_id


@dataclass(frozen=True)
class ActivityInfo:
    """One entry. `path` is where the notebook was then; `detail` depends on the activity."""

    id: str
    activity: str
    actor: str
    notebook_id: int | None
    path: str
    detail: Mapping[str, Any]
    created_at: datetime


class Activities:
    """Adds to the log, and reads it."""

    def __init__(self, database: Database, kept: timedelta) -> None:
        self._database = database
        self._kept = kept

    async def record(
        self,
        activity: str,
        actor: str,
        *,
        path: str = "",
        notebook_id: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds an entry."""

        def work(session: Session) -> None:
            session.add(
                Activity(
                    id=new_id(),
                    activity=activity,
                    actor=actor[:128],
                    path=path,
                    notebook_id=notebook_id,
                    detail=dict(detail or {}),
                )
            )

        await self._database.write(work)

    async def page(
        self, limit: int, page: int, *, path: str | None = None, notebook_id: int | None = None
    ) -> tuple[list[ActivityInfo], int]:
        """A page of `limit` entries (`page` counts from 1), the newest first, and the number of all entries.

        Only those of a path or of a notebook, if one is given.
        """
        wanted = select(Activity)
        if path is not None:
            wanted = wanted.where(Activity.path == path)
        if notebook_id is not None:
            wanted = wanted.where(Activity.notebook_id == notebook_id)

        def look(session: Session) -> tuple[list[ActivityInfo], int]:
            total = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
            rows = session.scalars(
                wanted.order_by(Activity.created_at.desc(), Activity.id)
                .limit(limit)
                .offset((page - 1) * limit)
            )
            return [_info(row) for row in rows], total

        return await self._database.read(look)

    async def forget_old(self) -> int:
        """Deletes the entries that have been kept long enough; returns how many."""
        return await self._database.execute(
            delete(Activity).where(Activity.created_at < now() - self._kept)
        )


def _info(row: Activity) -> ActivityInfo:
    return ActivityInfo(
        row.id, row.activity, row.actor, row.notebook_id, row.path, dict(row.detail), row.created_at
    )
