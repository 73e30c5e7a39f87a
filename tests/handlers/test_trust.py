"""What the wire says of pages and files that aren't trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_markdown_cell

from jupyter_dashboards_api.handlers.content_policy import file_type, is_active, page_policy
from tests.conftest import Fetch, Write

from .test_pages import config, policy, soup

ADDED = {
    "img-src": ["https://tiles.example.org"],
    "script-src": ["'unsafe-eval'", "https://scripts.example.org"],
    "script-src-elem": ["https://scripts.example.org"],
    "worker-src": ["https://scripts.example.org"],
    "frame-src": ["https://frames.example.org"],
}
TRUSTED: dict[str, Any] = {"trusted_folders": ["ours", "one.ipynb"], "csp_sources": ADDED}

FILES = {
    "a.js": ("application/javascript", "text/plain; charset=UTF-8"),
    "a.mjs": ("text/javascript; charset=UTF-8", "text/plain; charset=UTF-8"),
    "a.wasm": ("application/wasm", "text/plain; charset=UTF-8"),
    "a.css": ("text/css; charset=UTF-8", "text/css; charset=UTF-8"),
    "a.csv": ("text/csv; charset=UTF-8", "text/csv; charset=UTF-8"),
    "a.html": ("text/html; charset=UTF-8", "text/html; charset=UTF-8"),
    "a.svg": ("image/svg+xml", "image/svg+xml"),
    "a.png": ("image/png", "image/png"),
}


@pytest.fixture
def write_cells(write_notebook: Write) -> None:
    cell = new_markdown_cell("# Title <b onclick=x>x</b>")
    for path in ("ours/a.ipynb", "ours2/a.ipynb", "one.ipynb", "two.ipynb"):
        write_notebook(path, cell)


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": TRUSTED}])
@pytest.mark.parametrize("root", ["dashboards", "dashboards-plain"])
async def test_a_page_says_whether_its_folder_is_trusted(
    fetch: Fetch, write_cells: None, root: str
) -> None:
    for path, trusted in [("ours/a", True), ("one", True), ("ours2/a", False), ("two", False)]:
        response = await fetch(f"/{root}/{path}")
        assert config(response)["trusted"] is trusted
        assert (b"onclick" in response.body) == trusted
        body = soup(response).body
        assert body
        assert ("dash-untrusted" in body["class"]) == (not trusted)


async def test_nothing_is_trusted_by_default(fetch: Fetch, write_cells: None) -> None:
    for path in ("ours/a", "one"):
        assert config(await fetch(f"/dashboards/{path}"))["trusted"] is False


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": TRUSTED}])
async def test_a_page_that_is_not_trusted_runs_this_server_s_scripts_only(
    fetch: Fetch, write_cells: None
) -> None:
    directives = policy(await fetch("/dashboards/two"))
    sources = directives["script-src"]
    assert sources[0] == "'self'"
    assert len(sources) == 2
    assert sources[1].startswith("'nonce-")
    assert directives["worker-src"] == ["'self'"]
    assert "script-src-elem" not in directives
    assert directives["img-src"] == ["'self'", "data:", "blob:", "https://tiles.example.org"]
    assert directives["frame-src"] == ["https://frames.example.org"]
    directives = policy(await fetch("/dashboards/one"))
    assert directives["script-src"][2:] == ["blob:", *ADDED["script-src"]]
    assert directives["script-src-elem"] == ADDED["script-src-elem"]


def test_without_an_operator_s_sources_there_are_no_frames_and_no_eval() -> None:
    found = page_policy("n", ["'self'"], {}, trusted=False)
    assert "frame-src 'none'" in found
    assert "script-src 'self' 'nonce-n';" in found
    assert "unsafe-eval" not in found


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": TRUSTED}])
async def test_files_beside_a_dashboard_that_is_not_trusted_are_no_scripts(
    fetch: Fetch, jp_root_dir: Path
) -> None:
    for folder, place in (("ours", 0), ("theirs", 1)):
        (jp_root_dir / folder).mkdir()
        for name, kinds in FILES.items():
            (jp_root_dir / folder / name).write_bytes(b"<x/>")
            response = await fetch(f"/dashboards/{folder}/{name}")
            if response.code == 404:
                # Not every kind is served by default.
                assert name in ("a.wasm",)
                continue
            assert response.headers["Content-Type"] == kinds[place], name
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            if name in ("a.html", "a.svg"):
                assert policy(response)["sandbox"] == (["allow-scripts"] if place == 0 else [])


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"trusted_folders": ["a.ipynb"]}}])
async def test_a_trusted_notebook_vouches_for_itself_and_for_no_file_beside_it(
    fetch: Fetch, jp_root_dir: Path
) -> None:
    (jp_root_dir / "a.js").write_text("1")
    response = await fetch("/dashboards/a.js")
    assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"


async def test_a_browser_that_has_a_file_from_before_asks_for_it_anew(
    fetch: Fetch, jp_root_dir: Path, dashboards: Any
) -> None:
    (jp_root_dir / "a.js").write_text("1")
    tags = set()
    for folders in ([], ["/"]):
        dashboards.trust = type(dashboards.trust)(folders)
        tags.add((await fetch("/dashboards/a.js")).headers["Etag"])
    assert len(tags) == 2


@pytest.mark.parametrize(
    "mime",
    [
        *("text/javascript", "application/javascript", "text/ecmascript", "application/x-javascript"),
        *("text/jscript", "text/livescript", "text/javascript1.5", "application/wasm"),
    ],
)  # fmt: skip
def test_every_name_of_javascript_is_known(mime: str) -> None:
    assert file_type(mime, trusted=False) == "text/plain"
    assert file_type(mime, trusted=True) == mime


def test_a_page_in_a_type_that_is_sent_as_text_is_still_known_as_active() -> None:
    assert is_active("text/html")
    assert is_active("application/xhtml+xml")
    assert not is_active("text/plain")
