"""The registry: which notebook a contents path is, whatever it was called before.

A notebook gets its ids when something needs them first. They stay through renames of the notebook and of the folders above
it, told by the contents manager's events, and are never given to another notebook: a file that is made where a deleted one
was is a new notebook. (jupyter_server_fileid's manager gave it the old id.)

Paths here are those of the contents manager, not those below `DashboardsApp.root`.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..dashboards.staging import is_staging
from ..database.engine import Database
from ..database.tables import Notebook, now

CONTENTS_EVENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"

_LETTERS = string.ascii_letters + string.digits
_SHORT = 8


@dataclass(frozen=True)
class NotebookId:
    """The ids of a notebook, and where it is now."""

    id: int
    uuid: str
    short_id: str
    path: str


class NotebookRegistry:
    """Finds and keeps the ids of notebooks."""

    def __init__(self, database: Database, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after a notebook has moved or gone."""
        self._database = database
        self._changed = changed

    async def identify(self, path: str) -> NotebookId:
        """The ids of the notebook at a path, made now if it has none. The caller knows that it is there."""
        found = await self.find(path)
        if found is not None:
            return found

        def make(session: Session) -> NotebookId:
            notebook = _at(session, path)
            if notebook is None:
                notebook = Notebook(
                    uuid=str(uuid.uuid4()),
                    short_id="".join(secrets.choice(_LETTERS) for _ in range(_SHORT)),
                    path=path,
                )
                session.add(notebook)
                session.flush()
            return _ids(notebook)

        try:
            return await self._database.write(make)
        except IntegrityError:
            # Another server was first.
            return await self._database.write(make)

    async def find(self, path: str) -> NotebookId | None:
        """The ids of the notebook at a path; None when it never needed one."""

        def look(session: Session) -> NotebookId | None:
            notebook = _at(session, path)
            return _ids(notebook) if notebook is not None else None

        return await self._database.read(look)

    async def moved(self, path: str, new_path: str) -> None:
        """A notebook, or a folder with all that is in it, is called otherwise now."""

        def work(session: Session) -> int:
            # What was there was replaced by it.
            _delete(session, new_path)
            moved = _below(session, path)
            for notebook in moved:
                notebook.path = new_path + notebook.path[len(path) :]
            return len(moved)

        if await self._database.write(work):
            self._changed()

    async def deleted(self, path: str) -> None:
        """A notebook, or a folder with all that was in it, is gone."""
        if await self._database.write(lambda session: _delete(session, path)):
            self._changed()

    async def on_contents_event(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        """A listener of the contents manager's events."""
        action, path = data.get("action"), str(data.get("path", "")).strip("/")
        if action == "rename":
            source = str(data.get("source_path", "")).strip("/")
            # An upload puts the old notebook aside and the new one in its place, which is the same notebook.
            if source and path and not (_is_staged(source) or _is_staged(path)):
                await self.moved(source, path)
        elif action == "delete" and path and not _is_staged(path):
            await self.deleted(path)


def _is_staged(path: str) -> bool:
    return any(is_staging(segment) for segment in path.split("/"))


def _at(session: Session, path: str) -> Notebook | None:
    return session.scalar(
        select(Notebook).where(Notebook.path == path, Notebook.deleted_at.is_(None))
    )


def _below(session: Session, path: str) -> list[Notebook]:
    """The notebook at a path, and those in it if it is a folder."""
    return list(
        session.scalars(
            select(Notebook).where(
                (Notebook.path == path) | Notebook.path.startswith(f"{path}/", autoescape=True),
                Notebook.deleted_at.is_(None),
            )
        )
    )


def _delete(session: Session, path: str) -> int:
    ids = [notebook.id for notebook in _below(session, path)]
    session.execute(update(Notebook).where(Notebook.id.in_(ids)).values(deleted_at=now()))
    return len(ids)


def _ids(notebook: Notebook) -> NotebookId:
    return NotebookId(notebook.id, notebook.uuid, notebook.short_id, notebook.path)
