"""A notebook as a dashboard's HTML: what is in it, what never is, and its structure."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer, RenderedDashboard

from .outputs import PNG, SVG

# In plain text, as HTML, as JSON and in base64.
MARKER = "s3cretMarker"


@pytest.fixture(scope="module")
def renderer() -> DashboardRenderer:
    return DashboardRenderer(error_text="Not computed.")


def notebook(*cells: NotebookNode, **metadata: Any) -> NotebookNode:
    made: NotebookNode = new_notebook(cells=list(cells), metadata=metadata)
    return made


def grid(*places: dict[str, Any] | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Metadata of a notebook with one grid, and of its cells; None: hidden."""
    views = {"g": {"type": "grid", "name": "Grid"}}
    cells = [{"g": {"hidden": True} if place is None else place} for place in places]
    return (
        {"extensions": {"jupyter_dashboards": {"version": 1, "activeView": "g", "views": views}}},
        [{"extensions": {"jupyter_dashboards": {"version": 1, "views": cell}}} for cell in cells],
    )


def at(row: int, col: int, width: int = 4, height: int = 2) -> dict[str, Any]:
    return {"hidden": False, "row": row, "col": col, "width": width, "height": height}


def shown(rendered: RenderedDashboard) -> BeautifulSoup:
    return BeautifulSoup(rendered.body.decode(), "html.parser")


def display(**mimes: Any) -> NotebookNode:
    data = {name.replace("__", "/"): value for name, value in mimes.items()}
    output: NotebookNode = new_output("display_data", data=data)
    return output


def code(source: str, *outputs: NotebookNode, **metadata: Any) -> NotebookNode:
    cell: NotebookNode = new_code_cell(source, outputs=list(outputs), metadata=metadata)
    return cell


def test_cells_stand_in_visual_order_with_their_places(renderer: DashboardRenderer) -> None:
    metadata, cells = grid(at(4, 0), None, at(0, 6), at(0, 0))
    nb = notebook(
        code("a", display(text__plain="A"), **cells[0]),
        code("b", display(text__plain="B"), **cells[1]),
        code("c", display(text__plain="C"), **cells[2]),
        new_markdown_cell("D", metadata=cells[3]),
        **metadata,
    )
    soup = shown(renderer.render(nb, "a.ipynb"))
    sections = soup.select("#dash-cells > section.dash-cell")
    assert [section["data-cell-index"] for section in sections] == ["3", "2", "0"]
    assert [section["style"] for section in sections] == [
        "--x:1;--y:1;--w:4;--h:2",
        "--x:7;--y:1;--w:4;--h:2",
        "--x:1;--y:5;--w:4;--h:2",
    ]
    board = soup.select_one("#dash-cells")
    assert board
    assert board["aria-busy"] == "false"
    assert "dash-grid" in board["class"]
    assert "--dash-columns:12;--dash-row:20px;--dash-gap:10px" in str(board["style"])
    assert [s.get_text().strip() for s in sections] == ["D", "C", "A"]


def test_a_notebook_without_layout_flows_in_notebook_order(renderer: DashboardRenderer) -> None:
    nb = notebook(new_markdown_cell("one"), new_raw_cell("two"), code("three"))
    soup = shown(renderer.render(nb, "a.ipynb"))
    board = soup.select_one("#dash-cells.dash-flow")
    assert board
    assert [s["data-cell-index"] for s in board.find_all("section")] == ["0", "2"]
    assert not board.select("[style]")


def test_no_source_and_nothing_hidden_is_in_the_page(renderer: DashboardRenderer) -> None:
    metadata, cells = grid(at(0, 0), None, None, at(2, 0), None)
    secret = display(text__html=f"<b>{MARKER}</b>", image__png=PNG)
    nb = notebook(
        code(
            f"print('{MARKER}')",
            new_output("stream", name="stderr", text=f"warning {MARKER}"),
            new_output("error", ename=MARKER, evalue=MARKER, traceback=[f"----> {MARKER}"]),
            display(**{"application__vnd.jupyter.widget-view+json": {"model_id": MARKER}}),
            display(application__javascript=f"// {MARKER}"),
            display(text__html=f"<script>{MARKER}</script><!-- {MARKER} -->"),
            **cells[0],
        ),
        code(MARKER, secret, **cells[1]),
        new_markdown_cell(f"# {MARKER}", metadata=cells[2]),
        new_raw_cell(MARKER, metadata=cells[3]),
        new_markdown_cell(f"![{MARKER}](attachment:{MARKER})", metadata=cells[4]),
        **metadata,
        note=MARKER,
        widgets={"application/vnd.jupyter.widget-state+json": {"state": {"x": MARKER}}},
    )
    rendered = renderer.render(nb, "a.ipynb")
    page = rendered.body.decode() + rendered.title + repr(rendered.layout)
    for form in (MARKER, base64.b64encode(MARKER.encode()).decode()[:12], MARKER.encode().hex()):
        assert form not in page
    assert rendered.images == {}
    assert "Not computed." in page


def test_the_live_page_runs_all_code_cells_with_a_source_hidden_ones_too(
    renderer: DashboardRenderer,
) -> None:
    metadata, cells = grid(at(4, 0), None, at(0, 0), at(1, 0), at(2, 0))
    nb = notebook(
        code("a", **cells[0]),
        code("b", **cells[1]),
        new_markdown_cell("c", metadata=cells[2]),
        code(" \n", **cells[3]),
        code("e", **cells[4]),
        **metadata,
    )
    assert renderer.render(nb, "a.ipynb").code_cells == (0, 1, 4)


def test_outputs_have_the_markup_that_the_client_makes_too(renderer: DashboardRenderer) -> None:
    nb = notebook(
        code(
            "x",
            new_output("stream", name="stdout", text="\x1b[31mred\x1b[0m <b>"),
            display(text__plain="<plain>"),
            display(text__html="<p>html</p>"),
            display(text__markdown="*marked*"),
            display(text__latex="$a<b$"),
            display(image__png=PNG),
            display(**{"image__svg+xml": SVG}),
            display(**{"application__vnd.plotly.v1+json": {"data": ["</script>"]}}),
            new_output("error", ename="E", evalue="v", traceback=["t"]),
        )
    )
    rendered = renderer.render(nb, "folder/a b.ipynb")
    outputs = shown(rendered).select("section > .dash-outputs > .dash-output")
    kinds = [output.get("data-mime") for output in outputs]
    assert kinds == [
        "stream",
        "text/plain",
        "text/html",
        "text/markdown",
        "text/latex",
        "image/png",
        "image/svg+xml",
        "application/vnd.plotly.v1+json",
        None,
    ]
    stream, text, html, marked, latex, picture, drawing, plot, error = outputs
    assert stream.select_one("pre.dash-stream[data-stream=stdout] > span.ansi-red-fg")
    assert stream.get_text() == "red <b>"
    assert text.get_text() == "<plain>"
    assert html.select_one(".dash-html > p")
    assert marked.select_one(".dash-markdown em")
    assert latex.get_text() == "$a<b$"
    image = picture.img
    assert isinstance(image, Tag)
    (name, *_) = (n for n in rendered.images if n.endswith(".png"))
    assert image["src"] == f"/_api/images/{name}?path=folder%2Fa%20b.ipynb"
    assert (image["alt"], image["width"], image["height"]) == ("Figure of cell 1", "3", "2")
    assert drawing.select_one("img[src*='.svg?']")
    data = plot.select_one("script[type='application/json'].dash-mime")
    assert data
    assert json.loads(data.get_text()) == {"data": ["</script>"]}
    assert "dash-error" in error["class"]
    assert error["role"] == "alert"
    assert error.get_text() == "Not computed."


def test_markdown_is_rendered_and_its_maths_left_as_text(renderer: DashboardRenderer) -> None:
    source = "# Head\n\n*em* <small>**b**</small>\n\n| a |\n|---|\n| 1 |\n\n$a<b_1*c*$ and $$\\frac{1}{2}$$ \\\\(x\\\\)"
    soup = shown(renderer.render(notebook(new_markdown_cell(source)), "a.ipynb"))
    cell = soup.select_one("section.dash-cell-markdown > .dash-markdown")
    assert cell
    assert [cell.find(tag) is not None for tag in ("h1", "em", "small", "table")] == [True] * 4
    text = cell.get_text()
    assert "$a<b_1*c*$" in text
    assert "$$\\frac{1}{2}$$" in text


def test_attachments_of_markdown_are_images_of_the_page(renderer: DashboardRenderer) -> None:
    cell = new_markdown_cell("![Alt](attachment:p.png)", attachments={"p.png": {"image/png": PNG}})
    rendered = renderer.render(notebook(cell), "a.ipynb")
    image = shown(rendered).img
    assert isinstance(image, Tag)
    assert image["alt"] == "Alt"
    (name,) = rendered.images
    assert image["src"] == f"/_api/images/{name}?path=a.ipynb"


def test_unbalanced_html_of_one_cell_does_not_reach_the_next(renderer: DashboardRenderer) -> None:
    broken = "</div></div></section></div></main><div><b><table><tr><td><!--> <textarea>"
    nb = notebook(
        new_markdown_cell(broken),
        code(
            "x",
            display(text__html=broken),
            display(text__markdown=broken),
            display(text__plain=broken),
        ),
        new_markdown_cell("after"),
    )
    soup = shown(renderer.render(nb, "a.ipynb"))
    assert len(soup.select("#dash-cells > section")) == 3
    assert [tag.name for tag in soup.find_all(recursive=False)] == ["div"]
    assert soup.select("#dash-cells > section")[2].get_text().strip() == "after"


# What the page says of itself


@pytest.mark.parametrize(
    ("cells", "metadata", "path", "title", "has_heading"),
    [
        (["# Sales *2026*", "# Other"], {}, "a.ipynb", "Sales 2026", True),
        (["text", "# Later #"], {}, "a.ipynb", "Later", True),
        (["Sales\n====="], {}, "a.ipynb", "Sales", True),
        (["# [Linked](x) & <b>bold</b>"], {}, "a.ipynb", "Linked & bold", True),
        (["<h1>Raw  HTML</h1>"], {}, "a.ipynb", "Raw HTML", True),
        (["```\n# a comment\n```"], {}, "sub/plain name.ipynb", "plain name", False),
        (["## Second"], {}, "a.b.ipynb", "a.b", False),
        (["# "], {}, "a.ipynb", "a", False),
        (["# Head"], {"title": " Stated "}, "a.ipynb", "Stated", True),
        (["x"], {"title": 3}, "bundle/index.ipynb", "bundle", False),
        ([], {}, "index.ipynb", "index", False),
    ],
)
def test_a_page_is_named_by_its_metadata_its_heading_or_its_file(
    renderer: DashboardRenderer,
    cells: list[str],
    metadata: dict[str, Any],
    path: str,
    title: str,
    has_heading: bool,
) -> None:
    nb = notebook(*(new_markdown_cell(source) for source in cells))
    nb.metadata.update(metadata)
    rendered = renderer.render(nb, path)
    assert rendered.title == title
    assert (
        rendered.has_heading == has_heading == (shown(rendered).h1 is not None and cells != ["# "])
    )


def test_a_heading_is_looked_for_in_visible_cells_in_reading_order(
    renderer: DashboardRenderer,
) -> None:
    metadata, cells = grid(None, at(5, 0), at(0, 0))
    titles = [f"# {name}" for name in ("Hidden", "Lower", "Upper")]
    nb = notebook(
        *(new_markdown_cell(t, metadata=m) for t, m in zip(titles, cells, strict=True)), **metadata
    )
    assert renderer.render(nb, "a.ipynb").title == "Upper"


@pytest.mark.parametrize(
    ("execution", "expected"),
    [
        (
            {"iopub.status.busy": "2026-01-02T03:04:05.678901Z"},
            datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        ),
        ({"a": "2026-01-01T00:00:00+02:00"}, datetime(2025, 12, 31, 22, tzinfo=UTC)),
        ({"a": "2026-01-01T00:00:00", "b": "nonsense", "c": 5}, datetime(2026, 1, 1, tzinfo=UTC)),
        ({"a": "0001-01-01T00:00:00+14:00"}, datetime(2020, 5, 5, tzinfo=UTC)),
        ({"a": "9999-12-31T23:59:59-14:00"}, datetime(2020, 5, 5, tzinfo=UTC)),
        ({}, datetime(2020, 5, 5, tzinfo=UTC)),
        ([], datetime(2020, 5, 5, tzinfo=UTC)),
        (None, datetime(2020, 5, 5, tzinfo=UTC)),
    ],
)
def test_a_page_is_as_of_its_last_execution_or_else_of_its_file(
    renderer: DashboardRenderer, execution: Any, expected: datetime
) -> None:
    nb = notebook(code("x"))
    nb.cells[0].metadata["execution"] = execution
    rendered = renderer.render(nb, "a.ipynb", last_modified=datetime(2020, 5, 5, tzinfo=UTC))
    assert rendered.as_of is not None
    assert rendered.as_of.astimezone(UTC) == expected


# Odd notebooks


def test_the_body_is_compressed_once_and_open_for_a_page_around_it(
    renderer: DashboardRenderer,
) -> None:
    rendered = renderer.render(notebook(new_markdown_cell("x" * 9999)), "a.ipynb")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    assert inflate.decompress(rendered.deflated) == rendered.body
    assert not inflate.eof
    assert rendered.size >= len(rendered.body)


def test_a_notebook_without_cells_is_an_empty_page(renderer: DashboardRenderer) -> None:
    rendered = renderer.render(notebook(), "a.ipynb")
    assert shown(rendered).select("#dash-cells")
    assert rendered.code_cells == ()


@pytest.mark.parametrize(
    "text", ["\ud800 lone", "\x00 nul", "\x1b[31m", "a\u2028b", "\ufffe", "𝕏 👩‍💻"]
)
def test_odd_characters_do_not_lose_the_page(renderer: DashboardRenderer, text: str) -> None:
    nb = notebook(
        new_markdown_cell(f"# {text} kept"),
        code(
            "x",
            display(text__html=text),
            display(text__plain=text),
            new_output("stream", text=text),
        ),
    )
    rendered = renderer.render(nb, "a.ipynb")
    assert "kept" in shown(rendered).get_text()
    rendered.title.encode()


def test_jinja_and_html_in_a_notebook_are_text(renderer: DashboardRenderer) -> None:
    text = "{{ 7 * 191 }} {% raw %} <b>&amp;"
    nb = notebook(new_markdown_cell(f"`{text}`"), code("x", display(text__plain=text)), title=text)
    rendered = renderer.render(nb, "a.ipynb")
    assert "1337" not in rendered.body.decode()
    assert shown(rendered).get_text().count(text) == 2
    assert rendered.title == text


def test_the_same_notebook_makes_the_same_bytes(renderer: DashboardRenderer) -> None:
    nb = notebook(new_markdown_cell("# A"), code("x", display(image__png=PNG)))
    again = nbformat.reads(nbformat.writes(nb), 4)
    assert renderer.render(nb, "a.ipynb") == renderer.render(again, "a.ipynb")
