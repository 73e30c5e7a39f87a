"""What strangers and viewers have tried to get more than is theirs: files, kernels, memory, the server's time, its log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from traitlets.config import Config

from jupyter_dashboards_api.access.callers import NOBODY, Caller
from jupyter_dashboards_api.access.page_tokens import Visit
from jupyter_dashboards_api.handlers import delivery
from jupyter_dashboards_api.kernels.environment import clean_query
from jupyter_dashboards_api.server import DashboardsServerApp
from tests.conftest import Write

from .callers import SHARED, Callers
from .live import start

RULES = """
[rules]
"open" = "public"
"open/private" = "nobody"
"open/secret" = "nobody"
"open/caf\u00e9" = "nobody"
"sales" = ["ann"]
"team/inner" = "nobody"
"""

MEGABYTE = 1024 * 1024
NO_KERNEL = "3fa85f64-5717-4562-b3fc-2c963f66afa6"


@pytest.fixture
def extension_config(tmp_path: Path) -> dict[str, Any]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    return {
        "AccessRules": {"file": str(rules)},
        "KernelBindings": {"max_kernels_per_viewer": 1},
    }


@pytest.fixture
def large(write_notebook: Write) -> str:
    """A public dashboard of more bytes than the machine keeps for a connection."""
    data = {"text/html": f"<p>{'abcdefg ' * 2 * MEGABYTE}</p>"}
    output = new_output("display_data", data=data)
    write_notebook("open/large.ipynb", new_code_cell("1", outputs=[output]))
    return "open/large.ipynb"


# The server's token


@pytest.mark.parametrize("name", ["viewer", "share link", "key to view", "owner token"])
@pytest.mark.parametrize("place", ["refresh/nothing", f"kernels/{NO_KERNEL}/channels"])
async def test_no_page_of_an_error_has_the_server_s_token(
    callers: Callers, write_notebook: Write, name: str, place: str
) -> None:
    write_notebook(SHARED, new_markdown_cell("shared"))
    client = await callers.by_name(name)
    response = await client.send("GET", f"/_api/{place}")
    assert response.code in (400, 404)
    assert callers.token not in response.body.decode()


async def test_a_request_that_is_refused_brings_no_secret_of_its_query_into_the_log(
    callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("token", "personal_api_key"):
        response = await callers.nobody().send(
            "GET", f"/api/v1.2/scheduler?{name}={callers.token}&name=%FF"
        )
        assert response.code in (400, 401)
    assert "/api/v1.2/scheduler" in caplog.text
    assert callers.token not in caplog.text


# Paths


@pytest.mark.parametrize("path", ["open/secret", "open/secret.ipynb", "open/cafe\u0301/a"])
async def test_a_rule_holds_for_the_notebook_that_it_may_be_meant_for(
    callers: Callers, write_notebook: Write, path: str
) -> None:
    write_notebook("open/secret.ipynb", new_markdown_cell("secret"))
    write_notebook("open/cafe\u0301/a.ipynb", new_markdown_cell("secret"))
    viewer = await callers.viewer("bob")
    assert (await viewer.send("GET", f"/dashboards/{quote(path)}")).code == 404
    assert (await viewer.send("POST", "/_api/kernels", {"path": path})).code == 404
    assert (await callers.nobody().send("GET", f"/dashboards/{quote(path)}")).code == 302


@pytest.mark.parametrize(
    ("caller", "found"),
    [
        (NOBODY, "open open/a open/index.ipynb"),
        (Caller("viewer", "bob"), "open open/a open/index.ipynb"),
        (Caller("viewer", "ann"), "open open/a open/index.ipynb sales sales/a sales/index.ipynb"),
        (Caller("visitor", "visitor", visit=Visit("v", "open/a.ipynb")), "open/a"),
        (
            Caller("visitor", "visitor", visit=Visit("v", "open/index.ipynb")),
            "open open/index.ipynb",
        ),
    ],
)
async def test_it_is_not_looked_what_is_at_a_path_where_the_caller_may_open_nothing(
    dashboards: Any, caller: Caller, found: str
) -> None:
    paths = ("open", "open/a", "open/index.ipynb", "open/private/a", "sales", "sales/a")
    asked = (*paths, "sales/index.ipynb", "elsewhere", "elsewhere/a")
    seen = [path for path in asked if await dashboards.access.may_find(caller, path)]
    assert " ".join(seen) == found


async def test_a_viewer_is_told_the_same_of_what_is_there_and_what_is_not(
    callers: Callers, write_notebook: Write
) -> None:
    write_notebook("sales/board.ipynb", new_markdown_cell("secret"))
    viewer = await callers.viewer("bob")
    for accept in ("text/html", "application/json"):
        pages = [
            await viewer.send("GET", f"/dashboards/sales/{name}", headers={"Accept": accept})
            for name in ("board", "nope!")
        ]
        assert [page.code for page in pages] == [404, 404]
        plain = [re.sub(rb'nonce="[^"]*"|value="[^"]*"|board|nope!', b"", p.body) for p in pages]
        assert plain[0] == plain[1]
    answers = [
        await viewer.send("POST", "/_api/kernels", {"path": f"sales/{name}"})
        for name in ("board", "nope")
    ]
    assert answers[0].body == answers[1].body


async def test_a_link_opens_no_file_of_another_dashboard_below_its_folder(
    callers: Callers, write_notebook: Write, jp_root_dir: Path
) -> None:
    write_notebook("team/index.ipynb", new_markdown_cell("team"))
    write_notebook("team/other/index.ipynb", new_markdown_cell("other"))
    for name in ("own.csv", "data/own.csv", "other/a.csv", "other/deep/a.csv", "inner/a.csv"):
        file = jp_root_dir / "team" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    token = await callers.share("team/index.ipynb")
    page = (await callers.nobody().send("GET", f"/shared/{token}")).body.decode()
    found = re.search(r'<base href="[^"]*(/shared/[^"]*)"', page)
    assert found is not None

    async def code(file: str) -> int:
        status: int = (await callers.nobody().send("GET", found[1] + file)).code
        return status

    assert [await code(name) for name in ("own.csv", "data/own.csv")] == [200, 200]
    others = ("other/a.csv", "other%2Fa.csv", "other/deep/a.csv", "inner/a.csv")
    assert [await code(name) for name in others] == [404] * 4


# Kernels


async def test_another_session_gives_a_viewer_no_more_kernels(
    callers: Callers, write_notebook: Write
) -> None:
    write_notebook("sales/board.ipynb", new_code_cell("1"))
    await start(await callers.viewer("ann"), "sales/board")
    again = await callers.viewer("ann")
    assert (await again.send("POST", "/_api/kernels", {"path": "sales/board"})).code == 503


def test_a_kernel_is_not_told_an_api_key_of_the_pages_address() -> None:
    assert clean_query("?a=1&personal_api_key=k&token=t&b=2") == "a=1&b=2"
    assert clean_query("personal_api_ke%79=k&Personal_Api_Key=k") == ""


# Memory and time


def test_a_strangers_body_is_small_unless_the_operator_says_otherwise() -> None:
    assert DashboardsServerApp().max_body_size == 4 * MEGABYTE
    config = Config()
    config.ServerApp.max_body_size = 5
    assert DashboardsServerApp(config=config).max_body_size == 5


async def test_a_client_that_reads_nothing_does_not_keep_a_page_in_memory(
    dashboards: Any,
    large: str,
    jp_base_url: str,
    http_server: Any,
    http_server_port: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_PATIENCE", 0.1)
    monkeypatch.setattr(delivery, "_SLOWEST", 1024 * MEGABYTE)
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stalled, ("127.0.0.1", http_server_port[-1]))
        request = f"GET {jp_base_url}dashboards/open/large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(stalled, request.encode())
        async with asyncio.timeout(30):
            while not dashboards.files_under_way._held:
                await asyncio.sleep(0.01)
            while dashboards.files_under_way._held:
                await asyncio.sleep(0.01)
        received = 0
        async with asyncio.timeout(30):
            while True:
                try:
                    part = await asyncio.get_running_loop().sock_recv(stalled, MEGABYTE)
                except ConnectionResetError:
                    break
                if not part:
                    break
                received += len(part)
    assert received < 16 * MEGABYTE


async def test_pages_count_among_what_is_under_way(
    dashboards: Any, callers: Callers, large: str
) -> None:
    plain = {"Accept-Encoding": "identity"}
    with dashboards.files_under_way.hold(500 * MEGABYTE):
        page = await callers.nobody().send(
            "GET", "/dashboards/open/large", headers=plain, decompress_response=False
        )
    assert (page.code, page.headers["Retry-After"]) == (503, "5")
    assert "Content-Encoding" not in page.headers
    assert (await callers.nobody().send("GET", "/dashboards/open/large")).code == 200


@pytest.mark.parametrize("form", ["", ".json"])
async def test_what_is_made_for_one_visitor_of_a_link_alone_keeps_nobody_else_waiting(
    dashboards: Any, callers: Callers, large: str, form: str
) -> None:
    token = await callers.share(large)
    # Before any of it is made, and outside of the threads that everybody needs.
    async with dashboards.cache.few_at_once, dashboards.cache.few_at_once:
        asked = [
            asyncio.ensure_future(callers.nobody().send("GET", f"/shared/{token}{form}"))
            for _ in range(5)
        ]
        assert (await callers.nobody().send("GET", "/dashboards/open/large")).code == 200
        assert not any(each.done() for each in asked)
    assert [page.code for page in await asyncio.gather(*asked)] == [200] * 5


# Headers and the log


@pytest.mark.parametrize("name", ["Origin", "Referer"])
async def test_a_header_that_is_no_url_is_no_error_of_the_server(
    callers: Callers, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    headers = {name: "http://["}
    login = {"username": "ann", "password": "wrong"}
    answers = [
        await callers.nobody().send("GET", "/_api/labextensions", headers=headers),
        await callers.nobody().send("POST", "/login", login, headers=headers),
        await callers.owner().send("DELETE", "/_api/kernels/none", headers=headers),
    ]
    assert all(400 <= answer.code < 500 for answer in answers)
    assert all(answer.body for answer in answers)
    assert not [record for record in caplog.records if record.exc_info]


async def test_the_login_page_says_what_is_wrong_with_its_own_address(
    callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    page = await callers.nobody().send("GET", "/login?next=%ff")
    assert page.code == 400
    assert b"<form" in page.body
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("name", ["token", "personal_api_key"])
async def test_a_credential_that_was_not_accepted_is_in_no_log_on_the_way_to_the_login(
    callers: Callers, caplog: pytest.LogCaptureFixture, jp_base_url: str, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    page = await callers.nobody().send("GET", f"/dashboards/sales/a?x=1&{name}=jda_expired")
    assert page.code == 302
    location = page.headers["Location"]
    assert "jda_expired" in location
    await callers.nobody().send("GET", "/" + location.removeprefix(jp_base_url))
    await callers.nobody().send("GET", f"/login?next=/dashboards/a?{name}=jda_expired&x=1")
    texts = [record.getMessage() for record in caplog.records]
    assert any("/login?next=" in text for text in texts)
    # The client's own, which runs in this process, are no log of the server's.
    assert not [text for text in texts if "jda_expired" in text]


async def test_a_json_body_of_any_shape_is_the_callers_fault(callers: Callers) -> None:
    deep = "[" * 60_000
    for body in (deep, '{"a":' * 10_000, "1" * 5_000, '"\\ud800"', "null", "\x00"):
        for method, path in (
            ("POST", "/login"),
            ("POST", "/_api/kernels"),
            ("POST", "/api/personal_api_keys"),
            ("PATCH", "/_api/sharing?path=a"),
        ):
            answer = await callers.owner().send(
                method, path, body, headers={"Content-Type": "application/json"}
            )
            assert 400 <= answer.code < 500, (method, path, body[:20], answer.code)
            assert json.loads(answer.body)


class TestTextsThatSomeDatabaseCannotHold:
    """NUL and lone surrogates, wherever a caller's text may reach the database."""

    @pytest.fixture
    def extension_config(self, tmp_path: Path, database_url: str) -> dict[str, Any]:
        rules = tmp_path / "access.toml"
        rules.write_text(RULES)
        return {"AccessRules": {"file": str(rules)}, "Database": {"url": database_url}}

    async def test_are_the_callers_fault(
        self, callers: Callers, write_notebook: Write, dashboards: Any
    ) -> None:
        write_notebook("sales/board.ipynb", new_markdown_cell("board"))
        token = await callers.share("sales/board.ipynb", password_required=True)
        sharing = "/_api/sharing?path=sales/board"
        codes = {}
        for text in ("a\0b", "a\ud800b", "\U0010ffff" * 100):
            for method, path, body in (
                ("POST", "/login", {"username": text, "password": text}),
                ("POST", f"/shared/{token}", {"password": text}),
                ("POST", "/api/personal_api_keys", {"label": text, "scopes": ["*"]}),
                ("POST", "/api/personal_api_keys", {"label": "a", "scopes": [text]}),
                ("PATCH", sharing, {"parameters": text, text: 1}),
                ("PATCH", sharing, {"enabled": True, text: text}),
                ("POST", "/_api/sharing/passwords?path=sales/board", {"note": text}),
                ("GET", f"/_api/activity?path={quote(text, errors='surrogatepass')}", None),
                ("GET", f"/dashboards/{quote(text, errors='surrogatepass')}", None),
                ("GET", f"/shared/{quote(text, errors='surrogatepass')}", None),
            ):
                client = callers.owner() if path.startswith(("/_", "/a")) else callers.nobody()
                answer = await client.send(method, path, body)
                codes[method, path, text[:3]] = answer.code
        assert {call: code for call, code in codes.items() if code >= 500} == {}
        # The page still opens, and the log can be read.
        assert (await callers.owner().send("GET", sharing)).code == 200
        assert (await callers.owner().send("GET", "/_api/activity?limit=500")).code == 200
