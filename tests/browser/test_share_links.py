"""Share links: what they show, what they keep to themselves, and how they end."""

from __future__ import annotations

import base64
import json
import random
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import Page, Response, expect

from .conftest import Site, Visit
from .guarded import (
    Link,
    assert_live,
    note_closes,
    share,
    wait_until_ended,
    widget_cells,
)
from .notebooks import PNG, placed, stored, views
from .wire import Wire

FOLDER = "hushed"
"""No rule names it, so nobody but owners gets there without a link."""

PASSWORD, OTHER = "first password", "second password"

# Larger than what pages carry in themselves, if they carried any.
PICTURE = base64.b64encode(base64.b64decode(PNG) + random.Random(1).randbytes(40_000)).decode()


def addresses(link: Link) -> tuple[str, str]:
    return f"/shared/{link.token}", f"/embedded/{link.token}"


def read_query() -> Any:
    """A cell that prints what the page's query came to."""
    return new_code_cell("import os; print('given:', os.environ['QUERY_STRING'])")


class Network:
    """All that a page was sent or has sent."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.frames: list[bytes] = []

    def listen(self, page: Page) -> None:
        """To be called while the page is still blank."""
        note_closes(page)
        page.on("response", lambda response: self.responses.append(response))
        page.on("websocket", lambda socket: self._listen_to(socket))

    def _listen_to(self, socket: Any) -> None:
        self.frames.append(socket.url.encode())
        for event in ("framereceived", "framesent"):
            socket.on(event, lambda frame: self.frames.append(_bytes(frame)))

    def holding(self, *words: str) -> list[str]:
        """Where any of the words was since this was asked last; browsers forget the bodies when they move on."""
        seen = {f"frame {frame[:200]!r}": frame for frame in self.frames}
        for response in self.responses:
            head = response.url + json.dumps(response.all_headers())
            seen[f"head of {response.url}"] = head.encode()
            # The page before may have asked for a token, whose body is forgotten then.
            is_read = "/static/" not in response.url and "/_api/page_token" not in response.url
            if is_read and response.ok:
                seen[f"body of {response.url}"] = response.body()
        self.responses.clear()
        self.frames.clear()
        return [
            f"{word} in {place}"
            for place, content in seen.items()
            for word in words
            if _has(content, word)
        ]


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def _has(content: bytes, word: str) -> bool:
    return word.lower().encode() in content.lower()


def loaded_images(page: Page) -> list[str]:
    """The addresses of the pictures on the page; fails for one that is broken."""
    images = page.locator("#dash-cells img").all()
    for image in images:
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") == 5
    return [str(image.get_attribute("src")) for image in images]


def bundle(site: Site, name: str, **changes: Any) -> Link:
    """A notebook in a folder of its own, with pictures of every kind, and its link."""
    folder = site.folder / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "picture.png").write_bytes(base64.b64decode(PNG))
    (folder.parent / "beside.png").write_bytes(base64.b64decode(PNG))
    image = new_output("display_data", {"image/png": PICTURE, "text/plain": "a picture"})
    first, widget = widget_cells()
    return share(
        site,
        f"{FOLDER}/{name}/index.ipynb",
        first,
        new_markdown_cell("![relative](./picture.png) ![same](picture.png)"),
        new_code_cell("import time; time.sleep(0)", outputs=[image]),
        widget,
        read_query(),
        **changes,
    )


def test_a_link_shows_a_live_page_with_its_pictures_and_no_word_of_where_it_lies(
    guarded: Site,
) -> None:
    link = bundle(guarded, "whispered")
    for address in addresses(link):
        network = Network()
        visit = guarded.visit(f"{address}?year=2025", before=network.listen)
        assert_live(visit.page)
        expect(visit.cell(4)).to_have_text("given: year=2025")
        assert len(loaded_images(visit.page)) == 2
        stored_image = [r for r in network.responses if "/_images/" in r.url]
        assert [(r.status, r.headers["content-type"]) for r in stored_image] == [(200, "image/png")]
        assert network.frames
        assert network.holding(FOLDER, "whispered", ".ipynb") == []
        for word in (FOLDER, "whispered", ".ipynb"):
            assert word not in visit.page.content()
        config = json.loads(visit.page.locator("#dash-config").text_content() or "")
        assert config["path"] == ""
        bar = visit.page.get_by_role("navigation", name="Breadcrumb")
        expect(bar).to_have_count(0 if "embedded" in address else 1)
        expect(visit.page.get_by_role("link", name="Log in")).to_have_count(0)
        assert visit.console == []
        # The file's address opens what is beside the notebook, and nothing else.
        files = str(visit.page.locator("base").get_attribute("href"))
        asked = visit.page.context.request
        assert asked.get(guarded.url + files + "picture.png").status == 200
        for name in ("..%2fbeside.png", "index.ipynb", "index", "_images/x.png"):
            assert asked.get(guarded.url + files + name).status in (400, 404), name


def test_a_link_that_is_not_live_shows_stored_outputs_and_asks_for_no_kernel(guarded: Site) -> None:
    link = bundle(guarded, "still", live=False)
    network = Network()
    visit = guarded.visit(addresses(link)[0], before=network.listen)
    expect(visit.page.locator("body[data-ready]")).to_be_attached()
    assert len(loaded_images(visit.page)) == 3
    assert [r.url for r in network.responses if "_api" in r.url] == []
    # It only listens whether a run brings newer results.
    assert not [frame for frame in network.frames if b"/_api/kernels" in frame]
    expect(visit.page.get_by_role("button", name="Run again")).to_have_count(0)
    token = visit.page.evaluate("JSON.parse(document.getElementById('dash-config').text).pageToken")
    refused = visit.page.context.request.post(
        f"{guarded.url}/_api/kernels", data={}, headers={"X-Dashboards-Page-Token": token}
    )
    assert refused.status == 404


def test_a_locked_link_tells_nothing_of_its_notebook_before_the_password(guarded: Site) -> None:
    link = share(
        guarded,
        f"{FOLDER}/locked.ipynb",
        new_markdown_cell("# Takings"),
        new_code_cell("print('live')", outputs=stored("earned\n")),
        read_query(),
        password_required=True,
    )
    link.add_password(PASSWORD)
    network = Network()
    visit = guarded.visit(f"{addresses(link)[0]}?year=2025", before=network.listen)
    page = visit.page
    expect(page.get_by_role("heading", name="This dashboard needs a password")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    secrets = (FOLDER, "locked.", "Takings", "earned", "pageToken")
    for wrong in ("wrong password", f" {PASSWORD}"):
        assert network.holding(*secrets) == []
        page.get_by_label("Password").fill(wrong)
        with page.expect_navigation() as answer:
            page.keyboard.press("Enter")
        assert answer.value is not None
        assert answer.value.status == 401
        expect(page.get_by_role("alert")).to_have_text("Incorrect password")
        assert not any(secret in page.content() for secret in secrets)
    request = page.context.request
    for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
        response = request.fetch(guarded.url + addresses(link)[0], method=method)
        assert response.status == (200 if method == "HEAD" else 405)
        assert b"Takings" not in response.body()
    for word in ("Takings", "earned"):
        assert word not in request.get(f"{guarded.url}{addresses(link)[0]}.json").text()

    network.responses.clear()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Takings")).to_be_visible()
    expect(page.locator("#dash-status")).to_have_text("Live")
    expect(visit.cell(2)).to_have_text("given: year=2025")
    network.responses.clear()
    page.reload()
    expect(page.locator("#dash-status")).to_have_text("Live")
    assert network.holding(FOLDER) == []
    # Another browser has no such cookie.
    other = guarded.visit(addresses(link)[0]).page
    expect(other.get_by_label("Password")).to_be_visible()


def unlocked(site: Site, link: Link, password: str) -> Page:
    page = site.visit(addresses(link)[0], before=note_closes).page
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Open").click()
    assert_live(page)
    return page


def test_deleting_a_password_ends_the_pages_that_it_opened_and_no_others(guarded: Site) -> None:
    link = share(guarded, f"{FOLDER}/two.ipynb", *widget_cells(), password_required=True)
    first_id = link.add_password(PASSWORD)
    link.add_password(OTHER)
    first, second = unlocked(guarded, link, PASSWORD), unlocked(guarded, link, OTHER)
    link.delete_password(first_id)
    wait_until_ended(first, "This page has expired.")
    expect(first.get_by_role("button", name="Run again")).to_be_hidden()
    assert_live(second, 2)
    assert second.evaluate("closes") == []
    first.get_by_role("button", name="Load again").click()
    expect(first.get_by_label("Password")).to_be_visible()
    second.reload()
    assert_live(second)


def test_a_link_that_is_disabled_is_gone_and_its_live_page_ends(guarded: Site) -> None:
    link = share(guarded, f"{FOLDER}/brief.ipynb", *widget_cells())
    page = guarded.visit(addresses(link)[0], before=note_closes).page
    assert_live(page)
    link.change(enabled=False)
    wait_until_ended(page, "This page has expired.")
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    expect(page.get_by_role("link", name="All dashboards")).to_have_count(0)
    for address in addresses(link):
        assert page.context.request.get(guarded.url + address).status == 404


def test_a_link_ends_at_its_time(guarded: Site) -> None:
    link = share(guarded, f"{FOLDER}/timed.ipynb", *widget_cells())
    page = guarded.visit(addresses(link)[0], before=note_closes).page
    assert_live(page)
    end = datetime.now(UTC) + timedelta(seconds=1)
    link.change(expires_at=end.isoformat())
    wait_until_ended(page, "This page has expired.")
    assert datetime.now(UTC) >= end
    assert page.context.request.get(guarded.url + addresses(link)[0]).status == 404


def test_after_a_refresh_the_old_address_and_the_new_one_work(guarded: Site) -> None:
    link = share(guarded, f"{FOLDER}/renewed.ipynb", *widget_cells())
    old = addresses(link)[0]
    page = guarded.visit(old, before=note_closes).page
    assert_live(page)
    link.refresh()
    assert addresses(link)[0] != old
    assert_live(guarded.visit(addresses(link)[0]).page)
    assert_live(page, 2)
    page.reload()
    assert_live(page)


def test_a_links_parameters_go_before_those_of_its_address(guarded: Site) -> None:
    link = share(
        guarded, f"{FOLDER}/fixed.ipynb", read_query(), parameters="region=north&year=2024"
    )
    for query in ("?region=south", ""):
        visit = guarded.visit(addresses(link)[0] + query)
        expect(visit.cell(0)).to_have_text("given: region=north&year=2024")


def test_a_links_settings_choose_the_theme_and_leave_out_the_bar(guarded: Site) -> None:
    link = share(
        guarded,
        f"{FOLDER}/dressed.ipynb",
        new_markdown_cell("# Dressed"),
        settings={"theme": "dark", "noHeader": True},
        live=False,
    )
    context = guarded.context()
    # The visitor has chosen otherwise for other pages.
    context.add_init_script("localStorage.setItem('dash-theme', 'light')")
    page = guarded.visit(addresses(link)[0], context).page
    expect(page.locator("body[data-ready]")).to_be_attached()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(18, 21, 26)")
    expect(page.get_by_role("banner")).to_have_count(0)
    link.change(settings={"theme": "system", "noHeader": False})
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(page.get_by_role("banner")).to_have_count(1)


def test_a_links_page_changes_its_view_and_stays_within_its_address(guarded: Site) -> None:
    cell = placed(new_markdown_cell("# Viewed"), 0, 0, 6, 2)
    guarded.write(f"{FOLDER}/viewed.ipynb", cell, **views())
    link = Link(guarded, f"{FOLDER}/viewed.ipynb")
    link.change(enabled=True)
    page = guarded.visit(addresses(link)[0]).page
    page.get_by_label("View").select_option(label="report")
    page.wait_for_url(f"**{addresses(link)[0]}?view=report_default")
    expect(page.get_by_role("heading", name="Viewed")).to_be_visible()


def test_pages_outlive_their_first_token(guarded: Site, guarded_server: tuple[Any, Any]) -> None:
    link = share(guarded, f"{FOLDER}/long.ipynb", *widget_cells())
    guarded.write("open/test long.ipynb", *widget_cells())
    with Wire(guarded_server[0].port) as wire:
        guarded.url = wire.url
        visits = [
            guarded.visit(path, before=note_closes)
            for path in (addresses(link)[0], "/dashboards/open/test long")
        ]
        for visit in visits:
            assert_live(visit.page)
            outlive_token(visit)
            assert_live(visit.page, 2)
        # A new connection and a new kernel, with what the pages have by now.
        wire.cut()
        for visit in visits:
            status = visit.page.locator("#dash-status")
            expect(status).to_have_text("Connection lost. Reconnecting…")
        wire.mend()
        for visit in visits:
            assert_live(visit.page, 3)
            visit.page.get_by_role("button", name="Run again").click()
            expect(visit.page.get_by_text(re.compile("^size is"))).to_have_count(0)
            assert_live(visit.page)


def outlive_token(visit: Visit) -> None:
    """Waits until the token that the page came with is too old, and others have followed it."""
    page = visit.page
    token = page.evaluate("JSON.parse(document.getElementById('dash-config').text).pageToken")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    while time.time() <= claims["exp"]:
        with page.expect_response("**/_api/page_token", timeout=30_000) as renewed:
            pass
        assert renewed.value.status == 200
    address = f"{page.url.partition('/dashboards')[0].partition('/shared')[0]}/_api/page_token"
    headers = {"X-Dashboards-Page-Token": token}
    assert page.context.request.post(address, data={}, headers=headers).status == 401
    assert any(url.endswith("/_api/page_token") for url in visit.requests)
