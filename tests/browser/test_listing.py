"""The listing: found by typing, by a form, by folders, and every name leads where it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell
from playwright.sync_api import Page, expect

from .conftest import Site, Visit

ODD = [
    "100% sure? #1 & more",
    "Café prices",
    "a+b = c; d",
    "it's “quoted” <b>",
    "%41 percent",
    "日本語",
]


@pytest.fixture(scope="module")
def listed(module_site: Site) -> Site:
    for number, name in enumerate(("Sales north", "Sales south", *ODD)):
        module_site.write(f"many/{name}.ipynb", new_markdown_cell(f"Page {number}."))
    module_site.write("many/inner/deep.ipynb", new_markdown_cell("# Deep"))
    module_site.write("many/bundle/index.ipynb", new_markdown_cell("# Bundled"))
    Path(module_site.folder / "many/notes.txt").write_text("plain notes")
    return module_site


def names(page: Page) -> list[str]:
    """What the list shows now, in its order."""
    shown = page.locator(".dash-entry:visible .dash-entry-name")
    return [name.strip() for name in shown.all_inner_texts()]


def opened(site: Site, path: str = "/dashboards/many", **options: object) -> Visit:
    return site.visit(path, **options)  # type: ignore[arg-type]


def test_the_list_has_dashboards_folders_and_files_after_the_way_up(listed: Site) -> None:
    shown = names(opened(listed).page)
    assert shown[0] == ".."
    assert set(shown[1:]) == {
        "Sales north",
        "Sales south",
        *ODD,
        "inner",
        "bundle",
        "notes.txt",
    }


def test_typing_narrows_the_list_by_words_without_case_or_accents(listed: Site) -> None:
    page = opened(listed).page
    search = page.get_by_role("searchbox")
    everything = names(page)
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("SAL")
    assert names(page) == ["..", "Sales north", "Sales south"]
    page.keyboard.type("es sou")
    assert names(page) == ["..", "Sales south"]
    search.fill("cafe")
    assert names(page) == ["..", "Café prices"]
    search.fill("nothing like it")
    expect(page.get_by_text("Nothing here matches “nothing like it”.")).to_be_visible()
    search.fill("")
    assert names(page) == everything


def test_enter_opens_the_first_match(listed: Site) -> None:
    page = opened(listed).page
    page.get_by_role("searchbox").fill("south")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("Page 1.")).to_be_visible()


def test_without_javascript_the_form_searches(listed: Site) -> None:
    page = opened(listed, java_script_enabled=False).page
    page.get_by_role("searchbox").fill("cafe")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/dashboards/many?q=cafe")
    assert names(page) == ["..", "Café prices"]
    expect(page.get_by_role("searchbox")).to_have_value("cafe")


def test_a_search_that_was_linked_to_can_be_widened(listed: Site) -> None:
    page = opened(listed, "/dashboards/many?q=south").page
    page.wait_for_load_state("networkidle")
    assert names(page) == ["..", "Sales south"]
    # The page has fetched the others.
    expect(page.locator(".dash-entry-name", has_text="Sales north")).to_be_attached()
    page.get_by_role("searchbox").fill("sales")
    assert names(page) == ["..", "Sales north", "Sales south"]


@pytest.mark.parametrize("root", ["/dashboards", "/dashboards-plain"])
def test_folders_lead_in_and_dots_lead_out(listed: Site, root: str) -> None:
    page = opened(listed, f"{root}/many").page
    page.get_by_role("link", name="inner").click()
    expect(page.get_by_role("link", name="deep")).to_be_visible()
    assert names(page) == ["..", "deep"]
    page.get_by_role("link", name="deep").click()
    expect(page.get_by_role("heading", name="Deep")).to_be_visible()
    assert page.url.endswith(f"{root}/many/inner/deep")
    page.go_back()
    page.get_by_role("link", name="..").click()
    page.wait_for_url(f"**{root}/many")
    page.get_by_role("link", name="bundle").click()
    expect(page.get_by_role("heading", name="Bundled")).to_be_visible()


def test_every_odd_name_leads_where_it_says(listed: Site) -> None:
    visit = opened(listed)
    for number, name in enumerate(ODD, 2):
        visit.page.get_by_role("link", name=name, exact=True).click()
        expect(visit.page.get_by_text(f"Page {number}.")).to_be_visible()
        expect(visit.page).to_have_title(name)
        # And back by the breadcrumb.
        current = visit.page.get_by_role("navigation").locator("[aria-current=page]")
        expect(current).to_have_text(name)
        visit.page.get_by_role("link", name="many").click()
        expect(visit.page.get_by_role("heading", name="many")).to_be_visible()
    visit.page.get_by_role("link", name="notes.txt").click()
    expect(visit.page.get_by_text("plain notes")).to_be_visible()
    assert not visit.console


def test_a_name_that_nobody_has_leads_to_a_page_that_leads_back(listed: Site) -> None:
    visit = listed.visit("/dashboards/many/nobody")
    expect(visit.page.get_by_role("heading", name="Not found")).to_be_visible()
    visit.page.get_by_role("link", name="All dashboards").click()
    expect(visit.page.get_by_role("heading", name="Dashboards")).to_be_visible()
