"""A browser that hangs, crashes or is killed while it draws, and the next page, which is drawn all the same."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import psutil
import pytest
from nbformat.v4 import new_markdown_cell

from jupyter_dashboards_api.conversion.browser import ConversionFailed, PageBrowser
from jupyter_dashboards_api.conversion.page import MemoryPage

from .conftest import MakePage
from .test_browser import bare, picture

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def words(process: psutil.Process) -> str:
    """The command line of a process, which may have ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def is_browser(text: str) -> bool:
    """Of a command line: Chromium itself, and none of its helpers."""
    return "--remote-debugging-pipe" in text and "--type=" not in text


def killed(is_wanted: Callable[[str], bool]) -> list[int]:
    """The processes below this one, by their command lines, that it has killed."""
    found = []
    for process in psutil.Process().children(recursive=True):
        if is_wanted(words(process)):
            os.kill(process.pid, signal.SIGKILL)
            found.append(process.pid)
    return found


async def test_an_endless_script_ends_with_the_timeout_and_the_next_page_is_drawn(
    own_browser: PageBrowser, page: MakePage
) -> None:
    own_browser.timeout = 3
    with pytest.raises(ConversionFailed, match="within 3 s"):
        await own_browser.draw(bare("<script>for(;;);</script>"), "png")
    own_browser.timeout = 30
    assert picture(await own_browser.draw(page(new_markdown_cell("# fine")), "png")).width == 1100


async def test_a_crash_of_the_renderer_is_told_at_once_and_the_next_page_is_drawn(
    own_browser: PageBrowser, page: MakePage
) -> None:
    own_browser.timeout = own_browser.settle_timeout = 100
    asked = threading.Event()

    def lookup(path: str) -> None:
        asked.set()

    text = "<!doctype html><body data-ready><img src=/x.png><p aria-busy=true>never</p></body>"
    endless = MemoryPage(text.encode(), "", is_board=False, lookup=lookup)
    drawing = asyncio.ensure_future(own_browser.draw(endless, "png"))
    # The page itself must be there: a spare renderer waits beside it, and one that dies before it has a page is not missed.
    assert await asyncio.to_thread(asked.wait, 60)
    ended: list[int] = []
    async with asyncio.timeout(60):
        while not drawing.done():
            await asyncio.sleep(0.1)
            ended += killed(lambda text: "--type=renderer" in text)
        with pytest.raises(ConversionFailed):
            await drawing
    assert ended
    assert picture(await own_browser.draw(page(new_markdown_cell("# fine")), "png")).width == 1100


async def test_a_killed_browser_is_replaced(own_browser: PageBrowser, page: MakePage) -> None:
    await own_browser.draw(page(new_markdown_cell("# fine")), "png")
    assert killed(is_browser)
    await asyncio.sleep(0.2)
    assert picture(await own_browser.draw(page(new_markdown_cell("# fine")), "png")).width == 1100


async def test_a_page_whose_browser_is_killed_is_drawn_by_another_one(
    own_browser: PageBrowser, page: MakePage
) -> None:
    await own_browser.draw(page(new_markdown_cell("# fine")), "png")
    own_browser.settle_timeout = 3
    drawing = asyncio.ensure_future(own_browser.draw(bare("<p aria-busy=true>never</p>"), "png"))
    await asyncio.sleep(0.5)
    assert killed(is_browser)
    assert picture(await drawing).width == 1100


async def test_a_browser_that_does_not_start_is_told_and_another_try_may_work(
    own_browser: PageBrowser, page: MakePage
) -> None:
    own_browser.executable = "true"
    with pytest.raises(ConversionFailed, match="does not start"):
        await own_browser.draw(page(new_markdown_cell("# fine")), "png")
    own_browser.executable = ""
    assert picture(await own_browser.draw(page(new_markdown_cell("# fine")), "png")).width == 1100


async def test_playwrights_own_process_that_dies_is_replaced(
    own_browser: PageBrowser, page: MakePage
) -> None:
    await own_browser.draw(page(new_markdown_cell("# fine")), "png")
    assert killed(lambda text: "run-driver" in text)
    assert picture(await own_browser.draw(page(new_markdown_cell("# fine")), "png")).width == 1100


async def test_a_browser_and_playwrights_process_that_died_one_after_the_other_are_replaced(
    own_browser: PageBrowser, page: MakePage
) -> None:
    await own_browser.draw(page(new_markdown_cell("# fine")), "png")
    for is_wanted in (is_browser, lambda text: "run-driver" in text):
        assert killed(is_wanted)
        # Playwright hears of it.
        await asyncio.sleep(0.2)
    assert picture(await own_browser.draw(page(new_markdown_cell("# fine")), "png")).width == 1100
