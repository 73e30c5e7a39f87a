"""`GET /dashboards[/PATH]` and `/dashboards-plain[/PATH]`: specs/dashboards.md §1.2 and §1.3, below the base URL /a%40b/."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from tornado.httpclient import HTTPResponse

from tests.conftest import Fetch, Write
from tests.dashboards.outputs import PNG

BASE = "/a%40b"
ODD_NAMES = [
    "a b",
    "100% sure",
    "%41",
    "%2e%2e",
    "C#",
    "why?",
    "a&b=c",
    'it\'s "quoted"',
    "<b>bold",
    "ünï – 漢字 👩\u200d💻",
    "a+b",
    "semi;colon",
    "a.b.c",
    "[x]{y}",
    "no\u00a0break",
    "javascript:alert(1)",
]


def soup(response: HTTPResponse) -> BeautifulSoup:
    return BeautifulSoup(response.body.decode(), "html.parser")


def config(response: HTTPResponse) -> dict[str, Any]:
    element = soup(response).find(id="dash-config")
    assert element is not None
    found: dict[str, Any] = json.loads(element.get_text())
    return found


def rows(response: HTTPResponse) -> list[tuple[str, str]]:
    entries = soup(response).select("#dash-list > li > a")
    return [(entry.get_text(), str(entry["href"])) for entry in entries]


def policy(response: HTTPResponse) -> dict[str, list[str]]:
    directives = response.headers["Content-Security-Policy"].split("; ")
    return {name: values.split() for name, _, values in (d.partition(" ") for d in directives)}


def hello(text: str = "# Hello") -> Any:
    return new_markdown_cell(text)


# Dashboards


async def test_a_notebook_is_a_page_with_and_without_its_extension(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("sub/first one.ipynb", hello("# First"), new_code_cell("s3cret"))
    for path in ("sub/first%20one", "sub/first%20one.ipynb"):
        for root in ("dashboards", "dashboards-plain"):
            response = await fetch(f"/{root}/{path}")
            assert response.code == 200
            assert response.headers["Content-Type"] == "text/html; charset=UTF-8"
            page = soup(response)
            assert page.title
            assert page.title.get_text() == "First"
            assert b"s3cret" not in response.body
            assert config(response)["path"] == "sub/first one.ipynb"
            assert page.base is None


async def test_the_page_has_landmarks_and_its_configuration(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook(
        "sub/a.ipynb", new_code_cell("a"), new_code_cell(" "), hello("x"), new_code_cell("b")
    )
    response = await fetch("/dashboards/sub/a")
    page = soup(response)
    crumbs = page.select("header.dash-bar nav[aria-label=Breadcrumb] li")
    assert [(c.get_text(), c.a and c.a["href"]) for c in crumbs] == [
        ("Dashboards", f"{BASE}/dashboards"),
        ("sub", f"{BASE}/dashboards/sub"),
        ("a", None),
    ]
    assert page.select_one("main#dash-main > #dash-cells[aria-busy=false]")
    assert page.select_one("#dash-status[role=status][aria-live=polite]")
    assert page.select_one("#dash-alert[role=alert]")
    skip = page.select_one("a.dash-skip")
    assert skip
    assert skip["href"] == f"{BASE}/dashboards/sub/a#dash-main"
    heading = page.h1
    assert heading
    assert heading.get_text() == "a"
    as_of = page.select_one("#dash-asof time")
    assert as_of
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", as_of.get_text())
    settings = config(response)
    assert settings["baseUrl"] == f"{BASE}/"
    assert settings["kernelsUrl"] == f"{BASE}/_api/kernels"
    assert settings["codeCells"] == [0, 3]
    assert settings["plain"] is False


async def test_a_plain_page_has_the_content_only(fetch: Fetch, write_notebook: Write) -> None:
    write_notebook("a.ipynb", hello())
    response = await fetch("/dashboards-plain/a")
    page = soup(response)
    assert page.select_one("body.dash-plain main #dash-cells")
    assert not page.select("header, nav")
    assert page.select_one("footer #dash-asof")
    assert config(response)["plain"] is True


async def test_a_folder_with_an_index_is_that_dashboard_and_its_links_start_there(
    fetch: Fetch, write_notebook: Write, jp_root_dir: Path
) -> None:
    write_notebook("my bundle/index.ipynb", hello("![x](./a%20b.png)"))
    (jp_root_dir / "my bundle" / "a b.png").write_bytes(b"png")
    for root in ("dashboards", "dashboards-plain"):
        response = await fetch(f"/{root}/my%20bundle")
        assert response.code == 200
        base = soup(response).base
        assert base
        assert base["href"] == f"{BASE}/{root}/my%20bundle/"
        assert config(response)["path"] == "my bundle/index.ipynb"
        assert (await fetch(f"/{root}/my%20bundle/a%20b.png")).body == b"png"
        index = await fetch(f"/{root}/my%20bundle/index")
        assert index.code == 200
        assert soup(index).base is None


async def test_a_folder_whose_index_is_one_folder_down_redirects_there_with_its_query(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a b/index/index.ipynb", hello())
    for root in ("dashboards", "dashboards-plain"):
        response = await fetch(f"/{root}/a%20b?x=1&y=%2F")
        assert response.code == 302
        assert response.headers["Location"] == f"{BASE}/{root}/a%20b/index?x=1&y=%2F"
        assert (await fetch(f"/{root}/a%20b/index")).code == 200


async def test_the_root_s_index_is_shown_at_the_root(fetch: Fetch, write_notebook: Write) -> None:
    write_notebook("index.ipynb", hello("# Welcome"))
    response = await fetch("/dashboards")
    assert response.code == 200
    assert config(response)["path"] == "index.ipynb"
    base = soup(response).base
    assert base
    assert base["href"] == f"{BASE}/dashboards/"


async def test_a_trailing_slash_redirects_for_ever_and_keeps_the_query(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("sub/a.ipynb", hello())
    for path in (
        "/dashboards",
        "/dashboards-plain",
        "/dashboards/sub",
        "/dashboards/sub/a",
        "/dashboards/no%20such",
    ):
        for query in ("", "?x=1&y=a%2Fb"):
            response = await fetch(f"{path}/{query}")
            assert response.code == 301
            assert response.headers["Location"] == f"{BASE}{path}{query}"


async def test_odd_names_are_listed_found_and_linked(
    fetch: Fetch, write_notebook: Write, jp_root_dir: Path
) -> None:
    for name in ODD_NAMES:
        write_notebook(f"odd/{name}.ipynb", hello("x"))
        write_notebook(f"odd/{name} folder/inner.ipynb", hello("x"))
        (jp_root_dir / "odd" / f"{name}.txt").write_text(name)
    listing = dict(rows(await fetch("/dashboards/odd")))
    for name in ODD_NAMES:
        for shown in (name, f"{name} folder", f"{name}.txt"):
            assert listing[shown] == f"{BASE}/dashboards/odd/{quote(shown, safe='')}"
        response = await fetch(f"/dashboards/odd/{quote(name, safe='')}")
        assert response.code == 200, name
        page = soup(response)
        assert page.title
        assert page.title.get_text() == name
        assert config(response)["path"] == f"odd/{name}.ipynb"
        assert (await fetch(listing[f"{name}.txt"].removeprefix(BASE))).body.decode() == name
        inner = rows(await fetch(listing[f"{name} folder"].removeprefix(BASE)))
        assert unquote(inner[1][1]) == unquote(f"{BASE}/dashboards/odd/{quote(name)} folder/inner")


async def test_titles_and_views_cannot_break_the_page(fetch: Fetch, write_notebook: Write) -> None:
    for number, text in enumerate(
        [
            "</title></script><script>alert(1)</script>\"'<!--",
            "\x00body\x00",
            "{{ 71111113 * 7 }}",
        ]
    ):
        views = {text: {"type": "report", "name": text}, "b": {"type": "report", "name": "B"}}
        file = write_notebook(f"{number}.ipynb", hello("x"))
        stored = json.loads(file.read_text())
        shown_in: dict[str, Any] = {"jupyter_dashboards": {"views": {text: {}, "b": {}}}}
        stored["cells"][0]["metadata"] = {"extensions": shown_in}
        stored["metadata"] = {"title": text, "extensions": {"jupyter_dashboards": {"views": views}}}
        file.write_text(json.dumps(stored))
        response = await fetch(f"/dashboards/{number}")
        assert response.code == 200, text
        page = soup(response)
        assert page.title
        assert page.title.get_text() == text
        assert config(response)["title"] == text
        assert page.select_one("html > body > main > #dash-cells > section")
        assert [option.get_text() for option in page.select("#dash-view option")] == [text, "B"]
        assert not [script for script in page.select("script") if "alert" in script.get_text()[:5]]
        assert b"497777791" not in response.body


async def test_a_viewer_chooses_among_the_notebook_s_views(
    fetch: Fetch, write_notebook: Write
) -> None:
    cells = [hello("in A"), hello("in B")]
    for cell, hidden in zip(cells, ("b", "a"), strict=True):
        shown = {name: {"hidden": name == hidden} for name in ("a", "b")}
        cell.metadata["extensions"] = {"jupyter_dashboards": {"version": 1, "views": shown}}
    views = {name: {"type": "report", "name": name.upper()} for name in ("a", "b")}
    board = {"version": 1, "activeView": "a", "views": views}
    write_notebook("a.ipynb", *cells, extensions={"jupyter_dashboards": board})
    for query, view, text, other in [
        ("", "a", "in A", "in B"),
        ("?view=a", "a", "in A", "in B"),
        ("?view=b", "b", "in B", "in A"),
        ("?view=invented", "a", "in A", "in B"),
        ("?view=", "a", "in A", "in B"),
    ]:
        response = await fetch(f"/dashboards/a{query}")
        assert config(response)["view"] == view
        assert text in soup(response).get_text()
        assert other not in soup(response).get_text()
        selected = soup(response).select_one("#dash-view option[selected]")
        assert selected
        assert selected["value"] == view


async def test_a_theme_can_be_asked_for(fetch: Fetch, write_notebook: Write) -> None:
    write_notebook("a.ipynb", hello())
    for query, theme in [
        ("", "auto"),
        ("?theme=dark", "dark"),
        ("?theme=light", "light"),
        ('?theme="><b>', "auto"),
        ("?theme=%ff", "auto"),
    ]:
        response = await fetch(f"/dashboards/a{query}")
        html = soup(response).html
        assert html
        assert html["data-theme"] == theme


async def test_a_broken_query_is_the_client_s_fault(fetch: Fetch, write_notebook: Write) -> None:
    write_notebook("a.ipynb", hello())
    for path in ("/dashboards/a?view=%ff", "/dashboards?q=%ff"):
        response = await fetch(path, headers={"Accept": "text/html"})
        assert response.code == 400
        assert soup(response).select_one("main h1")


# Methods and callers


async def test_head_is_get_without_its_body(
    fetch: Fetch, write_notebook: Write, jp_root_dir: Path
) -> None:
    write_notebook("sub/a.ipynb", hello())
    (jp_root_dir / "a.txt").write_text("text")
    for path in (
        "/dashboards",
        "/dashboards/sub/a",
        "/dashboards-plain/sub/a",
        "/dashboards/a.txt",
    ):
        head, get = [
            await fetch(path, method=method, decompress_response=False)
            for method in ("HEAD", "GET")
        ]
        assert (head.code, head.body) == (200, b"")
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert head.headers["Content-Length"] == str(len(get.body))
    assert (await fetch("/dashboards/missing", method="HEAD")).code == 404


async def test_a_page_permits_scripts_with_its_nonce_alone(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook(
        "a.ipynb",
        new_code_cell(
            "x", outputs=[new_output("display_data", data={"text/html": "<script>1</script>"})]
        ),
    )
    seen = set()
    for path in ("/dashboards", "/dashboards/a", "/dashboards-plain/a", "/dashboards/missing"):
        response = await fetch(path)
        (nonce,) = (v[7:-1] for v in policy(response)["script-src"] if v.startswith("'nonce-"))
        scripts = soup(response).find_all("script", class_=lambda c: c != "dash-mime")
        assert scripts
        assert {script.get("nonce") for script in scripts} == {nonce}
        assert "'unsafe-inline'" not in policy(response)["script-src"]
        assert "'unsafe-eval'" not in policy(response)["script-src"]
        assert policy(response)["default-src"] == ["'none'"]
        seen.add(nonce)
    assert len(seen) == 4


@pytest.mark.parametrize(
    "extension_config",
    [
        {
            "DashboardsApp": {
                "frame_ancestors": ["'self'", "https://intranet.example.org"],
                "csp_sources": {"img-src": ["https://tiles.example.org"]},
            }
        }
    ],
)
async def test_an_operator_says_who_may_frame_plain_pages_and_what_pages_may_load(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", hello())
    plain, full = await fetch("/dashboards-plain/a"), await fetch("/dashboards/a")
    assert policy(plain)["frame-ancestors"] == ["'self'", "https://intranet.example.org"]
    assert policy(full)["frame-ancestors"] == ["'self'"]
    for response in (plain, full):
        assert policy(response)["img-src"] == [
            "'self'",
            "data:",
            "blob:",
            "https://tiles.example.org",
        ]


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"presentation_mode": True}}])
async def test_in_presentation_mode_there_are_dashboards_only(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("sub/a.ipynb", hello())
    response = await fetch("/dashboards/sub/a")
    assert response.code == 200
    assert not soup(response).select("header, nav")
    for path in ("/dashboards", "/dashboards/sub", "/dashboards-plain", "/dashboards/missing"):
        missing = await fetch(path)
        assert missing.code == 404
        assert not soup(missing).select(f"main a[href^='{BASE}/dashboards']")


@pytest.mark.parametrize("extension_config", [{"DashboardsApp": {"root": "published here"}}])
async def test_with_a_root_nothing_else_is_shown(fetch: Fetch, write_notebook: Write) -> None:
    output = new_output("display_data", data={"image/png": PNG})
    write_notebook("secret.ipynb", hello("s3cret"))
    write_notebook("published here/a.ipynb", new_code_cell("x", outputs=[output]))
    assert rows(await fetch("/dashboards")) == [("a", f"{BASE}/dashboards/a")]
    page = await fetch("/dashboards/a")
    assert config(page)["path"] == "a.ipynb"
    image = soup(page).select_one("main img")
    assert image
    assert (await fetch(str(image["src"]).removeprefix(BASE))).code == 200
    for path in ("secret", "published%20here/a", "..%2fsecret", "../secret.ipynb"):
        assert (await fetch(f"/dashboards/{path}")).code == 404


async def test_a_live_page_asks_for_its_kernel_before_its_style_sheet(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("live.ipynb", new_code_cell("1"))
    write_notebook("prose.ipynb", new_markdown_cell("# Only words"))
    head = (await fetch("/dashboards/live")).body.decode().partition("</head>")[0]
    assert 0 < head.index("dashEarly") < head.index('rel="stylesheet"')
    assert "dashEarly" not in (await fetch("/dashboards/prose")).body.decode()


@pytest.mark.parametrize(
    ("extension_config", "expected"),
    [
        ({}, ["v1.kernel.websocket.jupyter.org"]),
        ({"ZMQChannelsWebsocketConnection": {"kernel_ws_protocol": ""}}, []),
        ({"BaseKernelWebsocketConnection": {"kernel_ws_protocol": "own"}}, ["own"]),
    ],
)
async def test_a_page_names_the_subprotocol_that_the_server_accepts(
    fetch: Fetch, write_notebook: Write, expected: list[str]
) -> None:
    write_notebook("live.ipynb", new_code_cell("1"))
    page = BeautifulSoup((await fetch("/dashboards/live")).body, "html.parser")
    config = page.find(id="dash-config")
    assert config is not None
    assert json.loads(config.get_text())["subprotocols"] == expected
