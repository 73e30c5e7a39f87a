"""Where each cell of a dashboard goes. Pure: metadata in, placements out.

Terms, as the layout metadata has them:

- *view*: one arrangement of a notebook's cells, a *grid* or a *report*. A notebook may have several; one is active.
- *row*, *col*, *width*, *height*: a cell's box in a grid, in grid units, from the top left, 0-based.

Two formats are read: version 1 (`metadata.extensions.jupyter_dashboards`), with the names of its specification
(`cellHeight`, `numColumns`) and those of every file its editor wrote (`defaultCellHeight`, `maxColumns`), and version 0
(`metadata.urth.dashboard`). Whatever the metadata holds, the answer is a layout: what can't be understood is left out,
and a notebook without any usable layout shows all its cells, one below the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_COLUMNS = 12
DEFAULT_ROW_HEIGHT = 20
DEFAULT_GAP = 10

# Beyond these a layout is a mistake or an attack on the browser: it makes a track for every row up to the last.
_MAX_COLUMNS = 100
_MAX_ROWS = 5000
_MAX_PIXELS = 1000


@dataclass(frozen=True)
class CellInfo:
    """What a layout needs to know of a cell."""

    cell_type: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Box:
    """A place in the grid, 0-based, in grid units; always within the grid's columns."""

    row: int
    col: int
    width: int
    height: int


@dataclass(frozen=True)
class Placement:
    """A visible cell: its position in `nb.cells` and its box; without a box it follows the others at full width."""

    index: int
    box: Box | None = None


@dataclass(frozen=True)
class Layout:
    """A view as it is drawn. `cells` holds the visible cells alone, in reading order."""

    view: str
    views: tuple[tuple[str, str], ...]
    """All views a viewer may choose, as (id, name)."""
    is_grid: bool
    columns: int
    row_height: int
    gap: int
    cells: tuple[Placement, ...]

    @property
    def rows(self) -> int:
        """Rows of the grid; cells without a box come below them."""
        ends = [cell.box.row + cell.box.height for cell in self.cells if cell.box]
        return max(ends, default=1)


@dataclass(frozen=True)
class _View:
    """A view of either format: `cells` has a cell's own data, or None where the view doesn't mention it."""

    id: str
    name: str
    is_grid: bool
    options: Mapping[str, Any]
    cells: tuple[Mapping[str, Any] | None, ...]


def layout_of(
    notebook_metadata: Mapping[str, Any], cells: Sequence[CellInfo], view: str | None = None
) -> Layout:
    """The layout of a notebook in `view`, or in its active view when that is None or unknown."""
    views = _views_v1(notebook_metadata, cells) or _views_v0(notebook_metadata, cells)
    # A view that no cell belongs to would be an empty page.
    views = [candidate for candidate in views if any(cell is not None for cell in candidate.cells)]
    if not views:
        shown = tuple(Placement(i) for i, cell in enumerate(cells) if _can_show(cell))
        return Layout("", (), False, 1, DEFAULT_ROW_HEIGHT, DEFAULT_GAP, shown)
    wanted = (view, _get(notebook_metadata, "extensions", "jupyter_dashboards", "activeView"))
    chosen = next(
        (candidate for name in wanted for candidate in views if candidate.id == name), views[0]
    )
    columns = _integer(
        chosen.options, ("numColumns", "maxColumns"), DEFAULT_COLUMNS, 1, _MAX_COLUMNS
    )
    placements = [
        Placement(i, _box(data, columns) if chosen.is_grid else None)
        for i, data in enumerate(chosen.cells)
        if data is not None and data.get("hidden") is not True and _can_show(cells[i])
    ]
    return Layout(
        view=chosen.id,
        views=tuple((candidate.id, candidate.name) for candidate in views),
        is_grid=chosen.is_grid,
        columns=columns,
        row_height=_integer(
            chosen.options, ("cellHeight", "defaultCellHeight"), DEFAULT_ROW_HEIGHT, 1, _MAX_PIXELS
        ),
        gap=_integer(chosen.options, ("cellMargin",), DEFAULT_GAP, 0, _MAX_PIXELS),
        cells=tuple(sorted(placements, key=_reading_order)),
    )


def _reading_order(placement: Placement) -> tuple[bool, int, int, int]:
    box = placement.box
    if box is None:
        return (True, 0, 0, placement.index)
    return (False, box.row, box.col, placement.index)


def _can_show(cell: CellInfo) -> bool:
    return cell.cell_type in ("code", "markdown")


def _views_v1(metadata: Mapping[str, Any], cells: Sequence[CellInfo]) -> list[_View]:
    views = _get(metadata, "extensions", "jupyter_dashboards", "views")
    found = []
    for view_id, options in views.items() if isinstance(views, Mapping) else ():
        if not isinstance(view_id, str) or not isinstance(options, Mapping):
            continue
        name = options.get("name")
        data = [
            _get(cell.metadata, "extensions", "jupyter_dashboards", "views", view_id)
            for cell in cells
        ]
        found.append(
            _View(
                id=view_id,
                name=name if isinstance(name, str) and name else view_id,
                is_grid=options.get("type") == "grid",
                options=options,
                cells=tuple(item if isinstance(item, Mapping) else None for item in data),
            )
        )
    return found


def _views_v0(metadata: Mapping[str, Any], cells: Sequence[CellInfo]) -> list[_View]:
    options = _get(metadata, "urth", "dashboard")
    if not isinstance(options, Mapping):
        return []
    is_grid = options.get("layout") != "report"
    data: list[Mapping[str, Any] | None] = []
    for cell in cells:
        item = _get(cell.metadata, "urth", "dashboard")
        if not isinstance(item, Mapping) or (is_grid and not item):
            data.append(None)
            continue
        box = item.get("layout")
        # An early draft had the box's numbers beside `hidden`.
        data.append({**(box if isinstance(box, Mapping) else item), "hidden": item.get("hidden")})
    name = "grid" if is_grid else "report"
    return [_View(f"{name}_default", name, is_grid, options, tuple(data))]


def _box(data: Mapping[str, Any], columns: int) -> Box | None:
    numbers = [_number(data.get(name)) for name in ("row", "col", "width", "height")]
    row, col, width, height = numbers
    if row is None or col is None or width is None or height is None:
        return None
    col = min(max(col, 0), columns - 1)
    row = min(max(row, 0), _MAX_ROWS - 1)
    return Box(
        row=row,
        col=col,
        width=min(max(width, 1), columns - col),
        height=min(max(height, 1), _MAX_ROWS - row),
    )


def _integer(
    options: Mapping[str, Any], names: Sequence[str], otherwise: int, low: int, high: int
) -> int:
    for name in names:
        number = _number(options.get(name))
        if number is not None:
            return min(max(number, low), high)
    return otherwise


def _number(value: Any) -> int | None:
    # bool is an int in Python; NaN and infinities are floats that no int is near.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def _get(value: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
