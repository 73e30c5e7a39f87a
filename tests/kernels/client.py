"""A client of kernel websockets that speaks both subprotocols, and remembers every frame it got."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_dashboards_api.kernels import frames
from jupyter_dashboards_api.kernels.frames import V1_SUBPROTOCOL, Message

SECONDS = 45.0
"""How long to wait for an answer: a loaded machine takes long to start a kernel."""


class Channel:
    """One open websocket."""

    def __init__(self, socket: WebSocketClientConnection, *, v1: bool, session_id: str) -> None:
        self.socket = socket
        self.v1 = v1
        self.session_id = session_id
        self.frames: list[frames.Frame] = []
        self.messages: list[Message] = []
        self.closed = asyncio.Event()
        self._news = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        v1: bool = True,
        session_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Channel:
        """Connect to the channels at `url` (`ws://…/_api/kernels/ID/channels`)."""
        session_id = session_id or uuid.uuid4().hex
        request = HTTPRequest(
            f"{url}?session_id={session_id}", headers=dict(headers or {}), request_timeout=SECONDS
        )
        socket = await websocket_connect(
            request,
            subprotocols=[V1_SUBPROTOCOL] if v1 else None,
            max_message_size=200 * 1024 * 1024,
        )
        # A gateway's channels speak the legacy protocol whatever was asked for.
        return cls(socket, v1=socket.selected_subprotocol == V1_SUBPROTOCOL, session_id=session_id)

    async def _read(self) -> None:
        while True:
            frame = await self.socket.read_message()
            if frame is None:
                self.closed.set()
                self._news.set()
                return
            self.frames.append(frame)
            # Longer than a client may send: not the bounded decoder.
            self.messages.append(read_frame(frame, v1=self.v1))
            self._news.set()

    def close(self) -> None:
        self.socket.close()

    async def gone(self) -> None:
        """Wait until the server has closed the socket."""
        await asyncio.wait_for(self.closed.wait(), SECONDS)

    async def write(self, frame: frames.Frame) -> None:
        await self.socket.write_message(frame, binary=isinstance(frame, bytes))

    async def send(
        self,
        msg_type: str,
        content: Mapping[str, Any] | None = None,
        channel: str = "shell",
        **fields: Any,
    ) -> str:
        """Send a message and return its id."""
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self.session_id}
        message = Message(
            channel,
            header | fields.get("header", {}),
            fields.get("parent_header", {}),
            fields.get("metadata", {}),
            dict(content or {}),
            fields.get("buffers", []),
        )
        await self.write(frames.encode(message, v1=self.v1))
        return str(message.header["msg_id"])

    async def until(self, wanted: Callable[[Message], bool], seconds: float = SECONDS) -> Message:
        """The first message that is wanted, among those seen already or to come."""
        seen = 0
        async with asyncio.timeout(seconds):
            while True:
                while seen < len(self.messages):
                    if wanted(self.messages[seen]):
                        return self.messages[seen]
                    seen += 1
                if self.closed.is_set():
                    raise AssertionError("the socket is closed")
                self._news.clear()
                await self._news.wait()

    async def settle(self, msg_id: str, reply: str = "execute_reply") -> list[Message]:
        """All messages about a request, once it has its reply and its idle status."""
        await self.until(lambda m: m.msg_type == reply and parent(m) == msg_id)
        await self.until(lambda m: is_idle(m) and parent(m) == msg_id)
        return [message for message in self.messages if parent(message) == msg_id]

    async def execute(self, code: Any, **content: Any) -> list[Message]:
        """Send an execute request and settle it."""
        return await self.settle(await self.send("execute_request", {"code": code, **content}))

    async def run(self, code: Any) -> str:
        """What a cell writes to stdout."""
        return text_of(await self.execute(code))


def read_frame(frame: frames.Frame, *, v1: bool) -> Message:
    """A message of the server's, of any size."""
    if v1:
        assert isinstance(frame, bytes)
        channel, parts = frames.split_v1(frame)
        header, parent_header, metadata, content = (frames.parse(part) for part in parts[:4])
        return Message(channel, header, parent_header, metadata, content, list(parts[4:]))
    parts = [memoryview(b"")] if isinstance(frame, str) else frames.split_legacy(frame)
    value = frames.parse(frame if isinstance(frame, str) else parts[0])
    return Message(value["channel"], *frames.legacy_objects(value), list(parts[1:]))


def parent(message: Message) -> Any:
    return message.parent_header.get("msg_id")


def is_idle(message: Message) -> bool:
    return message.msg_type == "status" and message.content["execution_state"] == "idle"


def text_of(messages: list[Message]) -> str:
    """All text on stdout."""
    return "".join(m.content["text"] for m in messages if m.msg_type == "stream")


def of_type(messages: list[Message], msg_type: str) -> Message:
    """The only message of its type."""
    (found,) = [message for message in messages if message.msg_type == msg_type]
    return found
