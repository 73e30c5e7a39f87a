"""What a server that asks who calls is made of: viewers, an access file, share links."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import FrameLocator, Page, expect

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.database.engine import Database
from tests.servers import TOKEN

if TYPE_CHECKING:
    from .conftest import Site, Visit

PASSWORD = "a viewer's password"
GROUPS: dict[str, tuple[str, ...]] = {"ann": (), "bob": (), "carol": ("finance",)}
"""Viewers, all with that password, and their groups."""

RULES = """
[rules]
"open" = "public"
"sales" = "viewers"
"sales/plans" = ["group:finance"]
"sales/drafts" = "nobody"
"sales/drafts/deep/for ann.ipynb" = ["ann"]
"private" = ["ann"]
"""

CLOSES = """
window.closes = [];
window.WebSocket = class extends WebSocket {
  constructor(...options) {
    super(...options);
    if (this.url.includes("/_api/kernels/"))
      this.addEventListener("close", ({ code }) => closes.push(code));
  }
};
window.refusals = 0;
const ask = window.fetch;
window.fetch = async (url, ...options) => {
  const response = await ask(url, ...options);
  if ([401, 403, 404].includes(response.status) && response.url.endsWith("/_api/page_token")) refusals++;
  return response;
};
"""
"""For a page before it loads: notes down with which codes its kernels' websockets were closed, and refused renewals."""

TOLD = "() => closes.join() === '4401' || (refusals === 1 && closes.every((code) => code !== 4401))"
"""Whether the server has told the page that its right has ended: by the websocket, unless the page renews its token just then."""


def add_accounts(home: Path) -> None:
    """Makes the viewers' accounts in the database of a server that has its files in `home`."""
    (home / "data").mkdir(exist_ok=True)
    database = Database(url=f"sqlite:///{home / 'data' / 'dashboards.sqlite'}")
    accounts = Accounts(database)
    for name, groups in GROUPS.items():
        accounts.add(name, PASSWORD, groups)
    database.close()


def widget_cells() -> list[NotebookNode]:
    """A slider, and a label that the kernel writes."""
    return [
        new_markdown_cell("# Board"),
        new_code_cell(
            "import ipywidgets as w\n"
            "size, told = w.IntSlider(description='Size'), w.Label()\n"
            "size.observe(lambda change: setattr(told, 'value', f'size is {change.new}'), 'value')\n"
            "w.VBox([size, told])"
        ),
    ]


def assert_live(page: Page | FrameLocator, expected: int = 1) -> None:
    """Moves the slider by one, and waits for what the kernel makes of it."""
    expect(page.locator("#dash-status")).to_have_text("Live")
    page.get_by_role("slider").press("ArrowRight")
    expect(page.get_by_text(f"size is {expected}", exact=True)).to_be_visible()


def fill_login(page: Page, username: str, password: str = PASSWORD) -> None:
    """Sends the form that the page shows."""
    page.get_by_label("Name").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()


def log_in(site: Site, username: str, path: str = "/login", **options: Any) -> Visit:
    """A new browser in which a viewer has logged in, at a page that has its `CLOSES`."""
    visit = site.visit(path, before=note_closes, **options)
    fill_login(visit.page, username)
    visit.page.wait_for_url(lambda url: "/login" not in url)
    return visit


def note_closes(page: Page) -> None:
    """To be called while the page is still blank."""
    page.add_init_script(CLOSES)


def wait_until_ended(page: Page, text: str) -> None:
    """Waits until the page's right has ended, and it says so."""
    expect(page.get_by_role("alert")).to_contain_text(text)
    assert page.evaluate(TOLD), page.evaluate("[closes, refusals]")
    expect(page.locator("#dash-status")).to_have_text("Not live")


def as_owner(site: Site, method: str, path: str, body: Any = None) -> Any:
    """What the API answers to the owner; None when it has no body."""
    response = requests.request(
        method,
        site.server.url + path,
        json=body,
        headers={"Authorization": f"token {TOKEN}"},
        timeout=30,
    )
    assert response.ok, response.text
    return response.json() if response.content else None


@dataclass
class Link:
    """A notebook's share link."""

    site: Site
    path: str
    token: str = ""

    def change(self, **changes: Any) -> None:
        """Changes how the notebook is shared."""
        told = as_owner(self.site, "PATCH", f"/_api/sharing?path={self.path}", changes)
        self.token = told["access_token"]

    def refresh(self) -> None:
        """A new address."""
        told = as_owner(self.site, "POST", f"/_api/sharing/refresh?path={self.path}")
        self.token = told["access_token"]

    def add_password(self, password: str) -> int:
        """The id of the new password."""
        told = as_owner(
            self.site,
            "POST",
            f"/_api/sharing/passwords?path={self.path}",
            {"raw_password": password},
        )
        number: int = told["id"]
        return number

    def delete_password(self, number: int) -> None:
        """Who came in by it is out."""
        as_owner(self.site, "DELETE", f"/_api/sharing/passwords/{number}?path={self.path}")


def share(site: Site, path: str, *cells: NotebookNode, **changes: Any) -> Link:
    """Writes a notebook, and opens its link."""
    site.write(path, *cells)
    link = Link(site, path)
    link.change(enabled=True, **changes)
    return link
