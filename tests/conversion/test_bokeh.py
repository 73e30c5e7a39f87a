"""Figures of Bokeh as a kernel with the real package leaves them."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from jupyter_dashboards_api.conversion.browser import PageBrowser
from jupyter_dashboards_api.conversion.exporter import PageExporter

from .test_widgets import executed

FIGURE = """
from bokeh.io import output_notebook, show
from bokeh.plotting import figure
output_notebook(hide_banner=True)
plot = figure(width=300, height=300)
plot.rect(x=[0], y=[0], width=1, height=1, color="#ff0000")
show(plot)
"""


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_a_figure_is_drawn_for_a_trusted_author_and_named_for_another_one(
    browser: PageBrowser, exporter: PageExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the server's kernels have it.
    monkeypatch.setenv("BOKEH_RESOURCES", "inline")
    notebook = await executed(FIGURE)
    for trusted in (True, False):
        options = {"is_note": True, "show_code": False, "trusted": trusted}
        made = exporter.page(notebook, "x.ipynb", **options)
        assert ("is not trusted to" in made.html.decode()) is not trusted
        drawn = Image.open(io.BytesIO(await browser.draw(made, "png"))).convert("RGB")
        colours = {colour for _, colour in drawn.getcolors(1 << 24) or []}
        assert ((255, 0, 0) in colours) is trusted
