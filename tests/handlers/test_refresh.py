"""Open pages are told when a run has written new results, and get them: whoever may see the page, and nobody else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_dashboards_api.dashboards.stamp import stamp, utc_text
from jupyter_dashboards_api.handlers.identity import PAGE_TOKEN_HEADER, PAGE_TOKEN_SUBPROTOCOL
from jupyter_dashboards_api.handlers.kernels import RIGHT_ENDED
from tests.conftest import Fetch, Write

from .callers import RULES, SHARED, Callers, Client, page_config
from .live import by_page
from .shared import BOARD, PNG, Link, write_board

T0 = datetime(2026, 11, 26, 6, tzinfo=UTC)
T1 = T0 + timedelta(hours=1)
SECONDS = 20.0


@pytest.fixture
def extension_config(tmp_path: Path) -> dict[str, Any]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    return {
        "AccessRules": {"file": str(rules)},
        "AccessManager": {"check_interval": 60.0},
        "RefreshFeed": {"look_interval": 600.0, "heartbeat": 600.0},
    }


@pytest.fixture(autouse=True)
def _stopped(dashboards: Any) -> Iterator[None]:
    """Its tasks end with the test; pytest-jupyter stops no extension."""
    yield
    dashboards.refresh.stop()


Save = Callable[..., Awaitable[None]]


@pytest.fixture
def save(dashboards: Any) -> Save:
    """Saves a notebook by the contents manager, as a run does, or without the stamp as a person does."""

    async def write(path: str, text: str, time: datetime | None = None) -> None:
        output = new_output("stream", name="stdout", text=f"{text}\n")
        notebook = nbformat.v4.new_notebook(
            cells=[new_markdown_cell("# Board"), new_code_cell("print(secret)", outputs=[output])]
        )
        if time is not None:
            stamp(notebook, time)
        await dashboards.store.make_folders(path.rpartition("/")[0])
        await dashboards.store.save_notebook(path, notebook)

    return write


class Listener:
    """An open page's websocket."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket

    async def next(self) -> Any:
        """What is told next; None when the server has closed it."""
        message = await asyncio.wait_for(self.socket.read_message(), SECONDS)
        if message is None:
            return None
        said = json.loads(message)
        assert said.pop("heartbeat") > 0
        return said

    async def is_shut(self, code: int) -> None:
        while await self.next() is not None:
            pass
        assert self.socket.close_code == code


Listen = Callable[..., Awaitable[Listener]]


@pytest.fixture
def listen(jp_http_port: int, jp_base_url: str, jp_asyncio_loop: Any) -> Iterator[Listen]:
    """Opens the websocket of a page with a client's credentials, as a browser can."""
    opened: list[WebSocketClientConnection] = []

    async def connect(client: Client, path: str = "", **more: str) -> Listener:
        place = f"/{quote(path)}" if path else ""
        headers = {**client.headers, **more}
        token = headers.pop(PAGE_TOKEN_HEADER, "")
        if token:
            headers["Sec-WebSocket-Protocol"] = PAGE_TOKEN_SUBPROTOCOL + token
        if client.cookies:
            headers["Cookie"] = "; ".join(f"{n}={value}" for n, value in client.cookies.items())
        url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}_api/refresh{place}"
        socket = await websocket_connect(HTTPRequest(url, headers=headers, request_timeout=SECONDS))
        opened.append(socket)
        return Listener(socket)

    yield connect

    async def close() -> None:
        for socket in opened:
            socket.close()
        await asyncio.sleep(0.05)

    jp_asyncio_loop.run_until_complete(close())


def told(time: datetime | None) -> dict[str, str | None]:
    return {"executed_at": utc_text(time) if time else None}


def about(response: Any) -> dict[str, Any]:
    """What an answer with results says of them."""
    found = re.match(r'<script type="application/json" id="dash-results">(.*?)</script>', response)
    assert found
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


async def test_a_page_is_told_how_things_stand_and_when_a_run_has_changed_them(
    callers: Callers, save: Save, listen: Listen, dashboards: Any
) -> None:
    await save(SHARED, "first", T0)
    page = await listen(callers.owner(), SHARED)
    assert await page.next() == told(T0)
    await save(SHARED, "second", T1)
    assert await page.next() == told(T1)
    # A later page of the same notebook, too.
    assert await (await listen(callers.owner(), SHARED)).next() == told(T1)
    assert dashboards.refresh.count == 2


async def test_what_a_person_saves_is_no_news_unless_it_ends_the_results_of_the_run(
    callers: Callers, save: Save, listen: Listen, dashboards: Any
) -> None:
    await save(SHARED, "first", T0)
    page = await listen(callers.owner(), SHARED)
    assert await page.next() == told(T0)
    notebook, _ = await dashboards.store.notebook(SHARED)
    notebook.cells[0].source = "# Other words"
    await dashboards.store.save_notebook(SHARED, notebook)
    await save("sales/other.ipynb", "other", T1)
    notebook.cells[1].outputs[0].text = "by hand"
    await dashboards.store.save_notebook(SHARED, notebook)
    assert await page.next() == told(None)


async def test_a_run_itself_tells_the_pages(
    callers: Callers, listen: Listen, commands: Any, runs: None, write_notebook: Write
) -> None:
    write_notebook(
        SHARED,
        new_code_cell("print(6 * 7)"),
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
    )
    page = await listen(callers.owner(), SHARED)
    assert await page.next() == told(None)
    command = await commands.submit(
        path=SHARED, command_type="JupyterNotebookCommand", upload_to_source=True
    )
    ended = await commands.ended(command["id"])
    assert ended["status"] == "done"
    time = (await page.next())["executed_at"]
    response = await callers.owner().send("GET", f"/_api/results/{SHARED}")
    assert about(response.body.decode())["executed_at"] == time
    assert "42" in response.body.decode()


async def test_the_results_are_what_the_page_shows_of_them_and_no_source(
    callers: Callers, save: Save
) -> None:
    await save(SHARED, "first", T0)
    response = await callers.owner().send("GET", f"/_api/results/{SHARED}")
    body = response.body.decode()
    assert response.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"] == "no-store"
    assert about(body) == {
        "executed_at": utc_text(T0),
        "as_of": utc_text(T0),
        "view": "",
        "code_cells": [1],
    }
    assert "secret" not in body
    page = (await callers.owner().send("GET", "/dashboards/sales/board")).body.decode()
    cells = body.partition("</script>")[2]
    assert 'id="dash-cells"' in cells
    assert cells in page
    zipped = await callers.owner().send(
        "GET", f"/_api/results/{SHARED}", headers={"Accept-Encoding": "gzip"}
    )
    assert zipped.body.decode() == body


async def test_a_page_says_of_when_it_is_and_where_to_listen(callers: Callers, save: Save) -> None:
    await save("sales/ä b.ipynb", "first", T0)
    page = await callers.owner().send("GET", f"/dashboards/{quote('sales/ä b')}")
    config = page_config(page)
    assert config["executedAt"] == utc_text(T0)
    assert config["refreshUrl"] == f"/a%40b/_api/refresh/{quote('sales/ä b.ipynb')}"
    assert config["resultsUrl"] == f"/a%40b/_api/results/{quote('sales/ä b.ipynb')}"
    assert "As of <time" in page.body.decode()
    assert "2026-11-26 06:00 UTC" in page.body.decode()


async def test_prose_alone_has_nothing_to_be_told(callers: Callers, write_notebook: Write) -> None:
    write_notebook(SHARED, new_markdown_cell("# Board"))
    config = page_config(await callers.owner().send("GET", "/dashboards/sales/board"))
    assert "refreshUrl" not in config


async def test_viewers_listen_to_what_they_may_open_and_are_shut_out_with_their_session(
    callers: Callers, save: Save, listen: Listen
) -> None:
    await save(SHARED, "first", T0)
    bob = await callers.viewer("bob")
    with pytest.raises(HTTPClientError) as refused:
        await listen(bob, SHARED)
    assert refused.value.code == 404
    with pytest.raises(HTTPClientError) as refused:
        await listen(bob, "sales/nothing.ipynb")
    assert refused.value.code == 404
    with pytest.raises(HTTPClientError) as refused:
        await listen(callers.nobody(), SHARED)
    assert refused.value.code == 401
    ann = await callers.viewer("ann")
    page = await listen(ann, SHARED)
    assert await page.next() == told(T0)
    assert (await ann.send("GET", f"/_api/results/{SHARED}")).code == 200
    await ann.send("POST", "/logout", {})
    await page.is_shut(RIGHT_ENDED)


async def test_an_address_that_can_not_be_read_fills_no_log(
    callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    response = await callers.nobody().send("GET", "/_api/refresh/%ED%A0%80")
    assert response.code == 400
    assert response.body == b"Bad Request"
    assert "Traceback" not in caplog.text


async def test_no_other_site_listens_with_a_viewer_s_cookies(
    callers: Callers, save: Save, listen: Listen
) -> None:
    await save(SHARED, "first", T0)
    ann = await callers.viewer("ann")
    with pytest.raises(HTTPClientError) as refused:
        await listen(ann, SHARED, Origin="https://elsewhere.example")
    assert refused.value.code == 403


async def test_a_public_page_listens_by_its_token_to_itself_alone(
    callers: Callers, save: Save, listen: Listen
) -> None:
    await save("open/board.ipynb", "first", T0)
    await save("open/other.ipynb", "other", T0)
    page = await callers.nobody().send("GET", "/dashboards/open/board")
    client = by_page(callers.nobody(), page)
    assert await (await listen(client, "open/board.ipynb")).next() == told(T0)
    assert (await client.send("GET", "/_api/results/open/board.ipynb")).code == 200
    for path in ("open/other.ipynb", SHARED):
        assert (await client.send("GET", f"/_api/results/{path}")).code == 404
        with pytest.raises(HTTPClientError) as refused:
            await listen(client, path)
        assert refused.value.code == 404


class TestLinks:
    """Pages of links, with a kernel or without: they are told of their notebook and learn nothing of where it is."""

    @pytest.fixture
    def board(self, write_notebook: Write) -> str:
        write_board(write_notebook)
        return BOARD

    @pytest.mark.parametrize("live", [True, False])
    async def test_a_link_s_page_is_told_and_gets_results_with_its_own_addresses(
        self, board: str, callers: Callers, listen: Listen, dashboards: Any, live: bool
    ) -> None:
        link = await Link.to(callers, live=live)
        response = await link.get()
        config = page_config(response)
        assert config["live"] is live
        assert config["refreshUrl"] == "/a%40b/_api/refresh"
        page = by_page(callers.nobody(), response)
        # Whatever path the client names.
        listener = await listen(page, "sales/other.ipynb" if live else "")
        assert await listener.next() == told(None)
        notebook, _ = await dashboards.store.notebook(board)
        stamp(notebook, T1)
        await dashboards.store.save_notebook(board, notebook)
        assert await listener.next() == told(T1)
        results = await page.send("GET", "/_api/results")
        body = results.body.decode()
        assert about(body)["executed_at"] == utc_text(T1)
        assert re.search(r'src="_images/[0-9a-f]{64}\.png"', body)
        assert "path=" not in body
        assert board.partition("/")[0] not in body
        assert "s3cret_source" not in body
        assert PNG not in body

    async def test_a_link_that_is_closed_ends_its_listeners(
        self, board: str, callers: Callers, listen: Listen
    ) -> None:
        link = await Link.to(callers, live=False)
        page = by_page(callers.nobody(), await link.get())
        listener = await listen(page)
        assert await listener.next() == told(None)
        await link.change(enabled=False)
        await listener.is_shut(RIGHT_ENDED)
        assert (await page.send("GET", "/_api/results")).code == 401

    async def test_a_link_s_page_looks_again_when_its_notebook_has_moved(
        self, board: str, callers: Callers, listen: Listen, dashboards: Any
    ) -> None:
        link = await Link.to(callers)
        page = by_page(callers.nobody(), await link.get())
        listener = await listen(page)
        assert await listener.next() == told(None)
        await dashboards.store.rename(board.partition("/")[0], "elsewhere")
        await listener.is_shut(1012)
        again = await listen(page)
        assert await again.next() == told(None)
        notebook, _ = await dashboards.store.notebook("elsewhere/index.ipynb")
        stamp(notebook, T1)
        await dashboards.store.save_notebook("elsewhere/index.ipynb", notebook)
        assert await again.next() == told(T1)


async def test_an_upload_in_the_place_of_the_notebook_is_seen(
    callers: Callers, save: Save, listen: Listen, upload: Any
) -> None:
    await save(SHARED, "first", T0)
    page = await listen(callers.owner(), SHARED)
    assert await page.next() == told(T0)
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("1")])
    stamp(notebook, T1)
    response = await upload("sales/board", ("a.ipynb", nbformat.writes(notebook).encode()))
    assert response.code == 201
    assert await page.next() == told(T1)


class TestLimits:
    @pytest.fixture
    def extension_config(self, extension_config: dict[str, Any]) -> dict[str, Any]:
        own = {"max_streams": 3, "max_streams_per_caller": 2, "heartbeat": 0.1}
        return {**extension_config, "RefreshFeed": {"look_interval": 0.2, **own}}

    async def test_only_so_many_pages_listen_and_one_that_is_left_makes_room(
        self, callers: Callers, save: Save, listen: Listen, dashboards: Any
    ) -> None:
        await save(SHARED, "first", T0)
        ann = await callers.viewer("ann")
        first = await listen(ann, SHARED)
        await listen(ann, SHARED)
        with pytest.raises(HTTPClientError) as refused:
            await listen(ann, SHARED)
        assert refused.value.code == 503
        await listen(callers.owner(), SHARED)
        with pytest.raises(HTTPClientError) as refused:
            await listen(callers.owner(), SHARED)
        assert refused.value.code == 503
        first.socket.close()
        async with asyncio.timeout(SECONDS):
            while dashboards.refresh.count == 3:
                await asyncio.sleep(0.02)
        assert await (await listen(callers.owner(), SHARED)).next() == told(T0)

    async def test_a_page_hears_again_and_again_that_the_server_is_there(
        self, callers: Callers, save: Save, listen: Listen
    ) -> None:
        await save(SHARED, "first", T0)
        page = await listen(callers.owner(), SHARED)
        for _ in range(3):
            assert await page.next() == told(T0)

    async def test_what_another_program_writes_is_found_too(
        self, callers: Callers, save: Save, listen: Listen, jp_root_dir: Path
    ) -> None:
        await save(SHARED, "first", T0)
        page = await listen(callers.owner(), SHARED)
        assert await page.next() == told(T0)
        notebook = nbformat.read(jp_root_dir / SHARED, as_version=4)
        notebook.cells[1].outputs[0].text = "by another server\n"
        stamp(notebook, T1)
        nbformat.write(notebook, jp_root_dir / SHARED)
        async with asyncio.timeout(SECONDS):
            while await page.next() != told(T1):
                pass

    async def test_a_client_that_talks_is_not_listened_to(
        self, callers: Callers, save: Save, listen: Listen
    ) -> None:
        await save(SHARED, "first", T0)
        page = await listen(callers.owner(), SHARED)
        await page.socket.write_message("x" * 10)
        assert await page.next() == told(T0)
        await page.socket.write_message("x" * 5000)
        while await page.next() is not None:
            pass


class TestOff:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"RefreshFeed": {"max_streams": 0}}

    async def test_the_operator_can_do_without(
        self, callers: Callers, write_notebook: Write, fetch: Fetch
    ) -> None:
        write_notebook(SHARED, new_code_cell("1"))
        config = page_config(await callers.owner().send("GET", "/dashboards/sales/board"))
        assert "refreshUrl" not in config
        response = await fetch(f"/_api/refresh/{SHARED}", headers={"Upgrade": "websocket"})
        assert response.code == 503
