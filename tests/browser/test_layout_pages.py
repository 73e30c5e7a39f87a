"""Layouts as a browser draws them: boxes in their places, one column on a phone, paper."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import Locator, expect

from .conftest import Site, Visit
from .notebooks import hidden, placed, stored, views

# row, col, width, height; in reading order, which isn't the notebook's.
BOXES = {3: (0, 0, 12, 2), 1: (2, 0, 4, 3), 0: (2, 6, 6, 12), 4: (14, 3, 6, 4)}


def quadrants() -> list[NotebookNode]:
    """Cells of both kinds in a grid, with a link each, and two hidden ones."""
    return [
        placed(new_code_cell("chart = 1", outputs=stored("[0]\n")), *BOXES[0]),
        placed(new_markdown_cell("[link 1](#one)"), *BOXES[1]),
        hidden(new_code_cell("x = 1", outputs=stored("hidden output\n"))),
        placed(new_markdown_cell("# Quadrants [link 3](#three)"), *BOXES[3]),
        placed(new_markdown_cell("[link 4](#four)"), *BOXES[4]),
        hidden(new_markdown_cell("hidden prose")),
    ]


def as_version_0(cell: NotebookNode) -> NotebookNode:
    data = cell.metadata.pop("extensions")["jupyter_dashboards"]["views"]["grid_default"]
    box = {name: data[name] for name in ("row", "col", "width", "height") if name in data}
    cell.metadata["urth"] = {"dashboard": {"hidden": data["hidden"], "layout": box}}
    return cell


SPECIFIED = views(cellHeight=30, cellMargin=8, numColumns=12)
AS_WRITTEN = views(defaultCellHeight=30, cellMargin=8, maxColumns=12)
VERSION_0 = {
    "urth": {
        "dashboard": {
            "layout": "grid",
            "defaultCellHeight": 30,
            "cellMargin": 8,
            "maxColumns": 12,
        }
    }
}


def still(site: Site, path: str, **options: Any) -> Visit:
    """A visit without JavaScript: what the server alone says about places."""
    return site.visit(path, java_script_enabled=False, **options)


def box_of(place: Locator) -> dict[str, float]:
    box = place.bounding_box()
    assert box is not None
    return dict(box)


def shown_indices(visit: Visit) -> list[int]:
    cells = visit.page.locator("#dash-cells > [data-cell-index]")
    return [int(cell.get_attribute("data-cell-index") or -1) for cell in cells.all()]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(SPECIFIED, id="names of the specification"),
        pytest.param(AS_WRITTEN, id="names that files have"),
        pytest.param(VERSION_0, id="version 0"),
    ],
)
def test_boxes_stand_where_the_layout_metadata_says(site: Site, metadata: dict[str, Any]) -> None:
    cells = quadrants()
    if metadata is VERSION_0:
        cells = [as_version_0(cell) for cell in cells]
    site.write("boxes.ipynb", *cells, **metadata)
    visit = still(site, "/dashboards/boxes")
    grid = box_of(visit.page.locator("#dash-cells"))
    height, margin, columns = 30, 8, 12
    unit = (grid["width"] - (columns - 1) * margin) / columns
    for index, (row, col, across, down) in BOXES.items():
        box = box_of(visit.cell(index))
        assert box["x"] - grid["x"] == pytest.approx(col * (unit + margin), abs=2)
        assert box["width"] == pytest.approx(across * unit + (across - 1) * margin, abs=2)
        assert box["y"] - grid["y"] == pytest.approx(row * (height + margin), abs=2)
        assert box["height"] == pytest.approx(down * height + (down - 1) * margin, abs=2)
    # The last row's end: hidden cells take no space.
    assert grid["height"] == pytest.approx(18 * height + 17 * margin, abs=2)
    assert "hidden output" not in visit.page.content()
    assert "hidden prose" not in visit.page.content()


def test_content_that_is_larger_than_its_box_scrolls_and_covers_no_other_cell(site: Site) -> None:
    long = "\n".join(f"line {n}" for n in range(60))
    site.write(
        "long.ipynb",
        placed(new_code_cell("1", outputs=stored(long)), 0, 0, 6, 4),
        placed(new_markdown_cell("below"), 4, 0, 6, 2),
        **views(),
    )
    visit = still(site, "/dashboards/long")
    above, below = box_of(visit.cell(0)), box_of(visit.cell(1))
    assert above["y"] + above["height"] <= below["y"]
    assert visit.cell(0).evaluate("node => node.scrollHeight > node.clientHeight")
    visit.page.get_by_text("line 59").scroll_into_view_if_needed()
    expect(visit.page.get_by_text("line 59")).to_be_in_viewport()


def test_reading_and_focus_order_are_the_visual_order(site: Site) -> None:
    site.write("focus.ipynb", *quadrants(), **views())
    visit = still(site, "/dashboards/focus")
    assert shown_indices(visit) == list(BOXES)
    visit.page.locator("#dash-main").focus()
    order = []
    for _ in range(3):
        visit.page.keyboard.press("Tab")
        order.append(visit.page.evaluate("document.activeElement.textContent"))
    assert order == ["link 3", "link 1", "link 4"]


def test_a_phone_shows_one_column_in_reading_order(site: Site) -> None:
    site.write("phone.ipynb", *quadrants(), **views())
    visit = still(site, "/dashboards/phone", viewport={"width": 390, "height": 844})
    boxes = [box_of(visit.cell(index)) for index in BOXES]
    assert len({(box["x"], box["width"]) for box in boxes}) == 1
    assert boxes[0]["width"] > 330
    ends = [box["y"] + box["height"] for box in boxes]
    assert all(end <= box["y"] for end, box in zip(ends, boxes[1:], strict=False))
    # As high as what is in it, and nothing to scroll sideways.
    assert boxes[2]["height"] < 100
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_report_stacks_its_cells_in_notebook_order(site: Site) -> None:
    site.write("report.ipynb", *quadrants(), **views("report_default"))
    visit = still(site, "/dashboards/report")
    assert shown_indices(visit) == [0, 1, 3, 4]
    boxes = [box_of(visit.cell(index)) for index in (0, 1, 3, 4)]
    assert len({(box["x"], box["width"]) for box in boxes}) == 1
    gaps = [after["y"] - before["y"] - before["height"] for before, after in pairwise(boxes)]
    assert min(gaps) > 5
    assert max(gaps) - min(gaps) < 1
    assert "hidden prose" not in visit.page.content()


def test_a_link_leads_to_the_heading_that_it_names(site: Site) -> None:
    cells = [new_markdown_cell("[there](#A-heading)"), new_markdown_cell("text\n\n" * 80)]
    site.write("contents.ipynb", *cells, new_markdown_cell("# A *heading*"))
    page = site.visit("/dashboards/contents.ipynb").page
    expect(page.locator("#A-heading")).not_to_be_in_viewport()
    page.get_by_text("there").click()
    expect(page.locator("#A-heading")).to_be_in_viewport()


def test_the_viewer_chooses_among_the_notebook_s_views(site: Site) -> None:
    site.write("views.ipynb", new_markdown_cell("in no view"), *quadrants(), **views())
    visit = still(site, "/dashboards/views?view=report_default")
    expect(visit.page.locator("#dash-cells")).to_have_class("dash-cells dash-flow")
    chooser = visit.page.get_by_label("View")
    expect(chooser).to_have_value("report_default")
    chooser.select_option("grid")
    visit.page.get_by_role("button", name="Show").click()
    expect(visit.page.locator("#dash-cells")).to_have_class("dash-cells dash-grid")
    assert visit.page.url.endswith("view=grid_default")


def test_with_javascript_choosing_a_view_is_enough_and_the_query_string_stays(site: Site) -> None:
    site.write("choose.ipynb", *quadrants(), **views())
    visit = site.visit("/dashboards/choose?region=north")
    visit.wait_until_live()
    expect(visit.page.get_by_role("button", name="Show")).to_have_count(0)
    visit.page.get_by_label("View").select_option("report")
    expect(visit.page.locator("#dash-cells")).to_have_class("dash-cells dash-flow")
    assert visit.page.url.endswith("?region=north&view=report_default")


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="no layout"),
        pytest.param({"extensions": {"jupyter_dashboards": {"version": 1}}}, id="no views"),
        pytest.param({"extensions": {"jupyter_dashboards": {"views": {"a": {}}}}}, id="no cells"),
    ],
)
def test_without_a_usable_layout_all_cells_are_shown(site: Site, metadata: dict[str, Any]) -> None:
    site.write(
        "plain.ipynb",
        new_markdown_cell("# First"),
        new_code_cell("2", outputs=stored("second\n")),
        **metadata,
    )
    visit = still(site, "/dashboards/plain?view=unknown")
    expect(visit.page.get_by_role("heading", name="First")).to_be_visible()
    expect(visit.page.get_by_text("second")).to_be_visible()
    expect(visit.page.get_by_label("View")).to_have_count(0)


@pytest.mark.parametrize("view", ["grid_default", "report_default"])
def test_on_paper_nothing_is_cut_and_nothing_can_be_pressed(site: Site, view: str) -> None:
    long = "\n".join(f"line {n}" for n in range(60))
    site.write(
        "paper.ipynb",
        # The live text is as long as the stored one, and nothing moves once it is there.
        placed(new_code_cell(f"print({long!r})", outputs=stored(long)), 0, 0, 6, 4),
        placed(new_markdown_cell("beside"), 0, 6, 6, 4),
        placed(new_markdown_cell("below"), 4, 0, 12, 2),
        **views(),
    )
    visit = site.visit(f"/dashboards/paper?view={view}", color_scheme="dark")
    visit.wait_until_live()
    visit.page.emulate_media(media="print", color_scheme="dark")
    expect(visit.page.locator("header.dash-bar")).to_be_hidden()
    for control in visit.page.get_by_role("button").all():
        expect(control).to_be_hidden()
    cut = visit.page.locator("#dash-cells, #dash-cells *").evaluate_all(
        """nodes => nodes.filter((node) =>
             getComputedStyle(node).overflow !== "visible" &&
             (node.scrollHeight > node.clientHeight + 1 || node.scrollWidth > node.clientWidth + 1)
           ).map((node) => node.outerHTML.slice(0, 80))"""
    )
    assert not cut
    last, below = box_of(visit.page.locator("[data-cell-index='0'] pre")), box_of(visit.cell(2))
    assert last["height"] > 60 * 12
    assert last["y"] + last["height"] <= below["y"]
    # Ink on white, whatever the screen's theme.
    assert visit.page.locator("body").evaluate("n => getComputedStyle(n).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
