"""What an operator sets of the browser, and what it tells him."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_markdown_cell
from pypdf import PdfReader

from jupyter_dashboards_api.conversion.browser import PageBrowser, find_executable
from jupyter_dashboards_api.conversion.exporter import PageExporter
from jupyter_dashboards_api.conversion.page import MemoryPage, Resource

from .conftest import MakePage
from .test_browser import bare
from .test_browser_killed import is_browser, words

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@asynccontextmanager
async def running(**traits: Any) -> AsyncIterator[PageBrowser]:
    """A browser that is ended at the end."""
    browser = PageBrowser(timeout=30, **traits)
    try:
        yield browser
    finally:
        await browser.stop()


def running_browsers() -> set[int]:
    """The ids of the browsers' main processes."""
    return {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if is_browser(words(process))
    }


async def test_after_so_many_conversions_there_is_a_new_browser() -> None:
    async with running(max_conversions=2) as browser:
        seen = []
        for _ in range(4):
            await browser.draw(bare("<p>x"), "png")
            seen.append(running_browsers())
    assert [len(each) for each in seen] == [1, 1, 1, 1]
    assert seen[0] == seen[1] != seen[2] == seen[3]


async def test_a_browser_with_nothing_to_do_ends_and_the_next_page_has_another_one() -> None:
    async with running(idle_seconds=0.1) as browser:
        for _ in range(2):
            assert await browser.draw(bare("<p>x"), "png")
            while running_browsers():
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("most", [1, 2])
async def test_so_many_pages_are_drawn_at_once_and_no_more(most: int) -> None:
    together = threading.Barrier(most, timeout=60)
    lock = threading.Lock()
    active: list[int] = []
    seen: list[int] = []

    def lookup(path: str) -> Resource | None:
        if path != "/picture.png":
            return None
        with lock:
            active.append(1)
            seen.append(len(active))
        # Nobody gets past it alone.
        together.wait()
        time.sleep(0.1)
        with lock:
            active.pop()
        return None

    html = b"<!doctype html><body data-ready><img src=/picture.png>"
    page = MemoryPage(html, "", is_board=False, lookup=lookup)
    async with running(max_at_once=most) as browser:
        await asyncio.gather(*(browser.draw(page, "png") for _ in range(2 * most)))
    assert max(seen) == most
    assert len(seen) == 2 * most


def sizes(data: bytes) -> list[list[int]]:
    """Width and height of each page in points."""
    pages = PdfReader(io.BytesIO(data)).pages
    return [[round(float(side)) for side in page.mediabox[2:]] for page in pages]


@pytest.mark.parametrize(("paper", "short", "long"), [("A4", 596, 843), ("Letter", 612, 792)])
async def test_reports_are_on_the_paper_that_is_set_and_grids_too_if_so_set(
    exporter: PageExporter, page: MakePage, paper: str, short: int, long: int
) -> None:
    notebook = nbformat.read(EXAMPLES / "city-bikes.ipynb", as_version=4)
    board = exporter.page(notebook, "x.ipynb", is_note=False, show_code=False, trusted=False)
    async with running(paper=paper, grids_on_paper=True) as browser:
        assert sizes(await browser.draw(page(new_markdown_cell("# x")), "pdf")) == [[short, long]]
        data = await browser.draw(board, "pdf")
    assert sizes(data) == [[long, short]] * 2
    first, second = PdfReader(io.BytesIO(data)).pages
    assert "City bikes" in first.extract_text()
    # The last column of the table, whole.
    assert "Rides per dock a day" in second.extract_text()


@pytest.mark.parametrize("name", ["google-chrome", "google-chrome-stable", "microsoft-edge"])
def test_chrome_and_edge_will_do_where_there_is_no_chromium(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    def put(name: str) -> str:
        file = tmp_path / name
        file.write_text("")
        file.chmod(0o755)
        return str(file)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "own"))
    found = put(name)
    assert find_executable() == found
    chromium = put("chromium")
    assert find_executable() == chromium


def log_of(browser: PageBrowser) -> list[str]:
    """What it writes into its log from now on."""
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    browser.log = logging.Logger("of a test")
    browser.log.addHandler(handler)
    return kept


async def test_letters_that_no_font_has_are_told_once(browser: PageBrowser, page: MakePage) -> None:
    kept = log_of(browser)
    await browser.draw(page(new_markdown_cell("Plain and simple: é ß 3 + 4")), "pdf")
    assert kept == []
    # Of an alphabet that nearly nobody has a font for.
    rare = "\U0001e5d0 \U0001e5d1"
    for _ in range(2):
        await browser.draw(page(new_markdown_cell(f"Rare: é {rare}")), "png")
    assert len(kept) == 1
    assert f"no font with {rare!r}" in kept[0]
