"""Fixtures of the kernel proxy: kernels of viewers, and websockets to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from .client import Channel

Start = Callable[..., Awaitable[dict[str, Any]]]
Connect = Callable[..., Awaitable[Channel]]


@pytest.fixture
def start(fetch: Any, write_notebook: Any) -> Start:
    """Writes a notebook of cells and starts its kernel; a string is a code cell's source."""

    async def start_kernel(
        *cells: Any, path: str = "a folder/note book.ipynb", query: str = "", **options: Any
    ) -> dict[str, Any]:
        write_notebook(
            path, *(new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells)
        )
        response = await fetch(
            "/_api/kernels",
            method="POST",
            # Read as a form, the query's `token` would be taken for the caller's.
            headers={"Content-Type": "application/json"},
            body=json.dumps({"path": path, "query": query}),
            request_timeout=60,
            **options,
        )
        assert response.code == 201, response.body
        model: dict[str, Any] = json.loads(response.body)
        return model

    return start_kernel


@pytest.fixture
def channels_url(jp_http_port: int, jp_base_url: str) -> Callable[[str], str]:
    def url(kernel_id: str) -> str:
        return f"ws://127.0.0.1:{jp_http_port}{jp_base_url}_api/kernels/{kernel_id}/channels"

    return url


@pytest.fixture
def connect(jp_serverapp: Any, channels_url: Any, jp_asyncio_loop: Any) -> Iterator[Connect]:
    """Opens a websocket to a kernel, with the owner's token unless `headers` says otherwise."""
    opened: list[Channel] = []

    async def open_channel(
        model: dict[str, Any], *, headers: dict[str, str] | None = None, **options: Any
    ) -> Channel:
        if headers is None:
            headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
        channel = await Channel.open(channels_url(model["id"]), headers=headers, **options)
        opened.append(channel)
        return channel

    yield open_channel

    async def close_all() -> None:
        for channel in opened:
            channel.close()
        await asyncio.sleep(0.05)

    jp_asyncio_loop.run_until_complete(close_all())


@pytest.fixture(params=[True, False], ids=["v1", "legacy"])
def v1(request: pytest.FixtureRequest) -> bool:
    """Both subprotocols, one after the other."""
    value: bool = request.param
    return value
