"""Every notebook of examples/ is a live page without a fault: what a newcomer sees first."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest
from nbformat import NotebookNode
from playwright.sync_api import expect

from .conftest import EXAMPLES, Site

NOTEBOOKS = sorted(
    path.relative_to(EXAMPLES)
    for path in EXAMPLES.rglob("*.ipynb")
    if not any(part.startswith(".") for part in path.relative_to(EXAMPLES).parts)
)


def shown_cells(notebook: NotebookNode) -> list[int]:
    """The code cells that the active view shows and that had outputs when the notebook was stored."""
    active = notebook.metadata.extensions.jupyter_dashboards.activeView
    return [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        and cell.outputs
        and not cell.metadata.extensions.jupyter_dashboards.views[active].get("hidden")
    ]


def test_there_are_examples_to_open() -> None:
    assert len(NOTEBOOKS) >= 6


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_an_example_becomes_live_without_a_fault(site: Site, notebook: Path) -> None:
    cells = nbformat.read(EXAMPLES / notebook, as_version=4)
    visit = site.visit(f"/dashboards/examples/{quote(str(notebook))}")
    visit.wait_until_live()
    page = visit.page
    expect(page.locator("#dash-cells [aria-busy=true]")).to_have_count(0)
    for index in shown_cells(cells):
        outputs = visit.cell(index).locator(".dash-output")
        expect(outputs.first).to_be_visible()
        box = outputs.first.bounding_box()
        assert box is not None
        assert box["height"] > 10, f"cell {index} shows nothing"
    expect(page.locator("[role=alert]:not(:empty)")).to_have_count(0)
    expect(page.locator(".dash-placeholder")).to_have_count(0)
    broken = page.locator("#dash-cells img").evaluate_all(
        "images => images.filter((image) => image.src && image.complete && !image.naturalWidth)"
        ".map((image) => image.src.slice(0, 80))"
    )
    assert not broken
    # CSP violations are in the console too.
    assert not visit.console
    home = (site.url, site.url.replace("http", "ws"), "data:", "blob:")
    assert not [url for url in (*visit.requests, *visit.sockets) if not url.startswith(home)]


def test_the_query_string_chooses_what_the_parameters_example_shows(site: Site) -> None:
    visit = site.visit("/dashboards/examples/parameters")
    visit.wait_until_live()
    choices = visit.page.get_by_role("navigation", name="Parameters").get_by_role("link")
    other = visit.page.locator("nav.choice a:not([aria-current])").first
    name = other.inner_text()
    assert choices.count() > 3
    other.click()
    visit.page.wait_for_url("**/parameters?*")
    visit.wait_until_live()
    expect(visit.page.locator("nav.choice a[aria-current]").first).to_have_text(name)


def test_the_bundle_s_picture_and_links_lead_beside_its_notebook(site: Site) -> None:
    visit = site.visit("/dashboards/examples/field-notes")
    visit.wait_until_live()
    visit.page.get_by_role("link", name="methods").first.click()
    visit.page.wait_for_url("**/examples/field-notes/methods*")
    expect(visit.page.locator("#dash-main h1").first).to_be_attached()
    assert not visit.console
