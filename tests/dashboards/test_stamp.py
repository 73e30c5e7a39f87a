"""The stamp of a run holds for the outputs that the run has written, and for no others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer
from jupyter_dashboards_api.dashboards.stamp import executed_at, stamp

TIME = datetime(2026, 11, 26, 6, 0, 0, 123, tzinfo=UTC)


@pytest.fixture
def notebook() -> NotebookNode:
    """A notebook that a run has just written."""
    outputs = [
        new_output("stream", name="stdout", text="one\ntwo\n"),
        new_output(
            "execute_result",
            {"text/plain": "a\nb", "application/json": {"list": ["x", "y"]}},
            execution_count=3,
        ),
    ]
    made = new_notebook(
        cells=[
            new_markdown_cell("# Title"),
            new_code_cell("print()", outputs=outputs),
            new_code_cell("x = 1"),
        ],
        metadata={"dashboards": {"other": 1}},
    )
    stamp(made, TIME)
    return made


def test_the_time_is_kept_in_utc_beside_what_else_is_ours(notebook: NotebookNode) -> None:
    assert executed_at(notebook) == TIME
    assert notebook.metadata.dashboards["executed_at"] == "2026-11-26T06:00:00.000123Z"
    assert notebook.metadata.dashboards["other"] == 1
    stamp(notebook, datetime(2026, 11, 26, 8, tzinfo=timezone(timedelta(hours=1))))
    assert executed_at(notebook) == datetime(2026, 11, 26, 7, tzinfo=UTC)
    nbformat.validate(notebook)


def test_it_survives_what_editors_do_to_a_notebook_whose_outputs_they_leave(
    notebook: NotebookNode,
) -> None:
    # Texts as lists of lines, and back.
    read = nbformat.reads(nbformat.writes(notebook), as_version=4)
    assert executed_at(read) == TIME
    split: Any = json.loads(nbformat.writes(notebook))
    assert isinstance(split["cells"][1]["outputs"][0]["text"], list)
    assert executed_at(nbformat.from_dict(split)) == TIME
    read.cells[1].source = "print('edited')"
    read.cells[1].outputs[1].execution_count = 9
    read.cells[1].execution_count = 9
    read.cells.insert(1, new_markdown_cell("more words"))
    read.cells.append(new_code_cell("y = 2"))
    assert executed_at(read) == TIME


def test_it_does_not_hold_for_other_outputs(notebook: NotebookNode) -> None:
    def changed(change: Any) -> datetime | None:
        other = nbformat.reads(nbformat.writes(notebook), as_version=4)
        change(other.cells[1].outputs)
        return executed_at(other)

    assert changed(lambda outputs: None) == TIME
    assert changed(lambda outputs: outputs.clear()) is None
    assert changed(lambda outputs: outputs.append(new_output("stream", text="x"))) is None
    assert changed(lambda outputs: outputs[0].update(text="one\ntwo")) is None
    assert changed(lambda outputs: outputs[1].data.update({"text/plain": "a\nc"})) is None
    assert (
        changed(lambda outputs: outputs[1].data.update({"application/json": {"list": "xy"}}))
        is None
    )
    assert changed(lambda outputs: outputs.reverse()) is None


@pytest.mark.parametrize(
    "written",
    [
        None,
        "2026",
        [],
        {},
        {"executed_at": "2026-11-26T06:00:00Z"},
        {"executed_at": None, "outputs": None},
        {"executed_at": 3},
        {"executed_at": "yesterday"},
        # No zone: no time that anybody knows.
        {"executed_at": "2026-11-26T06:00:00"},
        {"executed_at": "9999-12-31T23:59:59-23:00"},
    ],
)
def test_what_is_no_stamp_says_nothing(notebook: NotebookNode, written: Any) -> None:
    digest = notebook.metadata.dashboards["outputs"]
    if isinstance(written, dict) and written.get("executed_at") not in ("2026-11-26T06:00:00Z",):
        written = {"outputs": digest, **written}
    notebook.metadata["dashboards"] = written
    assert executed_at(notebook) is None


def test_a_page_is_of_the_time_of_the_run_not_of_a_later_edit(notebook: NotebookNode) -> None:
    renderer = DashboardRenderer()
    edited = datetime(2026, 11, 27, 9, tzinfo=UTC)
    page = renderer.render(notebook, "a.ipynb", last_modified=edited)
    assert (page.as_of, page.executed_at) == (TIME, TIME)
    notebook.cells[1].outputs.clear()
    page = renderer.render(notebook, "a.ipynb", last_modified=edited)
    assert (page.as_of, page.executed_at) == (edited, None)
