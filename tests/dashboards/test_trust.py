"""Which notebooks are trusted, and what is left of the HTML of those that aren't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets import TraitError

from jupyter_dashboards_api.app import DashboardsApp
from jupyter_dashboards_api.dashboards.cache import DashboardCache
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.outputs import OutputReader
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer
from jupyter_dashboards_api.dashboards.sanitiser import (
    ALLOWED,
    declarations,
    sanitised,
    style_sheet,
)
from jupyter_dashboards_api.dashboards.trust import Trust
from tests.notebooks.memory_contents import MemoryContents

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"

names = st.text("ab.-x", min_size=1, max_size=3).filter(lambda name: not name.startswith("."))
paths = st.lists(names, min_size=1, max_size=4)


# Folders


def test_nothing_is_trusted_by_default() -> None:
    assert DashboardsApp().trusted_folders == []
    assert not any(Trust().covers(path) for path in ("", "a.ipynb", "a/b.ipynb"))


def test_one_slash_stands_for_everything() -> None:
    trust = Trust(["/"])
    assert all(trust.covers(path) for path in ("", "a.ipynb", "a/b/c.ipynb"))


@pytest.mark.parametrize(
    ("path", "trusted"),
    [
        ("reports/a.ipynb", True),
        ("reports/deep/b.ipynb", True),
        ("reports", True),
        ("reports2/a.ipynb", False),
        ("reports.ipynb", False),
        ("Reports/a.ipynb", False),
        ("other/reports/a.ipynb", False),
        ("team/board.ipynb", True),
        ("team/board.js", False),
        ("team/board.ipynb.ipynb", False),
        ("team", False),
        ("", False),
    ],
)
def test_folders_with_all_below_them_and_single_notebooks_are_trusted(
    path: str, trusted: bool
) -> None:
    assert Trust(["reports/", "/team/board.ipynb"]).covers(path) is trusted


@given(folder=paths, path=paths)
def test_a_folder_is_trusted_by_whole_segments(folder: list[str], path: list[str]) -> None:
    covered = Trust(["/".join(folder)]).covers("/".join(path))
    assert covered == (path[: len(folder)] == folder)


@pytest.mark.parametrize(
    "folder", ["", "..", "a/../b", "a//b", "//", ".", "./a", " ", ".a", "a\\b"]
)
def test_what_is_no_path_is_refused_and_not_read_as_another_one(folder: str) -> None:
    with pytest.raises(TraitError, match="is no contents path: write it like"):
        DashboardsApp(trusted_folders=["a", folder])


async def test_the_same_notebook_is_rendered_by_where_it_lies() -> None:
    store = ContentsStore(MemoryContents())
    cache = DashboardCache(store, DashboardRenderer(), Trust(["ours"]))
    cell = new_markdown_cell("text <nav onclick='x'>menu</nav>")
    found = {}
    for folder in ("ours", "theirs"):
        await store.make_folders(folder)
        await store.save_notebook(f"{folder}/a.ipynb", new_notebook(cells=[cell]))
        entry = await store.stat(f"{folder}/a.ipynb")
        assert entry
        found[folder] = await cache.get(entry)
    assert b"onclick" in found["ours"].rendered.body
    assert b"onclick" not in found["theirs"].rendered.body
    assert b"<nav>menu</nav>" in found["theirs"].rendered.body
    cache.stop()


async def test_the_key_of_a_page_says_whether_it_was_trusted() -> None:
    store = ContentsStore(MemoryContents())
    await store.save_notebook("a.ipynb", new_notebook(cells=[new_markdown_cell("x")]))
    entry = await store.stat("a.ipynb")
    assert entry
    keys = set()
    for folders in ([], ["/"]):
        cache = DashboardCache(store, DashboardRenderer(), Trust(folders))
        keys.add((await cache.get(entry)).key)
        cache.stop()
    assert len(keys) == 2


# HTML

ATTACKS = [
    "<script>bad()</script>",
    "<img src=x onerror=bad()>",
    "<svg onload=bad()><script>bad()</script><a xlink:href='javascript:bad()'>x</a></svg>",
    "<svg><animate attributeName=href values='javascript:bad()'/><set attributeName=onload to=bad() /></svg>",
    "<svg><foreignObject><iframe src=javascript:bad()></iframe></foreignObject></svg>",
    "<svg><use href='/dashboards/evil.svg#x'/><image href='http://bad.example/x.png'/></svg>",
    "<a href='javascript:bad()'>x</a><a href='&#106;ava\tscript:bad()'>x</a><a href='data:text/html,bad'>x</a>",
    "<iframe srcdoc='<script>bad()</script>'></iframe><iframe src=javascript:bad()></iframe>",
    "<form action=/logout method=post><button formaction=javascript:bad()>go</button><input name=a></form>",
    "<object data=javascript:bad()></object><embed src=javascript:bad()>",
    "<meta http-equiv=refresh content='0;url=http://bad.example'>",
    "<base href=http://bad.example/>",
    "<link rel=stylesheet href=http://bad.example/a.css>",
    "<style>@import 'http://bad.example/a.css'; body{display:none} .dash-bar{background:url(http://bad.example)}</style>",
    "<p style='background:url(http://bad.example);position:fixed;inset:0;behavior:url(x)'>x</p>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=bad()&gt;'>",
    "<svg></p><style><a id='</style><img src=1 onerror=bad()>'>",
    "<noscript><p title='</noscript><img src=x onerror=bad()>'>",
    "<!--><img src=x onerror=bad()>-->",
    "<video poster=javascript:bad() src=x onerror=bad()><track src=javascript:bad()></video>",
    "<img name=currentScript src=x><a id=dash-config name=dashEarly>x</a><form id=_JUPYTERLAB></form>",
    "<textarea><img src=x onerror=bad()></textarea><select><option onclick=bad()>x</select>",
    "<template><script>bad()</script></template><slot onslotchange=bad()></slot>",
    "<p tabindex=1 autofocus onfocus=bad() contenteditable>x</p>",
]
FORBIDDEN = "script iframe form object embed meta base link foreignobject animate set image template textarea select button"


def harmless(html: str) -> None:
    """Fails for whatever could act, by a look at the tree that a browser's kind of parser makes of it."""
    tree = BeautifulSoup(html, "html.parser")
    assert not tree.find_all(FORBIDDEN.split())
    for style in tree.find_all("style"):
        assert style.get_text().startswith("@scope (")
    for tag in tree.find_all():
        for name, value in tag.attrs.items():
            text = " ".join(value) if isinstance(value, list) else str(value)
            assert not name.startswith("on"), html
            assert name not in ("srcdoc", "name", "action", "formaction", "contenteditable"), html
            assert "script:" not in text.lower(), html
            assert not (name == "id" and text.startswith(("dash-", "_"))), html
            assert not (name == "style" and ("url" in text or "position" in text)), html
    assert "bad.example" not in html


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_an_attack_is_left(attack: str) -> None:
    outputs = [
        new_output("display_data", data={"text/html": attack}),
        new_output("display_data", data={"text/markdown": f"*before*\n\n{attack}\n\n*after*"}),
    ]
    notebook = new_notebook(
        cells=[
            new_markdown_cell(f"before\n\n{attack}\n\nafter"),
            new_code_cell("x", outputs=outputs),
        ]
    )
    body = DashboardRenderer().render(notebook, "a.ipynb").body.decode()
    section, code = BeautifulSoup(body, "html.parser").find_all("section")
    harmless(section.decode_contents())
    harmless("".join(str(found) for found in code.select(".dash-html, .dash-markdown")))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "<svg> </svg> <style> </style> <p </p> <a <img <title> <table> <td> <math> <!-- --> > ' \" = id href src "
            "onerror style :url( x javascript:bad() class=dash-bar <![CDATA[ ]]> <desc> <template> <noscript> &lt; /".split()
        ),
        max_size=14,
    )
)
def test_no_mixture_of_broken_html_gets_through(parts: list[str]) -> None:
    shown = OutputReader().clean_html(" ".join(parts))
    if not shown.startswith("<pre>"):
        harmless(shown)
        # A second parser finds nothing in it that the first did not.
        assert sanitised(shown.partition("<style>")[0]) == shown.partition("<style>")[0]


TABLE = """<div><style scoped>.dataframe tbody tr th {vertical-align: top;}</style>
<table border="1" class="dataframe"><thead><tr style="text-align: right;"><th></th><th colspan="2">sales</th></tr></thead>
<tbody><tr><th>north</th><td id="T_1_row0_col0" class="data row0 col0">3</td><td>4</td></tr></tbody></table></div>"""


def test_ordinary_html_stays_what_it_is() -> None:
    table = OutputReader().clean_html(TABLE)
    assert '<table border="1" class="dataframe">' in table
    assert '<tr style="text-align:right">' in table
    assert '<th colspan="2">sales</th>' in table
    assert '<td class="data row0 col0" id="T_1_row0_col0">3</td>' in table
    assert "{.dataframe tbody tr th{vertical-align:top}}" in table
    for html in (
        '<h2 id="part-2">Part <em class="x">2</em></h2>',
        '<img src="pictures/a.png" alt="a" width="40">',
        '<img src="data:image/svg+xml,%3Csvg/%3E" alt="">',
        '<details open=""><summary>more</summary>text $x_1 &lt; 2$</details>',
        '<audio controls="" src="data:audio/wav;base64,AAAA"></audio>',
        '<progress max="3" value="1" aria-label="steps"></progress>',
        '<svg viewBox="0 0 9 9" width="9"><linearGradient id="g"></linearGradient><path d="M0 0h9" fill="url(#g)"></path></svg>',
    ):
        # Attributes may come in another order.
        assert BeautifulSoup(OutputReader().clean_html(html), "html.parser") == BeautifulSoup(
            html, "html.parser"
        )
    link = OutputReader().clean_html('<a href="methods?x=1#part-2">m</a>')
    assert link == '<a href="methods?x=1#part-2" rel="noopener noreferrer">m</a>'


def test_a_task_list_keeps_its_boxes() -> None:
    notebook = new_notebook(cells=[new_markdown_cell("- [x] done\n- [ ] open")])
    body = BeautifulSoup(DashboardRenderer().render(notebook, "a.ipynb").body, "html.parser")
    boxes = body.find_all("input")
    assert [(box["type"], box.has_attr("checked"), box["aria-label"]) for box in boxes] == [
        ("checkbox", True, "done"),
        ("checkbox", False, "open"),
    ]
    assert all(box.has_attr("disabled") for box in boxes)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("color: red", "color:red"),
        ("COLOR:red;;", "COLOR:red"),
        ("color:red;position:fixed;z-index:9;top:0", "color:red"),
        ("border-left: 3px solid rgba(0, 0, 0, .5) !important", "border-left:3px solid rgba(0, 0, 0, .5) !important"),
        ("background: linear-gradient(90deg, #fff 10%, transparent)", "background:linear-gradient(90deg, #fff 10%, transparent)"),
        ("background: url(x)", ""),
        ("background: u\\72l(x)", ""),
        ("background: image-set('x' 1x)", ""),
        ("background: /* */ red", ""),
        ("--a: url(x); --b: 1px; width: var(--b)", "--b:1px;width:var(--b)"),
        ('font-family: "a;position:fixed"', ""),
        ("font: 'x\ny'; color: red", "font:'x y';color:red"),
        ("color: red}body{color:blue", ""),
        ("width: calc((1px + 2px)", ""),
        ("colour: red", ""),
        ("backgroundx: red", ""),
        ("width: calcé(1px)", ""),
    ],
)  # fmt: skip
def test_inline_styles_are_left_with_what_stays_in_its_place(text: str, kept: str) -> None:
    assert declarations(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (".a > b:hover, c[d='e'] {color: red; position: fixed}", ".a > b:hover, c[d='e']{color:red}"),
        ("@import url(x); .a{color:red}", ".a{color:red}"),
        ("@font-face{src:url(x)} .a{color:red}", ".a{color:red}"),
        ("@media (max-width: 9px) {.a{color:red} @media x{.b{color:red}}} .c{color:red}",
         "@media (max-width: 9px){.a{color:red}}.c{color:red}"),
        ("@media x{.a{color:red}", "@media x{.a{color:red}}"),
        ("@supports (x:y){.a{color:red}}", ""),
        ("}} .a{color:red", ""),
        ("}} .a{color:red}", ".a{color:red}"),
        (".a{.b{color:red}}", ""),
        ("/* } */ .a{color:/* x */red}", ".a{color: red}".replace(": ", ":")),
        (".a\\{}{color:red}", ""),
        (".a['{color:red}", ""),
        ("</style><script>{color:red}", ""),
    ],
)  # fmt: skip
def test_style_sheets_hold_where_the_author_s_html_is_and_nowhere_else(
    text: str, kept: str
) -> None:
    scoped = style_sheet(text)
    assert scoped == (f"@scope ({ALLOWED['scope']}){{{kept}}}" if kept else "")


@given(st.text("{}@;:\"'\\/*<>()[]a .-\n", max_size=40))
def test_no_style_sheet_gets_out_of_its_scope(text: str) -> None:
    sheet = style_sheet(text)
    assert sheet.count("{") == sheet.count("}")
    depth = 0
    for position, character in enumerate(sheet):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert (
            depth > 0
            or position < len(f"@scope ({ALLOWED['scope']})")
            or position == len(sheet) - 1
        )
    assert "<" not in sheet
    assert "\\" not in sheet


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        ({"application/javascript": "bad()", "text/plain": "<Javascript>"}, True),
        ({"application/vnd.bokehjs_exec.v0+json": "", "application/javascript": "bad()"}, True),
        ({"application/vnd.bokehjs_load.v0+json": "", "application/javascript": "bad()"}, True),
        ({"text/html": "<div id=x></div><script>draw()</script>"}, True),
        ({"text/html": "<iframe srcdoc='x'></iframe>"}, True),
        ({"text/html": "<p>shown</p><script>draw()</script>"}, False),
        ({"text/html": "<style>.a{color:red}</style>"}, False),
    ],
)  # fmt: skip
def test_what_only_a_script_would_show_says_so(data: dict[str, Any], refused: bool) -> None:
    output = [new_output("display_data", data=data)]
    (piece,) = OutputReader().pieces(output, 0)
    assert (piece.kind == "placeholder") == refused
    assert ("not trusted" in piece.html) == refused
    for trusted in OutputReader(trusted=True).pieces(output, 0):
        assert "not trusted" not in trusted.html


def test_the_client_allows_the_same() -> None:
    table = json.loads((FRONTEND / "src" / "render" / "allowed.json").read_text())
    assert table == ALLOWED
