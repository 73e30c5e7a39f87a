"""Cells and layouts as notebooks have them."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

# A red dot, 5 by 5 pixels.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO"
    "9TXL0Y4OHwAAAABJRU5ErkJggg=="
)


def stored(text: str) -> list[NotebookNode]:
    """The outputs of a cell that has printed `text`."""
    return [new_output("stream", name="stdout", text=text)]


def placed(cell: NotebookNode, row: int, col: int, width: int, height: int) -> NotebookNode:
    """The cell with this box, in grid units, in the grid view; visible in the report view too."""
    box = {"row": row, "col": col, "width": width, "height": height, "hidden": False}
    return _seen(cell, {"grid_default": box, "report_default": {"hidden": False}})


def hidden(cell: NotebookNode) -> NotebookNode:
    """The cell, hidden in both views."""
    return _seen(cell, {"grid_default": {"hidden": True}, "report_default": {"hidden": True}})


def _seen(cell: NotebookNode, views: dict[str, Any]) -> NotebookNode:
    cell.metadata["extensions"] = {"jupyter_dashboards": {"version": 1, "views": views}}
    return cell


def views(active: str = "grid_default", **grid: Any) -> dict[str, Any]:
    """The notebook's metadata for both views; `grid` are the grid's numbers."""
    return {
        "extensions": {
            "jupyter_dashboards": {
                "version": 1,
                "activeView": active,
                "views": {
                    "grid_default": {"type": "grid", "name": "grid", **grid},
                    "report_default": {"type": "report", "name": "report"},
                },
            }
        }
    }
