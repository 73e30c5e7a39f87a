"""Whether notebooks are where they should be, and whether what is there is still the same notebook.

Nobody tells of files that are deleted past the contents manager. Whoever looks for one notes since when it is missing. What
is at its path later is the same notebook if its time of modification and its size are those that were seen last, as on a
disk that was not mounted; otherwise it is another one, and the old one ends. While a notebook is not known to have been
missing, whatever is at its path is it: editors save in many ways.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from ..dashboards.contents import Entry
from ..database.engine import Database
from ..database.tables import Notebook, now
from ..errors import DashboardsError, Forbidden, InvalidRequest

_REPLACED_WITHIN = 0.2
"""Seconds in which a file is there again that was only replaced."""

_MOST_PATHS, _MOST_SAVES = 1000, 16
"""Paths, and saves of each, of which it is kept what was there before."""

_CLOCKS = timedelta(seconds=1)
"""How far behind a storage's clock may be."""


class Files(Protocol):
    """What is asked of the whole contents manager. Each method raises `DashboardsError` where it can't be told."""

    async def document(self, path: str) -> Entry | None:
        """What is at a path; None when nothing is."""

    async def is_being_replaced(self, path: str) -> bool:
        """Whether somebody is just replacing what is at a path. Raises nothing."""

    async def is_empty(self) -> bool:
        """Whether nothing is shown at all."""


class Located(Protocol):
    """A notebook by its id, where it should be, and what was seen of it last."""

    @property
    def id(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def missing_since(self) -> datetime | None: ...
    @property
    def revision(self) -> str | None: ...


@dataclass(frozen=True)
class _Place:
    id: int
    path: str
    missing_since: datetime | None
    revision: str | None


@dataclass
class Looked:
    """What is there by the notebooks' ids, the ids of those that are not, and why it can't be told of the others."""

    there: dict[int, Entry] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    errors: dict[int, DashboardsError] = field(default_factory=dict)

    def is_there(self, notebook: Located) -> bool:
        """Whether one of them is there for whoever asked. Raises what keeps the storage from saying so."""
        error = self.errors.get(notebook.id)
        if error is not None and not isinstance(error, (Forbidden, InvalidRequest)):
            raise error
        return notebook.id in self.there


class NotebookPresence:
    """Looks for notebooks, and notes in the database what it sees."""

    def __init__(
        self,
        database: Database,
        files: Files,
        end: Callable[[Session, ColumnElement[bool]], int],
        changed: Callable[[], None],
    ) -> None:
        """`end` ends notebooks in a transaction, after which `changed` is called."""
        self._database = database
        self._files = files
        self._end = end
        self._changed = changed
        self.settled: Callable[[str], Awaitable[None]] = _no_wait
        """Waits until nobody is replacing what is at a path."""
        # By path, how it looked since it was saved last, and what was there when it was saved over, and when that was.
        self._written: OrderedDict[str, str | None] = OrderedDict()
        self._before: OrderedDict[str, deque[tuple[datetime, Entry]]] = OrderedDict()

    async def look(self, notebooks: Sequence[Located], reserved: Collection[str] = ()) -> Looked:
        """Looks which of some notebooks are there, each at its path, and notes which are not.

        Not at `reserved` paths, where they are about to be made.
        """
        since = now()
        looked = await self._look_at(notebooks)
        new = [
            each
            for each in notebooks
            if each.id in looked.gone and each.missing_since is None and each.path not in reserved
        ]
        if new:
            # Many programs delete a file in order to save it, and an upload puts the old one aside first.
            await asyncio.sleep(_REPLACED_WITHIN)
            for each in new:
                await self.settled(each.path)
            again = await self._look_at([await self._where(each) for each in new])
            looked.gone -= {*again.there, *again.errors}
            looked.there |= again.there
            looked.errors |= again.errors
            gone = [each for each in new if each.id in looked.gone]
            # By another server, which can't be waited for.
            replaced = {each.id for each in gone if await self._files.is_being_replaced(each.path)}
            await self._note([each for each in gone if each.id not in replaced], since)
        for each in notebooks:
            entry = looked.there.get(each.id)
            if entry is None or each.missing_since is None:
                continue
            if not await self.judge(each.id, entry):
                del looked.there[each.id]
                looked.gone.add(each.id)
        await self._remember(notebooks, looked)
        return looked

    async def entry(self, path: str) -> Entry | None:
        """What is at a path, as far as that can be told."""
        try:
            return await self._files.document(path)
        except DashboardsError:
            return None

    async def end_missing(self, ids: Collection[int], grace: timedelta) -> None:
        """Ends those of some notebooks that have been missing for `grace`."""

        def work(session: Session) -> int:
            lost = Notebook.deleted_at.is_(None) & Notebook.id.in_(ids)
            return self._end(session, lost & (Notebook.missing_since <= now() - grace))

        if ids and await self._database.write(work) > 0:
            self._changed()

    def overwritten(self, entry: Entry) -> None:
        """What was at a path until now is saved over: nobody may have looked at it since it was missing."""
        self._before.setdefault(entry.path, deque(maxlen=_MOST_SAVES)).append((now(), entry))
        self._before.move_to_end(entry.path)
        if len(self._before) > _MOST_PATHS:
            self._before.popitem(last=False)

    def written(self, entry: Entry) -> None:
        """What is at a path now has just been saved there."""
        self._written[entry.path] = revision_of(entry)
        self._written.move_to_end(entry.path)
        if len(self._written) > _MOST_PATHS:
            self._written.popitem(last=False)

    async def judge(self, notebook_id: int, entry: Entry) -> bool:
        """Whether what is at the path of a notebook that was missing is that notebook; if not, that ends."""

        def work(session: Session) -> bool | None:
            row = session.get(Notebook, notebook_id, with_for_update={"key_share": True})
            if row is None or row.deleted_at is not None or row.path != entry.path:
                return None
            if row.missing_since is not None:
                first = self._first(entry, row.missing_since)
                # What was saved just before may not be stored yet.
                saved = self._written.get(entry.path)
                is_saved = saved is not None and saved == revision_of(first)
                if not is_saved and not _is_same(row, first):
                    self._end(session, Notebook.id == row.id)
                    return False
            row.missing_since, row.revision = None, revision_of(entry)
            return True

        is_same = await self._database.write(work)
        if is_same is False:
            self._changed()
        return is_same is True

    def _first(self, entry: Entry, since: datetime) -> Entry:
        """What was at the path of an entry first after a time, as far as that is known."""
        saves = list(self._before.get(entry.path, ()))
        return next((before for at, before in saves if at > since), entry)

    async def _look_at(self, notebooks: Iterable[Located]) -> Looked:
        looked = Looked()
        for each in notebooks:
            try:
                entry = await self._files.document(each.path)
            except DashboardsError as error:
                looked.errors[each.id] = error
            else:
                if entry is not None and entry.kind == "notebook":
                    looked.there[each.id] = entry
                else:
                    looked.gone.add(each.id)
            # Many contents managers answer without ever letting others run.
            await asyncio.sleep(0)
        return looked

    async def _where(self, notebook: Located) -> Located:
        """Where a notebook should be by now: it may just have been renamed."""

        def look(session: Session) -> str:
            row = session.get(Notebook, notebook.id)
            return row.path if row is not None else notebook.path

        path = await self._database.read(look)
        if path == notebook.path:
            return notebook
        return _Place(notebook.id, path, notebook.missing_since, notebook.revision)

    async def _note(self, missing: Sequence[Located], since: datetime) -> None:
        """Notes notebooks as missing, as far as they are still known where they were looked for."""

        def work(session: Session) -> None:
            for each in missing:
                session.execute(
                    update(Notebook)
                    .where(_is_at(each), Notebook.missing_since.is_(None))
                    .values(missing_since=since)
                )

        if missing:
            await self._database.write(work)

    async def _remember(self, notebooks: Sequence[Located], looked: Looked) -> None:
        """Stores how those look that are there."""
        seen = [
            (each, revision_of(looked.there[each.id]))
            for each in notebooks
            if each.id in looked.there and each.missing_since is None
        ]
        changed = [(each, revision) for each, revision in seen if revision != each.revision]

        def work(session: Session) -> None:
            for each, revision in changed:
                session.execute(
                    update(Notebook)
                    .where(_is_at(each), Notebook.missing_since.is_(None))
                    .values(revision=revision)
                )

        if changed:
            # The next look does as well.
            with contextlib.suppress(DashboardsError):
                await self._database.write(work)


async def _no_wait(path: str) -> None:
    """Nobody replaces anything."""


def revision_of(entry: Entry) -> str | None:
    """What tells a file from another one without reading it; None where a contents manager knows nothing of the kind."""
    modified, size = entry.revision
    return f"{modified} {size}" if modified else None


def _is_same(row: Notebook, entry: Entry) -> bool:
    revision = revision_of(entry)
    if revision is None or entry.last_modified is None:
        # Nobody can tell.
        return True
    if row.revision is not None:
        return row.revision == revision
    # It was never seen, by a version that did not note it.
    assert row.missing_since is not None
    modified = entry.last_modified
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return modified < row.missing_since - _CLOCKS


def _is_at(notebook: Located) -> ColumnElement[bool]:
    return (
        (Notebook.id == notebook.id)
        & (Notebook.path == notebook.path)
        & Notebook.deleted_at.is_(None)
    )
