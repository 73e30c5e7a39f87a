"""Kernels of pages, with a caller's own credentials: started, joined, and ended when the caller's right has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_dashboards_api.handlers.identity import PAGE_TOKEN_HEADER, PAGE_TOKEN_SUBPROTOCOL
from jupyter_dashboards_api.handlers.kernels import RIGHT_ENDED
from jupyter_dashboards_api.kernels.frames import V1_SUBPROTOCOL
from tests.kernels.client import SECONDS, Channel

from .callers import Client, page_config

Join = Callable[[Client, str], Awaitable[Channel]]


def by_page(client: Client, page: Any) -> Client:
    """The script of a page: its token is all that it sends."""
    return Client(client.fetch, {PAGE_TOKEN_HEADER: page_config(page)["pageToken"]})


async def start(client: Client, path: str = "", **body: Any) -> str:
    """Starts the kernel of a dashboard, and returns its id."""
    response = await client.send(
        "POST", "/_api/kernels", {"path": path, **body}, request_timeout=60
    )
    assert response.code == 201, response.body
    kernel_id: str = json.loads(response.body)["id"]
    return kernel_id


async def open_channel(url: str, client: Client) -> Channel:
    """A websocket as a browser opens it: it can send cookies and subprotocols, and no other header of the page's."""
    headers = dict(client.headers)
    token = headers.pop(PAGE_TOKEN_HEADER, "")
    if client.cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    offered = [V1_SUBPROTOCOL, *([PAGE_TOKEN_SUBPROTOCOL + token] if token else [])]
    headers["Sec-WebSocket-Protocol"] = ", ".join(offered)
    # The client's own way to offer subprotocols knows but one.
    return await Channel.open(url, v1=False, headers=headers)


async def is_shut_out(channel: Channel) -> None:
    """Waits until the server has closed the websocket because the caller's right has ended."""
    await channel.gone()
    assert channel.socket.close_code == RIGHT_ENDED


async def is_ended(app: Any, kernel_id: str) -> None:
    """Waits until the server has shut a kernel down."""
    async with asyncio.timeout(SECONDS):
        while kernel_id in app.kernels.kernel_manager:
            await asyncio.sleep(0.02)
