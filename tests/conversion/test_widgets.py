"""Widgets whose state a notebook holds, drawn in its files by the project's own client."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from playwright.async_api import async_playwright
from pypdf import PdfReader

from jupyter_dashboards_api.commands.execution import Execution
from jupyter_dashboards_api.conversion.browser import PageBrowser, find_executable
from jupyter_dashboards_api.conversion.exporter import PageExporter

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CONTROLS = """
import ipywidgets as w
from IPython.display import HTML, display
out = w.Output()
with out:
    print("printed words")
    display(HTML("<div style='width:70px;height:70px;background:rgb(0,0,255)'></div>"))
    display(w.IntSlider(41, description="Inner one"))
display(w.VBox([
    w.IntSlider(17, description="How many"), w.IntRangeSlider(value=[20, 61], description="From to"),
    w.Dropdown(options=["an apple", "a pear"], value="a pear", description="Fruit"),
    w.Text("typed words", description="Say"), w.Label("a label"),
    w.HBox([w.Button(description="Press me"), w.ToggleButtons(options=["day", "night"])]),
    w.HTML("<h3>A heading</h3><div style='width:70px;height:70px;background:rgb(255,0,0)'></div>"),
    w.Tab([w.Label("in a tab")], titles=["First"]), w.Checkbox(True, description="Checked"),
]))
out
"""

WORDS = [
    *("How many", "17", "61", "a pear", "typed words", "a label", "Press me", "night", "A heading"),
    *("in a tab", "First", "Checked", "printed words", "Inner one", "41"),
]

FOREIGN = """
import anywidget, traitlets
class Number(anywidget.AnyWidget):
    _esm = "export default { render({ model, el }) { el.textContent = `the number ${model.get('n')}`; } }"
    n = traitlets.Int(7).tag(sync=True)
Number()
"""


async def executed(source: str) -> NotebookNode:
    """A notebook of one cell with what it put out, and the state of its widgets as Jupyter stores it."""
    kernelspec = {"name": "python3", "display_name": "Python 3"}
    notebook = new_notebook(cells=[new_code_cell(source)], metadata={"kernelspec": kernelspec})
    manager = AsyncMappingKernelManager()
    kernel_id = await manager.start_kernel(kernel_name="python3")
    try:
        # Not by nbclient: now and then its own client sees the reply of a cell with an Output widget at its timeout only.
        await Execution(manager, kernel_id, notebook).run(60)
    finally:
        await manager.shutdown_kernel(kernel_id, now=True)
    return nbformat.from_dict(notebook)


@pytest.fixture(scope="module")
def controls(jp_asyncio_loop: asyncio.AbstractEventLoop) -> NotebookNode:
    """A notebook with controls of all kinds."""
    return jp_asyncio_loop.run_until_complete(executed(CONTROLS))


@pytest.fixture(scope="module")
def foreign(jp_asyncio_loop: asyncio.AbstractEventLoop) -> NotebookNode:
    """A notebook with a widget that an installed extension draws."""
    return jp_asyncio_loop.run_until_complete(executed(FOREIGN))


def text_of(data: bytes) -> str:
    found = " ".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(data)).pages)
    # The reader guesses where words end.
    return "".join(found.split())


@pytest.mark.parametrize("trusted", [True, False])
async def test_controls_are_in_the_pdf_and_the_picture(
    browser: PageBrowser, exporter: PageExporter, controls: NotebookNode, trusted: bool
) -> None:
    made = exporter.page(controls, "x.ipynb", is_note=True, show_code=False, trusted=trusted)
    text = text_of(await browser.draw(made, "pdf"))
    assert [word for word in WORDS if word.replace(" ", "") not in text] == []
    assert "cannotbeshown" not in text
    drawn = Image.open(io.BytesIO(await browser.draw(made, "png"))).convert("RGB")
    colours = {colour for _, colour in drawn.getcolors(1 << 24) or []}
    # Of the HTML widget, and of what the Output widget keeps.
    assert {(255, 0, 0), (0, 0, 255)} <= colours


async def seen_offline(file: Path, wait: str) -> tuple[str, list[str], Any]:
    """The text of a file in a browser without a network, what it asked for, and the values of its fields."""
    asked: list[str] = []
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=find_executable(), args=["--no-sandbox"]
        )
        context = await running.new_context(offline=True)
        tab = await context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        await tab.goto(file.as_uri())
        await tab.wait_for_selector("body[data-ready]", state="attached", timeout=30_000)
        await tab.wait_for_function(wait, timeout=30_000)
        text = await tab.inner_text("body")
        values = await tab.evaluate(
            "[...document.querySelectorAll('input, select')].map((field) => field.value)"
        )
        await running.close()
    return text, [url for url in asked if not url.startswith(("data:", "blob:", "file:"))], values


async def test_the_html_file_draws_its_controls_with_no_network(
    exporter: PageExporter, controls: NotebookNode, tmp_path: Path
) -> None:
    file = tmp_path / "a.html"
    file.write_bytes(
        exporter.page(
            controls, "a.ipynb", is_note=True, show_code=False, trusted=False, inline=True
        ).html
    )
    text, asked, values = await seen_offline(
        file, """() => !document.querySelector('[aria-busy="true"]')"""
    )
    fields = {"a pear", "typed words"}
    assert [word for word in WORDS if word not in text and word not in fields] == []
    assert fields <= set(values)
    assert "cannot be shown" not in text
    assert asked == []


async def test_a_widget_of_an_installed_extension_is_drawn_for_a_trusted_author_only(
    browser: PageBrowser, exporter: PageExporter, foreign: NotebookNode, tmp_path: Path
) -> None:
    for trusted in (True, False):
        options = {"is_note": True, "show_code": False, "trusted": trusted}
        text = text_of(await browser.draw(exporter.page(foreign, "x.ipynb", **options), "pdf"))
        assert ("thenumber7" in text) is trusted
        assert ("isnottrusted" in text) is not trusted
    file = tmp_path / "a.html"
    file.write_bytes(
        exporter.page(
            foreign, "a.ipynb", is_note=True, show_code=False, trusted=True, inline=True
        ).html
    )
    text, asked, _ = await seen_offline(
        file, "() => document.body.innerText.includes('the number 7')"
    )
    assert asked == []
    assert "cannot be shown" not in text
