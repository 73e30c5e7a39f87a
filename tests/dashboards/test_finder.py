"""What a path names: specs/dashboards.md §1.3."""

from __future__ import annotations

import pytest

from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.errors import NotFound
from tests.notebooks.memory_contents import MemoryContents

from .conftest import put

PATHS = {
    # path: kind, what is shown, whether as the folder's index
    "": ("folder", "", False),
    "plain": ("dashboard", "plain.ipynb", False),
    "plain.ipynb": ("dashboard", "plain.ipynb", False),
    "both": ("dashboard", "both.ipynb", False),
    "both/inner": ("dashboard", "both/inner.ipynb", False),
    "bundle": ("dashboard", "bundle/index.ipynb", True),
    "bundle/index": ("dashboard", "bundle/index.ipynb", False),
    "bundle/index.ipynb": ("dashboard", "bundle/index.ipynb", False),
    "bundle/second": ("dashboard", "bundle/second.ipynb", False),
    "bundle/style.CSS": ("resource", "bundle/style.CSS", False),
    "deep": ("moved", "deep/index", False),
    "deep/index": ("dashboard", "deep/index/index.ipynb", True),
    "empty": ("folder", "empty", False),
    "folder.ipynb": ("folder", "folder.ipynb", False),
    "data.csv": ("dashboard", "data.csv.ipynb", False),
    "twice.ipynb": ("dashboard", "twice.ipynb.ipynb", False),
    "twice.ipynb.ipynb": ("dashboard", "twice.ipynb.ipynb", False),
}
MISSING = [
    *("missing", "missing.ipynb", "a/b/c", "plain.ipynb/x", "index", "plain/index", "Plain"),
    *("code.py", "code.PY", "Raw.IPYNB", "noextension", "env.env", "key.pem", "plain.ipynb~"),
]


async def test_the_first_match_counts(store: ContentsStore, finder: DashboardFinder) -> None:
    await put(
        store,
        *("plain.ipynb", "both.ipynb", "both/index.ipynb", "both/inner.ipynb"),
        *("bundle/index.ipynb", "bundle/second.ipynb", "bundle/style.CSS", "twice.ipynb.ipynb"),
        *("deep/index/index.ipynb", "empty/", "folder.ipynb/", "data.csv", "data.csv.ipynb"),
    )
    found = {path: await finder.find(path) for path in PATHS}
    assert {p: (f.kind, f.path, f.in_folder) for p, f in found.items()} == PATHS


async def test_the_root_s_index_is_a_dashboard_too(
    store: ContentsStore, finder: DashboardFinder
) -> None:
    await put(store, "index.ipynb")
    found = await finder.find("")
    assert (found.kind, found.path, found.in_folder) == ("dashboard", "index.ipynb", True)


async def test_nothing_else_is_found(store: ContentsStore, finder: DashboardFinder) -> None:
    files = ("plain.ipynb", "code.py", "code.PY", "Raw.IPYNB", "noextension", "env.env", "key.pem")
    await put(store, *files)
    for path in MISSING:
        with pytest.raises(NotFound):
            await finder.find(path)


def test_only_files_of_the_listed_extensions_are_resources() -> None:
    finder = DashboardFinder(ContentsStore(MemoryContents()))
    served = "a.png a.PNG a.css a.js a.csv a.html a.txt a.svg a.mp4 a.parquet a.py.png".split()
    refused = "a.py a.ipynb a.IPYNB a.IpYnB a.R a.sh a.toml a.yaml a.db a. png a.png.py".split()
    assert [name for name in served + refused if finder.is_resource(f"folder/{name}")] == served


def test_an_operator_chooses_the_extensions_but_never_notebooks() -> None:
    finder = DashboardFinder(ContentsStore(MemoryContents()), resource_extensions=["py", "ipynb"])
    names = ["a.py", "a.png", "a.ipynb", "a.IPYNB"]
    assert [name for name in names if finder.is_resource(name)] == ["a.py"]
