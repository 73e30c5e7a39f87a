"""Public dashboards: whoever comes, without a login, sees what the access file makes public, live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import Browser, expect

from tests.servers import TOKEN, ServerProcess, dashboards_server

from .conftest import Site
from .guarded import assert_live, fill_login, note_closes, wait_until_ended, widget_cells
from .notebooks import stored
from .test_listing import names


@pytest.fixture
def public(guarded: Site) -> Site:
    """Two public dashboards beside one that isn't."""
    guarded.write("open/board.ipynb", *widget_cells())
    guarded.write("open/folder/prose.ipynb", new_markdown_cell("# Prose"))
    guarded.write("sales/board.ipynb", *widget_cells())
    return guarded


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Path]]:
    """A server with an access file of its own, beside the folder, and room for one visitor."""
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("dashboards")
    rules = folder.with_name(f"{folder.name}.toml")
    rules.write_text('default = "public"')
    options = [
        f"--AccessRules.file={rules}",
        "--AccessManager.check_interval=0.2",
        "--KernelBindings.max_visitor_kernels=1",
        "--KernelBindings.retry_after=1",
        "--KernelBindings.retention=1",
    ]
    with dashboards_server(folder, home, *options) as server:
        yield server, folder


@pytest.fixture
def narrow(browser: Browser, narrow_server: tuple[ServerProcess, Path]) -> Iterator[Site]:
    opened = Site(browser, *narrow_server, token="")
    yield opened
    opened.close()


def test_a_public_dashboard_is_live_for_who_has_no_cookie(public: Site) -> None:
    visit = public.visit("/dashboards/open/board?theme=light")
    page = visit.page
    assert_live(page)
    # What every page sets, and what this one doesn't need.
    assert [cookie["name"] for cookie in page.context.cookies()] == ["_xsrf"]
    page.context.clear_cookies()
    page.get_by_role("slider").press("ArrowRight")
    expect(page.get_by_text("size is 2")).to_be_visible()
    page.get_by_role("button", name="Run again").click()
    assert_live(page)
    page.reload()
    assert_live(page)
    assert visit.console == []


def test_a_visitor_can_log_in_from_a_public_page_and_is_back_there(public: Site) -> None:
    page = public.visit("/dashboards/open/board?year=2025").page
    page.get_by_role("link", name="Log in").click()
    fill_login(page, "bob")
    page.wait_for_url("**/dashboards/open/board?year=2025")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_role("link", name="Log in")).to_have_count(0)
    assert_live(page)


def test_the_listing_of_nobody_in_particular_has_public_folders_only(public: Site) -> None:
    page = public.visit("/dashboards").page
    assert names(page) == ["open"]
    assert "sales" not in page.content()
    page.get_by_role("link", name="open").click()
    page.wait_for_url("**/open")
    assert {"folder", "board"} <= set(names(page))
    page.get_by_role("link", name="folder").click()
    page.get_by_role("link", name="prose").click()
    expect(page.get_by_role("heading", name="Prose")).to_be_visible()
    # What is not public and what is not there: both lead to the form.
    for path in ("sales", "sales/board", "nowhere"):
        page.goto(f"{public.url}/dashboards/{path}")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert page.url == f"{public.url}/login?next=%2Fdashboards%2F{path.replace('/', '%2F')}"


def test_visitors_share_their_own_limit_and_are_told_so(narrow: Site, browser: Browser) -> None:
    narrow.write(
        "busy.ipynb",
        new_code_cell("import os; print(os.getpid())", outputs=stored("stored\n")),
    )
    first = narrow.visit("/dashboards/busy")
    first.wait_until_live()
    second = narrow.visit("/dashboards/busy")
    alert = second.page.get_by_role("alert")
    expect(alert).to_contain_text("All kernels are in use; showing stored results.")
    expect(alert).to_contain_text("Trying again in")
    expect(second.cell(0)).to_have_text("stored")
    # The owner's pages have their own room.
    owner = Site(browser, narrow.server, narrow.folder, token=TOKEN)
    expect(owner.visit("/dashboards/busy").cell(0)).to_have_text(re.compile(r"^\d+\s*$"))
    owner.close()
    first.page.close()
    expect(second.page.locator("#dash-status")).to_have_text("Live")
    expect(second.cell(0)).to_have_text(re.compile(r"^\d+\s*$"))


def test_a_page_ends_when_its_folder_is_public_no_more(narrow: Site) -> None:
    narrow.write("board.ipynb", *widget_cells())
    rules = narrow.folder.with_name(f"{narrow.folder.name}.toml")
    page = narrow.visit("/dashboards/board", before=note_closes).page
    assert_live(page)
    rules.write_text('default = "viewers"')
    try:
        wait_until_ended(page, "This page has expired.")
        page.get_by_role("button", name="Load again").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    finally:
        rules.write_text('default = "public"')
