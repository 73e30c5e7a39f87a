"""What an HTML file of a notebook brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.async_api import async_playwright

from jupyter_dashboards_api.conversion.browser import find_executable
from jupyter_dashboards_api.conversion.exporter import PageExporter
from jupyter_dashboards_api.dashboards.assets import frontend

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
VIEW = "application/vnd.jupyter.widget-view+json"
VEGA = "application/vnd.vegalite.v5+json"


def shown(data: dict[str, Any]) -> Any:
    return new_code_cell("", outputs=[new_output("display_data", data)])


def state(**values: Any) -> dict[str, Any]:
    model = {
        "model_name": "OutputModel",
        "model_module": "@jupyter-widgets/output",
        "model_module_version": "1.0.0",
        "state": values,
    }
    form = "application/vnd.jupyter.widget-state+json"
    return {"widgets": {form: {"version_major": 2, "version_minor": 0, "state": {"w": model}}}}


def kept(data: dict[str, Any]) -> dict[str, Any]:
    """Of a widget that keeps an output."""
    return state(outputs=[{"output_type": "display_data", "data": data, "metadata": {}}])


@pytest.mark.parametrize(
    ("cell", "metadata", "parts"),
    [
        (new_markdown_cell("# Words for 5 €"), {}, set()),
        (new_markdown_cell("$x^2$"), {}, {"render/math"}),
        (new_markdown_cell("\\begin{align}x\\end{align}"), {}, {"render/math"}),
        (shown({"text/latex": "\\(x\\)"}), {}, {"render/math"}),
        (shown({VEGA: {"mark": "bar"}}), {}, {"render/vega"}),
        (shown({"application/vnd.plotly.v1+json": {"data": []}}), {}, {"render/plotly"}),
        (shown({VIEW: {"model_id": "w"}}), {}, set()),
        (shown({VIEW: {"model_id": "w"}}), state(), {"widgets/view"}),
        (shown({VIEW: {"model_id": "w"}}), kept({VEGA: {}}), {"widgets/view", "render/vega"}),
        (shown({VIEW: {"model_id": "w"}}), kept({"text/latex": "$x$"}), {"widgets/view", "render/math"}),
    ],
)  # fmt: skip
def test_a_file_has_the_parts_of_the_client_that_it_has_a_use_for(
    exporter: PageExporter, cell: Any, metadata: dict[str, Any], parts: set[str]
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    options = {"is_note": True, "show_code": False, "trusted": False}
    html = exporter.page(notebook, "a.ipynb", **options, inline=True).html.decode()
    optional = frontend.manifest["optional"]
    found = {part for part, file in optional.items() if f'"dash/{file}": "data:' in html}
    if "widgets/view" in parts:
        # What an Output widget shows may be anything.
        found -= {"render/foreign", "render/plotly", "widgets/manager"}
    assert found == parts
    if not parts:
        assert len(html) < 250_000


@pytest.mark.parametrize(
    "language", [5, "python", [1], None, {"name": [1]}, {"name": "unheard of"}]
)
@pytest.mark.filterwarnings("ignore:No lexer found")
def test_the_code_is_in_the_file_whatever_the_notebook_says_of_its_language(
    exporter: PageExporter, language: Any
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("some = 'code'")])
    notebook.metadata["language_info"] = language
    html = exporter.page(
        notebook, "a.ipynb", is_note=True, show_code=True, trusted=False, inline=True
    ).html
    text = BeautifulSoup(html, "html.parser").select_one(".dash-code")
    assert text is not None
    assert text.get_text().strip() == "some = 'code'"


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "drawn"),
    [("plotly", ".js-plotly-plot .main-svg"), ("altair", ".vega-embed svg, .vega-embed canvas"), ("mathematics", ".katex-html")],
)  # fmt: skip
async def test_the_html_file_draws_its_charts_and_formulas_with_no_network(
    exporter: PageExporter, tmp_path: Path, name: str, drawn: str
) -> None:
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    file = tmp_path / "a.html"
    file.write_bytes(
        exporter.page(
            notebook, "a.ipynb", is_note=True, show_code=True, trusted=False, inline=True
        ).html
    )
    asked = []
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=find_executable(), args=["--no-sandbox"]
        )
        context = await running.new_context(offline=True)
        tab = await context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        await tab.goto(file.as_uri())
        await tab.wait_for_selector(drawn, timeout=30_000)
        await running.close()
    assert [url for url in asked if not url.startswith(("data:", "blob:", "file:"))] == []
