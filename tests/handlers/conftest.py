"""Uploads as a client sends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Fetch, Write
from tests.kernels.client import Channel
from tests.notebooks.archives import FORM, form

from .callers import Callers, Client
from .command_client import CommandClient, error_of
from .live import Join, open_channel
from .notebooks_client import NotebooksClient
from .scheduler_client import Make


@pytest.fixture
def callers(fetch: Fetch, dashboards: Any) -> Callers:
    """Makes clients of every kind; `extension_config` of the test's module has the access file."""
    return Callers(fetch, dashboards)


@pytest.fixture
def notebooks(fetch: Fetch, jp_serverapp: Any) -> NotebooksClient:
    """A client of the notebooks API with the owner's token."""
    return NotebooksClient(fetch, jp_serverapp.identity_provider.token)


@pytest.fixture
def commands(fetch: Fetch, jp_serverapp: Any) -> CommandClient:
    """A client of the commands API with the owner's token. Commands wait: pytest-jupyter starts no extension."""
    return CommandClient(fetch, jp_serverapp.identity_provider.token)


@pytest.fixture
def make_schedule(commands: CommandClient, write_notebook: Write) -> Make:
    """Makes a schedule of a notebook, daily from noon of a day in 2999 on."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    write_notebook("folder/a note.ipynb", new_code_cell("1 + 1"), **kernel)

    async def post(status: int = 200, **fields: Any) -> Any:
        note_id = await commands.note_id("folder/a%20note.ipynb")
        body = {
            "command_type": "SparkCommand",
            "command": {"note_id": note_id, "language": "notebook"},
            "start_time": "2999-07-01T12:00Z",
            "frequency": 1,
            **fields,
        }
        response = await commands.ask("POST", "/scheduler/", body)
        if status != 200:
            return error_of(response, status)
        assert response.code == 200, response.body
        return json.loads(response.body)

    return post


@pytest.fixture
def runs(dashboards: Any, jp_asyncio_loop: Any) -> Iterator[None]:
    """The server runs commands."""
    jp_asyncio_loop.run_until_complete(dashboards.commands.start())
    yield
    jp_asyncio_loop.run_until_complete(dashboards.commands.stop())


@pytest.fixture
def fires(dashboards: Any, jp_asyncio_loop: Any, runs: None) -> Iterator[None]:
    """The server fires what is due, and runs it."""
    jp_asyncio_loop.run_until_complete(dashboards.schedules.start())
    yield
    jp_asyncio_loop.run_until_complete(dashboards.schedules.stop())


@pytest.fixture
def join(jp_http_port: int, jp_base_url: str, jp_asyncio_loop: Any) -> Iterator[Join]:
    """Opens the websocket of a kernel with a client's credentials."""
    opened: list[Channel] = []

    async def open_one(client: Client, kernel_id: str) -> Channel:
        url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}_api/kernels/{kernel_id}/channels"
        opened.append(await open_channel(url, client))
        return opened[-1]

    yield open_one

    async def close_all() -> None:
        for channel in opened:
            channel.close()
        await asyncio.sleep(0.05)

    jp_asyncio_loop.run_until_complete(close_all())


@pytest.fixture
def upload(fetch: Fetch) -> Any:
    """Posts a form: takes the dashboard's name, and a (file name, bytes) for each file."""

    async def post(name: str, *files: tuple[str, bytes], **options: Any) -> Any:
        texts = options.pop("texts", {})
        headers = {**FORM, **options.pop("headers", {})}
        body = form(*files, **texts)
        return await fetch(
            f"/_api/notebooks/{name}", method="POST", headers=headers, body=body, **options
        )

    return post


@pytest.fixture
def delete(fetch: Fetch) -> Any:
    async def ask(name: str, **options: Any) -> Any:
        return await fetch(f"/_api/notebooks/{name}", method="DELETE", **options)

    return ask


@pytest.fixture
def send_head(
    http_server_client: Any, jp_serverapp: Any, jp_base_url: str, http_server_port: Any
) -> Any:
    """Opens a socket and sends the head of an upload; the test sends the body, or doesn't."""
    owner = jp_serverapp.identity_provider.token

    async def send(length: int, *lines: str, token: str | None = owner) -> Any:
        head = [
            f"POST {jp_base_url}_api/notebooks/p1 HTTP/1.1",
            "Host: 127.0.0.1",
            f"Content-Type: {FORM['Content-Type']}",
            f"Content-Length: {length}",
            *([f"Authorization: token {token}"] if token else []),
            *lines,
        ]
        streams = await asyncio.open_connection("127.0.0.1", http_server_port[-1])
        streams[1].write(("\r\n".join(head) + "\r\n\r\n").encode())
        return streams

    return send


def refusal(response: Any) -> tuple[int, str]:
    """Status and message of an error, after checking that it is the documented body."""
    body = json.loads(response.body)
    assert body["status"] == response.code
    assert response.headers["Content-Type"].startswith("application/json")
    assert "Traceback" not in body["message"]
    assert "/tmp" not in body["message"]
    return response.code, body["message"]
