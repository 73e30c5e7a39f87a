"""Upload managers over contents managers of every kind, and the registry of notebooks, without a server."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)

from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.notebooks.registry import NotebookRegistry
from jupyter_dashboards_api.notebooks.uploads import NotebookUploads

from .memory_contents import MemoryContents


class Forgotten(list[str]):
    """Stands for the cache of rendered dashboards, and notes what it is told to forget."""

    def forget(self, path: str = "") -> None:
        self.append(path)


class Faulty:
    """A contents manager whose n-th change fails: before it happens, or (`late`) just after.

    Counts the changes; never fails with `fail_at = 0`.
    """

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.changes = 0
        self.fail_at = 0
        self.late = False
        self.error: BaseException = OSError("disk on fire: /secret/place")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.manager, name)

    def arm(self, fail_at: int, error: BaseException, *, late: bool = False) -> None:
        self.changes, self.fail_at, self.error, self.late = 0, fail_at, error, late

    async def _change(self, method: Callable[..., Any], *args: Any) -> Any:
        self.changes += 1
        fails = self.changes == self.fail_at
        if fails and not self.late:
            raise self.error
        result = await ensure_async(method(*args))
        if fails:
            raise self.error
        return result

    async def save(self, *args: Any) -> Any:
        return await self._change(self.manager.save, *args)

    async def rename(self, *args: Any) -> Any:
        return await self._change(self.manager.rename, *args)

    async def delete(self, *args: Any) -> Any:
        return await self._change(self.manager.delete, *args)


@pytest.fixture(params=["memory", "files", "async files"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, jp_environ: Any) -> Any:
    root = tmp_path / "published root"
    root.mkdir()
    if request.param == "memory":
        return MemoryContents()
    kind = LargeFileManager if request.param == "files" else AsyncLargeFileManager
    return kind(root_dir=str(root), delete_to_trash=False)


@pytest.fixture
def faulty(manager: Any) -> Faulty:
    return Faulty(manager)


@pytest.fixture
def forgotten() -> Forgotten:
    return Forgotten()


@pytest.fixture
def store(faulty: Faulty) -> ContentsStore:
    return ContentsStore(faulty)


@pytest.fixture
def uploads(store: ContentsStore, forgotten: Forgotten) -> NotebookUploads:
    return NotebookUploads(store, DashboardFinder(store), forgotten)  # type: ignore[arg-type]


@pytest.fixture
def contents(manager: Any) -> Callable[[], Any]:
    """All there is, by path: a notebook's text, a file's bytes, None for folders. To be called and awaited."""

    async def of(path: str) -> dict[str, Any]:
        model = await ensure_async(manager.get(path, content=True))
        if model["type"] == "directory":
            found: dict[str, Any] = {f"{path}/": None} if path else {}
            for child in model["content"]:
                found |= await of(child["path"])
            return found
        if model["type"] == "notebook":
            return {path: nbformat.from_dict(model["content"]).cells[0].source}
        content = model["content"]
        return {
            path: base64.b64decode(content) if model["format"] == "base64" else content.encode()
        }

    return lambda: of("")


@pytest.fixture
def registry(database: Database) -> NotebookRegistry:
    return NotebookRegistry(database)
