"""A client of a kernel at a gateway, over the gateway's websocket.

jupyter_server has one (`GatewayKernelClient`), for programs without an event loop: it turns a core at 94 % while it waits,
sends no credentials, and doesn't tell when the kernel dies. Frames are Jupyter's: JSON as text, and with buffers binary
(https://jupyter-server.readthedocs.io/en/latest/developers/websocket-protocols.html, the default protocol).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.services.kernels.connection.base import deserialize_binary_message
from jupyter_server.utils import url_path_join
from tornado.escape import url_escape
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

_MAX_MESSAGE_BYTES = 256 * 1024 * 1024
_GONE = ("restarting", "autorestarting", "dead")


class _Channel:
    """One of a kernel's channels, with the methods that nbclient and jupyter_client use."""

    def __init__(self, name: str, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._name = name
        self._send = send
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def put(self, message: dict[str, Any]) -> None:
        """A message has come."""
        self._messages.put_nowait(message)

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message."""
        self._send({**message, "channel": self._name})

    async def msg_ready(self) -> bool:
        """Whether a message is there."""
        return not self._messages.empty()

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109, jupyter_client's name
        """The next message. Raises `queue.Empty` when none has come within `timeout` seconds."""
        try:
            if timeout == 0:
                return self._messages.get_nowait()
            return await asyncio.wait_for(self._messages.get(), timeout)
        except (TimeoutError, asyncio.QueueEmpty):
            raise Empty from None


class GatewayClientOfKernel(AsyncKernelClient):
    """A connected kernel of a gateway. Whether it is alive, its manager is asked."""

    def __init__(self, socket: WebSocketClientConnection, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._socket = socket
        self._on_end = on_end
        self._closed = False
        self._own = {
            name: _Channel(name, self._send) for name in ("shell", "iopub", "control", "stdin")
        }
        self._reader = asyncio.ensure_future(self._read())

    @property
    def shell_channel(self) -> Any:
        """Requests and replies."""
        return self._own["shell"]

    @property
    def iopub_channel(self) -> Any:
        """What the kernel publishes."""
        return self._own["iopub"]

    @property
    def control_channel(self) -> Any:
        """Requests that don't wait for the cells'."""
        return self._own["control"]

    async def get_shell_msg(self, *args: Any, **options: Any) -> Any:
        """The next message of the shell channel."""
        return await self.shell_channel.get_msg(*args, **options)

    async def get_iopub_msg(self, *args: Any, **options: Any) -> Any:
        """The next message of the IOPub channel."""
        return await self.iopub_channel.get_msg(*args, **options)

    async def is_alive(self) -> bool:
        """Whether the connection stands."""
        return not self._closed

    def stop_channels(self) -> None:
        """Closes the connection."""
        self._closed = True
        self._reader.cancel()
        self._socket.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        text = json.dumps({**message, "buffers": []}, default=lambda value: value.isoformat())
        # A closed socket is noticed by the reader.
        with contextlib.suppress(Exception):
            task = asyncio.ensure_future(self._write(text))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _write(self, text: str) -> None:
        await self._socket.write_message(text)

    async def _read(self) -> None:
        try:
            while (frame := await self._socket.read_message()) is not None:
                self._take(frame)
        finally:
            if not self._closed:
                self._closed = True
                self._on_end()

    def _take(self, frame: str | bytes) -> None:
        message = json.loads(frame) if isinstance(frame, str) else deserialize_binary_message(frame)
        channel = self._own.get(message.get("channel", ""))
        if channel is None:
            return
        state = message.get("content", {}).get("execution_state")
        if message.get("msg_type") == "status" and state in _GONE:
            self._on_end()
        channel.put(message)


async def gateway_client(
    url: str, options: Mapping[str, Any], on_end: Callable[[], None]
) -> GatewayClientOfKernel:
    """Connects to a kernel's `channels`; `options` are Tornado's for requests. `on_end` is called when the kernel is gone."""
    request = HTTPRequest(url, **options)
    socket = await websocket_connect(request, max_message_size=_MAX_MESSAGE_BYTES)
    return GatewayClientOfKernel(socket, on_end)


async def server_gateway_client(kernel: Any, on_end: Callable[[], None]) -> GatewayClientOfKernel:
    """A client of a kernel of the server's own gateway."""
    settings = GatewayClient.instance()
    url = url_path_join(
        settings.ws_url or "", settings.kernels_endpoint, url_escape(kernel.kernel_id), "channels"
    )
    return await gateway_client(url, settings.load_connection_args(), on_end)
