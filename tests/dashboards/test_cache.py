"""Rendered dashboards kept by content: what is rendered again, what is seen at once, what is bounded."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from jupyter_dashboards_api.dashboards import cache as cache_module
from jupyter_dashboards_api.dashboards.cache import CachedDashboard, DashboardCache
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer, RenderedDashboard
from jupyter_dashboards_api.errors import NotFound, Unreadable
from tests.notebooks.memory_contents import MemoryContents

from .conftest import put, save
from .outputs import PNG, png

HIDDEN_PNG = "iVBORw0KGgo="
TWO_VIEWS = {
    "extensions": {
        "jupyter_dashboards": {
            "version": 1,
            "activeView": "a",
            "views": {"a": {"type": "report", "name": "A"}, "b": {"type": "report", "name": "B"}},
        }
    }
}


def in_views(**hidden: bool) -> dict[str, Any]:
    views = {name: {"hidden": value} for name, value in hidden.items()}
    return {"extensions": {"jupyter_dashboards": {"version": 1, "views": views}}}


class WatchedRenderer(DashboardRenderer):
    """Notes what it renders, and in which thread; can be held up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rendered: list[tuple[str, str | None]] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()

    def render(
        self,
        notebook: Any,
        path: str,
        view: Any = None,
        last_modified: Any = None,
        trusted: bool = False,
    ) -> RenderedDashboard:
        self.rendered.append((path, view))
        self.threads.add(threading.get_ident())
        assert self.go.wait(30)
        return super().render(notebook, path, view, last_modified, trusted)


@pytest.fixture
def manager() -> MemoryContents:
    return MemoryContents()


@pytest.fixture
def renderer() -> WatchedRenderer:
    return WatchedRenderer()


@pytest.fixture
def cache(store: ContentsStore, renderer: WatchedRenderer) -> DashboardCache:
    return DashboardCache(store, renderer)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as at rest as soon as they are written."""
    monkeypatch.setattr(cache_module, "_SETTLING", timedelta(seconds=-60))


async def shown(
    cache: DashboardCache, store: ContentsStore, path: str, view: str | None = None
) -> CachedDashboard:
    entry = await store.stat(path)
    assert entry is not None
    return await cache.get(entry, view)


async def test_a_dashboard_is_rendered_once_and_not_in_the_event_loop_s_thread(
    store: ContentsStore, cache: DashboardCache, renderer: WatchedRenderer, settled: None
) -> None:
    await put(store, "a.ipynb")
    first = await shown(cache, store, "a.ipynb")
    assert b"Title" in first.rendered.body
    assert await shown(cache, store, "a.ipynb") == first
    assert renderer.rendered == [("a.ipynb", None)]
    assert threading.get_ident() not in renderer.threads


async def test_viewers_who_come_at_once_wait_for_one_rendering(
    store: ContentsStore, cache: DashboardCache, renderer: WatchedRenderer
) -> None:
    await put(store, "a.ipynb")
    renderer.go.clear()
    waiting = [asyncio.ensure_future(shown(cache, store, "a.ipynb")) for _ in range(20)]
    while not renderer.rendered:
        await asyncio.sleep(0.01)
    # One who leaves doesn't take it from the others.
    waiting[0].cancel()
    renderer.go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(result == results[1] for result in results[1:])
    assert len(renderer.rendered) == 1


async def test_a_changed_notebook_is_seen_at_once_and_an_old_one_again_from_memory(
    store: ContentsStore, cache: DashboardCache, settled: None
) -> None:
    await put(store, "a.ipynb", source="# One")
    assert b"One" in (await shown(cache, store, "a.ipynb")).rendered.body
    await put(store, "a.ipynb", source="# Three")
    assert b"Three" in (await shown(cache, store, "a.ipynb")).rendered.body


def still_new(file: Path) -> os.stat_result:
    """As it is from now on: written so lately that it may change in the same moment, however long the test takes."""
    soon = time.time_ns() + 60_000_000_000
    os.utime(file, ns=(soon, soon))
    return file.stat()


async def test_a_change_of_the_same_size_and_time_is_seen(
    tmp_path: Path, jupyter_home: None
) -> None:
    store = ContentsStore(LargeFileManager(root_dir=str(tmp_path)))
    cache = DashboardCache(store, DashboardRenderer())
    await put(store, "a.ipynb", source="# One")
    file = tmp_path / "a.ipynb"
    before = still_new(file)
    assert b"One" in (await shown(cache, store, "a.ipynb")).rendered.body
    file.write_text(file.read_text().replace("One", "Two"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert b"Two" in (await shown(cache, store, "a.ipynb")).rendered.body


async def test_a_change_during_a_slow_rendering_is_seen(
    tmp_path: Path, jupyter_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The file is at rest when the rendering ends, but wasn't when it was read.
    monkeypatch.setattr(cache_module, "_SETTLING", timedelta(seconds=0.5))
    renderer = WatchedRenderer()
    store = ContentsStore(LargeFileManager(root_dir=str(tmp_path)))
    cache = DashboardCache(store, renderer)
    renderer.go.clear()
    await put(store, "a.ipynb", source="# One")
    file = tmp_path / "a.ipynb"
    os.utime(file)
    before = file.stat()
    waiting = asyncio.ensure_future(shown(cache, store, "a.ipynb"))
    while not renderer.rendered:
        await asyncio.sleep(0.01)
    file.write_text(file.read_text().replace("One", "Two"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    await asyncio.sleep(0.6)
    renderer.go.set()
    assert b"One" in (await waiting).rendered.body
    assert b"Two" in (await shown(cache, store, "a.ipynb")).rendered.body


class TimelessContents(MemoryContents):
    """Knows neither size nor modification time."""

    def get(self, *args: Any, **options: Any) -> dict[str, Any]:
        return super().get(*args, **options) | {"last_modified": None, "size": None}


async def test_a_change_is_seen_where_the_manager_knows_no_times() -> None:
    store = ContentsStore(TimelessContents())
    renderer = WatchedRenderer()
    cache = DashboardCache(store, renderer)
    await put(store, "a.ipynb", source="# One")
    assert b"One" in (await shown(cache, store, "a.ipynb")).rendered.body
    await shown(cache, store, "a.ipynb")
    assert len(renderer.rendered) == 1
    await put(store, "a.ipynb", source="# Two")
    assert b"Two" in (await shown(cache, store, "a.ipynb")).rendered.body


async def test_the_key_says_what_a_page_was_made_from(
    store: ContentsStore, cache: DashboardCache
) -> None:
    await put(store, "a.ipynb", "b.ipynb", source="# One")
    first = await shown(cache, store, "a.ipynb")
    assert first.key != (await shown(cache, store, "b.ipynb")).key
    await put(store, "a.ipynb", source="# Two")
    assert first.key != (await shown(cache, store, "a.ipynb")).key


async def two_views(store: ContentsStore) -> None:
    notebook = new_notebook(metadata=TWO_VIEWS)
    output = new_output("display_data", data={"image/png": PNG})
    notebook.cells = [
        new_markdown_cell("only in A", metadata=in_views(a=False, b=True)),
        new_markdown_cell("only in B", metadata=in_views(a=True, b=False)),
        new_code_cell("x", outputs=[output], metadata=in_views(a=True, b=False)),
        new_code_cell(
            "y",
            outputs=[new_output("display_data", data={"image/png": HIDDEN_PNG})],
            metadata=in_views(a=True, b=True),
        ),
    ]
    await store.save_notebook("a.ipynb", notebook)


async def test_each_view_is_a_page_of_its_own(store: ContentsStore, cache: DashboardCache) -> None:
    await two_views(store)
    bodies = {
        view: (await shown(cache, store, "a.ipynb", view)).rendered.body
        for view in (None, "a", "b")
    }
    assert bodies[None] == bodies["a"]
    assert b"only in A" in bodies["a"]
    assert b"only in B" not in bodies["a"]
    assert b"only in B" in bodies["b"]


async def test_invented_views_are_neither_rendered_nor_kept(
    store: ContentsStore, cache: DashboardCache, renderer: WatchedRenderer, settled: None
) -> None:
    await two_views(store)
    await shown(cache, store, "a.ipynb", "b")
    sizes = len(cache._seen), len(cache._by_key), cache._bytes
    for number in range(50):
        found = await shown(cache, store, "a.ipynb", f"invented {number}")
        assert found.rendered.layout.view == "a"
    assert (len(cache._seen), len(cache._by_key), cache._bytes) == sizes
    assert len(renderer.rendered) == 2


async def test_memory_is_bounded_and_the_least_recently_used_page_goes_first(
    store: ContentsStore, renderer: WatchedRenderer, settled: None
) -> None:
    paths = [f"{n}.ipynb" for n in range(5)]
    await put(store, *paths, source="x" * 10_000)
    size = (await shown(DashboardCache(store, renderer), store, paths[0])).rendered.size
    renderer.rendered.clear()
    cache = DashboardCache(store, renderer, max_cached_bytes=3 * size + 10)
    for path in [*paths[:3], paths[0], paths[3]]:
        await shown(cache, store, path)
    assert cache._bytes <= cache.max_cached_bytes
    renderer.rendered.clear()
    for path in (paths[0], paths[2], paths[3]):
        await shown(cache, store, path)
    assert renderer.rendered == []
    await shown(cache, store, paths[1])
    assert renderer.rendered == [(paths[1], None)]
    assert len(cache._seen) <= 3


async def test_a_page_larger_than_the_memory_is_shown_all_the_same(
    store: ContentsStore, renderer: WatchedRenderer
) -> None:
    cache = DashboardCache(store, renderer, max_cached_bytes=0)
    await put(store, "a.ipynb", "b.ipynb")
    for path in ("a.ipynb", "b.ipynb", "a.ipynb"):
        assert b"Title" in (await shown(cache, store, path)).rendered.body
    assert len(cache._by_key) <= 1


@pytest.mark.parametrize(
    ("forgotten", "rendered_again"),
    [
        ("", {"a.ipynb", "b/index.ipynb", "b/c.ipynb"}),
        ("a", {"a.ipynb"}),
        ("a.ipynb", {"a.ipynb"}),
        ("b", {"b/index.ipynb"}),
        ("b/index", {"b/index.ipynb"}),
        ("b/c", {"b/c.ipynb"}),
        ("unknown", set()),
    ],
)
async def test_what_is_forgotten_is_rendered_again(
    store: ContentsStore,
    cache: DashboardCache,
    renderer: WatchedRenderer,
    settled: None,
    forgotten: str,
    rendered_again: set[str],
) -> None:
    paths = ["a.ipynb", "b/index.ipynb", "b/c.ipynb"]
    await put(store, *paths)
    for path in paths:
        await shown(cache, store, path)
    renderer.rendered.clear()
    cache.forget(forgotten)
    for path in paths:
        await shown(cache, store, path)
    assert {path for path, _ in renderer.rendered} == rendered_again


async def test_forgetting_everything_frees_the_memory(
    store: ContentsStore, cache: DashboardCache
) -> None:
    await two_views(store)
    await shown(cache, store, "a.ipynb", "b")
    cache.forget()
    assert (len(cache._seen), len(cache._by_key), cache._bytes) == (0, 0, 0)


async def test_forgetting_while_a_page_is_made_lets_the_next_viewer_see_the_new_one(
    store: ContentsStore, cache: DashboardCache, renderer: WatchedRenderer
) -> None:
    await put(store, "a.ipynb", source="# One")
    renderer.go.clear()
    waiting = asyncio.ensure_future(shown(cache, store, "a.ipynb"))
    while not renderer.rendered:
        await asyncio.sleep(0.01)
    await put(store, "a.ipynb", source="# Two")
    cache.forget("a")
    later = asyncio.ensure_future(shown(cache, store, "a.ipynb"))
    while len(renderer.rendered) < 2:
        await asyncio.sleep(0.01)
    renderer.go.set()
    assert b"One" in (await waiting).rendered.body
    assert b"Two" in (await later).rendered.body
    assert b"Two" in (await shown(cache, store, "a.ipynb")).rendered.body


async def test_images_are_those_of_the_notebook_s_visible_outputs_in_any_view(
    store: ContentsStore, cache: DashboardCache
) -> None:
    await two_views(store)
    (name,) = (await shown(cache, store, "a.ipynb", "b")).rendered.images
    assert (await cache.image("a.ipynb", name)).data == png()
    cache.forget()
    assert (await cache.image("a.ipynb", name)).data == png()


async def test_a_hidden_output_s_image_and_foreign_names_are_not_found(
    store: ContentsStore, cache: DashboardCache
) -> None:
    await two_views(store)
    await put(store, "b.ipynb", "c.txt")
    (name,) = (await shown(cache, store, "a.ipynb", "b")).rendered.images
    hidden = f"{hashlib.sha256(base64.b64decode(HIDDEN_PNG)).hexdigest()}.png"
    for path, asked in [
        ("a.ipynb", hidden),
        ("a.ipynb", "x.png"),
        ("a.ipynb", ""),
        ("b.ipynb", name),
        ("c.txt", name),
        ("", name),
        ("missing.ipynb", name),
        ("a", name),
    ]:
        with pytest.raises(NotFound):
            await cache.image(path, asked)


@pytest.mark.parametrize(
    "content",
    [
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{}]},
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": ["x"]},
        {"nbformat": 4, "nbformat_minor": 5, "cells": []},
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {},
            "cells": [{"cell_type": "code", "source": 3, "metadata": {}}],
        },
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {},
            "cells": [{"cell_type": "code", "source": "", "metadata": [], "outputs": [3]}],
        },
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": None},
        [],
        None,
    ],
)
async def test_a_broken_notebook_is_unreadable_or_shown_but_no_fault_of_the_server(
    content: Any,
) -> None:
    manager = MemoryContents()
    await save(manager, "a.ipynb", {"type": "notebook", "content": content, "format": "json"})
    store = ContentsStore(manager)
    with contextlib.suppress(Unreadable):
        await shown(DashboardCache(store, DashboardRenderer()), store, "a.ipynb")


async def test_a_failure_is_not_kept(
    store: ContentsStore, manager: Any, cache: DashboardCache
) -> None:
    await put(store, "a.ipynb")
    entry = await store.stat("a.ipynb")
    assert entry
    await store.delete("a.ipynb")
    for _ in range(2):
        with pytest.raises(NotFound):
            await cache.get(entry)
    await put(store, "a.ipynb")
    assert b"Title" in (await shown(cache, store, "a.ipynb")).rendered.body
