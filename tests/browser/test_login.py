"""Viewers log in, see and open what the access file lets them, and log out; the owner comes by the same form."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import Browser, Page, expect

from tests.servers import TOKEN

from .conftest import CHROMIUM_OPTIONS, Site, Visit, chromium
from .guarded import (
    assert_live,
    fill_login,
    log_in,
    note_closes,
    share,
    wait_until_ended,
    widget_cells,
)
from .notebooks import stored
from .test_accessibility import assert_accessible, focused_text
from .test_listing import names


@pytest.fixture(scope="module")
def remembering(browser: Browser) -> Iterator[Browser]:
    """A browser that keeps pages for the back button, as people's browsers do; Playwright's don't."""
    kept = browser.browser_type.launch(
        executable_path=chromium(),
        args=CHROMIUM_OPTIONS,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield kept
    kept.close()


@pytest.fixture
def filled(guarded: Site) -> Site:
    """Notebooks for each rule of the access file."""
    guarded.write("sales/board.ipynb", *widget_cells())
    for path in (
        "open/news",
        "sales/plans/next year",
        "sales/drafts/raw",
        "sales/drafts/deep/for ann",
        "sales/drafts/deep/for nobody",
        "private/diary",
        "unnamed",
    ):
        guarded.write(f"{path}.ipynb", new_markdown_cell(f"# {path}"))
    return guarded


def test_who_is_not_logged_in_gets_the_form_and_then_the_page_that_was_asked_for(
    filled: Site,
) -> None:
    visit = filled.visit("/dashboards/sales/board?year=2025&theme=dark", before=note_closes)
    page = visit.page
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()
    fill_login(page, "ann", "a wrong password")
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")
    expect(page.get_by_label("Name")).to_have_value("ann")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    page.keyboard.type("a viewer's password")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboards/sales/board?year=2025&theme=dark")
    assert_live(page)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    # Only what a wrong password and the lack of one are answered with.
    assert [text for text in visit.console if "401" not in text] == []


@pytest.mark.parametrize(
    ("viewer", "listings"),
    [
        (
            "ann",
            {
                "": ["open", "private", "sales"],
                "/sales": ["drafts", "board"],
                "/sales/drafts": ["deep"],
                "/sales/drafts/deep": ["for ann"],
            },
        ),
        ("bob", {"": ["open", "sales"], "/sales": ["board"]}),
        (
            "carol",
            {
                "": ["open", "sales"],
                "/sales": ["plans", "board"],
                "/sales/plans": ["next year"],
            },
        ),
    ],
)
def test_a_listing_has_what_the_viewer_may_open_and_nothing_else(
    filled: Site, viewer: str, listings: dict[str, list[str]]
) -> None:
    page = log_in(filled, viewer).page
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    for folder, expected in listings.items():
        page.goto(f"{filled.url}/dashboards{folder}")
        shown = [name for name in names(page) if name != ".."]
        # Other tests of this server write theirs there too.
        assert [name for name in shown if not name.startswith("test ")] == expected, folder
        content = page.content()
        assert "unnamed" not in content
        assert "raw" not in names(page)


def test_what_a_viewer_may_not_open_looks_like_what_is_not_there(filled: Site) -> None:
    page = log_in(filled, "bob").page
    seen = set()
    for path in (
        "sales/drafts/raw",
        "sales/drafts",
        "sales/plans/next year",
        "private/diary",
        "private",
        "unnamed",
        "nowhere/at/all",
    ):
        response = page.goto(f"{filled.url}/dashboards/{quote(path)}")
        assert response is not None
        assert response.status == 404
        expect(page.get_by_role("heading", name="Not found")).to_be_visible()
        main = page.locator("#dash-main").inner_text()
        seen.add(main)
    assert len(seen) == 1, seen
    page.get_by_role("link", name="All dashboards").click()
    expect(page.get_by_role("heading", name="Dashboards")).to_be_visible()


def test_logging_out_leads_to_the_form_and_back_leads_nowhere(filled: Site) -> None:
    filled.write("sales/test told.ipynb", new_code_cell("1", outputs=stored("a stored secret\n")))
    page = log_in(filled, "ann", "/dashboards/sales/test told").page
    expect(page.locator("#dash-status")).to_have_text("Live")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    cookies = [cookie["name"] for cookie in page.context.cookies()]
    assert [name for name in cookies if name.startswith("dashboards-viewer")] == []
    page.go_back()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.locator("#dash-cells")).to_have_count(0)
    page.goto(f"{filled.url}/dashboards/sales/test told")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.parametrize("path", ["sales/board", "sales/plain words", "sales"])
def test_a_page_that_the_browser_kept_for_the_back_button_goes_when_it_is_back(
    filled: Site, remembering: Browser, path: str
) -> None:
    filled.write("sales/plain words.ipynb", new_markdown_cell("# Plain words"))
    site = Site(remembering, filled.server, filled.folder, token="")
    page = log_in(site, "ann", f"/dashboards/{path}").page
    expect(page.locator("#dash-theme")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.evaluate("history.back()")
    page.wait_for_url(f"**/login?next={quote('/dashboards/', safe='')}*")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    site.close()


def test_logging_out_everywhere_ends_the_page_that_another_browser_has_open(filled: Site) -> None:
    other = log_in(filled, "ann", "/dashboards/sales/board")
    carol = log_in(filled, "carol", "/dashboards/sales/board")
    assert_live(other.page)
    assert_live(carol.page)
    other.page.evaluate("window.same = true")
    page = log_in(filled, "ann").page
    page.goto(f"{filled.url}/logout")
    page.get_by_label("On all devices").check()
    page.get_by_role("main").get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    wait_until_ended(other.page, "You are not logged in any more.")
    assert other.page.evaluate("window.same") is True
    assert_live(carol.page, 2)
    other.page.get_by_role("button", name="Log in").click()
    expect(other.page.get_by_role("heading", name="Log in")).to_be_visible()
    fill_login(other.page, "ann")
    other.page.wait_for_url("**/dashboards/sales/board")
    assert_live(other.page)


def test_a_login_here_is_not_ended_by_a_logout_there(filled: Site) -> None:
    kept = log_in(filled, "ann", "/dashboards/sales/board")
    assert_live(kept.page)
    page = log_in(filled, "ann").page
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert_live(kept.page, 2)
    assert kept.page.evaluate("closes") == []


def test_the_owner_comes_by_the_same_form_without_a_name(filled: Site) -> None:
    visit = filled.visit("/dashboards/unnamed")
    fill_login(visit.page, "", "no token")
    expect(visit.page.get_by_role("alert")).to_have_text("Wrong name or password.")
    fill_login(visit.page, "", TOKEN)
    expect(visit.page.get_by_role("heading", name="unnamed")).to_be_visible()
    visit.page.goto(f"{filled.url}/dashboards")
    assert "unnamed" in names(visit.page)


@pytest.mark.parametrize("path", ["/dashboards", "/dashboards/sales/board"])
def test_the_token_of_the_printed_address_does_not_stay_in_it(filled: Site, path: str) -> None:
    page = filled.visit(f"{path}?token={TOKEN}&q=1").page
    page.wait_for_url(f"**{path}?q=1")
    page.goto(f"{filled.url}/dashboards/unnamed")
    expect(page.get_by_role("heading", name="unnamed")).to_be_visible()


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example/dashboards",
        "/\\evil",
        "/%09/evil.example",
        "javascript:alert(1)",
        "\\\\evil.example",
        "/\t/evil.example",
    ],
)
def test_a_login_leads_nowhere_else(filled: Site, wanted: str) -> None:
    went: list[str] = []
    visit = filled.visit(f"/login?next={quote(wanted, safe='')}")
    visit.page.on("request", lambda request: went.append(request.url))
    fill_login(visit.page, "bob")
    expect(visit.page.get_by_role("button", name="Log out")).to_be_visible()
    assert all(url.startswith(filled.url) for url in went), went
    # Nor does the form lead there whoever is logged in already.
    visit.page.goto(f"{filled.url}/login?next={quote(wanted, safe='')}")
    assert visit.page.url.startswith(filled.url)


def test_the_servers_own_pages_send_a_viewer_to_the_dashboards_and_not_round_in_circles(
    filled: Site,
) -> None:
    page = filled.visit("/lab").page
    fill_login(page, "bob")
    for path in ("/lab", "/api/contents", "/tree/sales"):
        page.wait_for_url("**/dashboards")
        page.goto(filled.url + path)
    assert "board" not in names(page)
    expect(page.get_by_role("heading", name="Dashboards")).to_be_visible()


def page_of(site: Site, name: str) -> Page:
    """One of the pages with a form, in a state with all that it can have."""
    if name == "login":
        page = site.visit("/login").page
        fill_login(page, "ann", "wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        return page
    if name == "logout":
        page = log_in(site, "ann").page
        page.goto(f"{site.url}/logout")
        return page
    link = share(site, "open/test locked.ipynb", new_markdown_cell("# Locked"))
    link.change(password_required=True)
    page = site.visit(f"/shared/{link.token}").page
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_be_visible()
    return page


@pytest.mark.parametrize("name", ["login", "logout", "unlock"])
def test_pages_with_forms_are_accessible_and_fit_a_phone(guarded: Site, name: str) -> None:
    page = page_of(guarded, name)
    assert_accessible(Visit(page))
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    for width in (1280, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        for element in page.locator("main :is(input:not([type=hidden]), button)").all():
            box = element.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            # A finger's size.
            assert box["height"] >= 40 or element.get_attribute("type") == "checkbox"


def test_forms_work_by_keyboard_alone(filled: Site) -> None:
    page = filled.visit("/dashboards/sales").page
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("a viewer's password")
    page.keyboard.press("Tab")
    assert focused_text(page) == "Log in"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="sales")).to_be_visible()
    page.goto(f"{filled.url}/logout")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || ''") or focused_text(page))
        if reached[-1] == "everywhere":
            break
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert focused_text(page) == "Log out"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_forms_work_without_javascript(filled: Site) -> None:
    page = log_in(filled, "ann", "/dashboards/sales", java_script_enabled=False).page
    assert "board" in names(page)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
