"""Where cells go: specs/dashboards.md §3.1 (v0), §3.2 (v1) and the layouts of real notebooks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.layout import Box, CellInfo, Layout, Placement, layout_of

GRID = {"type": "grid", "name": "grid"}
REPORT = {"type": "report", "name": "report"}
BOTH = {"grid_default": GRID, "report_default": REPORT}


def v1(views: Any, active: Any = "grid_default") -> dict[str, Any]:
    dashboards = {"version": 1, "activeView": active, "views": views}
    return {"extensions": {"jupyter_dashboards": dashboards}}


def cell_v1(grid: Any = None, report: Any = None, kind: str = "code") -> CellInfo:
    """A cell of a notebook with the views of `BOTH`; None: the view isn't mentioned."""
    stated = {"grid_default": grid, "report_default": report}
    views = {name: data for name, data in stated.items() if data is not None}
    return CellInfo(kind, v1(views))


def cell_v0(dashboard: Any, kind: str = "code") -> CellInfo:
    return CellInfo(kind, {"urth": {"dashboard": dashboard}})


def at(row: Any, col: Any, width: Any = 4, height: Any = 4, **more: Any) -> dict[str, Any]:
    return {"hidden": False, "row": row, "col": col, "width": width, "height": height, **more}


def indices(layout: Layout) -> list[int]:
    return [placement.index for placement in layout.cells]


# Version 1


def test_a_grid_view_puts_each_cell_into_its_box() -> None:
    cells = [cell_v1(at(0, 0, 12, 2), kind="markdown"), cell_v1(at(2, 6, 6, 12))]
    layout = layout_of(v1(BOTH), cells)
    assert layout.is_grid
    assert layout.view == "grid_default"
    assert layout.cells == (Placement(0, Box(0, 0, 12, 2)), Placement(1, Box(2, 6, 6, 12)))
    assert layout.rows == 14


@pytest.mark.parametrize(
    "options",
    [
        {"cellMargin": 7, "cellHeight": 30, "numColumns": 6},
        {"cellMargin": 7, "defaultCellHeight": 30, "maxColumns": 6},
        {
            "cellMargin": 7,
            "cellHeight": None,
            "defaultCellHeight": 30,
            "numColumns": "x",
            "maxColumns": 6,
        },
    ],
    ids=["names of the specification", "names in every real file", "one pair broken"],
)
def test_both_pairs_of_names_of_the_grid_s_measures_count(options: dict[str, Any]) -> None:
    layout = layout_of(v1({"g": {**GRID, **options}}, "g"), [CellInfo("code", v1({"g": at(0, 0)}))])
    assert (layout.gap, layout.row_height, layout.columns) == (7, 30, 6)


def test_a_grid_without_measures_has_the_editor_s_defaults() -> None:
    layout = layout_of(v1(BOTH), [cell_v1(at(0, 0))])
    assert (layout.gap, layout.row_height, layout.columns) == (10, 20, 12)


def test_the_active_view_is_shown_and_a_viewer_may_choose_another() -> None:
    cells = [cell_v1(at(4, 0), {"hidden": False}), cell_v1(at(0, 0), {"hidden": True})]
    assert indices(layout_of(v1(BOTH), cells)) == [1, 0]
    report = layout_of(v1(BOTH), cells, "report_default")
    assert report.view == "report_default"
    assert not report.is_grid
    assert indices(report) == [0]
    assert report.views == (("grid_default", "grid"), ("report_default", "report"))


@pytest.mark.parametrize("view", ["", "nope", "__proto__", "grid_default ", "GRID_DEFAULT"])
def test_an_unknown_view_is_the_active_one(view: str) -> None:
    cells = [cell_v1(at(0, 0), {})]
    assert layout_of(v1(BOTH, "report_default"), cells, view).view == "report_default"


@pytest.mark.parametrize("active", [None, "nope", 1, [], {}, True])
def test_an_unknown_active_view_still_shows_a_view_of_the_notebook(active: Any) -> None:
    layout = layout_of(v1(BOTH, active), [cell_v1(at(0, 0), {})])
    assert layout.view in BOTH
    assert indices(layout) == [0]


@pytest.mark.parametrize(
    ("data", "visible"),
    [
        ({"hidden": True}, False),
        ({"hidden": True, "row": 1, "col": 1, "width": 2, "height": 2}, False),
        ({"hidden": False}, True),
        ({}, True),
        ({"hidden": None}, True),
        ({"note": "no hidden"}, True),
        (None, False),
    ],
)
def test_a_cell_is_hidden_where_it_says_so_or_the_view_is_not_in_it(
    data: dict[str, Any] | None, visible: bool
) -> None:
    for active in BOTH:
        other = cell_v1(at(0, 0), {})
        layout = layout_of(v1(BOTH, active), [other, cell_v1(data, data)])
        assert indices(layout) == ([0, 1] if visible else [0])


def test_a_view_that_hides_all_cells_shows_none() -> None:
    cells = [cell_v1({"hidden": True}, {}), cell_v1({"hidden": True}, {})]
    layout = layout_of(v1(BOTH), cells)
    assert layout.view == "grid_default"
    assert layout.cells == ()
    assert layout.rows == 1


def test_raw_and_unknown_cells_are_never_shown() -> None:
    for kind in ("raw", "heading", ""):
        assert layout_of(v1(BOTH), [cell_v1(at(0, 0), {}, kind)]).cells == ()
        assert layout_of({}, [CellInfo(kind, {})]).cells == ()


def test_a_visible_cell_without_a_place_comes_below_the_grid() -> None:
    cells = [cell_v1({"hidden": False}), cell_v1(at(0, 0, None)), cell_v1(at(3, 0))]
    layout = layout_of(v1(BOTH), cells)
    assert layout.cells == (Placement(2, Box(3, 0, 4, 4)), Placement(0), Placement(1))


@pytest.mark.parametrize(
    ("data", "box"),
    [
        (at(0, 10, 6), Box(0, 10, 2, 4)),
        (at(0, 99, 6), Box(0, 11, 1, 4)),
        (at(-3, -1, 0, 0), Box(0, 0, 1, 1)),
        (at(0, 0, -5, -5), Box(0, 0, 1, 1)),
        (at(1.0, 2.9, 3.0, 4.5), Box(1, 2, 3, 4)),
        (at(True, 0), None),
        (at("1", 0), None),
        (at(math.nan, 0), None),
        (at(0, math.inf), None),
        (at([0], {}), None),
        ({"hidden": False, "row": 0, "col": 0}, None),
    ],
)
def test_numbers_that_make_no_box_in_the_grid_are_bent_into_it_or_ignored(
    data: dict[str, Any], box: Box | None
) -> None:
    assert layout_of(v1(BOTH), [cell_v1(data)]).cells == (Placement(0, box),)


def test_no_number_of_a_notebook_makes_a_grid_of_unbounded_size() -> None:
    huge = {**GRID, "maxColumns": 10**400, "defaultCellHeight": 1e308, "cellMargin": 10**9}
    cells = [CellInfo("code", v1({"g": at(10**400, 1e308, 10**9, 10**18)}))]
    layout = layout_of(v1({"g": huge}, "g"), cells)
    assert layout.columns <= 1000
    assert layout.row_height <= 10_000
    assert layout.gap <= 10_000
    assert layout.rows <= 10_000


# Broken, absent, old


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"extensions": {}},
        {"extensions": None},
        {"extensions": []},
        {"extensions": {"jupyter_dashboards": None}},
        {"extensions": {"jupyter_dashboards": {"version": 1, "activeView": "grid_default"}}},
        v1({}),
        v1([]),
        v1(None),
        v1("grid_default"),
        v1({"grid_default": None}),
        v1({"grid_default": []}),
        {"urth": {}},
        {"urth": {"dashboard": "grid"}},
    ],
)
def test_a_notebook_without_usable_views_shows_everything_in_notebook_order(
    metadata: dict[str, Any],
) -> None:
    cells = [cell_v1({"hidden": True}, kind="markdown"), CellInfo("raw", {}), cell_v1(at(0, 0))]
    layout = layout_of(metadata, cells)
    assert not layout.is_grid
    assert layout.views == ()
    assert layout.cells == (Placement(0), Placement(2))


@pytest.mark.parametrize(
    "metadata", [None, [], "x", {"extensions": 1}, {"extensions": {"jupyter_dashboards": 1}}]
)
def test_a_cell_s_broken_metadata_hides_that_cell_only(metadata: Any) -> None:
    assert indices(layout_of(v1(BOTH), [CellInfo("code", metadata), cell_v1(at(0, 0))])) == [1]


def test_a_v0_grid_is_read() -> None:
    dashboard = {"layout": "grid", "cellMargin": 8, "defaultCellHeight": 24, "maxColumns": 10}
    cells = [
        cell_v0({"hidden": False, "layout": {"row": 4, "col": 0, "width": 10, "height": 4}}),
        cell_v0({"hidden": True, "layout": {}}),
        cell_v0({}),
        CellInfo("code", {}),
        cell_v0({"layout": {"row": 0, "col": 5, "width": 5, "height": 4}}, "markdown"),
    ]
    layout = layout_of({"urth": {"dashboard": dashboard}}, cells)
    assert layout.is_grid
    assert (layout.gap, layout.row_height, layout.columns) == (8, 24, 10)
    assert layout.cells == (Placement(4, Box(0, 5, 5, 4)), Placement(0, Box(4, 0, 10, 4)))


def test_a_v0_notebook_that_names_no_layout_is_a_grid() -> None:
    cells = [cell_v0({"layout": {"row": 1, "col": 1, "width": 2, "height": 2}})]
    assert layout_of({"urth": {"dashboard": {}}}, cells).cells == (Placement(0, Box(1, 1, 2, 2)),)


def test_a_v0_report_shows_what_is_not_hidden_in_notebook_order() -> None:
    cells = [
        cell_v0(
            {"hidden": False, "layout": {"row": 9, "col": 0, "width": 1, "height": 1}}, "markdown"
        ),
        cell_v0({"hidden": True}),
        cell_v0({}),
        CellInfo("code", {}),
        cell_v0({"hidden": False}),
    ]
    layout = layout_of({"urth": {"dashboard": {"layout": "report"}}}, cells)
    assert not layout.is_grid
    assert layout.cells == (Placement(0), Placement(2), Placement(4))


def test_the_early_draft_of_v0_with_numbers_beside_hidden_is_read() -> None:
    cells = [cell_v0({"hidden": False, "row": 2, "col": 1, "width": 3, "height": 5})]
    layout = layout_of({"urth": {"dashboard": {"layout": "grid"}}}, cells)
    assert layout.cells == (Placement(0, Box(2, 1, 3, 5)),)


def test_where_a_notebook_has_both_formats_the_newer_one_counts() -> None:
    metadata = {**v1(BOTH), "urth": {"dashboard": {"layout": "report"}}}
    cells = [
        CellInfo("code", {**cell_v1(at(1, 2)).metadata, "urth": {"dashboard": {"hidden": True}}})
    ]
    assert layout_of(metadata, cells).cells == (Placement(0, Box(1, 2, 4, 4)),)


# Layouts as the editor of 2016 wrote them into real notebooks (dashboards_server's own tests)


def test_a_real_grid_that_begins_at_column_one_reads_in_rows() -> None:
    view = {"cellMargin": 10, "defaultCellHeight": 20, "maxColumns": 12, **GRID}
    cells = [
        cell_v1(at(0, 3, 6, 4), {"hidden": False}, "markdown"),
        cell_v1({"hidden": True}, {"hidden": False}),
        cell_v1(at(4, 1, 5, 15), {"hidden": False}, "markdown"),
        cell_v1(at(4, 6, 5, 15), {"hidden": False}),
        cell_v1({"hidden": True}, {"hidden": False}),
        cell_v1(at(19, 1, 5, 5), {"hidden": False}),
    ]
    layout = layout_of(v1({"grid_default": view, "report_default": REPORT}), cells)
    assert indices(layout) == [0, 2, 3, 5]
    assert [c.box.col for c in layout.cells if c.box] == [3, 1, 6, 1]


def test_a_real_grid_whose_notebook_order_is_not_its_visual_order_reads_in_rows() -> None:
    cells = [
        cell_v1(at(0, 0, 5), {}, "markdown"),
        cell_v1(at(0, 9, 2), {}, "markdown"),
        cell_v1(at(0, 7, 2), {}, "markdown"),
        cell_v1(at(0, 5, 2), {}),
    ]
    assert indices(layout_of(v1(BOTH), cells)) == [0, 3, 2, 1]
    assert indices(layout_of(v1(BOTH), cells, "report_default")) == [0, 1, 2, 3]


def test_a_real_report_with_null_widths_in_its_unused_grid_is_a_report() -> None:
    cells = [
        cell_v1(at(0, 0, None), {"hidden": False}, "markdown"),
        cell_v1(at(4, 0, None), {"hidden": True}),
        cell_v1(at(8, 0, None), {"hidden": False}, "markdown"),
    ]
    layout = layout_of(v1(BOTH, "report_default"), cells)
    assert layout.cells == (Placement(0), Placement(2))


def test_a_real_hidden_cell_with_a_position_and_null_width_stays_hidden() -> None:
    hidden = {"col": 0, "height": 4, "hidden": True, "row": 4, "width": None}
    cells = [cell_v1(at(0, 0, 12), {}, "markdown"), cell_v1(hidden, {})]
    assert indices(layout_of(v1(BOTH), cells)) == [0]


# Properties

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=3)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Dictionaries with any of these fields, each as it should be or anything else."""
    return st.fixed_dictionaries(
        {}, optional={name: field | JSON for name, field in fields.items()}
    )


NAMES = st.sampled_from(["a", "b", "grid_default"])
VIEW = some(
    type=st.sampled_from(["grid", "report"]),
    name=st.text(max_size=4),
    cellMargin=NUMBERS,
    cellHeight=NUMBERS,
    numColumns=NUMBERS,
    defaultCellHeight=NUMBERS,
    maxColumns=NUMBERS,
)
PLACE = some(hidden=st.booleans(), row=NUMBERS, col=NUMBERS, width=NUMBERS, height=NUMBERS)


def either(
    views: st.SearchStrategy[Any], dashboard: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    board = some(
        version=st.just(1), activeView=NAMES, views=st.dictionaries(NAMES, views, max_size=3)
    )
    return some(extensions=some(jupyter_dashboards=board), urth=some(dashboard=dashboard))


METADATA = either(VIEW, some(layout=st.sampled_from(["grid", "report"]), maxColumns=NUMBERS))
CELLS = st.lists(
    st.builds(
        CellInfo,
        st.sampled_from(["code", "markdown", "raw"]),
        either(PLACE, some(hidden=st.booleans(), layout=PLACE)),
    ),
    max_size=6,
)


def mapping(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


@given(METADATA, CELLS, st.none() | NAMES)
@settings(max_examples=80, deadline=None)
def test_any_metadata_makes_a_layout_that_can_be_drawn(
    metadata: Any, cells: list[CellInfo], view: str | None
) -> None:
    layout = layout_of(metadata, cells, view)
    assert layout.columns >= 1
    assert layout.row_height >= 1
    assert layout.gap >= 0
    assert layout.rows >= 1
    for placement in layout.cells:
        if placement.box:
            box = placement.box
            assert layout.is_grid
            assert box.row >= 0
            assert box.height >= 1
            assert 0 <= box.col < box.col + box.width <= layout.columns
            assert box.row + box.height <= layout.rows


@given(METADATA, CELLS, st.none() | NAMES)
@settings(max_examples=80, deadline=None)
def test_each_visible_cell_is_there_once_and_a_hidden_or_raw_one_never(
    metadata: Any, cells: list[CellInfo], view: str | None
) -> None:
    layout = layout_of(metadata, cells, view)
    shown = indices(layout)
    assert len(set(shown)) == len(shown)
    for index, cell in enumerate(cells):
        stated = mapping(cell.metadata, "extensions", "jupyter_dashboards", "views", layout.view)
        old = mapping(cell.metadata, "urth", "dashboard")
        is_v1 = isinstance(
            mapping(metadata, "extensions", "jupyter_dashboards", "views", layout.view), Mapping
        )
        data = stated if is_v1 else old
        if cell.cell_type == "raw" or (layout.view and mapping(data, "hidden") is True):
            assert index not in shown
        if not layout.view and cell.cell_type != "raw":
            assert index in shown
        if is_v1 and cell.cell_type != "raw" and isinstance(stated, Mapping):
            assert (index in shown) == (stated.get("hidden") is not True)


@given(METADATA, CELLS, st.none() | NAMES)
@settings(max_examples=80, deadline=None)
def test_cells_stand_in_reading_order(
    metadata: Any, cells: list[CellInfo], view: str | None
) -> None:
    layout = layout_of(metadata, cells, view)
    boxed = [placement for placement in layout.cells if placement.box]
    rest = [placement for placement in layout.cells if not placement.box]
    assert list(layout.cells) == boxed + rest
    places = [(p.box.row, p.box.col, p.index) for p in boxed if p.box]
    assert places == sorted(places)
    assert [p.index for p in rest] == sorted(p.index for p in rest)


@given(METADATA, CELLS, st.none() | NAMES)
@settings(max_examples=40, deadline=None)
def test_the_view_that_is_shown_can_be_chosen_by_its_own_name(
    metadata: Any, cells: list[CellInfo], view: str | None
) -> None:
    layout = layout_of(metadata, cells, view)
    names = [name for name, _ in layout.views]
    assert layout.view in names or not names
    assert layout_of(metadata, cells, layout.view) == layout
