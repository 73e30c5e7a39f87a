"""What nobody can open, scroll or follow in a file is there all the same, and what can't be read is not made."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image
from pypdf import PdfReader

from jupyter_dashboards_api.conversion.browser import PageBrowser

from .conftest import MakePage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def shown(mime: str, data: Any, source: str = "") -> Any:
    return new_code_cell(source, outputs=[new_output("display_data", {mime: data})])


def read(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data))


def text_of(data: bytes) -> str:
    return "\n".join(sheet.extract_text() for sheet in read(data).pages)


def red_in(data: bytes) -> int:
    """How many pixels of a PNG are red."""
    colours = Image.open(io.BytesIO(data)).convert("RGB").getcolors(1 << 24) or []
    return sum(count for count, colour in colours if colour == (255, 0, 0))


async def test_shown_code_is_there_whether_a_cell_has_outputs_or_not(
    browser: PageBrowser, page: MakePage
) -> None:
    cells = (
        new_code_cell("first_line = 1"),
        shown("text/plain", "the output", "second_line = 2"),
        new_code_cell("third_line = 3"),
    )
    text = text_of(await browser.draw(page(*cells, show_code=True), "pdf"))
    places = [text.index(f"{name}_line") for name in ("first", "second", "third")]
    assert places == sorted(places)
    without = text_of(await browser.draw(page(*cells), "pdf"))
    assert "_line" not in without
    assert "the output" in without


async def test_boxes_that_scroll_are_as_high_as_what_is_in_them(
    browser: PageBrowser, page: MakePage
) -> None:
    rows = "".join(f"<p>row {number}.</p>" for number in range(30))
    boxes = "".join(
        f'<div style="{style}">{rows}<p>the end {number}</p></div>'
        for number, style in enumerate(
            ("max-height:100px;overflow-y:auto", "height:120px;overflow:auto")
        )
    )
    text = text_of(await browser.draw(page(shown("text/html", boxes)), "pdf"))
    assert "the end 0" in text
    assert "the end 1" in text
    assert text.count("row 29.") == 2


async def test_what_is_folded_is_unfolded(browser: PageBrowser, page: MakePage) -> None:
    value = {"rows": [{"deep": {"name": f"the value {number}"}} for number in range(3)]}
    details = "<details><summary>more</summary><p>what was closed</p></details>"
    cells = (
        shown("application/json", value | {"long": list(range(501))}),
        shown("text/html", details),
    )
    text = text_of(await browser.draw(page(*cells), "pdf"))
    assert all(f"the value {number}" in text for number in range(3))
    assert "what was closed" in text
    # A page of numbers is not what somebody prints.
    assert "500" not in text
    assert "[501]" in text


async def test_the_text_of_a_wide_table_is_wrapped_before_it_is_made_small(
    browser: PageBrowser, page: MakePage
) -> None:
    sentence = "a sentence that goes on and on until it is long, " * 6
    link = "https://example.org/" + "x" * 200
    marker = "<div style='width:100px;height:100px;background:rgb(255,0,0)'></div>"
    table = f"<table><tr><td>{sentence}</td><td>{link}</td><td>{marker}</td></tr></table>"
    style = "<style>td { white-space: nowrap; }</style>"
    drawn = await browser.draw(page(shown("text/html", style + table), trusted=True), "png")
    # As large as it was: nothing had to shrink.
    assert red_in(drawn) == 100 * 100


async def test_links_to_the_server_s_inner_name_are_text(
    browser: PageBrowser, page: MakePage
) -> None:
    links = "[a](methods.ipynb) [b](?region=north) [c](https://example.org/x) [d](#there)"
    cells = (new_markdown_cell(links), new_markdown_cell("# there"))
    sheet = read(await browser.draw(page(*cells), "pdf")).pages[0]
    found = [each.get_object() for each in sheet.get("/Annots", [])]
    targets = [each["/A"]["/URI"] for each in found if "/A" in each]
    assert targets == ["https://example.org/x"]
    # Of a heading it is the place in the file.
    assert len([each for each in found if "/Dest" in each]) == 1
    assert "b" in sheet.extract_text()


async def test_a_picture_that_is_taller_than_a_sheet_is_whole_on_one(
    browser: PageBrowser, page: MakePage
) -> None:
    tall = io.BytesIO()
    Image.new("RGB", (300, 3000), (255, 0, 0)).save(tall, "PNG")
    data = base64.b64encode(tall.getvalue()).decode()
    cells = (new_markdown_cell("before"), shown("image/png", data), new_markdown_cell("after"))
    sheets = read(await browser.draw(page(*cells), "pdf")).pages
    assert len(sheets) <= 2
    assert sum(len(sheet.images) for sheet in sheets) == 1
    assert red_in(await browser.draw(page(*cells), "png")) == 300 * 3000


async def test_a_page_that_prints_itself_is_printed(browser: PageBrowser, page: MakePage) -> None:
    cell = shown("text/html", "<p>here it is</p><script>window.print(); print();</script>")
    assert "here it is" in text_of(await browser.draw(page(cell, trusted=True), "pdf"))


async def test_roots_are_drawn(browser: PageBrowser, page: MakePage) -> None:
    def formula(code: str) -> Any:
        return shown("text/latex", f"$\\color{{red}}{{{code}}}$")

    plain = red_in(await browser.draw(page(formula("x x x x x x")), "png"))
    rooted = red_in(await browser.draw(page(formula("\\sqrt{x x x x x x}")), "png"))
    # The sign and the line above.
    assert rooted > plain * 1.3


async def test_what_is_cut_is_said(
    browser: PageBrowser, page: MakePage, caplog: pytest.LogCaptureFixture
) -> None:
    wide = "<table><tr>" + "".join(f"<td>{'x' * 20}{n}</td>" for n in range(80)) + "</tr></table>"
    await browser.draw(page(shown("text/html", wide)), "pdf")
    assert "too wide" in caplog.text
