"""The registry: which notebook a contents path is, whatever it was called before.

A notebook gets its ids when something needs them first. They stay through renames of the notebook and of the folders above
it, told by the contents manager's events, and are never given to another notebook: a file that is made where a deleted one
was is a new notebook. (jupyter_server_fileid's manager gave it the old id.) So is one that is saved where nothing is,
whatever was there once: nobody tells of files that are deleted past the contents manager.

Those are noticed by whoever looks for them (`presence.py`).

Paths here are those of the contents manager, not those below `DashboardsApp.root`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import string
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..dashboards.contents import Entry
from ..dashboards.staging import is_staging
from ..database.engine import Database
from ..database.tables import Notebook, now
from ..errors import DashboardsError, InvalidRequest, Unavailable
from .presence import Files, Located, Looked, NotebookPresence, revision_of

CONTENTS_EVENTS = "https://events.jupyter.org/jupyter_server/contents_service/v1"

_LETTERS = string.ascii_letters + string.digits
_SHORT = 8

_AGAIN = (0.5, 5.0)
"""Seconds until an event is written again that the database would not take: at first, and at most. Each try is logged."""

_RETRY_AFTER = 5

# A database takes so many values in one statement.
_AT_ONCE = 500

Work = Callable[[Session], int]
"""Changes notebooks in a transaction; how many. May be carried out once more, whether or not it was committed."""


@dataclass(frozen=True)
class NotebookId:
    """The ids of a notebook, and where it is now."""

    id: int
    uuid: str
    short_id: str
    path: str
    missing_since: datetime | None = field(default=None, compare=False)
    revision: str | None = field(default=None, compare=False)


class NotebookRegistry:
    """Finds and keeps the ids of notebooks."""

    def __init__(
        self,
        database: Database,
        changed: Callable[[], None] = lambda: None,
        files: Files | None = None,
    ) -> None:
        """`changed` is called after a notebook has moved or gone. Without `files` each notebook counts as there."""
        self._database = database
        self._changed = changed
        self._presence: NotebookPresence | None = None
        if files is not None:
            self._presence = NotebookPresence(database, files, self._end, changed)
        # One event after the other, in their order: a notebook may move twice.
        self._events = asyncio.Lock()
        self._listeners: list[Callable[[Session, Sequence[int]], object]] = []
        self._reserved: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()

    def on_end(self, listener: Callable[[Session, Sequence[int]], object]) -> None:
        """Calls `listener` in each transaction in which notebooks are deleted, with ids of theirs: some hundreds at most."""
        self._listeners.append(listener)

    def wait_for(self, settled: Callable[[str], Awaitable[None]]) -> None:
        """Has `settled` waited for before a notebook at a path counts as missing: it may just be replaced."""
        if self._presence is not None:
            self._presence.settled = settled

    async def identify(self, path: str) -> NotebookId:
        """The ids of the notebook at a path, made now if it has none. The caller knows that it is there."""
        found = await self._still(await self._known_at(path))
        if found is not None:
            return found

        entry = await self._presence.entry(path) if self._presence is not None else None
        revision = revision_of(entry) if entry is not None else None

        def make(session: Session) -> NotebookId:
            return ids_of(_at(session, path) or _new(session, path, revision))

        try:
            return await self._database.write(make)
        except IntegrityError:
            # Another server was first.
            return await self._database.write(make)

    async def reserve(self, path: str) -> NotebookId | None:
        """The ids of a notebook that is about to be made at a path; None where another one is, or is about to be."""
        await self.informed()

        def make(session: Session) -> NotebookId | None:
            return ids_of(_new(session, path)) if _at(session, path) is None else None

        try:
            made = await self._database.write(make)
        except IntegrityError:
            # Another server was first.
            return None
        if made is not None:
            self._reserved.add(path)
        return made

    def made(self, path: str) -> None:
        """What was reserved is there. Not every contents manager has told so."""
        self._reserved.discard(path)

    async def find(self, path: str) -> NotebookId | None:
        """The ids of the notebook at a path; None when it never needed one, or is not there."""
        return await self._there(await self._known_at(path))

    async def by_id(self, notebook_id: int) -> NotebookId | None:
        """The notebook of an id; None when there is none, or not any more. Its file may be missing for now."""
        return await self._still(await self._known(notebook_id))

    async def there(self, notebook_id: int) -> NotebookId | None:
        """The notebook of an id; None when there is none, or its file is not there. Raises what the storage does."""
        return await self._there(await self._known(notebook_id))

    async def some(self, after: int, most: int, *, missing: bool = False) -> list[NotebookId]:
        """The next of all notebooks that are not known to be deleted, by their ids; of those that are `missing` for now only."""
        wanted = select(Notebook).where(Notebook.id > after, Notebook.deleted_at.is_(None))
        if missing:
            wanted = wanted.where(Notebook.missing_since.is_not(None))
        wanted = wanted.order_by(Notebook.id).limit(most)
        return await self._database.read(lambda session: list(map(ids_of, session.scalars(wanted))))

    async def look(self, notebooks: Sequence[Located]) -> Looked:
        """Looks which of some notebooks are there, each at its path, and notes which are not.

        A file that has taken the place of one that was missing ends it, with all that is known of it.
        """
        if self._presence is None:
            there = ((each.id, Entry(each.path, each.path, "notebook")) for each in notebooks)
            return Looked(dict(there))
        return await self._presence.look(notebooks, self._reserved)

    async def end_missing(self, ids: Collection[int], grace: timedelta) -> None:
        """Ends those of some notebooks that have been missing for `grace`."""
        if self._presence is not None:
            await self._presence.end_missing(ids, grace)

    async def _known_at(self, path: str) -> NotebookId | None:
        await self.informed()

        def look(session: Session) -> NotebookId | None:
            notebook = _at(session, path)
            return ids_of(notebook) if notebook is not None else None

        return await self._database.read(look)

    async def _known(self, notebook_id: int) -> NotebookId | None:
        await self.informed()

        def look(session: Session) -> NotebookId | None:
            notebook = session.get(Notebook, notebook_id)
            return (
                ids_of(notebook) if notebook is not None and notebook.deleted_at is None else None
            )

        if not 0 < notebook_id < 2**31:
            return None
        return await self._database.read(look)

    async def _still(self, known: NotebookId | None) -> NotebookId | None:
        """A notebook of the database, unless another one has its place by now."""
        if known is None or known.missing_since is None:
            return known
        await self.look([known])
        return await self._known(known.id)

    async def _there(self, known: NotebookId | None) -> NotebookId | None:
        if known is None:
            return None
        return known if (await self.look([known])).is_there(known) else None

    async def moved(self, path: str, new_path: str) -> None:
        """A notebook, or a folder with all that is in it, is called otherwise now."""
        if await self._database.write(self._moving(path, new_path)):
            self._changed()

    async def deleted(self, path: str) -> None:
        """A notebook, or a folder with all that was in it, is gone."""
        self._reserved.discard(path)
        if await self._database.write(self._deleting(path)):
            self._changed()

    async def on_contents_event(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        """A listener of the contents manager's events. Nobody tells of one again: it ends when it is in the database."""
        async with self._events:
            await self._take(data)

    async def _take(self, data: dict[str, Any]) -> None:
        action, path = data.get("action"), str(data.get("path", "")).strip("/")
        if action == "rename":
            source = str(data.get("source_path", "")).strip("/")
            # An upload puts the old notebook aside and the new one in its place, which is the same notebook.
            if source and path and not (_is_staged(source) or _is_staged(path)):
                try:
                    await self._write_surely(
                        self._moving(source, path), or_(_below(source), _below(path))
                    )
                except InvalidRequest:
                    # A name that can't be stored, such as one that isn't UTF-8. It is not where it was, in any case.
                    await self._write_surely(self._deleting(source), _below(source))
        elif action == "delete" and path and not _is_staged(path):
            await self._write_surely(self._deleting(path), _below(path))
        elif action == "save" and path and not _is_staged(path):
            self._keep(self.look_below(path))

    def appeared(self, path: str, since: datetime) -> None:
        """A file or folder was made where nothing was at `since`. What is known there from before is gone; nobody told."""
        if path in self._reserved:
            self._reserved.remove(path)
        elif not _is_staged(path):
            self._keep(self._end_older(path, since))

    def overwritten(self, entry: Entry) -> None:
        """What was at a path until now is saved over: nobody may have looked at it since it was missing."""
        if self._presence is not None:
            self._presence.overwritten(entry)

    def written(self, entry: Entry) -> None:
        """What is at a path now has just been saved there."""
        if self._presence is not None:
            self._presence.written(entry)

    def gone(self, path: str) -> None:
        """A notebook or folder was deleted, of which nobody else tells."""
        self._keep(self._end_all(path))

    def replaced(self, place: str, notebooks: Collection[str], since: datetime) -> None:
        """A notebook or folder has been replaced, from `since` on. `notebooks` are the paths of those that are there now."""
        self._keep(self._replace(place, notebooks, since))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_all(self, path: str) -> None:
        async with self._events:
            await self._write_surely(self._deleting(path), _below(path))

    async def _replace(self, place: str, notebooks: Collection[str], since: datetime) -> None:
        def work(session: Session) -> int:
            gone = []
            for row in session.scalars(select(Notebook).where(_below(place))):
                if row.path not in notebooks and row.created_at < since:
                    gone.append(row.id)
                elif row.missing_since is not None and row.missing_since >= since:
                    # Another server has looked for it meanwhile.
                    row.missing_since = None
            return sum(
                self._end(session, Notebook.id.in_(gone[start : start + _AT_ONCE]))
                for start in range(0, len(gone), _AT_ONCE)
            )

        with contextlib.suppress(InvalidRequest):
            async with self._events:
                await self._write_surely(work, _below(place))
            await self.look_below(place)

    async def look_below(self, place: str, *, missing: bool = False) -> None:
        """Notes how the notebook at a path looks now, or those in a folder; those that were `missing` only."""
        wanted = select(Notebook).where(_below(place))
        if missing:
            wanted = wanted.where(Notebook.missing_since.is_not(None))
        # Whoever looks next does as well.
        with contextlib.suppress(DashboardsError):
            found = await self._database.read(
                lambda session: list(map(ids_of, session.scalars(wanted)))
            )
            await self.look(found)

    async def _end_older(self, path: str, since: datetime) -> None:
        is_older = Notebook.created_at < since
        # A name that can't be stored has no ids.
        with contextlib.suppress(InvalidRequest):
            async with self._events:
                await self._write_surely(
                    self._deleting(path, is_older), and_(_below(path), is_older)
                )

    async def _write_surely(self, work: Work, concerned: ColumnElement[bool]) -> None:
        """Carries out `work`, which changes nothing while no notebook is `concerned`; tries again until it is done."""

        def look(session: Session) -> bool:
            return session.scalar(select(Notebook.id).where(concerned).limit(1)) is not None

        pause, longest = _AGAIN
        is_needed = is_again = False
        while True:
            try:
                # Most files have no ids: they need not wait for a database that can only be read just now.
                is_needed = is_needed or await self._database.read(look)
                if not is_needed:
                    return
                if await self._database.write(work) or is_again:
                    self._changed()
                return
            except (Unavailable, IntegrityError):
                # The latter: another server has just given ids to what is at the new path.
                is_again = is_needed
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)

    def _moving(self, path: str, new_path: str) -> Work:
        was_known = False

        def work(session: Session) -> int:
            nonlocal was_known
            is_known = session.scalar(select(Notebook.id).where(_below(path)).limit(1)) is not None
            if path == new_path or (was_known and not is_known):
                # Nothing to do, or done by a transaction that broke when it had been committed.
                return 0
            was_known = is_known
            # What was there was replaced by it.
            self._end(session, _below(new_path))
            moved = session.scalars(select(Notebook).where(_below(path))).all()
            for notebook in moved:
                notebook.path = new_path + notebook.path[len(path) :]
            return len(moved)

        return work

    def _deleting(self, path: str, *which: ColumnElement[bool]) -> Work:
        return lambda session: self._end(session, and_(_below(path), *which))

    def _end(self, session: Session, which: ColumnElement[bool]) -> int:
        # As an update locks them: what only refers to a notebook need not wait, and so can't wait for each other.
        wanted = select(Notebook.id).where(which).order_by(Notebook.id)
        gone = session.scalars(wanted.with_for_update(key_share=True)).all()
        for start in range(0, len(gone), _AT_ONCE):
            ids = gone[start : start + _AT_ONCE]
            session.execute(update(Notebook).where(Notebook.id.in_(ids)).values(deleted_at=now()))
            for listener in self._listeners:
                listener(session, ids)
        return len(gone)

    async def informed(self) -> None:
        """Waits until what the contents manager has told so far is in the database.

        Raises `Unavailable` when that takes longer than `Database.busy_timeout`.
        """
        # The listener is a task, which may not have begun.
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._database.busy_timeout), self._events:
                pass
        except TimeoutError:
            raise Unavailable("The database does not answer.", _RETRY_AFTER) from None


def _is_staged(path: str) -> bool:
    return any(is_staging(segment) for segment in path.split("/"))


def _at(session: Session, path: str) -> Notebook | None:
    return session.scalar(
        select(Notebook).where(Notebook.path == path, Notebook.deleted_at.is_(None))
    )


def _new(session: Session, path: str, revision: str | None = None) -> Notebook:
    notebook = Notebook(
        uuid=str(uuid.uuid4()),
        short_id="".join(secrets.choice(_LETTERS) for _ in range(_SHORT)),
        path=path,
        revision=revision,
    )
    session.add(notebook)
    session.flush()
    return notebook


def _below(path: str) -> ColumnElement[bool]:
    """Of the notebook at a path, and of those in it if it is a folder."""
    prefix = f"{path}/"
    # Not LIKE: for SQLite, that takes `Sales` for `sales`.
    inside = func.substr(Notebook.path, 1, len(prefix)) == prefix
    return and_(or_(Notebook.path == path, inside), Notebook.deleted_at.is_(None))


def ids_of(notebook: Notebook) -> NotebookId:
    """The ids of a row."""
    return NotebookId(
        notebook.id,
        notebook.uuid,
        notebook.short_id,
        notebook.path,
        notebook.missing_since,
        notebook.revision,
    )
