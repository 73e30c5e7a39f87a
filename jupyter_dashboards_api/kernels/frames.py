"""The three wire forms of a kernel message on a websocket, decoded within bounds.

v1
    Subprotocol ``v1.kernel.websocket.jupyter.org``, binary frames: the number *n* of offsets, then
    *n* offsets (all unsigned 64 bit, little endian), then the channel's name, header, parent header,
    metadata, content and buffers, one between each two offsets.
legacy text
    No subprotocol, text frames: one JSON object, with ``channel`` beside the message's fields.
legacy binary
    No subprotocol, binary frames: the number *n* of parts, *n* offsets (unsigned 32 bit, big
    endian), then the JSON object of the text form and its buffers.

jupyter_server's own decoders trust the counts that they read: 64 bytes of ``0xff`` make them loop
2**64 times. Nothing that a viewer sent may reach them before it went through `decode` and `encode`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

V1_SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"

MAX_JSON_BYTES = 1024 * 1024
"""Largest JSON text of one incoming message: parsing more would hold the event loop too long."""

MAX_CONTAINERS = 20_000
MAX_VALUES = 200_000
"""Most arrays and objects, and most values, of one incoming message, counted by their `[`, `{` and `,`.

A megabyte of text is parsed in a millisecond, a megabyte of `[],` in a hundred.
"""

MAX_HEADER_BYTES = 16 * 1024
"""Largest header, parent header or metadata of an incoming v1 message."""

MAX_BUFFERS = 1024
"""Most buffers of one message, in either direction."""

_U64 = 8
_U32 = 4
_JSON_PARTS = 4

Frame = str | bytes
"""A websocket frame's payload: ``str`` for a text frame, ``bytes`` for a binary one."""

Buffer = bytes | memoryview
JSONObject = dict[str, Any]


class FrameError(ValueError):
    """The frame is not a kernel message of the expected form, or is out of bounds."""


def _refuse_constant(name: str) -> NoReturn:
    raise FrameError(f"{name} is not JSON")


# Made once: `json.loads` and `json.dumps` would make them anew for every message.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(slots=True)
class Message:
    """One kernel message, parsed: the four JSON objects, its channel and its buffers."""

    channel: str
    header: JSONObject
    parent_header: JSONObject
    metadata: JSONObject
    content: JSONObject
    buffers: list[Buffer] = field(default_factory=list)

    @property
    def msg_type(self) -> str:
        """``header.msg_type``, or "" when that is not a string."""
        value = self.header.get("msg_type")
        return value if isinstance(value, str) else ""


def decode(frame: Frame, *, v1: bool) -> Message:
    """Parse a frame that a client sent.

    `v1` tells which subprotocol the socket has. Raises `FrameError`, and nothing else, for whatever
    is not a message of that form within the bounds above.
    """
    if v1:
        if isinstance(frame, str):
            raise FrameError("text frame on a binary subprotocol")
        channel, parts = split_v1(frame)
        sizes = [len(part) for part in parts[:_JSON_PARTS]]
        if max(sizes[:3]) > MAX_HEADER_BYTES or sizes[3] > MAX_JSON_BYTES:
            raise FrameError("message too large")
        header, parent_header, metadata, content = (
            parse_bounded(part) for part in parts[:_JSON_PARTS]
        )
        return Message(channel, header, parent_header, metadata, content, list(parts[4:]))
    if isinstance(frame, str):
        return _legacy_message(parse_bounded(frame), [])
    parts = split_legacy(frame)
    return _legacy_message(parse_bounded(parts[0]), list(parts[1:]))


def encode(message: Message, *, v1: bool) -> Frame:
    """Write a message in the form of the socket's subprotocol.

    Raises `FrameError` for content that JSON or UTF-8 cannot carry (NaN, half a surrogate pair).
    """
    if v1:
        objects = (message.header, message.parent_header, message.metadata, message.content)
        return join_v1(message.channel, [*(pack(part) for part in objects), *message.buffers])
    text = pack(
        {
            "channel": message.channel,
            "header": message.header,
            "msg_id": message.header.get("msg_id", ""),
            "msg_type": message.header.get("msg_type", ""),
            "parent_header": message.parent_header,
            "metadata": message.metadata,
            "content": message.content,
            "buffers": [],
        }
    )
    if not message.buffers:
        return text.decode("utf-8")
    return join_legacy([text, *message.buffers])


def split_v1(frame: bytes) -> tuple[str, list[memoryview]]:
    """Channel name and parts (header, parent header, metadata, content, buffers…), not copied."""
    size = len(frame)
    if size < _U64:
        raise FrameError("frame too short")
    count = int.from_bytes(frame[:_U64], "little")
    # An offset before each of: channel, four JSON parts, buffers; and one at the end.
    if not 2 + _JSON_PARTS <= count <= 2 + _JSON_PARTS + MAX_BUFFERS:
        raise FrameError("bad number of parts")
    start = _U64 * (count + 1)
    if size < start:
        raise FrameError("frame too short")
    offsets = struct.unpack_from(f"<{count}Q", frame, _U64)
    _check_offsets(offsets, start, size)
    view = memoryview(frame)
    try:
        channel = str(view[offsets[0] : offsets[1]], "ascii")
    except UnicodeDecodeError:
        raise FrameError("bad channel name") from None
    return channel, [view[offsets[i] : offsets[i + 1]] for i in range(1, count - 1)]


def join_v1(channel: str, parts: Sequence[Buffer]) -> bytes:
    """The v1 frame of a channel and its parts: the inverse of `split_v1`."""
    name = channel.encode("ascii")
    end = _U64 * (len(parts) + 3)
    offsets = [end]
    for part in (name, *parts):
        end += len(part)
        offsets.append(end)
    return b"".join((struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), name, *parts))


def split_legacy(frame: bytes) -> list[memoryview]:
    """Parts (JSON, buffers…) of a legacy binary frame, not copied."""
    size = len(frame)
    if size < _U32:
        raise FrameError("frame too short")
    count = int.from_bytes(frame[:_U32], "big")
    if not 1 <= count <= 1 + MAX_BUFFERS:
        raise FrameError("bad number of parts")
    start = _U32 * (count + 1)
    if size < start:
        raise FrameError("frame too short")
    offsets = (*struct.unpack_from(f">{count}I", frame, _U32), size)
    _check_offsets(offsets, start, size)
    view = memoryview(frame)
    return [view[offsets[i] : offsets[i + 1]] for i in range(count)]


def join_legacy(parts: Sequence[Buffer]) -> bytes:
    """The legacy binary frame of its parts: the inverse of `split_legacy`."""
    end = _U32 * (len(parts) + 1)
    offsets = []
    for part in parts:
        offsets.append(end)
        end += len(part)
    return b"".join((struct.pack(f">{len(parts) + 1}I", len(parts), *offsets), *parts))


def parse(data: Buffer | str) -> JSONObject:
    """Parse a JSON object; `FrameError` when it is none."""
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise FrameError("not JSON") from None
    if not isinstance(value, dict):
        raise FrameError("not a JSON object")
    return value


def parse_bounded(data: Buffer | str) -> JSONObject:
    """Parse a JSON object that a client sent; `FrameError` when that would take too long."""
    if len(data) > MAX_JSON_BYTES:
        raise FrameError("message too large")
    text = data.encode("utf-8", "replace") if isinstance(data, str) else bytes(data)
    if text.count(b"[") + text.count(b"{") > MAX_CONTAINERS or text.count(b",") > MAX_VALUES:
        raise FrameError("message too large")
    return parse(data)


def pack(value: JSONObject) -> bytes:
    """Write JSON as UTF-8; `FrameError` when it cannot be written."""
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (ValueError, TypeError, RecursionError):
        raise FrameError("not representable") from None


def legacy_objects(value: JSONObject) -> tuple[JSONObject, JSONObject, JSONObject, JSONObject]:
    """Header, parent header, metadata and content of a legacy message's JSON object."""
    objects = tuple(value.get(name) for name in ("header", "parent_header", "metadata", "content"))
    header, parent_header, metadata, content = objects
    if not isinstance(header, dict):
        raise FrameError("no header")
    optional = [{} if part is None else part for part in (parent_header, metadata, content)]
    if not all(isinstance(part, dict) for part in optional):
        raise FrameError("not a message")
    return header, optional[0], optional[1], optional[2]


def _legacy_message(value: JSONObject, buffers: list[Buffer]) -> Message:
    channel = value.get("channel")
    if not isinstance(channel, str):
        raise FrameError("no channel")
    return Message(channel, *legacy_objects(value), buffers)


def _check_offsets(offsets: Sequence[int], start: int, size: int) -> None:
    previous = start
    for offset in offsets:
        if offset < previous:
            raise FrameError("bad offsets")
        previous = offset
    if previous > size:
        raise FrameError("bad offsets")
