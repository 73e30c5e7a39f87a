"""The client of a gateway's kernel, against gateways that are slow in one way or another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from jupyter_dashboards_api.commands.execution import ready
from jupyter_dashboards_api.commands.gateway_client import gateway_client


@asynccontextmanager
async def slow_gateway(silent: int) -> AsyncIterator[tuple[str, list[str]]]:
    """One whose kernel answers each question twice, and publishes nothing of the first `silent` ones; what it was asked."""
    asked: list[str] = []

    class Channels(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            request = json.loads(message)
            asked.append(request["header"]["msg_type"])
            for _ in range(2):
                await self.tell(request, "shell", "kernel_info_reply", {"status": "ok"})
            if len(asked) > silent:
                await self.tell(request, "iopub", "status", {"execution_state": "idle"})

        async def tell(self, request: Any, channel: str, kind: str, content: Any) -> None:
            message = {
                "header": {**request["header"], "msg_type": kind},
                "msg_type": kind,
                "parent_header": request["header"],
                "metadata": {},
                "content": content,
                "channel": channel,
            }
            await self.write_message(json.dumps(message))

    socket, port = bind_unused_port()
    server = HTTPServer(Application([("/channels", Channels)]))
    server.add_socket(socket)
    yield f"ws://127.0.0.1:{port}/channels", asked
    server.stop()
    await server.close_all_connections()


async def test_a_kernel_that_answers_before_it_publishes_is_not_asked_without_a_pause() -> None:
    async with slow_gateway(silent=3) as (url, asked):
        client = await gateway_client(url, {}, lambda: None)
        try:
            await asyncio.wait_for(ready(client), 20)
        finally:
            client.stop_channels()
    # Each question has waited for what was lacking.
    assert 4 <= len(asked) <= 6
