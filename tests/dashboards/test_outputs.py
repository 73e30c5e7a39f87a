"""Stored outputs as the page's first paint shows them: nbformat's output types, mime types, terminal texts."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.outputs import MAX_EMBEDDED_JSON
from jupyter_dashboards_api.dashboards.terminal import overwritten

from .outputs import PNG, SVG, display, only, plain, png, reader, stream

# Streams and texts


def test_neighbouring_stdout_is_one_text_whatever_its_parts() -> None:
    pieces = reader().pieces([stream("a\n"), stream(["b", "c\n"]), stream("d")], 0)
    assert [(p.kind, p.mime, p.html) for p in pieces] == [("stream", "stdout", "a\nbc\nd")]


def test_stdout_around_another_output_stays_in_order() -> None:
    pieces = reader().pieces([stream("before"), display({"text/plain": "x"}), stream("after")], 0)
    assert [p.html for p in pieces] == ["before", "x", "after"]


def test_stderr_is_shown_only_where_it_is_permitted() -> None:
    output = stream("Warning: secret_source()", "stderr")
    assert reader().pieces([output], 0) == []
    piece = only(output, show_stderr=True)
    assert (piece.kind, piece.mime, piece.html) == ("stream", "stderr", "Warning: secret_source()")


def test_terminal_colours_become_classes_and_everything_else_is_escaped() -> None:
    text = '\x1b[1;31m<b>&"red\x1b[0m \x1b[38;5;200mmany\x1b[0m</pre>'
    for piece in (only(stream(text)), only(display({"text/plain": text}))):
        soup = BeautifulSoup(piece.html, "html.parser")
        assert {tag.name for tag in soup.find_all(True)} == {"span"}
        assert soup.get_text() == '<b>&"red many</pre>'
        assert "ansi-red" in piece.html
        assert "\x1b" not in piece.html


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("plain\ntext", "plain\ntext"),
        ("10%\r100%", "100%"),
        ("100%\rOK", "OK0%"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("done\r", "done"),
        ("abc\b\bX", "aXc"),
        ("\b\bx", "x"),
        ("1\n2\r3\n4", "1\n3\n4"),
        ("", ""),
    ],
)
def test_carriage_returns_and_backspaces_leave_what_a_terminal_would(
    written: str, seen: str
) -> None:
    assert overwritten(written) == seen


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("\x1b[32mabc\rxy", "xyc"),
        ("\x1b[32mabc\x1b[0m\r\x1b[31mxyz\x1b[0m", "xyz"),
        ("long line\r\x1b[2Kshort", "short"),
        ("long line\r\x1b[Kshort", "short"),
        ("\x1b[32m10%\x1b[0m\r\x1b[32m20%\x1b[0m\n\x1b[31mred", "20%\nred"),
    ],
)
def test_overwriting_counts_characters_and_not_the_colours_between_them(
    written: str, seen: str
) -> None:
    piece = only(stream(written))
    assert plain(piece.html) == seen


def test_overwritten_text_keeps_its_colours() -> None:
    soup = BeautifulSoup(only(stream("\x1b[32mabcd\x1b[0m\r\x1b[31mXY\nred")).html, "html.parser")
    coloured = [(span.get_text(), " ".join(span["class"])) for span in soup.find_all("span")]
    assert coloured == [("XY", "ansi-red-fg"), ("cd", "ansi-green-fg"), ("red", "ansi-red-fg")]


@given(st.text(alphabet="ab\r\b\n\x1b[0;31mK", max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_terminal_text_is_read(text: str) -> None:
    shown = plain(only(stream(f"{text} ")).html)
    assert "\r" not in shown
    assert "\b" not in shown


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("\x1b[38;5;245mx", '<span style="--ansi-fg: rgb(138,138,138)">x</span>'),
        ("\x1b[1;38;5;245mx", '<span class="ansi-bold" style="--ansi-fg: rgb(138,138,138)">x'),
        ("\x1b[44;38;5;245mx", '<span class="ansi-blue-bg" style="color: rgb(138,138,138)">x'),
        ("\x1b[7;38;5;245mx", 'style="background-color: rgb(138,138,138)">x'),
    ],
    ids=["plain", "bold", "on a ground", "inverse"],
)
def test_an_author_s_colour_is_left_to_the_style_sheet_but_on_a_ground_of_its_own(
    text: str, html: str
) -> None:
    assert html in only(stream(text)).html


# Errors


def test_an_error_is_the_operator_s_text_and_nothing_of_the_traceback() -> None:
    output = {
        "output_type": "error",
        "ename": "KeyError",
        "evalue": "'secret_name'",
        "traceback": ["----> 1 secret_source()", "KeyError"],
    }
    piece = only(output, error_text="Sorry & <bye>.")
    assert (piece.kind, piece.html, piece.data) == ("error", "Sorry &amp; &lt;bye&gt;.", None)


@pytest.mark.parametrize(
    ("traceback", "text"),
    [
        (["\x1b[0;31mline <1>\x1b[0m", "line 2"], "line <1>\nline 2"),
        ([], "E: <v>"),
        (None, "E: <v>"),
        ([1, None], "1\nNone"),
    ],
)
def test_a_traceback_is_shown_where_it_is_permitted(traceback: Any, text: str) -> None:
    output = {"output_type": "error", "ename": "E", "evalue": "<v>", "traceback": traceback}
    assert plain(only(output, show_tracebacks=True).html) == text


# Mime bundles


def test_each_mime_type_has_its_kind() -> None:
    kinds = {
        mime: only(display({mime: value})).kind
        for mime, value in {
            "text/plain": "x",
            "text/html": "<p>x",
            "text/markdown": "# x",
            "text/latex": "$x$",
            "image/png": PNG,
            "image/jpeg": PNG,
            "image/gif": PNG,
            "image/webp": PNG,
            "image/svg+xml": SVG,
            "application/json": {"a": 1},
            "application/geo+json": {"type": "Point"},
            "application/vnd.plotly.v1+json": {"data": []},
            "application/vnd.vegalite.v5+json": {"mark": "bar"},
            "application/vnd.vega.v5+json": {},
            "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
            "application/vnd.bokehjs_exec.v0+json": "",
        }.items()
    }
    assert kinds == {
        "text/plain": "text",
        "text/html": "html",
        "text/markdown": "markdown",
        "text/latex": "latex",
        "image/png": "image",
        "image/jpeg": "image",
        "image/gif": "image",
        "image/webp": "image",
        "image/svg+xml": "image",
        "application/json": "placeholder",
        "application/geo+json": "placeholder",
        "application/vnd.plotly.v1+json": "placeholder",
        "application/vnd.vegalite.v5+json": "placeholder",
        "application/vnd.vega.v5+json": "placeholder",
        "application/vnd.jupyter.widget-view+json": "placeholder",
        "application/vnd.bokehjs_exec.v0+json": "placeholder",
    }


@pytest.mark.parametrize(
    "output",
    [
        display({}),
        display(None),
        display([]),
        display({"application/x-unknown": "secret"}),
        display(
            {
                "application/javascript": "alert(1)",
                "text/plain": "<IPython.core.display.Javascript>",
            }
        ),
        {"output_type": "update_display_data", "data": {"text/plain": "x"}},
        {"output_type": "nonsense"},
        {},
    ],
)
def test_what_shows_nothing_makes_no_piece(output: dict[str, Any]) -> None:
    assert reader().pieces([output], 0) == []


def test_an_execute_result_is_shown_like_a_display() -> None:
    assert only(display({"text/plain": "7"}, kind="execute_result")).html == "7"


@pytest.mark.parametrize(
    ("data", "kind", "mime"),
    [
        ({"text/plain": "x", "text/html": "<p>x"}, "html", "text/html"),
        ({"text/plain": "x", "text/latex": "$x$"}, "latex", "text/latex"),
        ({"text/plain": "x", "image/png": PNG}, "image", "image/png"),
        ({"image/png": PNG, "image/svg+xml": SVG}, "image", "image/svg+xml"),
        ({"text/plain": "<Figure>", "image/png": ""}, "text", "text/plain"),
        ({"text/plain": "<Figure>", "image/png": "!"}, "text", "text/plain"),
        ({"text/plain": "x", "image/bmp": PNG}, "text", "text/plain"),
    ],
)
def test_the_richest_form_that_can_be_shown_is_shown(data: Any, kind: str, mime: str) -> None:
    piece = only(display(data))
    assert (piece.kind, piece.mime) == (kind, mime)


@pytest.mark.parametrize(
    "metadata", [None, [], "x", {"alt": 3}, {"image/png": []}, {"image/png": {"width": "3"}}]
)
def test_broken_metadata_of_an_output_does_no_harm(metadata: Any) -> None:
    piece = only({"output_type": "display_data", "data": {"image/png": PNG}, "metadata": metadata})
    assert piece.image is not None
    assert (piece.image.width, piece.image.height) == (3, 2)


def test_multi_line_values_may_be_lists() -> None:
    assert only(display({"text/html": ["<p>a", "b</p>"]})).html == "<p>ab</p>"
    assert only(display({"image/png": [PNG[:8], PNG[8:]]})).image is not None


def test_a_plot_brings_its_data_for_the_client_and_its_picture_for_the_first_paint() -> None:
    bundle = {
        "application/vnd.plotly.v1+json": {"data": [1]},
        "image/png": PNG,
        "text/html": "<script>",
    }
    piece = only(display(bundle))
    assert piece.kind == "image"
    assert piece.mime == "application/vnd.plotly.v1+json"
    assert piece.data is not None
    assert json.loads(piece.data) == {"data": [1]}


def test_data_too_large_for_the_first_paint_stays_out_of_it() -> None:
    bundle = {"application/vnd.plotly.v1+json": {"data": ["x" * MAX_EMBEDDED_JSON]}}
    piece = only(display(bundle))
    assert (piece.kind, piece.data) == ("placeholder", None)


def test_a_widget_view_never_brings_its_model() -> None:
    piece = only(display({"application/vnd.jupyter.widget-view+json": {"model_id": "secret"}}))
    assert piece.data is None
    assert piece.html == ""


@pytest.mark.parametrize(
    "text", ["</script>", "<!--", "<script", "]]>", "\u2028", "</SCRIPT\n>", "\ud800"]
)
def test_embedded_json_cannot_end_its_script_element(text: str) -> None:
    piece = only(display({"application/json": {text: [text]}}))
    assert piece.data is not None
    assert "<" not in piece.data
    assert json.loads(piece.data) == {text: [text]}
    piece.data.encode()


# Images


def test_an_image_is_named_by_its_content_and_carries_its_size() -> None:
    read = reader()
    first, second, other = read.pieces(
        [
            display({"image/png": PNG}),
            display({"image/png": f"{PNG[:20]}\n{PNG[20:]}\n"}),
            display({"image/png": base64.b64encode(png(9, 9)).decode()}),
        ],
        0,
    )
    assert first.image
    assert second.image
    assert other.image
    assert re.fullmatch(r"[0-9a-f]{64}\.png", first.image.name)
    assert first.image.name == second.image.name != other.image.name
    assert first.image.data == png()
    assert (first.image.width, first.image.height) == (3, 2)
    assert set(read.images) == {first.image.name, other.image.name}


def test_a_stated_size_beats_the_file_s_own() -> None:
    piece = only(display({"image/png": PNG}, {"image/png": {"width": 300, "height": 200}}))
    assert piece.image
    assert (piece.image.width, piece.image.height) == (300, 200)


def test_an_image_has_an_alternative_text() -> None:
    assert only(display({"image/png": PNG})).alt == "Figure of cell 4"
    assert only(display({"image/png": PNG}, {"alt": "Sales"})).alt == "Sales"
    assert only(display({"image/png": PNG}, {"image/png": {"alt": "Costs"}})).alt == "Costs"


@pytest.mark.parametrize(
    "text",
    [
        SVG,
        '<?xml version="1.0"?>\n<svg xmlns:xlink="http://www.w3.org/1999/xlink"></svg>',
        "<svg></svg>\ud800",
    ],
)
def test_an_svg_without_its_namespace_gets_it(text: str) -> None:
    piece = only(display({"image/svg+xml": text}))
    assert piece.image
    assert piece.image.data.count(b'xmlns="http://www.w3.org/2000/svg"') == 1


def test_an_svg_with_its_namespace_is_left_as_it_is() -> None:
    text = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    piece = only(display({"image/svg+xml": text}))
    assert piece.image
    assert piece.image.data == text.encode()


def test_embedded_images_of_html_become_urls_of_their_content() -> None:
    read = reader()
    html = read.clean_html(
        f'<p><img src="data:image/png;base64,{PNG}" width="7"><img src="a.png" alt="A">'
    )
    soup = BeautifulSoup(html, "html.parser")
    embedded, linked = soup.find_all("img")
    (name,) = read.images
    assert embedded["src"] == f"/images/{name}?path=a.ipynb"
    assert (embedded["alt"], embedded["width"]) == ("", "7")
    assert (linked["src"], linked["alt"]) == ("a.png", "A")


@pytest.mark.parametrize(
    "source", ["data:image/bmp;base64,AAAA", "data:text/html;base64,AAAA", "data:image/png,x"]
)
def test_a_data_uri_that_is_no_known_image_is_left_alone(source: str) -> None:
    assert source in reader().clean_html(f'<img src="{source}">')
