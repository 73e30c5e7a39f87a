"""A real Chromium and a real server for the tests of the pages. Nothing here is skipped: without a browser they fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    WebSocket,
    expect,
    sync_playwright,
)

from tests.servers import TOKEN, ServerProcess, dashboards_server

from .guarded import RULES, add_accounts
from .intranet import Intranet

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# A kernel's start and the import of pandas and matplotlib, on a busy machine of two cores.
expect.set_options(timeout=45_000)

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """In place of pytest-jupyter's: these tests have no server in their process, and Playwright runs a loop."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """In place of pytest-jupyter's."""


def chromium() -> str:
    """The browser's executable."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    assert executable, "These tests need Chromium: scripts/test --install"
    return executable


# Not for the session: Playwright's own event loop must be gone before other tests start theirs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium(), args=CHROMIUM_OPTIONS, timeout=60_000
        )
        yield running
        running.close()


@dataclass
class Visit:
    """An open page and what went wrong on it."""

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    """URLs of the websockets that the page opened to kernels."""
    frames: list[str | bytes] = field(default_factory=list)
    """Websocket frames that the page received."""

    @property
    def statuses(self) -> list[str]:
        """All that the page has said in its status line, in order."""
        said: list[str] = self.page.evaluate("window.statuses")
        return said

    def cell(self, index: int) -> Locator:
        return self.page.locator(f'[data-cell-index="{index}"]')

    def wait_until_live(self) -> None:
        # A first import of matplotlib lists all fonts of the machine.
        expect(self.page.locator("body[data-ready]")).to_be_attached(timeout=90_000)
        expect(self.page.locator("#dash-cells")).to_have_attribute("aria-busy", "false")


def listen(visit: Visit, socket: WebSocket) -> None:
    if "/_api/kernels/" in socket.url:
        visit.sockets.append(socket.url)
    socket.on("framereceived", lambda frame: visit.frames.append(frame))


# Notes down in the page what is over before a test can look.
NOTES = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP violation:", event.effectiveDirective, event.blockedURI));
window.statuses = [];
new MutationObserver((changes) => {
  const status = document.getElementById("dash-status");
  if (status && changes.some(({ target }) => target === status))
    window.statuses.push(status.textContent);
}).observe(document, { childList: true, subtree: true });
"""


class Site:
    """A server whose folder a test can write to, and visitors who are logged in.

    `url` is where visitors find it, if that isn't the server itself; `token` is what they are logged in with, if anything.
    """

    def __init__(
        self,
        browser: Browser,
        server: ServerProcess,
        folder: Path,
        url: str = "",
        token: str = TOKEN,
    ) -> None:
        self.server = server
        self.folder = folder
        self.url = url or server.url
        self._token = token
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def write(self, path: str, *cells: NotebookNode, **metadata: Any) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=metadata), file)

    def context(self, **options: Any) -> BrowserContext:
        """A visitor's browser."""
        context = self._browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        context.set_default_timeout(45_000)
        self._contexts.append(context)
        if self._token:
            # `request` shares its cookies with the pages.
            assert context.request.get(f"{self.url}/dashboards?token={self._token}").ok
        return context

    def visit(
        self,
        path: str,
        context: BrowserContext | None = None,
        before: Callable[[Page], None] = lambda page: None,
        **options: Any,
    ) -> Visit:
        """Opens a page, with a list of all that it asked for and complained of.

        `before` gets the page while it is still blank; `options` are those of a new context.
        """
        page = (context or self.context(**options)).new_page()
        visit = Visit(page)
        page.on(
            "console",
            lambda message: message.type == "error" and visit.console.append(message.text),
        )
        page.on("pageerror", lambda error: visit.console.append(str(error)))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.on("websocket", lambda socket: listen(visit, socket))
        page.add_init_script(NOTES)
        before(page)
        page.goto(self.url + path)
        return visit

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()


OpenSite = Callable[..., Site]


@pytest.fixture(scope="package")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Path]]:
    """One server with the examples and default settings; tests write their notebooks beside them."""
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("dashboards")
    shutil.copytree(EXAMPLES, folder / "examples")
    options = [
        "--KernelBindings.retention=5",
        "--KernelBindings.max_kernels_per_viewer=20",
        # Most of what these tests look at are authors' own scripts; test_trust.py has a server without.
        "--DashboardsApp.trusted_folders=/",
    ]
    with dashboards_server(folder, home, *options) as server:
        yield server, folder


@pytest.fixture
def site(browser: Browser, shared_server: tuple[ServerProcess, Path]) -> Iterator[Site]:
    server, folder = shared_server
    opened = Site(browser, server, folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def module_site(browser: Browser, shared_server: tuple[ServerProcess, Path]) -> Iterator[Site]:
    """The same server, for a visit that all tests of a module look at."""
    server, folder = shared_server
    opened = Site(browser, server, folder)
    yield opened
    opened.close()


@pytest.fixture
def site_with(browser: Browser, tmp_path: Path) -> Iterator[OpenSite]:
    """Starts a server with options of the test's own: `site_with("--DashboardsApp.on_error=stop")`."""
    opened: list[tuple[Site, ServerProcess]] = []

    def start(*options: str) -> Site:
        folder = tmp_path / "dashboards"
        folder.mkdir(exist_ok=True)
        server = dashboards_server(folder, tmp_path, *options)
        server.__enter__()
        site = Site(browser, server, folder)
        opened.append((site, server))
        return site

    yield start
    for site, server in opened:
        site.close()
        server.__exit__(None, None, None)


@pytest.fixture(scope="package")
def guarded_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, Path]]:
    """A server with viewers, an access file and links; its plain pages may be framed by this machine's address."""
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("dashboards")
    add_accounts(home)
    (home / "access.toml").write_text(RULES)
    options = [
        f"--AccessRules.file={home / 'access.toml'}",
        "--AccessManager.page_token_seconds=20",
        "--AccessManager.check_interval=0.5",
        "--DashboardsApp.frame_ancestors=http://127.0.0.1:*",
        "--KernelBindings.retention=5",
        "--KernelBindings.max_kernels_per_viewer=20",
    ]
    with dashboards_server(folder, home, *options) as server:
        yield server, folder


@pytest.fixture
def guarded(browser: Browser, guarded_server: tuple[ServerProcess, Path]) -> Iterator[Site]:
    """That server, with visitors of whom nobody is logged in."""
    opened = Site(browser, *guarded_server, token="")
    yield opened
    opened.close()


@pytest.fixture
def intranet() -> Iterator[Intranet]:
    """A web server of another origin."""
    with Intranet() as running:
        yield running
