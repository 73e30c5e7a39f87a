"""Rendered dashboards, kept by content.

A page is looked up by its notebook's path and revision (modification time and size, which cost no read). When the
revision is new, the notebook is read and hashed; the same content in the same view is never rendered twice, and viewers
who come at once wait for one rendering.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nbformat import NotebookNode
from traitlets import Int
from traitlets.config import LoggingConfigurable

from ..errors import NotFound, Unreadable
from .contents import ContentsStore, Entry
from .outputs import Image
from .rendering import DashboardRenderer, RenderedDashboard
from .trust import Trust

# Rendering is bound by the CPU and by Python's lock; more threads would only take turns.
_THREADS = 2

# Two saves within one tick of a file system's clock have the same modification time, so a file that has just been
# changed is read again until this time has passed.
_SETTLING = timedelta(seconds=2)


@dataclass(frozen=True)
class CachedDashboard:
    """A rendered dashboard and the hash of all that it was made from."""

    key: str
    rendered: RenderedDashboard


@dataclass
class _Seen:
    """What was found when a path was last read."""

    revision: tuple[str, int | None]
    settled: bool
    key: str


class DashboardCache(LoggingConfigurable):
    """Hands out rendered dashboards; forgets the least recently used ones."""

    max_cached_bytes = Int(
        256 * 1024 * 1024,
        min=0,
        help="Memory for rendered dashboards and their images, in bytes.",
    ).tag(config=True)

    def __init__(
        self,
        store: ContentsStore,
        renderer: DashboardRenderer,
        trust: Trust | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._store = store
        self._renderer = renderer
        self._trust = trust or Trust()
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._by_key: OrderedDict[str, RenderedDashboard] = OrderedDict()
        self._bytes = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dashboards-render")
        self._under_way: dict[tuple[str, str], asyncio.Task[CachedDashboard]] = {}
        self.few_at_once = asyncio.Semaphore(_THREADS)
        """Held while something large is made for one request alone, in a thread that others need too."""

    def start(self) -> None:
        """Has each thread make its exporter now, so that no viewer waits for that."""
        for _ in range(_THREADS):
            self._pool.submit(self._warm)

    def stop(self) -> None:
        """Lets the threads go; what they are rendering is finished first."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def get(self, entry: Entry, view: str | None = None) -> CachedDashboard:
        """The dashboard of the notebook that `entry` describes, rendered now if it isn't known.

        `view` chooses among the notebook's views; an unknown one is the active one. Raises `Unreadable` or `NotFound`.
        """
        active = await self._get(entry, "")
        layout = active.rendered.layout
        # Checked before it becomes a key: a viewer's invention must not fill the memory.
        if view is None or view == layout.view or view not in (name for name, _ in layout.views):
            return active
        return await self._get(entry, view)

    async def image(self, path: str, name: str) -> Image:
        """A stored image of the notebook at `path`, by its content name. Raises `NotFound`."""
        for place, seen in self._seen.items():
            if place[0] == path and (rendered := self._by_key.get(seen.key)):
                image = rendered.images.get(name)
                if image is not None:
                    return image
        entry = await self._store.stat(path)
        if entry is not None and entry.kind == "notebook":
            active = await self.get(entry)
            for view, _ in active.rendered.layout.views or (("", ""),):
                image = (await self.get(entry, view)).rendered.images.get(name)
                if image is not None:
                    return image
        raise NotFound("There is no such image.")

    async def _get(self, entry: Entry, view: str) -> CachedDashboard:
        place = (entry.path, view)
        seen = self._seen.get(place)
        if seen is not None and seen.settled and seen.revision == entry.revision:
            rendered = self._by_key.get(seen.key)
            if rendered is not None:
                self._by_key.move_to_end(seen.key)
                return CachedDashboard(seen.key, rendered)
        task = self._under_way.get(place)
        if task is None:
            task = asyncio.create_task(self._load(place))
            self._under_way[place] = task
            task.add_done_callback(lambda done: self._finished(place, done))
        # A viewer who leaves must not take the rendering from the others.
        return await asyncio.shield(task)

    def _finished(self, place: tuple[str, str], task: asyncio.Task[CachedDashboard]) -> None:
        if self._under_way.get(place) is task:
            del self._under_way[place]

    def forget(self, path: str = "") -> None:
        """Drops what is kept for a dashboard, named with or without `.ipynb` or by its folder; for all when empty."""
        base = path.removesuffix(".ipynb")
        names = {f"{base}.ipynb", f"{base}/index.ipynb"}
        for place in [p for p in self._seen if not path or p[0] in names]:
            if seen := self._seen.get(place):
                self._drop(seen.key)
        for place in [p for p in self._under_way if not path or p[0] in names]:
            # Whoever waits for it gets it; the next one reads anew.
            self._under_way.pop(place)

    async def _load(self, place: tuple[str, str]) -> CachedDashboard:
        path, view = place
        asked = datetime.now(UTC)
        notebook, entry = await self._store.notebook(path)
        modified = entry.last_modified
        try:
            key, rendered = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._render, notebook, path, view or None, modified
            )
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            # Valid JSON need not be a valid notebook, and not every contents manager checks.
            self.log.warning("Cannot render %s", path, exc_info=True)
            raise Unreadable("This file is not a notebook that can be shown.") from error
        # A manager that knows no modification time can't tell that something changed.
        settled = modified is not None and asked - _aware(modified) > _SETTLING
        self._keep(key, rendered)
        self._seen[place] = _Seen(entry.revision, settled, key)
        return CachedDashboard(key, rendered)

    def _warm(self) -> None:
        try:
            self._renderer.warm()
        except Exception:
            self.log.exception("Dashboards cannot be rendered; see DashboardRenderer.template_name")

    def _render(
        self, notebook: NotebookNode, path: str, view: str | None, modified: datetime | None
    ) -> tuple[str, RenderedDashboard]:
        """In a thread. Looks the content up before rendering it."""
        trusted = self._trust.covers(path)
        parts = (path, view, modified.isoformat() if modified else "", notebook, trusted)
        text = json.dumps(parts, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        known = self._by_key.get(key)
        if known is not None:
            return key, known
        return key, self._renderer.render(notebook, path, view, modified, trusted)

    def _keep(self, key: str, rendered: RenderedDashboard) -> None:
        self._drop(key)
        self._by_key[key] = rendered
        self._bytes += rendered.size
        while self._bytes > self.max_cached_bytes and len(self._by_key) > 1:
            self._drop(next(iter(self._by_key)))

    def _drop(self, key: str) -> None:
        rendered = self._by_key.pop(key, None)
        if rendered is not None:
            self._bytes -= rendered.size
        for place in [place for place, seen in self._seen.items() if seen.key == key]:
            del self._seen[place]


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
