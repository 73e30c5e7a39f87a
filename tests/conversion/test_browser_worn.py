"""When a browser is replaced by a new one, and what becomes of the pages that it draws then."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from jupyter_dashboards_api.conversion.browser import PageBrowser
from jupyter_dashboards_api.conversion.page import MemoryPage, Resource

from .test_browser_settings import running_browsers

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def page(html: str = "", lookup: Any = lambda path: None) -> MemoryPage:
    text = f"<!doctype html><body data-ready>{html}</body>"
    return MemoryPage(text.encode(), "", is_board=False, lookup=lookup)


async def test_under_steady_parallel_work_a_worn_browser_is_replaced_and_its_page_still_drawn(
    own_browser: PageBrowser,
) -> None:
    own_browser.max_conversions = 1
    own_browser.timeout = own_browser.settle_timeout = 100
    asked, answers = threading.Event(), threading.Event()

    def lookup(path: str) -> Resource | None:
        asked.set()
        answers.wait(100)
        return None

    slow = asyncio.ensure_future(own_browser.draw(page("<img src=/slow.png>", lookup), "pdf"))
    try:
        assert await asyncio.to_thread(asked.wait, 60)
        (worn,) = running_browsers()
        await own_browser.draw(page(), "pdf")
        both = running_browsers()
        assert len(both) == 2
        assert worn in both
        assert not slow.done()
    finally:
        answers.set()
    assert (await slow).startswith(b"%PDF")
    while worn in running_browsers():
        await asyncio.sleep(0.05)
    assert running_browsers() == both - {worn}
