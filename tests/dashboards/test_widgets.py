"""What a file of a notebook takes of the widgets' states that the notebook holds."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer
from jupyter_dashboards_api.dashboards.widgets import needed, stored_models

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def model(name: str = "IntSliderModel", **state: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "model_module": "@jupyter-widgets/controls",
        "model_module_version": "2.0.0",
        "state": state,
    }


def notebook(models: Any, *shown: str, **data: Any) -> nbformat.NotebookNode:
    outputs = [new_output("display_data", {VIEW: {"model_id": name}, **data}) for name in shown]
    metadata = {"widgets": {STATE: {"version_major": 2, "version_minor": 0, "state": models}}}
    return new_notebook(cells=[new_code_cell("", outputs=outputs)], metadata=metadata)


def rendered(given: nbformat.NotebookNode, **options: Any) -> Any:
    renderer = DashboardRenderer(error_text="It failed.", **options)
    return renderer.render(given, "a.ipynb", inline=True)


def test_the_shown_widgets_are_taken_with_all_that_they_are_made_of_and_no_other() -> None:
    models = {
        "box": model("VBoxModel", children=["IPY_MODEL_a", "IPY_MODEL_b"], layout="IPY_MODEL_l"),
        "a": model(style={"deep": [{"x": "IPY_MODEL_s"}]}),
        "b": model(me="IPY_MODEL_box"),
        "l": model("LayoutModel"),
        "s": model("SliderStyleModel"),
        "secret": model("TextModel", value="what is not shown"),
    }
    assert set(rendered(notebook(models, "box")).widgets) == {"box", "a", "b", "l", "s"}
    assert rendered(notebook(models)).widgets == {}


def test_links_come_along_when_both_of_their_ends_do() -> None:
    def link(*ends: str) -> dict[str, Any]:
        return model("LinkModel", source=[f"IPY_MODEL_{ends[0]}", "value"], target=[f"IPY_MODEL_{ends[1]}", "value"])  # fmt: skip

    models = {name: model() for name in "abc"} | {"ab": link("a", "b"), "ac": link("a", "c")}
    assert set(rendered(notebook(models, "a", "b")).widgets) == {"a", "b", "ab"}


def test_outputs_that_an_output_widget_keeps_are_shown_without_source_of_cells() -> None:
    kept = [
        {"output_type": "stream", "name": "stdout", "text": "words"},
        {"output_type": "stream", "name": "stderr", "text": "secret_source()"},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["secret_source()"]},
        {"output_type": "display_data", "data": {VIEW: {"model_id": "inner"}}, "metadata": {}},
        "no output",
    ]
    models = {"out": model("OutputModel", outputs=kept), "inner": model()}
    found = rendered(notebook(models, "out")).widgets
    assert "secret_source" not in str(found)
    assert [each["output_type"] for each in found["out"]["state"]["outputs"]] == [
        "stream",
        "error",
        "display_data",
    ]
    assert found["out"]["state"]["outputs"][1]["evalue"] == "It failed."
    assert "inner" in found
    told = rendered(notebook(models, "out"), show_tracebacks=True, show_stderr=True).widgets
    assert str(told).count("secret_source") == 2
    assert models["out"]["state"]["outputs"] == kept


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"widgets": None},
        {"widgets": {"state": {"a": {}}, "version": "1.1.2"}},
        {"widgets": {STATE: []}},
        {"widgets": {STATE: {"state": {"a": None, "b": {"state": 1}, "c": {"state": {}}}}}},
    ],
)
def test_what_is_no_state_of_widgets_is_none(metadata: Any) -> None:
    assert stored_models(metadata) == {}


def test_a_state_that_refers_to_itself_or_to_nothing_or_is_very_deep_is_taken_as_it_is() -> None:
    deep: Any = "IPY_MODEL_b"
    for _ in range(5000):
        deep = [deep]
    models = {"a": model(me="IPY_MODEL_a", lost="IPY_MODEL_x", deep=deep), "b": model()}
    assert set(needed(models, ["a", "y"], list)) == {"a", "b"}


def test_a_control_that_was_not_stored_says_so_and_how_to_store_it() -> None:
    body = rendered(notebook({}, "lost")).body.decode()
    assert "save it with its widget state" in body
    live = DashboardRenderer().render(notebook({}, "lost"), "a.ipynb").body.decode()
    assert "save it" not in live


def test_a_picture_beats_a_widget_that_may_need_its_kernel_and_no_control() -> None:
    canvas = {**model("MPLCanvasModel"), "model_module": "jupyter-matplotlib"}
    picture = {"image/svg+xml": "<svg/>"}
    assert rendered(notebook({"c": canvas}, "c", **picture)).widgets == {}
    assert set(rendered(notebook({"c": model()}, "c", **picture)).widgets) == {"c"}
