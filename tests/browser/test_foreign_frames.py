"""Dashboards in frames of another site's page: live without any cookie, and only where they may be.

The embedder is 127.0.0.1, the dashboards are localhost: two sites, as Chromium sees it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from tests.servers import ServerProcess

from .conftest import Site
from .guarded import (
    TOLD,
    Link,
    assert_live,
    fill_login,
    note_closes,
    share,
    widget_cells,
)
from .intranet import Intranet
from .notebooks import PNG
from .test_embedding import EMBEDDER, framed
from .wire import Wire

FOLDER = "elsewhere"


@pytest.fixture
def wire(guarded_server: tuple[ServerProcess, Path]) -> Iterator[Wire]:
    with Wire(guarded_server[0].port) as between:
        yield between


@pytest.fixture
def foreign(
    browser: Browser, guarded_server: tuple[ServerProcess, Path], wire: Wire
) -> Iterator[Site]:
    """The server at the other end of the wire, by a name that makes it another site than the intranet."""
    url = wire.url.replace("127.0.0.1", "localhost")
    opened = Site(browser, *guarded_server, url=url, token="")
    yield opened
    opened.close()


class Embedding:
    """The intranet's page with a frame in it."""

    def __init__(
        self,
        site: Site,
        intranet: Intranet,
        path: str,
        context: BrowserContext | None = None,
        head: str = "",
    ) -> None:
        html = EMBEDDER.format(url=site.url + path).replace("<title>", f"{head}<title>")
        intranet.pages["/"] = ("text/html", html.encode())
        self.context = context or site.context()
        self.said: list[str] = []
        self.page: Page = self.context.new_page()
        note_closes(self.page)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.goto(intranet.url)

    @property
    def content(self) -> FrameLocator:
        return framed(self.page)

    def assert_refused(self) -> None:
        """The browser shows nothing of the server's in the frame, and says why."""
        self.page.wait_for_load_state("networkidle")
        expect(self.content.locator("#dash-main")).to_have_count(0)
        assert any("frame-ancestors" in text for text in self.said), self.said


def assert_without_cookies(wire: Wire) -> None:
    """A page and its websocket have asked for what they need, and sent no cookie."""
    sent = bytes(wire.sent).lower()
    assert b"get /" in sent
    assert b"sec-websocket-key:" in sent
    assert b"\r\ncookie:" not in sent


def framable(site: Site, intranet: Intranet, name: str, **changes: object) -> Link:
    """A bundle with pictures and a link that the intranet may frame."""
    folder = site.folder / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "picture.png").write_bytes(base64.b64decode(PNG))
    image = new_output("display_data", {"image/png": PNG})
    return share(
        site,
        f"{FOLDER}/{name}/index.ipynb",
        *widget_cells(),
        new_markdown_cell("![a picture](./picture.png)"),
        new_code_cell(
            f"from base64 import b64decode\nfrom IPython.display import Image\nImage(b64decode({PNG!r}))",
            outputs=[image],
        ),
        new_code_cell("print('\\n'.join(['line'] * 60))"),
        **{"frame_ancestors": [intranet.url], **changes},
    )


def assert_pictures(content: FrameLocator, count: int) -> None:
    images = content.locator("#dash-cells img")
    expect(images).to_have_count(count)
    for image in images.all():
        expect(image).to_have_js_property("naturalWidth", 5)


def test_a_link_is_live_in_a_foreign_frame_without_cookies(
    foreign: Site, intranet: Intranet, wire: Wire
) -> None:
    link = framable(foreign, intranet, "live")
    embedding = Embedding(foreign, intranet, f"/embedded/{link.token}")
    page, content = embedding.page, embedding.content
    assert_live(content)
    assert_pictures(content, 2)
    expect(content.get_by_text("line").last).to_be_attached()
    page.wait_for_function("heights.at(-1) > 1000")
    assert page.evaluate("others") == []
    assert content.locator("body").evaluate(
        "body => Math.ceil(body.getBoundingClientRect().height)"
    ) == page.evaluate("heights.at(-1)")
    # The renewal of the token too.
    with page.expect_response("**/_api/page_token") as renewed:
        pass
    assert renewed.value.status == 200
    assert_without_cookies(wire)
    assert embedding.context.cookies() == []
    assert not [text for text in embedding.said if "violat" in text]
    # It ends there as it does anywhere.
    link.change(enabled=False)
    expect(content.get_by_role("alert")).to_contain_text("This page has expired.")
    assert content.locator("body").evaluate(TOLD)


def test_cookies_of_a_viewer_who_is_logged_in_count_for_nothing_in_a_foreign_frame(
    foreign: Site, intranet: Intranet, wire: Wire
) -> None:
    link = framable(foreign, intranet, "viewer")
    visit = foreign.visit("/login")
    fill_login(visit.page, "ann")
    expect(visit.page.get_by_role("button", name="Log out")).to_be_visible()
    assert re.search(rb"\r\nCookie: [^\r]*dashboards-viewer", wire.sent)
    # What the viewer's own page loads has the cookie too.
    visit.page.wait_for_load_state("networkidle")
    wire.sent.clear()
    context = visit.page.context
    embedding = Embedding(foreign, intranet, f"/embedded/{link.token}", context)
    assert_live(embedding.content)
    assert_without_cookies(wire)
    # What only a viewer may open stays closed there: its login form lets nobody frame it.
    Embedding(foreign, intranet, "/dashboards-plain/sales", context).assert_refused()


@pytest.mark.parametrize("head", ["", '<meta name="referrer" content="no-referrer">'])
def test_a_password_unlocks_a_link_within_a_foreign_frame(
    foreign: Site, intranet: Intranet, wire: Wire, head: str
) -> None:
    link = framable(foreign, intranet, "locked", password_required=True)
    number = link.add_password("the right password")
    embedding = Embedding(foreign, intranet, f"/embedded/{link.token}", head=head)
    content = embedding.content
    content.get_by_label("Password").fill("wrong")
    content.get_by_label("Password").press("Enter")
    expect(content.get_by_role("alert")).to_have_text("Incorrect password")
    content.get_by_label("Password").fill("the right password")
    content.get_by_role("button", name="Open").click()
    assert_live(content)
    assert_pictures(content, 2)
    embedding.page.wait_for_function("heights.at(-1) > 1000")
    assert_without_cookies(wire)
    assert embedding.context.cookies() == []
    link.delete_password(number)
    expect(content.get_by_role("alert")).to_contain_text("This page has expired.")
    content.get_by_role("button", name="Load again").click()
    expect(content.get_by_label("Password")).to_be_visible()


def test_where_browsers_do_not_say_that_it_is_a_frame_the_password_unlocks_it_too(
    foreign: Site, intranet: Intranet
) -> None:
    link = framable(foreign, intranet, "silent", password_required=True)
    link.add_password("the right password")
    # As over plain HTTP from another machine.
    response = foreign.context().request.post(
        f"{foreign.url}/embedded/{link.token}",
        form={"password": "the right password"},
        max_redirects=0,
    )
    assert response.status == 200
    assert "dash-config" in response.text()


def test_a_link_that_does_not_name_the_embedder_is_refused(
    foreign: Site, intranet: Intranet
) -> None:
    link = framable(foreign, intranet, "refused", frame_ancestors=["https://intranet.example.org"])
    Embedding(foreign, intranet, f"/embedded/{link.token}").assert_refused()
    # So is its form, and the page with a bar where the link names nobody.
    link.change(password_required=True)
    Embedding(foreign, intranet, f"/embedded/{link.token}").assert_refused()
    link.change(password_required=False, frame_ancestors=[])
    Embedding(foreign, intranet, f"/shared/{link.token}").assert_refused()


def test_a_public_dashboard_is_live_in_a_foreign_frame(
    foreign: Site, intranet: Intranet, wire: Wire
) -> None:
    foreign.write("open/test framed.ipynb", *widget_cells())
    embedding = Embedding(foreign, intranet, "/dashboards-plain/open/test framed")
    assert_live(embedding.content)
    embedding.page.wait_for_function("heights.length > 0")
    assert_without_cookies(wire)
    assert embedding.context.cookies() == []
    Embedding(foreign, intranet, "/dashboards/open/test framed").assert_refused()


def test_a_framed_page_comes_back_after_a_break(
    foreign: Site, intranet: Intranet, wire: Wire
) -> None:
    link = framable(foreign, intranet, "broken")
    content = Embedding(foreign, intranet, f"/embedded/{link.token}").content
    assert_live(content)
    wire.cut()
    expect(content.locator("#dash-status")).to_have_text("Connection lost. Reconnecting…")
    wire.mend()
    assert_live(content, 2)
    assert_without_cookies(wire)
