"""The time from sending a trivial cell to its idle status, over three websockets of one Jupyter server.

`proxy` is this project's, `prompt` the server's own with TCP_NODELAY (stock_sockets.py), `stock` the server's own as
shipped. Each has a kernel of its own of the same kind; all speak the v1 protocol, with TCP_NODELAY on the client's
side. They take turns, in all orders, so that whatever else the machine does hits all three.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .figures import Figure, figure
from .servers import Server

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
SOURCE = "None"

_WARM_UP = 20
_PATIENCE = 30.0


_NO_HISTORY_FILE = "get_ipython().history_manager.enabled = False"


@dataclass(slots=True)
class RoundTrips:
    """Milliseconds by socket; equal positions were measured next to each other."""

    proxy: list[float] = field(default_factory=list)
    prompt: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)

    def of(self, name: str) -> list[float]:
        """The list by its name."""
        times: list[float] = getattr(self, name)
        return times

    def figures(self) -> dict[str, Figure]:
        """By socket."""
        return {name: figure(self.of(name)) for name in ("proxy", "prompt", "stock")}


async def measure(server: Server, notebook: str, rounds: int, count: int) -> RoundTrips:
    """`rounds` times three fresh kernels and `count` executions on each socket."""
    trips = RoundTrips()
    for _ in range(rounds):
        await _round(server, notebook, count, trips)
    return trips


async def _round(server: Server, notebook: str, count: int, trips: RoundTrips) -> None:
    sockets: dict[str, tuple[WebSocketClientConnection, str]] = {}
    kernels: list[str] = []
    try:
        for name, start, channels, code in (
            ("proxy", "/_api/kernels", "/_api/kernels", "0"),
            ("prompt", "/api/kernels", "/benchmark/kernels", SOURCE),
            ("stock", "/api/kernels", "/api/kernels", SOURCE),
        ):
            body = {"path": notebook} if name == "proxy" else {"name": "benchmark"}
            kernel = await _request(server, "POST", start, body)
            kernels.append(f"{start}/{kernel['id']}")
            sockets[name] = (await _connect(server, f"{channels}/{kernel['id']}/channels"), code)
            if name != "proxy":
                # As the proxy's preamble does for its kernels.
                await _execute(sockets[name][0], _NO_HISTORY_FILE)
        # In all orders: a socket that always came after the slow one would meet a machine that has gone idle.
        orders = list(permutations(sockets))
        for number in range(-_WARM_UP, count):
            for name in orders[number % len(orders)]:
                took = await _execute(*sockets[name])
                if number >= 0:
                    trips.of(name).append(took)
    finally:
        for socket, _ in sockets.values():
            socket.close()
        for kernel_url in kernels:
            await _request(server, "DELETE", kernel_url, None)


async def _request(server: Server, method: str, path: str, body: Any) -> Any:
    headers = {"Authorization": f"token {server.token}", "Content-Type": "application/json"}
    response = await AsyncHTTPClient().fetch(
        HTTPRequest(
            server.origin + path,
            method=method,
            headers=headers,
            body=None if body is None else json.dumps(body),
            request_timeout=_PATIENCE,
        )
    )
    return json.loads(response.body) if response.body else None


async def _connect(server: Server, path: str) -> WebSocketClientConnection:
    url = f"ws://127.0.0.1:{server.port}{path}?session_id={uuid.uuid4().hex}"
    request = HTTPRequest(
        url, headers={"Authorization": f"token {server.token}"}, connect_timeout=_PATIENCE
    )
    socket = await websocket_connect(request, subprotocols=[SUBPROTOCOL])
    if socket.selected_subprotocol != SUBPROTOCOL:
        raise RuntimeError(f"{path} does not speak {SUBPROTOCOL}")
    assert socket.protocol is not None
    socket.protocol.set_nodelay(True)
    return socket


async def _execute(socket: WebSocketClientConnection, code: str) -> float:
    """Milliseconds until both the reply and the idle status are here."""
    msg_id = uuid.uuid4().hex
    frame = _frame(msg_id, code)
    missing = {"execute_reply", "idle"}
    start = time.perf_counter()
    await socket.write_message(frame, binary=True)
    while missing:
        data = await asyncio.wait_for(socket.read_message(), _PATIENCE)
        if not isinstance(data, bytes):
            raise RuntimeError("the websocket was closed")
        offsets = _offsets(data)
        header, parent = (json.loads(data[offsets[at] : offsets[at + 1]]) for at in (1, 2))
        if parent.get("msg_id") != msg_id:
            continue
        if header["msg_type"] in ("execute_reply", "status"):
            content = json.loads(data[offsets[4] : offsets[5]])
            if content.get("status") == "error":
                raise RuntimeError(f"the cell was refused: {content}")
            missing.discard(content.get("execution_state", header["msg_type"]))
    return (time.perf_counter() - start) * 1000


def _offsets(frame: bytes) -> list[int]:
    """Where the parts of a v1 frame begin: channel, header, parent header, metadata, content, end."""
    count = int.from_bytes(frame[:8], "little")
    return [int.from_bytes(frame[8 * at : 8 * at + 8], "little") for at in range(1, count + 1)]


def _frame(msg_id: str, code: str) -> bytes:
    header = {
        "msg_id": msg_id,
        "msg_type": "execute_request",
        "session": "benchmark",
        "username": "",
        "version": "5.4",
        "date": "2026-01-01T00:00:00Z",
    }
    # As the proxy builds it, so that the kernels do the same work.
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }
    parts = [b"shell", *(json.dumps(part).encode() for part in (header, {}, {}, content))]
    position = 8 * (len(parts) + 2)
    offsets = [position]
    for part in parts:
        position += len(part)
        offsets.append(position)
    numbers = [len(offsets), *offsets]
    return b"".join([*(number.to_bytes(8, "little") for number in numbers), *parts])
