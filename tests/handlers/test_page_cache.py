"""How a page, its images and its cache are kept: ETag, compression, content-addressed images, `DELETE /_api/cache`."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import re
import threading
import time
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from tornado.httpclient import HTTPResponse

from tests.conftest import Fetch, Write
from tests.dashboards.outputs import PNG, SVG, png
from tests.notebooks.memory_contents import MemoryContents

BASE = "/a%40b"


def picture(**data: str) -> Any:
    return new_output("display_data", data=data or {"image/png": PNG})


def nonce(response: HTTPResponse) -> bytes:
    match = re.search(r"'nonce-([^']+)'", response.headers["Content-Security-Policy"])
    assert match
    return match[1].encode()


async def test_an_unchanged_page_is_304_and_keeps_its_policy(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_markdown_cell("# One"))
    for path in ("/dashboards/a", "/dashboards-plain/a"):
        first, second = await fetch(path), await fetch(path)
        etag = first.headers["Etag"]
        assert etag == second.headers["Etag"]
        assert nonce(first) != nonce(second)
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert {"Accept-Encoding", "Cookie"} <= set(re.split(r",\s*", first.headers["Vary"]))
        unchanged = await fetch(path, headers={"If-None-Match": etag})
        assert (unchanged.code, unchanged.body) == (304, b"")
        # The browser keeps the stored page with its nonce; a new policy would forbid its scripts.
        assert "Content-Security-Policy" not in unchanged.headers
        assert unchanged.headers["Etag"] == etag


async def test_whatever_changes_the_page_changes_its_etag(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_markdown_cell("# One"))
    paths = ("/dashboards/a", "/dashboards-plain/a", "/dashboards/a?theme=dark")
    before = [(await fetch(path)).headers["Etag"] for path in paths]
    assert len(set(before)) == 3
    write_notebook("a.ipynb", new_markdown_cell("# Two"))
    for path, etag in zip(paths, before, strict=True):
        response = await fetch(path, headers={"If-None-Match": etag})
        assert response.code == 200
        assert b"Two" in response.body


async def test_a_compressed_page_is_the_same_page(fetch: Fetch, write_notebook: Write) -> None:
    write_notebook(
        "a.ipynb",
        new_markdown_cell("# Ünï\n\n" + "text " * 5000),
        new_code_cell("x", outputs=[picture()]),
    )
    plain = await fetch("/dashboards/a", decompress_response=False)
    packed = await fetch(
        "/dashboards/a", decompress_response=False, headers={"Accept-Encoding": "gzip, br"}
    )
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 4
    assert gzip.decompress(packed.body).replace(nonce(packed), b"") == plain.body.replace(
        nonce(plain), b""
    )
    assert packed.headers["Etag"] == plain.headers["Etag"]
    assert int(packed.headers["Content-Length"]) == len(packed.body)


async def test_images_have_urls_of_their_content_that_never_change(
    fetch: Fetch, write_notebook: Write
) -> None:
    drawing = picture(**{"image/svg+xml": SVG})
    write_notebook("sub folder/a & b.ipynb", new_code_cell("x", outputs=[picture(), drawing]))
    page = await fetch("/dashboards/sub%20folder/a%20%26%20b")
    sources = [
        str(image["src"])
        for image in BeautifulSoup(page.body.decode(), "html.parser").select("main img")
    ]
    assert (
        sources[0]
        == f"{BASE}/_api/images/{hashlib.sha256(png()).hexdigest()}.png?path=sub%20folder%2Fa%20%26%20b.ipynb"
    )
    for source, kind in zip(sources, ("image/png", "image/svg+xml"), strict=True):
        image = await fetch(source.removeprefix(BASE))
        assert image.code == 200
        assert image.headers["Content-Type"] == kind
        assert image.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert image.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in image.headers["Content-Security-Policy"]
        assert "default-src 'none'" in image.headers["Content-Security-Policy"]
        head = await fetch(source.removeprefix(BASE), method="HEAD")
        assert (head.code, head.body) == (200, b"")
    assert (await fetch(sources[0].removeprefix(BASE))).body == png()
    assert (await fetch(sources[0].removeprefix(BASE), token=None)).code == 401


async def test_other_names_and_other_notebooks_images_are_404(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_code_cell("x", outputs=[picture()]))
    write_notebook("b.ipynb", new_markdown_cell("b"))
    await fetch("/dashboards/a")
    name = f"{hashlib.sha256(png()).hexdigest()}.png"
    assert (await fetch(f"/_api/images/{name}?path=a.ipynb")).code == 200
    for asked in (
        *(f"{name}?path=b.ipynb", f"{name}?path=missing.ipynb", f"{name}?path=", name),
        *(f"{name.upper()}?path=a.ipynb", f"{name[:-4]}?path=a.ipynb", "x.png?path=a.ipynb"),
        *("a.ipynb?path=a.ipynb", "..%2f..%2fa.ipynb?path=a.ipynb", f"{'0' * 64}.png?path=a.ipynb"),
    ):
        assert (await fetch(f"/_api/images/{asked}")).code == 404, asked
    assert (await fetch(f"/_api/images/{name}?path=../a.ipynb")).code in (400, 404)


async def test_the_cache_is_cleared_whole_or_by_path(
    fetch: Fetch, write_notebook: Write, dashboards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notebook("a b.ipynb", new_markdown_cell("# A"))
    forgotten: list[str] = []
    forget = dashboards.cache.forget

    def noting(path: str = "") -> None:
        forgotten.append(path)
        forget(path)

    monkeypatch.setattr(dashboards.cache, "forget", noting)
    for path in ("", "/", "/a%20b", "/a%20b.ipynb", "/unknown/bundle"):
        response = await fetch(f"/_api/cache{path}", method="DELETE")
        assert (response.code, response.body) == (200, b"OK")
        assert response.headers["Content-Type"].startswith("text/plain")
    assert forgotten == ["", "", "a b", "a b.ipynb", "unknown/bundle"]
    assert (await fetch("/dashboards/a%20b")).code == 200


async def test_a_browser_needs_the_xsrf_token_to_clear_the_cache(
    fetch: Fetch, jp_serverapp: Any
) -> None:
    owner = jp_serverapp.identity_provider.token
    login = await fetch(f"/api/status?token={owner}", token=None)
    cookie = "; ".join(c.partition(";")[0] for c in login.headers.get_list("Set-Cookie"))
    assert "username-" in cookie
    sent = {"Cookie": f"{cookie}; _xsrf=x"}
    assert (await fetch("/_api/cache", method="DELETE", token=None, headers=sent)).code == 403


async def test_a_changed_file_is_seen_at_once(fetch: Fetch, write_notebook: Write) -> None:
    file = write_notebook("a.ipynb", new_markdown_cell("# One"))
    # Written so lately that it may change in the same moment, however long this takes.
    soon = time.time_ns() + 60_000_000_000
    os.utime(file, ns=(soon, soon))
    before = file.stat()
    assert b"One" in (await fetch("/dashboards/a")).body
    file.write_text(file.read_text().replace("One", "Two"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert b"Two" in (await fetch("/dashboards/a")).body
    file.unlink()
    assert (await fetch("/dashboards/a")).code == 404


async def test_a_big_notebook_is_rendered_once_and_not_in_the_event_loop_s_thread(
    fetch: Fetch, write_notebook: Write, dashboards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = new_output("stream", name="stdout", text="x" * 30_000)
    write_notebook("a.ipynb", *(new_code_cell("x", outputs=[output]) for _ in range(30)))
    threads: list[int] = []
    render = dashboards.renderer.render

    def noting(*args: Any) -> Any:
        threads.append(threading.get_ident())
        return render(*args)

    monkeypatch.setattr(dashboards.renderer, "render", noting)
    pages = await asyncio.gather(*(fetch("/dashboards/a") for _ in range(8)))
    assert {page.code for page in pages} == {200}
    assert len({len(page.body) for page in pages}) == 1
    assert threads
    assert threading.get_ident() not in threads
    # A file that was written this moment is read again, but never rendered again.
    assert len(threads) == 1


@pytest.mark.parametrize("manager", [MemoryContents, LargeFileManager])
class TestAnyContentsManager:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Any, manager: type) -> Any:
        jp_server_config.ServerApp.contents_manager_class = manager
        return jp_server_config

    async def test_serves_listings_dashboards_and_resources(
        self, fetch: Fetch, dashboards: Any, manager: type
    ) -> None:
        store = dashboards.store
        await store.make_folders("a folder/bundle")
        notebook = nbformat.v4.new_notebook(cells=[new_code_cell("x", outputs=[picture()])])
        await store.save_notebook("a folder/bundle/index.ipynb", notebook)
        await store.save_file("a folder/bundle/a.css", b"p{}")
        await store.save_file("a folder/bundle/a.py", b"secret")
        assert type(dashboards.serverapp.contents_manager) is manager
        listing = await fetch("/dashboards/a%20folder")
        assert b"/dashboards/a%20folder/bundle" in listing.body
        page = await fetch("/dashboards/a%20folder/bundle")
        image = BeautifulSoup(page.body.decode(), "html.parser").select_one("main img")
        assert image
        assert (await fetch(str(image["src"]).removeprefix(BASE))).body == png()
        assert (await fetch("/dashboards/a%20folder/bundle/a.css")).body == b"p{}"
        assert (await fetch("/dashboards/a%20folder/bundle/a.py")).code == 404
        assert (await fetch("/dashboards/missing")).code == 404
        again = await fetch(
            "/dashboards/a%20folder/bundle", headers={"If-None-Match": page.headers["Etag"]}
        )
        assert again.code == 304
