"""A server with default settings trusts nobody: hostile notebooks can do nothing, ordinary ones look as they should."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import Browser, Page, expect

from tests.servers import dashboards_server

from .attacks import BAD, HTML, bundles, widgets
from .conftest import EXAMPLES, Site, Visit
from .intranet import Intranet
from .notebooks import PNG
from .test_examples import NOTEBOOKS

REFUSAL = "This output runs scripts, and this folder is not trusted to."


@pytest.fixture(scope="module")
def untrusted(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    folder = tmp_path_factory.mktemp("dashboards")
    shutil.copytree(EXAMPLES, folder / "examples")
    options = ["--KernelBindings.retention=5", "--KernelBindings.max_kernels_per_viewer=20"]
    with dashboards_server(folder, home, *options) as server:
        opened = Site(browser, server, folder)
        yield opened
        opened.close()


@pytest.fixture
def hostile(untrusted: Site, intranet: Intranet) -> Site:
    """The server with an attacker's files beside the notebooks."""
    bad = BAD.replace("{home}", intranet.url)
    files = {
        "evil.js": bad,
        "evil.html": f"<script>parent.window.pwned=1;{bad}</script>",
        "evil.svg": f"<svg xmlns='http://www.w3.org/2000/svg'><g id='x' onclick='{quote(bad)}'/><script>window.pwned=1</script></svg>",
        "evil.css": ".dash-bar { display: none }",
    }
    for name, text in files.items():
        (untrusted.folder / name).write_text(text)
    return untrusted


def trap(page: Page) -> None:
    """What an expression would have to call, to show that it could."""
    page.add_init_script("window.pwn = () => { window.pwned = 1; return ''; }")


# As a viewer who touches everything would.
TOUCH = """() => {
  for (const element of document.querySelectorAll("#dash-cells *")) {
    for (const type of ["mouseover", "focus", "click", "dblclick", "toggle"])
      element.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, view: window }));
  }
}"""

LEFT = """() => {
  const cells = document.querySelector("#dash-cells");
  const urls = [...cells.querySelectorAll("*")].flatMap((element) =>
    [...element.attributes].filter(({ name, value }) =>
      /^on|^(srcdoc|formaction|action)$/.test(name) || /^\\s*(javascript|vbscript):/i.test(value)).map(({ name }) => name));
  return {
    elements: [...cells.querySelectorAll("iframe, object, embed, form:not(.vega-bindings), base, meta, link, script:not(.dash-mime)")]
      .map((element) => element.outerHTML.slice(0, 200)),
    attributes: urls,
    ids: [...cells.querySelectorAll("[id^='dash-'], [name=currentScript]")].map((element) => element.outerHTML.slice(0, 200)),
    script: document.currentScript,
    config: document.getElementById("dash-config").tagName,
    pwned: window.pwned ?? null,
  };
}"""


def nothing_happened(visit: Visit, intranet: Intranet, title: str) -> None:
    page = visit.page
    address = page.url
    page.evaluate(TOUCH)
    # What was to load or to lead away has been asked for by now.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 500)))")
    assert page.evaluate(LEFT) == {
        "elements": [],
        "attributes": [],
        "ids": [],
        "script": None,
        "config": "SCRIPT",
        "pwned": None,
    }
    assert page.title() == title
    assert page.url == address
    assert len(page.frames) == 1
    assert intranet.asked == []
    bar = page.locator("header.dash-bar")
    expect(bar).to_be_visible()
    # Nothing lies over the page's own buttons.
    page.evaluate("scrollTo(0, 0)")
    button = page.locator("#dash-theme")
    assert button.evaluate(
        """button => { const { x, y, width, height } = button.getBoundingClientRect();
             return document.elementFromPoint(x + width / 2, y + height / 2) === button; }"""
    )


def shown(data: dict[str, Any]) -> str:
    return f"display({data!r}, raw=True)"


def test_stored_attacks_do_nothing(hostile: Site, intranet: Intranet) -> None:
    outputs = [new_output("display_data", data=data) for data in bundles(intranet.url).values()]
    prose = [
        new_markdown_cell(f"text\n\n{html.replace('{home}', intranet.url)}\n\ntext")
        for html in HTML.values()
    ]
    # A blank cell doesn't run: what is stored stays.
    hostile.write("stored.ipynb", *prose, *(new_code_cell(" ", outputs=[o]) for o in outputs))
    visit = hostile.visit("/dashboards/stored", before=trap)
    visit.wait_until_live()
    expect(visit.page.locator(".dash-vega svg, .dash-vega canvas").first).to_be_attached()
    nothing_happened(visit, intranet, "stored")


def test_live_attacks_do_nothing(hostile: Site, intranet: Intranet) -> None:
    cells = [new_code_cell(shown(data)) for data in bundles(intranet.url).values()]
    hostile.write("live.ipynb", *cells, new_code_cell("print('the end')"))
    visit = hostile.visit("/dashboards/live", before=trap)
    visit.wait_until_live()
    expect(visit.cell(len(cells))).to_have_text("the end")
    # javascript, bokeh, and html of scripts or frames alone
    refused = visit.page.locator(".dash-placeholder", has_text=REFUSAL)
    assert refused.count() >= 7
    expect(refused.first).to_contain_text("DashboardsApp.trusted_folders")
    expect(visit.page.locator(".dash-vega svg, .dash-vega canvas").first).to_be_attached()
    expect(visit.page.locator(".dash-plotly .plot-container")).to_be_attached()
    nothing_happened(visit, intranet, "live")


def test_hostile_widgets_do_nothing(hostile: Site, intranet: Intranet) -> None:
    cells = [new_code_cell(source) for source in widgets(intranet.url)]
    hostile.write("widgets.ipynb", *cells)
    visit = hostile.visit("/dashboards/widgets", before=trap)
    visit.wait_until_live()
    expect(visit.page.locator(".widget-html-content").first).to_be_attached()
    error = visit.cell(len(cells) - 1).get_by_role("alert")
    expect(error).to_contain_text("anywidget.Any cannot be shown")
    expect(error).to_contain_text(REFUSAL)
    expect(visit.cell(len(cells) - 2).get_by_role("alert")).to_contain_text("cannot be shown")
    # The other cells failed at nothing: what they show was shown.
    expect(visit.page.locator(".dash-error:not(.dash-widget-error)")).to_have_count(0)
    expect(visit.page.locator(".widget-output .dash-html")).to_have_count(1)
    nothing_happened(visit, intranet, "widgets")


def test_what_got_past_a_sanitiser_would_end_at_the_policy(
    hostile: Site, intranet: Intranet
) -> None:
    hostile.write("policy.ipynb", new_markdown_cell("# Policy"))
    visit = hostile.visit("/dashboards/policy", before=trap)
    visit.wait_until_live()
    visit.page.evaluate(
        """async ([home, bad]) => {
          const add = (name, attributes) => document.body.append(Object.assign(document.createElement(name), attributes));
          add("script", { text: bad });
          add("script", { src: "evil.js" });
          add("script", { src: "evil.js", type: "module" });
          add("script", { src: URL.createObjectURL(new Blob([bad], { type: "text/javascript" })) });
          add("script", { src: `${home}/evil.js` });
          add("div", { innerHTML: `<img src=x onerror="${bad}">` });
          add("iframe", { srcdoc: `<script>parent.window.pwned = 1</script>` });
          add("iframe", { src: "evil.html" });
          for (const url of ["./evil.js", "data:text/javascript,window.pwned=1"]) await import(new URL(url, location)).catch(() => {});
          try { new Worker("evil.js"); } catch {}
          try { new Function("window.pwned = 1")(); } catch {}
          await fetch(`${home}/fetch`, { mode: "no-cors" }).catch(() => {});
        }""",
        [intranet.url, BAD.replace("{home}", intranet.url)],
    )
    visit.page.evaluate("() => new Promise((done) => setTimeout(done, 800))")
    assert visit.page.evaluate("window.pwned") is None
    assert visit.page.title() == "Policy"
    assert intranet.asked == []


def test_a_page_beside_a_notebook_runs_no_scripts(hostile: Site, intranet: Intranet) -> None:
    for name in ("evil.html", "evil.svg"):
        visit = hostile.visit(f"/dashboards/{name}", before=trap)
        assert visit.page.evaluate("window.pwned ?? null") is None
        assert visit.page.title() != "pwned"
    assert intranet.asked == []


ORDINARY = {
    "table": "import pandas as pd\ntable = pd.DataFrame({'region': ['north', 'south'], 'sales': [3, 7]})\ntable",
    "styled": "table.style.map(lambda sales: 'color: rgb(1, 2, 3); position: fixed', subset=['sales'])",
    "matplotlib": "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.show()",
    "plotly": "import plotly.graph_objects as go\ngo.Figure(go.Bar(x=['a', 'b'], y=[3, 7]))",
    "altair": "import altair as alt\nalt.Chart(table).mark_bar().encode(x='region', y='sales')",
    "slider": "import ipywidgets as w\nslider = w.IntSlider(3, description='<b>Size</b>', description_allow_html=True)\nslider",
    "html widget": "w.HTML('<b style=\"color: rgb(4, 5, 6)\">bold</b>')",
    "maths": "from IPython.display import *\nMath(r'\\frac{1}{2}')",
    "markdown": "Markdown('**bold** $x^2$ <mark>marked</mark>\\n\\n- [x] done')",
    "svg": 'SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><style>circle{fill:red}</style><circle r="9"/></svg>\')',
    "inline svg": 'HTML(\'<svg viewBox="0 0 9 9" width="40"><linearGradient id="g"><stop offset="1"/></linearGradient><path fill="url(#g)" d="M0 0h9v9z"/></svg>\')',
    "html": 'HTML(\'<style>.tile{border-left:5px solid rgb(7, 8, 9)}</style><div class="tile" id="one">tile</div><a href="#one">up</a>\')',
    "picture": f'HTML(\'<img alt="dot" src="data:image/png;base64,{PNG}">\')',
    "json": "JSON({'a': [1, 2]})",
}


def test_ordinary_outputs_still_show(untrusted: Site) -> None:
    untrusted.write(
        "ordinary.ipynb",
        new_markdown_cell(
            "# Ordinary\n\nEuler: $e^{i\\pi}$\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n\n- [ ] open"
        ),
        *(new_code_cell(source) for source in ORDINARY.values()),
    )
    visit = untrusted.visit("/dashboards/ordinary")
    visit.wait_until_live()
    cell = {name: visit.cell(index) for index, name in enumerate(ORDINARY, 1)}
    prose = visit.cell(0)
    expect(prose.locator(".katex")).to_have_count(1)
    expect(prose.locator("td").first).to_have_css("text-align", "right")
    expect(prose.get_by_role("checkbox")).to_have_accessible_name("open")
    frame = cell["table"].locator("table.dataframe")
    expect(frame.locator("tbody tr")).to_have_count(2)
    expect(frame.locator("td").last).to_have_css("text-align", "right")
    styled = cell["styled"].locator("td", has_text="7")
    expect(styled).to_have_css("color", "rgb(1, 2, 3)")
    expect(styled).to_have_css("position", "static")
    expect(cell["matplotlib"].locator("img")).to_be_visible()
    expect(cell["plotly"].locator(".plot-container")).to_be_visible()
    expect(cell["altair"].locator("svg.marks")).to_be_visible()
    expect(cell["slider"].locator(".noUi-handle")).to_be_visible()
    expect(cell["slider"].locator(".widget-label b")).to_have_text("Size")
    expect(cell["html widget"].locator("b")).to_have_css("color", "rgb(4, 5, 6)")
    expect(cell["maths"].locator(".katex")).to_be_visible()
    expect(cell["markdown"].locator(".katex")).to_be_visible()
    expect(cell["markdown"].locator("mark")).to_have_text("marked")
    expect(cell["markdown"].get_by_role("checkbox")).to_be_checked()
    expect(cell["svg"].locator("img")).to_have_js_property("naturalWidth", 40)
    expect(cell["inline svg"].locator("linearGradient")).to_have_id("g")
    expect(cell["inline svg"].locator("svg")).to_have_attribute("viewBox", "0 0 9 9")
    tile = cell["html"].locator("#one")
    expect(tile).to_have_css("border-left-color", "rgb(7, 8, 9)")
    expect(cell["picture"].get_by_alt_text("dot")).to_have_js_property("naturalWidth", 5)
    expect(cell["json"]).to_contain_text("a: [2]")
    assert not visit.console


def test_a_widget_s_html_follows_the_kernel(untrusted: Site) -> None:
    untrusted.write(
        "follows.ipynb",
        new_code_cell(
            "import ipywidgets as w\n"
            "button, text = w.Button(description='More'), w.HTMLMath('first')\n"
            "button.on_click(lambda _: setattr(text, 'value', '<b onclick=\"x\">second</b> $x$'))\n"
            "class Plain(w.Widget):\n"
            "    'Has a model and no view.'\n"
            "plain, follower = Plain(), w.HTML()\n"
            "w.jslink((text, 'value'), (follower, 'value'))\n"
            "w.VBox([button, text, follower])"
        ),
    )
    visit = untrusted.visit("/dashboards/follows")
    visit.wait_until_live()
    visit.page.get_by_role("button", name="More").click()
    bold = visit.page.locator(".widget-htmlmath-content b")
    expect(bold).to_have_text("second")
    assert bold.get_attribute("onclick") is None
    expect(visit.page.locator(".widget-htmlmath-content .katex")).to_be_visible()
    follower = visit.page.locator(".widget-html-content")
    expect(follower.locator("b")).to_have_text("second")
    assert follower.locator("b").get_attribute("onclick") is None
    # Chromium mentions a handler when it parses one, also where it can't run.
    assert all("inline" in text for text in visit.console)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_an_example_needs_no_trust(untrusted: Site, notebook: Path) -> None:
    visit = untrusted.visit(f"/dashboards/examples/{quote(str(notebook))}")
    visit.wait_until_live()
    expect(visit.page.locator("#dash-cells [aria-busy=true]")).to_have_count(0)
    expect(visit.page.locator("[role=alert]:not(:empty)")).to_have_count(0)
    expect(visit.page.locator(".dash-placeholder")).to_have_count(0)
    assert not visit.console
