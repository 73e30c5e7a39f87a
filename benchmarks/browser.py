"""One view of a page in a real browser: what it took, and when which output was to be seen.

Each view has a browser context of its own, so an empty HTTP cache, and the login cookie of its server if it has
one. Times are the page's own clock (`performance.now()`, zero at the navigation), read by `watcher.js` at every
frame in the same way on all pages.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from .notebooks import FIRST, LAST, Sample
from .servers import Server

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run --disable-quic"
).split()

LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Names of other hosts (Voila's pages ask a CDN for fonts) are unknown at once: no figure depends on the internet."""

TIMEOUT = 180.0
"""Seconds after which a view has failed."""

_QUIET = 0.5
"""Seconds without a request under way after which a page is done."""

_WATCHER = Path(__file__).with_name("watcher.js").read_text()


def executable() -> str | None:
    """The system's Chromium, or None for Playwright's own."""
    named = os.environ.get("CHROMIUM")
    return (
        named
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=[*ARGUMENTS, LOOPBACK_ONLY]
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(slots=True)
class View:
    """Milliseconds since the navigation (None: not seen in time), bytes and counts.

    `requests` and `http_bytes` (headers and bodies as sent, of failed requests too) cover everything until the page
    is done; `socket_bytes` are the payloads that came over websockets; `script_bytes` the gzipped sizes of the
    scripts that had arrived at `first_ms` and at `last_ms`.
    """

    first_ms: float | None = None
    last_ms: float | None = None
    fcp_ms: float | None = None
    requests: int = 0
    failed_requests: int = 0
    http_bytes: int = 0
    socket_bytes: int = 0
    scripts_first: int = 0
    scripts_all: int = 0
    images: int = 0
    failure: str = ""


# Without slots: Playwright marks the objects whose methods it calls.
@dataclass
class _Wire:
    """What the browser's network log says about one page."""

    view: View
    waiting: set[str] = field(default_factory=set)
    partial: dict[str, int] = field(default_factory=dict)
    scripts: dict[str, float] = field(default_factory=dict)

    def listen(self, session: CDPSession) -> None:
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.dataReceived", self._received)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.loadingFinished", self._finished)
        session.on("Network.loadingFailed", self._failed)
        session.on("Network.webSocketFrameReceived", self._frame)

    def _sent(self, event: dict[str, Any]) -> None:
        if not event["request"]["url"].startswith(("data:", "blob:")):
            # A redirect sends the same request once more.
            self.view.requests += 1
            self.waiting.add(event["requestId"])

    def _answered(self, event: dict[str, Any]) -> None:
        if event["type"] == "Script" and event["requestId"] in self.waiting:
            self.scripts[event["requestId"]] = 0.0
        size = int(event["response"].get("encodedDataLength", 0))
        self.partial[event["requestId"]] = size

    def _received(self, event: dict[str, Any]) -> None:
        request = event["requestId"]
        self.partial[request] = self.partial.get(request, 0) + int(event["encodedDataLength"])

    def _finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.waiting:
            self.view.http_bytes += int(event["encodedDataLength"])
            self.waiting.discard(event["requestId"])
            if event["requestId"] in self.scripts:
                self.scripts[event["requestId"]] = float(event["timestamp"])

    def _failed(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.waiting:
            self.view.http_bytes += self.partial.get(event["requestId"], 0)
            self.view.failed_requests += 1
            self.waiting.discard(event["requestId"])

    def _frame(self, event: dict[str, Any]) -> None:
        response = event["response"]
        data = response["payloadData"]
        binary = response["opcode"] == 2
        self.view.socket_bytes += len(base64.b64decode(data)) if binary else len(data.encode())


@asynccontextmanager
async def viewer(
    browser: Browser, server: Server, sample: Sample
) -> AsyncIterator[tuple[Page, BrowserContext]]:
    """A viewer of a server who has not opened anything yet; leaves the page as people do, so that its kernel ends."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        await context.add_cookies(
            [
                {"name": name, "value": value, "url": server.origin}
                for name, value in server.cookies.items()
            ]
        )
        texts = {"first": FIRST, "last": LAST.pattern, "stored": sample.stored}
        await context.add_init_script(
            f"({_WATCHER.strip().removesuffix(';')})({json.dumps(texts)})"
        )
        page = await context.new_page()
        try:
            yield page, context
        finally:
            await page.goto("about:blank")
    finally:
        await context.close()


async def watch(page: Page, url: str, view: View) -> None:
    """Open the page and wait for the last output; notes the times, or the failure."""
    try:
        await page.goto(url, wait_until="commit", timeout=TIMEOUT * 1000)
        await asyncio.wait_for(page.evaluate("window.__benchmark.done"), TIMEOUT)
    except (PlaywrightTimeout, TimeoutError):
        view.failure = "the last output was not seen in time"
    seen = await page.evaluate(
        """() => ({
            ...window.__benchmark.seen,
            fcp: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null,
        })"""
    )
    view.first_ms, view.last_ms, view.fcp_ms = seen["first"], seen["last"], seen["fcp"]


async def measure(browser: Browser, server: Server, sample: Sample) -> View:
    """One view by one viewer, until the page is done."""
    view = View()
    async with viewer(browser, server, sample) as (page, context):
        session = await context.new_cdp_session(page)
        wire = _Wire(view)
        wire.listen(session)
        await session.send("Network.enable", {"maxTotalBufferSize": 100_000_000})
        await watch(page, server.url(sample.name), view)
        await _until_quiet(wire)
        view.images = await page.evaluate(
            "[...document.images].filter((image) => image.complete && image.naturalWidth > 100).length"
        )
        if view.images < sample.images and not view.failure:
            view.failure = f"{view.images} of {sample.images} images"
        await _weigh_scripts(session, wire, await _navigation_start(page, session))
    return view


async def _until_quiet(wire: _Wire) -> None:
    quiet = 0.0
    for _ in range(100):
        quiet = 0.0 if wire.waiting else quiet + 0.1
        if quiet > _QUIET:
            return
        await asyncio.sleep(0.1)


async def _navigation_start(page: Page, session: CDPSession) -> float:
    """The page's zero in seconds of the network log's clock."""
    await session.send("Performance.enable")
    metrics = await session.send("Performance.getMetrics")
    values = {entry["name"]: entry["value"] for entry in metrics["metrics"]}
    now: float = await page.evaluate("performance.now()")
    return float(values["Timestamp"]) - now / 1000


async def _weigh_scripts(session: CDPSession, wire: _Wire, zero: float) -> None:
    """Gzip each script's text anew: servers differ in whether and how they compress."""
    view = wire.view
    for request, finished in wire.scripts.items():
        try:
            answer = await session.send("Network.getResponseBody", {"requestId": request})
        except PlaywrightError:
            # A failed request has no body.
            continue
        size = len(gzip.compress(answer["body"].encode(), 9))
        elapsed = (finished - zero) * 1000
        view.scripts_first += size if view.first_ms is not None and elapsed <= view.first_ms else 0
        view.scripts_all += size
