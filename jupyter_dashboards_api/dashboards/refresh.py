"""Tells open pages that a run has brought their dashboard's stored outputs up to date.

What the contents manager saves is looked at when its event says so; only the time of the stamp (`stamp.py`) is told, and
only when it has changed. A save of another server's, or of a contents manager that tells no events, is found by looking
at the file of each followed dashboard now and then: once for all of its pages, without reading it while it stays the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nbformat import NotebookNode
from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from ..errors import DashboardsError, Unavailable
from .contents import ContentsStore
from .staging import is_staging
from .stamp import executed_at


@dataclass(eq=False, slots=True)
class Follower:
    """One open page. `tell` gets when a run has made the stored outputs (None: no run has); `end` says to come again."""

    tell: Callable[[datetime | None], None]
    end: Callable[[], None]


@dataclass(eq=False)
class _Followed:
    """A notebook with open pages."""

    followers: set[Follower] = field(default_factory=set)
    is_known: bool = False
    executed_at: datetime | None = None
    revision: tuple[str, int | None] | None = None
    look: asyncio.Task[None] | None = None
    look_again: bool = False


class RefreshFeed(LoggingConfigurable):
    """The open pages that follow their dashboards' stored outputs. For one event loop."""

    max_streams = Integer(
        2000,
        min=0,
        help="""Most open pages that are told of newer stored results at once; others stay as they were loaded. 0: none.""",
    ).tag(config=True)

    max_streams_per_caller = Integer(
        200,
        min=1,
        help="""Most of them for one viewer, or for the visitors of one network address.""",
    ).tag(config=True)

    heartbeat = Float(
        25.0,
        min=0.05,
        help="""Seconds between two messages to an open page that nothing is new to. Less than what a proxy before the server
        waits for.""",
    ).tag(config=True)

    look_interval = Float(
        30.0,
        min=0.05,
        help="""Seconds between two looks whether the notebook of an open page was changed by another server or program. What is
        saved by this server is seen at once.""",
    ).tag(config=True)

    def __init__(self, store: ContentsStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store
        self._followed: dict[str, _Followed] = {}
        self._by_caller: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """How many pages follow now."""
        return self._by_caller.total()

    @contextmanager
    def follow(self, path: str, counted_as: str, follower: Follower) -> Iterator[None]:
        """Has a page of the notebook at a contents path told. Raises `Unavailable` when too many follow."""
        if self.count >= self.max_streams:
            raise Unavailable(
                "Too many pages are open on this server to be told of new results.", 60
            )
        if self._by_caller[counted_as] >= self.max_streams_per_caller:
            raise Unavailable("You have too many pages open to be told of new results.", 60)
        self._by_caller[counted_as] += 1
        followed = self._followed.setdefault(path, _Followed())
        followed.followers.add(follower)
        if not self._tasks:
            self._tasks = [
                asyncio.ensure_future(self._repeat(self.heartbeat, self._tell_all)),
                asyncio.ensure_future(self._repeat(self.look_interval, self._look_at_all)),
            ]
        try:
            yield
        finally:
            followed.followers.discard(follower)
            if not followed.followers and self._followed.get(path) is followed:
                del self._followed[path]
            self._by_caller[counted_as] -= 1
            self._by_caller += Counter()

    def ready(self, path: str, follower: Follower) -> None:
        """A page listens now: it is told how things stand, as soon as that is known."""
        followed = self._followed.get(path)
        if followed is None:
            return
        if followed.is_known:
            self._call(follower.tell, followed.executed_at)
        else:
            self._look(path, followed)

    def stop(self) -> None:
        """Tells nobody any more."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        for followed in self._followed.values():
            if followed.look is not None:
                followed.look.cancel()
            self._end(followed)

    async def on_contents_event(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        """A listener of the contents manager's events."""
        action, path = data.get("action"), str(data.get("path", "")).strip("/")
        if action in ("save", "rename", "copy"):
            own = self._store.own_path(path)
            followed = self._followed.get(own or "")
            if own is not None and followed is not None:
                self._look(own, followed)
        gone = str(data.get("source_path", "")).strip("/") if action == "rename" else path
        # An upload puts what is there aside for a moment.
        is_staged = any(is_staging(segment) for segment in f"{gone}/{path}".split("/"))
        if action in ("rename", "delete") and gone and not is_staged:
            for own, followed in list(self._followed.items()):
                place = self._store.api_path(own)
                if place == gone or place.startswith(f"{gone}/"):
                    # Whoever may open it where it is now finds it there.
                    self._end(followed)

    def _look(self, path: str, followed: _Followed, only_if_changed: bool = False) -> None:
        """Reads the notebook, and tells its pages if that is news to them."""
        if followed.look is not None:
            followed.look_again = followed.look_again or not only_if_changed
            return

        async def look() -> None:
            try:
                await self._read(path, followed, only_if_changed)
                while followed.look_again:
                    followed.look_again = False
                    await self._read(path, followed, False)
            finally:
                followed.look = None

        followed.look = asyncio.ensure_future(look())

    async def _read(self, path: str, followed: _Followed, only_if_changed: bool) -> None:
        try:
            # Before it is read: what changes meanwhile is another revision.
            entry = await self._store.stat(path)
            if entry is None or (only_if_changed and entry.revision == followed.revision):
                return
            notebook, _ = await self._store.notebook(path)
            found = await asyncio.to_thread(_executed_at, notebook)
        except DashboardsError:
            # Half written, or gone. The next event or look tells.
            return
        followed.revision = entry.revision
        if followed.is_known and found == followed.executed_at:
            return
        followed.is_known, followed.executed_at = True, found
        self._tell(followed)

    async def _repeat(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            work()

    def _tell_all(self) -> None:
        for followed in self._followed.values():
            if followed.is_known:
                self._tell(followed)

    def _look_at_all(self) -> None:
        for path, followed in self._followed.items():
            self._look(path, followed, only_if_changed=followed.is_known)

    def _tell(self, followed: _Followed) -> None:
        for follower in list(followed.followers):
            self._call(follower.tell, followed.executed_at)

    def _end(self, followed: _Followed) -> None:
        for follower in list(followed.followers):
            self._call(follower.end)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:
            # The others are still to be told.
            logger = self.log if isinstance(self.log, logging.Logger) else logging.getLogger()
            logger.debug("An open page could not be told", exc_info=True)


def _executed_at(notebook: NotebookNode) -> datetime | None:
    try:
        return executed_at(notebook)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        # Valid JSON need not be a valid notebook.
        return None
