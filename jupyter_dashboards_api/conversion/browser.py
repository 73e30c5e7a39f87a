"""The one browser that draws pages: started when first needed, kept, replaced when it dies. It reaches nothing.

What it asks for is answered from memory or refused; what never asks (WebRTC, sockets) is taken from the page and has no
way out besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from traitlets import Bool, Float, Integer, Unicode
from traitlets.config import LoggingConfigurable

from ..errors import Unreadable
from . import in_page
from .page import ORIGIN, MemoryPage
from .side_loop import SideLoop
from .strips import StripJoiner

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Playwright, Route

Format = Literal["pdf", "png"]

_NAMES = (
    *("chromium-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome", "google-chrome-stable", "microsoft-edge"),
)
_OWN = (
    "chromium_headless_shell-*/*/headless_shell",
    "chromium_headless_shell-*/*/chrome-headless-shell",
    "chromium-*/*/chrome",
)

_FLAGS = (
    # A proxy that nobody is at, for this machine's addresses too; no name resolves.
    "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--dns-prefetch-disable",
    "--no-first-run",
    "--no-pings",
)

_NEW_PAGE_SECONDS = 30.0
_WIDTH = 1100
_MARGIN = 0.45
"""Inches."""
_PAPER = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}
_PIXELS_PER_INCH = 96
_MAX_PAPER = 200 * _PIXELS_PER_INCH
_LEAST_SCALE = 0.1
"""Chromium's."""
_STRIP = 4000
"""Pixels of height that are drawn in one piece: no surface of a browser is too small for them."""


class NoBrowser(Unreadable):
    """PDF and PNG can't be made on this machine as it is."""


class ConversionFailed(Unreadable):
    """The page could not be drawn."""


class TooTall(ConversionFailed):
    """The page has more height than a file of this kind can."""

    def __init__(self, height: int, most: int, kind: str, other: str) -> None:
        super().__init__(
            f"The page is {height} pixels tall, and a {kind} can have {most}: use fileFormat {other}."
        )


class _BrowserGone(ConversionFailed):
    """There is no browser any more; a new one may do."""


@dataclass(eq=False)
class _Kept:
    """A browser that runs: how many pages it was given so far, and how many of them it draws now."""

    browser: Browser
    given: int = 0
    drawing: int = 0


class PageBrowser(LoggingConfigurable):
    """Draws pages as PDF and PNG."""

    executable = Unicode(
        "",
        help="""The browser that makes PDF and PNG. Empty: the first of Debian's `chromium-headless-shell` and `chromium`,
        Chrome, Edge on the PATH, and Playwright's own.""",
    ).tag(config=True)

    timeout = Float(
        60,
        min=1,
        help="""Seconds that the drawing of one page may take.""",
    ).tag(config=True)

    settle_timeout = Float(
        15,
        min=0.1,
        help="""Seconds that a page's charts and formulas may take; then it is drawn as it is.""",
    ).tag(config=True)

    max_at_once = Integer(2, min=1, help="""Most pages that are drawn at once.""").tag(config=True)

    max_conversions = Integer(
        200, min=1, help="""Conversions after which the browser is replaced by a new one."""
    ).tag(config=True)

    idle_seconds = Float(
        300, min=0, help="""Seconds after which a browser that has nothing to do is ended."""
    ).tag(config=True)

    max_height = Integer(
        100_000,
        min=1000,
        help="""Most pixels of height of a PNG; a taller page ends with an error that says to make a PDF.""",
    ).tag(config=True)

    paper = Unicode("A4", help="""The paper of reports: `A4` or `Letter`.""").tag(config=True)

    grids_on_paper = Bool(
        False,
        help="""Whether the PDF of a grid is pages of `paper`, landscape, not one sheet of the grid's own size.""",
    ).tag(config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Playwright takes pages and files apart in single steps, which are long ones where they are large.
        self._side = SideLoop("page-browser")
        self._places = asyncio.Semaphore(self.max_at_once)
        self._starting = asyncio.Lock()
        self._playwright: Playwright | None = None
        self._kept: _Kept | None = None
        self._busy = 0
        self._idle: asyncio.TimerHandle | None = None
        self._has_warned = False
        self._ending: set[asyncio.Task[None]] = set()

    def require(self) -> str:
        """The browser's executable. Raises `NoBrowser`, which says what to install."""
        try:
            import playwright  # noqa: F401
        except ImportError as error:
            raise NoBrowser(
                "fileFormat pdf and png need a browser and Playwright: pip install 'jupyter_dashboards_api[convert]' on the"
                " server; html needs neither."
            ) from error
        found = find_executable(self.executable)
        if found is None:
            raise NoBrowser(
                "fileFormat pdf and png need a browser on the server: install chromium-headless-shell or chromium, or set"
                " PageBrowser.executable; html needs none."
            )
        return found

    async def draw(self, page: MemoryPage, kind: Format) -> bytes:
        """The page as a file. Raises `NoBrowser` and `ConversionFailed`; the next page is drawn in any case."""
        return await self._side.run(self._drawn(self.require(), page, kind))

    async def _drawn(self, executable: str, page: MemoryPage, kind: Format) -> bytes:
        async with self._places:
            self._busy += 1
            if self._idle is not None:
                self._idle.cancel()
            try:
                async with self._lent(executable) as browser:
                    try:
                        return await self._in_time(browser, page, kind)
                    except ConversionFailed as error:
                        if browser.is_connected() and not isinstance(error, _BrowserGone):
                            raise
                # Another page may have taken the browser along.
                async with self._lent(executable) as browser:
                    return await self._in_time(browser, page, kind)
            finally:
                self._busy -= 1
                if not self._busy:
                    loop = asyncio.get_running_loop()
                    self._idle = loop.call_later(self.idle_seconds, self._end_idle)

    async def stop(self) -> None:
        """Ends the browser."""
        if self._side.is_running:
            await self._side.run(self._stop())
            await self._side.stop()

    async def _stop(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._kept is not None:
            await self._end(self._kept.browser)
        await self._end_driver()
        # These may belong to the loop that ends now.
        self._places = asyncio.Semaphore(self.max_at_once)
        self._starting = asyncio.Lock()

    async def _end_driver(self) -> None:
        """Ends Playwright's own process, which may have died by itself."""
        driver, self._playwright = self._playwright, None
        if driver is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(driver.stop(), 5)

    @contextlib.asynccontextmanager
    async def _lent(self, executable: str) -> AsyncIterator[Browser]:
        """A browser for one page. The last page of one that has been replaced ends it."""
        kept = await self._running(executable)
        kept.given += 1
        kept.drawing += 1
        try:
            yield kept.browser
        finally:
            kept.drawing -= 1
            is_last = not kept.drawing and kept is not self._kept
            if is_last and kept.browser.is_connected():
                await self._end(kept.browser)

    async def _running(self, executable: str) -> _Kept:
        async with self._starting:
            kept = self._kept
            if kept is not None and (
                kept.given >= self.max_conversions or not kept.browser.is_connected()
            ):
                self._kept = None
                if not kept.drawing:
                    await self._end(kept.browser)
            if self._kept is None:
                self._kept = _Kept(await self._launched(executable))
            return self._kept

    async def _launched(self, executable: str) -> Browser:
        from playwright.async_api import async_playwright

        while True:
            is_new = self._playwright is None
            if self._playwright is None:
                self._playwright = await async_playwright().start()
            try:
                return await self._playwright.chromium.launch(
                    executable_path=executable,
                    args=list(_FLAGS),
                    chromium_sandbox=os.geteuid() != 0,
                    handle_sigint=False,
                    handle_sigterm=False,
                    handle_sighup=False,
                    timeout=30_000,
                )
            except Exception as error:
                await self._end_driver()
                # Playwright's own process may have died since the last browser.
                if is_new:
                    self.log.error("The browser does not start: %s", error)
                    raise ConversionFailed("The server's browser does not start.") from error

    async def _in_time(self, browser: Browser, page: MemoryPage, kind: Format) -> bytes:
        crashed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        context: BrowserContext | None = None
        is_sane = False
        work: asyncio.Task[bytes] | None = None
        try:
            context = await self._context(browser)
            work = asyncio.ensure_future(self._draw(context, page, kind, crashed))
            await asyncio.wait(
                {work, crashed}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                data = work.result()
                is_sane = True
                return data
            if crashed.done():
                raise ConversionFailed("The browser broke down while it drew the page.")
            raise ConversionFailed(f"The page was not drawn within {self.timeout:g} s.")
        except ConversionFailed:
            raise
        except Exception as error:
            self.log.warning("Conversion: %s", error)
            raise ConversionFailed("The browser could not draw the page.") from error
        finally:
            if work is not None and not work.done():
                work.cancel()
            await self._close(browser, context, is_sane)

    async def _context(self, browser: Browser) -> BrowserContext:
        """A place for one page, with nothing of any other page in it."""
        try:
            return await browser.new_context(
                viewport={"width": _WIDTH, "height": 800},
                service_workers="block",
                accept_downloads=False,
                color_scheme="light",
                reduced_motion="reduce",
                java_script_enabled=True,
            )
        except Exception as error:
            await self._end(browser)
            await self._end_driver()
            raise _BrowserGone("The browser has ended.") from error

    async def _close(self, browser: Browser, context: BrowserContext | None, is_sane: bool) -> None:
        """Closes the page's context; where that does not work, the browser, which would keep an endless script."""
        if context is None:
            return
        closed = False
        with contextlib.suppress(Exception):
            await asyncio.wait_for(context.close(), 5)
            closed = True
        if not closed and not is_sane:
            await self._end(browser)

    async def _draw(
        self,
        context: BrowserContext,
        page: MemoryPage,
        kind: Format,
        crashed: asyncio.Future[bytes],
    ) -> bytes:
        from playwright.async_api import TimeoutError as PlaywrightTimeout

        await context.add_init_script(in_page.TAKEN)
        # One whose renderer dies meanwhile is never there, and nobody is told.
        tab = await asyncio.wait_for(context.new_page(), _NEW_PAGE_SECONDS)

        def broke(_: Any) -> None:
            if not crashed.done():
                crashed.set_result(b"")

        tab.on("crash", broke)
        context.on("page", lambda other: _later(other.close()) if other is not tab else None)
        tab.on("dialog", lambda dialog: _later(dialog.dismiss()))
        main = [0]

        async def answer(route: Route) -> None:
            request = route.request
            if request.is_navigation_request():
                # The page itself, once: no frame, and nothing that a refresh would put into its place.
                main[0] += 1
                if main[0] > 1:
                    # Otherwise the browser's own words about it would take the page's place.
                    await route.abort("aborted")
                    return
            found = await asyncio.to_thread(page.answer, request.url, request.method)
            if found is None:
                await route.abort()
                return
            headers = {
                "Content-Type": found.mime,
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": page.policy,
            }
            await route.fulfill(status=200, headers=headers, body=found.data)

        await context.route("**/*", answer)
        milliseconds = self.timeout * 1000
        # Not until it has loaded: a page that wants to go elsewhere while it loads never has.
        await tab.goto(f"{ORIGIN}/", wait_until="commit", timeout=milliseconds)
        # Pictures too: on paper, cells of a grid are as tall as what is in them.
        await tab.emulate_media(media="print", color_scheme="light")
        try:
            await tab.wait_for_function(
                in_page.READY, timeout=self.settle_timeout * 1000, polling=50
            )
        except PlaywrightTimeout:
            self.log.warning("Conversion: the page is drawn before all of it was ready.")
        if await tab.evaluate(in_page.LAY_OUT, kind == "png"):
            self.log.warning("Conversion: an output is more than five times too wide, and cut.")
        await tab.evaluate(in_page.UNPACK)
        boxes = ""
        if not self._has_warned:
            # Whatever a trusted page has made of the browser's own functions, it is drawn.
            with contextlib.suppress(Exception):
                boxes = str(await tab.evaluate(in_page.BOXES))[:40]
        if boxes:
            self._has_warned = True
            self.log.warning(
                "Conversion: this machine has no font with %r and maybe others, which are empty boxes in pdf and png."
                " Install fonts-noto-core, fonts-noto-cjk and fonts-noto-color-emoji, or the like.",
                boxes,
            )
        return await (self._pdf(tab, page) if kind == "pdf" else self._png(tab, milliseconds))

    async def _pdf(self, tab: Page, page: MemoryPage) -> bytes:
        if page.is_board and not self.grids_on_paper:
            height = await _height(tab)
            scale = min(1.0, _MAX_PAPER / max(height, 1))
            if scale < _LEAST_SCALE:
                raise TooTall(height, int(_MAX_PAPER / _LEAST_SCALE), "pdf of a grid", "html")
            return await tab.pdf(
                width=f"{_WIDTH * scale:.2f}px",
                # One pixel more: rounding must not make a second, empty page.
                height=f"{height * scale + 2:.2f}px",
                scale=scale,
                print_background=True,
                tagged=True,
                page_ranges="1",
            )
        short, long = _PAPER.get(self.paper, _PAPER["A4"])
        across = ((long if page.is_board else short) - 2 * _MARGIN) * _PIXELS_PER_INCH
        margin = f"{_MARGIN}in"
        return await tab.pdf(
            format=self.paper,
            landscape=page.is_board,
            scale=round(across / _WIDTH, 3),
            margin={"top": margin, "bottom": margin, "left": margin, "right": margin},
            print_background=True,
            tagged=True,
        )

    async def _png(self, tab: Page, milliseconds: float) -> bytes:
        height = max(await _height(tab), 1)
        if height > self.max_height:
            raise TooTall(height, self.max_height, "png", "pdf")
        joiner = StripJoiner(_WIDTH, height)
        for top in range(0, height, _STRIP):
            part = min(_STRIP, height - top)
            strip = await tab.screenshot(
                full_page=True,
                animations="disabled",
                timeout=milliseconds,
                clip={"x": 0, "y": top, "width": _WIDTH, "height": part},
            )
            if part == height:
                return strip
            await asyncio.to_thread(joiner.add, strip)
        return await asyncio.to_thread(joiner.picture)

    def _end_idle(self) -> None:
        if not self._busy and self._kept is not None:
            task = asyncio.ensure_future(self._end(self._kept.browser))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, browser: Browser) -> None:
        if self._kept is not None and self._kept.browser is browser:
            self._kept = None
        with contextlib.suppress(Exception):
            await asyncio.wait_for(browser.close(), 10)


_LATER: set[asyncio.Task[Any]] = set()


def _later(work: Coroutine[Any, Any, Any]) -> None:
    """Does what an event of the browser asks for, whose callback can't wait."""

    async def quiet() -> None:
        with contextlib.suppress(Exception):
            await work

    task = asyncio.ensure_future(quiet())
    _LATER.add(task)
    task.add_done_callback(_LATER.discard)


async def _height(tab: Page) -> int:
    return int(await tab.evaluate(in_page.HEIGHT))


def find_executable(stated: str = "") -> str | None:
    """The browser to use: the one that is stated, else what the machine has."""
    if stated:
        return shutil.which(stated)
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    root = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or "~/.cache/ms-playwright"
    for pattern in _OWN:
        for path in sorted(Path(root).expanduser().glob(pattern), reverse=True):
            if os.access(path, os.X_OK):
                return str(path)
    return None
