"""Contents managers of every kind and what reads through them, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)

from jupyter_dashboards_api.dashboards.contents import ContentsStore, parent_path
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from tests.notebooks.memory_contents import MemoryContents


@pytest.fixture
def jupyter_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps Jupyter's own files out of the home folder; unlike `jp_environ` it leaves nbconvert its templates."""
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{kind}_DIR", str(tmp_path / "jupyter" / kind))


@pytest.fixture(params=["memory", "files", "async files"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, jupyter_home: None) -> Any:
    root = tmp_path / "a root"
    root.mkdir()
    if request.param == "memory":
        return MemoryContents()
    kind = LargeFileManager if request.param == "files" else AsyncLargeFileManager
    return kind(root_dir=str(root), delete_to_trash=False)


@pytest.fixture
def store(manager: Any) -> ContentsStore:
    return ContentsStore(manager)


@pytest.fixture
def finder(store: ContentsStore) -> DashboardFinder:
    return DashboardFinder(store)


async def put(store: ContentsStore, *paths: str, source: str = "# Title") -> None:
    """Stores a document at each path, its folders too: a notebook, a folder (`name/`), a file of one byte."""
    for path in paths:
        await store.make_folders(path.rstrip("/") if path.endswith("/") else parent_path(path))
        if path.endswith(".ipynb"):
            cell = nbformat.v4.new_markdown_cell(source)
            await store.save_notebook(path, nbformat.v4.new_notebook(cells=[cell]))
        elif not path.endswith("/"):
            await store.save_file(path, b"x")


async def save(manager: Any, path: str, model: dict[str, Any]) -> None:
    await ensure_async(manager.save(model, path))
