"""Every MIME type that notebooks show, from a real kernel, by the libraries that make them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import Page, expect

from .conftest import Site, Visit
from .notebooks import PNG

ROWS = [{"region": "north", "sales": 3}, {"region": "south", "sales": 7}]


def vega_lite(version: int, **more: Any) -> dict[str, Any]:
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{version}.json",
        "data": {"values": ROWS},
        "mark": "bar",
        "encoding": {
            "x": {"field": "region", "type": "nominal"},
            "y": {"field": "sales", "type": "quantitative"},
        },
        **more,
    }


SELECTION = vega_lite(4, selection={"picked": {"type": "single", "empty": "none"}})
SELECTION["encoding"]["opacity"] = {
    "condition": {"selection": "picked", "value": 1},
    "value": 0.25,
}

VEGA_5 = {
    "$schema": "https://vega.github.io/schema/vega/v5.json",
    "width": 200,
    "height": 100,
    "data": [{"name": "rows", "values": ROWS}],
    "scales": [
        {
            "name": "x",
            "type": "band",
            "domain": {"data": "rows", "field": "region"},
            "range": "width",
        },
        {
            "name": "y",
            "domain": {"data": "rows", "field": "sales"},
            "range": "height",
            "zero": True,
        },
    ],
    "marks": [
        {
            "type": "rect",
            "from": {"data": "rows"},
            "encode": {
                "enter": {
                    "x": {"scale": "x", "field": "region"},
                    "width": {"scale": "x", "band": 1},
                    "y": {"scale": "y", "field": "sales"},
                    "y2": {"signal": "scale('y', 0)"},
                }
            },
        }
    ],
}


def raw(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> str:
    """Source that displays this bundle."""
    return f"display({data!r}, raw=True, metadata={metadata or {}!r})"


CELLS = {
    "text": "'1 < 2 & <b>3</b>'",
    "html": """HTML('<p id="told">not yet</p><button onclick="this.textContent = 42">press</button>'
     '<script>document.getElementById("told").textContent = "by a script"</script>')""",
    "table": "import pandas as pd\npd.DataFrame({'region': ['north', 'south'], 'sales': [3, 7]})",
    "png": raw({"image/png": PNG, "text/plain": "<Figure>"}, {"image/png": {"alt": "a red dot"}}),
    "svg": """SVG('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">'
    '<script>document.body.dataset.svg = 1</script><circle cx="20" cy="20" r="9"/></svg>')""",
    "markdown": "Markdown('**bold**, $e^{i\\\\pi}$\\n\\n| a | b |\\n|---|---|\\n| 1 | 2 |')",
    "latex": "Latex(r'Half is $\\frac{1}{2}$, and $$\\int_0^1 x\\,dx$$')",
    "math": "Math(r'\\alpha^2')",
    "json": "JSON({'town': {'streets': ['High', 'Low']}, 'open': True})",
    "geojson": "GeoJSON({'type': 'Point', 'coordinates': [7, 51]})",
    "plotly": "import plotly.graph_objects as go\ngo.Figure(go.Bar(x=['a', 'b'], y=[3, 7]))",
    "vegalite3": raw({"application/vnd.vegalite.v3+json": vega_lite(3)}),
    "vegalite4": raw({"application/vnd.vegalite.v4+json": SELECTION}),
    "vegalite5": raw({"application/vnd.vegalite.v5+json": vega_lite(5)}),
    "vegalite6": raw({"application/vnd.vegalite.v6.json": vega_lite(6)}),
    "vega5": raw({"application/vnd.vega.v5+json": VEGA_5}),
    "altair": "import altair as alt\nalt.Chart(pd.DataFrame({'x': [1, 2, 3]})).mark_bar().encode(x='x:N', y='x')",
    "bokeh": """from bokeh.io import output_notebook, show
from bokeh.plotting import figure
output_notebook(hide_banner=True)
plot = figure(height=200)
plot.line([1, 2], [3, 4])
show(plot)""",
    "javascript": "Javascript('element.textContent = \"written by a script\"')",
    "unknown": raw({"application/x-of-nobody": "?", "text/plain": "its text"}),
    "broken": raw({"application/vnd.vega.v5+json": "{", "text/plain": "its text"}),
    "after": "print('the end')",
}


@dataclass
class Gallery:
    """The visited page, its cells by name."""

    visit: Visit

    def __getitem__(self, name: str) -> Any:
        return self.visit.cell(1 + list(CELLS).index(name))


@pytest.fixture(scope="module")
def gallery(module_site: Site) -> Iterator[Gallery]:
    imports = "from IPython.display import *\n"
    module_site.write(
        "gallery.ipynb",
        new_markdown_cell(
            "# Energy\n\nIt is $E = mc^2$, not \\$5 or \\$6.\n\n\\\\[ \\sum_n n \\\\]"
        ),
        *(new_code_cell(imports + source) for source in CELLS.values()),
    )
    visit = module_site.visit("/dashboards/gallery")
    visit.wait_until_live()
    yield Gallery(visit)
    visit.page.close()


def test_all_of_it_is_shown_without_a_complaint_or_a_request_elsewhere(gallery: Gallery) -> None:
    expect(gallery["after"]).to_have_text("the end")
    expect(gallery.visit.page.locator("#dash-cells [aria-busy=true]")).to_have_count(0)
    # Chromium reports inline handlers when it parses them, even where they could never run.
    assert not [
        text
        for text in gallery.visit.console
        if "event handler" not in text and "script-src-attr" not in text
    ]
    for url in gallery.visit.requests:
        assert url.startswith((gallery.visit.page.url.split("/dashboards")[0], "data:", "blob:"))


def test_text_is_text(gallery: Gallery) -> None:
    expect(gallery["text"].locator("pre")).to_have_text("'1 < 2 & <b>3</b>'")


def test_scripts_and_handlers_of_html_run_under_the_page_s_policy(gallery: Gallery) -> None:
    expect(gallery["html"].locator("#told")).to_have_text("by a script")
    gallery["html"].get_by_role("button").click()
    expect(gallery["html"].get_by_role("button")).to_have_text("42")


def test_a_data_frame_is_a_table(gallery: Gallery) -> None:
    expect(gallery["table"].get_by_role("cell", name="south")).to_be_visible()
    expect(gallery["table"].get_by_role("columnheader", name="sales")).to_be_visible()


def test_a_picture_has_the_alternative_text_of_its_metadata(gallery: Gallery) -> None:
    picture = gallery["png"].get_by_role("img", name="a red dot")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") == 5
    expect(gallery["png"]).to_have_text("")


def test_svg_is_drawn_and_its_scripts_are_not_run(gallery: Gallery) -> None:
    expect(gallery["svg"].locator("svg circle")).to_be_visible()
    expect(gallery["svg"].locator("script")).to_have_count(0)
    assert gallery.visit.page.locator("body").get_attribute("data-svg") is None


def test_markdown_is_formatted(gallery: Gallery) -> None:
    expect(gallery["markdown"].locator("strong")).to_have_text("bold")
    expect(gallery["markdown"].get_by_role("cell", name="2")).to_be_visible()
    expect(gallery["markdown"].locator(".katex math")).to_have_count(1)


def test_mathematics_is_typeset_by_katex(gallery: Gallery) -> None:
    expect(gallery["latex"].locator(".katex .mfrac")).to_be_visible()
    expect(gallery["latex"].locator(".katex-display")).to_have_count(1)
    expect(gallery["latex"]).to_contain_text("Half is")
    expect(gallery["math"].locator(".katex annotation")).to_contain_text(r"\alpha^2")
    prose = gallery.visit.cell(0)
    expect(prose.locator(".katex")).to_have_count(2)
    expect(prose.locator(".katex-display")).to_be_visible()
    expect(prose).to_contain_text("not $5 or $6")
    # A formula in the wrong font would be as wide as its source.
    assert gallery.visit.page.evaluate("document.fonts.check('16px KaTeX_Math')")


def test_json_is_a_tree_that_opens(gallery: Gallery) -> None:
    expect(gallery["json"].get_by_text("true")).to_be_visible()
    street = gallery["json"].get_by_text('"Low"')
    expect(street).to_be_hidden()
    for name in ("town", "streets"):
        gallery["json"].locator("summary", has_text=name).click()
    expect(street).to_be_visible()
    expect(gallery["geojson"].get_by_text('"Point"')).to_be_visible()


def test_plotly_figures_are_drawn_by_the_installed_extension(gallery: Gallery) -> None:
    expect(gallery["plotly"].locator(".main-svg").first).to_be_visible()
    expect(gallery["plotly"].locator(".bars .point")).to_have_count(2)


@pytest.mark.parametrize("name", ["vegalite3", "vegalite4", "vegalite5", "vegalite6", "vega5"])
def test_vega_of_every_version_is_drawn(gallery: Gallery, name: str) -> None:
    bars = gallery[name].locator("svg .mark-rect path")
    expect(bars).to_have_count(2)
    heights = [bar.evaluate("node => node.getBBox().height") for bar in bars.all()]
    assert heights[1] / heights[0] == pytest.approx(7 / 3, rel=0.02)


def test_selections_of_old_vega_lite_still_select(gallery: Gallery) -> None:
    bars = gallery["vegalite4"].locator("svg .mark-rect path")
    expect(bars.nth(0)).to_have_attribute("opacity", "0.25")
    bars.nth(0).click()
    expect(bars.nth(0)).not_to_have_attribute("opacity", "0.25")
    expect(bars.nth(1)).to_have_attribute("opacity", "0.25")


def test_altair_s_charts_are_drawn(gallery: Gallery) -> None:
    expect(gallery["altair"].locator("svg .mark-rect path")).to_have_count(3)


def test_bokeh_brings_its_own_library(gallery: Gallery) -> None:
    expect(gallery["bokeh"].locator(".bk-Canvas").first).to_be_visible()


def test_javascript_writes_into_its_own_output(gallery: Gallery) -> None:
    expect(gallery["javascript"]).to_have_text("written by a script")


def test_what_cannot_be_drawn_gives_way_and_harms_nothing_else(gallery: Gallery) -> None:
    expect(gallery["unknown"]).to_have_text("its text")
    expect(gallery["broken"].locator(".dash-placeholder")).to_be_visible()


def test_stored_plots_and_mathematics_are_drawn_before_a_kernel_answers(site: Site) -> None:
    plot = {"data": [{"type": "bar", "x": ["a"], "y": [1]}], "layout": {}}
    bundles: list[dict[str, Any]] = [
        {"application/vnd.plotly.v1+json": plot},
        {"application/vnd.vegalite.v6+json": vega_lite(6)},
        {"application/json": {"town": "Low"}},
        {"text/latex": "$x^2$"},
        {"text/html": "<script>document.body.dataset.stored = 1</script><i>html</i>"},
        {"image/png": PNG},
        {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "Slider()"},
    ]
    site.write(
        "stored.ipynb",
        new_markdown_cell("A $\\sqrt{2}$."),
        *(new_code_cell("1", outputs=[new_output("display_data", data=data)]) for data in bundles),
    )

    def refuse_kernels(page: Page) -> None:
        body = json.dumps({"message": "No kernel.", "status": 500})
        page.route("**/_api/kernels", lambda route: route.fulfill(status=500, body=body))

    visit = site.visit("/dashboards/stored", before=refuse_kernels)
    expect(visit.cell(0).locator(".katex")).to_be_visible()
    expect(visit.cell(1).locator(".main-svg").first).to_be_visible()
    expect(visit.cell(2).locator("svg .mark-rect path")).to_have_count(2)
    expect(visit.cell(3)).to_contain_text("Low")
    expect(visit.cell(4).locator(".katex")).to_be_visible()
    expect(visit.cell(5).locator("i")).to_have_text("html")
    expect(visit.cell(6).get_by_role("img")).to_be_visible()
    expect(visit.cell(7).locator(".dash-placeholder")).to_be_visible()
    expect(visit.page.locator("#dash-alert")).to_contain_text("Showing stored results")
    # An old script is not run before the cell is.
    assert visit.page.locator("body").get_attribute("data-stored") is None
