"""The filter of one websocket: frames in, policy, frames out. Knows no sockets and no Tornado."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import frames, policy
from .binding import MAX_COMMS, Binding
from .frames import Frame, FrameError, JSONObject, Message
from .policy import Refused

_LARGE_STREAM = 64 * 1024
_STDOUT_STARTS = (b'{"name":"stdout","text":"', b'{"name": "stdout", "text": "')
_LEGACY_FIELDS = frozenset(
    {
        "channel",
        "header",
        "msg_id",
        "msg_type",
        "parent_header",
        "metadata",
        "content",
        "buffers",
        "tracker",
    }
)

# One more token for so many bytes of JSON that had to be parsed.
_BYTES_PER_TOKEN = 16 * 1024


@dataclass(slots=True)
class Incoming:
    """What becomes of a client's frame.

    `to_kernel` are frames for the server's connection, `to_client` frames for the websocket.
    `readable` is False for a frame that could not be answered; `accepted` only when it was passed on.
    """

    to_kernel: list[Frame] = field(default_factory=list)
    to_client: list[Frame] = field(default_factory=list)
    readable: bool = True

    @property
    def accepted(self) -> bool:
        return bool(self.to_kernel)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class MessageFilter:
    """Applies the policy to one websocket of a binding; `v1` tells its subprotocol, `sender` its session."""

    def __init__(
        self, binding: Binding, *, v1: bool, sender: str = "", now: Callable[[], str] = _now
    ) -> None:
        self._binding = binding
        self._v1 = v1
        self._sender = sender
        self._now = now

    def incoming(self, frame: Frame) -> Incoming:
        """Decide on a client's frame. Raises nothing for any frame."""
        try:
            message = frames.decode(frame, v1=self._v1)
            if not policy.read_header(message):
                return Incoming(readable=False)
        except FrameError:
            return Incoming(readable=False)
        try:
            return Incoming(to_kernel=self._to_kernel(message, len(frame)))
        except Refused as refused:
            return self._refuse(message, refused)
        except FrameError:
            return self._refuse(message, Refused("This message cannot be represented."))

    def outgoing(self, frame: Frame | JSONObject) -> Frame | None:
        """The frame that the client gets for a frame of the kernel; None: nothing.

        Raises `FrameError` for what is no message: the caller drops it.
        """
        if self._v1:
            if not isinstance(frame, bytes):
                raise FrameError("not a v1 frame")
            return self._outgoing_v1(frame)
        if isinstance(frame, dict):
            frame = json.dumps(frame, default=str)
        return self._outgoing_legacy(frame)

    def _to_kernel(self, message: Message, size: int) -> list[Frame]:
        binding = self._binding
        now = self._now()
        built = policy.to_kernel(message, binding.rules, binding.comms, now)
        frame = frames.encode(built, v1=self._v1)
        # An index may stand for a long source.
        size = max(size, len(frame))
        self._check_limits(built, size)
        msg_id = built.header["msg_id"]
        binding.sent(msg_id, size, self._sender)
        match built.msg_type:
            case "comm_open":
                binding.comm_opened(built.content["comm_id"])
            case "comm_close":
                binding.comm_closed(built.content["comm_id"])
            case "execute_request":
                binding.executing.add(msg_id)
                if binding.preamble and not binding.prepared:
                    binding.prepared = True
                    return [self._preamble(built.header["session"], now), frame]
        return [frame]

    def _check_limits(self, built: Message, size: int) -> None:
        """Raise `Refused` for a message, allowed in itself, of which there are too many."""
        binding = self._binding
        if built.header["msg_id"] in binding.waiting:
            # It would be counted once, however many there are.
            raise Refused("A message of this id waits for the kernel already.")
        if built.msg_type == "comm_open" and len(binding.comms) >= MAX_COMMS:
            raise Refused("Too many comms are open.")
        if binding.waiting_bytes + size > binding.max_waiting_bytes:
            raise Refused("Too much is waiting for the kernel: try again soon.", "RateLimited")
        if built.msg_type == "execute_request":
            if len(binding.executing) >= binding.max_executing:
                raise Refused("Too many cells are waiting to run.", "RateLimited")
            if not binding.execute_limit.take():
                raise Refused("Too many cells at once: try again soon.", "RateLimited")
            return
        parsed = size - sum(len(buffer) for buffer in built.buffers)
        if not binding.comm_limit.take(1 + parsed // _BYTES_PER_TOKEN):
            raise Refused("Too many messages at once: try again soon.", "RateLimited")

    def _preamble(self, session: str, now: str) -> Frame:
        binding = self._binding
        request = policy.silent_request(binding.preamble, binding.preamble_id, session, now)
        return frames.encode(request, v1=self._v1)

    def _refuse(self, message: Message, refused: Refused) -> Incoming:
        try:
            answers = policy.refusal(message, refused, uuid.uuid4().hex, self._now())
            return Incoming(
                to_client=[frames.encode(answer, v1=self._v1) for answer in answers],
            )
        except FrameError:
            # Its ids cannot be written back: half a surrogate pair.
            return Incoming(readable=False)

    def _outgoing_v1(self, frame: bytes) -> bytes | None:
        channel, parts = frames.split_v1(frame)
        header = frames.parse(parts[0])
        msg_type = header.get("msg_type")
        rules = self._binding.rules
        if not isinstance(msg_type, str) or not policy.may_leave(channel, msg_type, rules):
            return None
        parent = frames.parse(parts[1])
        metadata = frames.parse(parts[2])
        if self._is_preamble(parent):
            return None
        changed: dict[int, Any] = {}
        if policy.needs_content(msg_type, rules) and not _is_large_stdout(msg_type, parts[3]):
            content = frames.parse(parts[3])
            shown = self._content(msg_type, content, parent)
            if shown is None:
                return None
            if shown is not content:
                changed[3] = shown
        for position, value, clean in (
            (0, header, policy.header_from_kernel(header)),
            (1, parent, policy.header_from_kernel(parent)),
            (2, metadata, policy.metadata_from_kernel(msg_type, metadata)),
        ):
            if clean is not value:
                changed[position] = clean
        if not changed:
            return frame
        for position, value in changed.items():
            parts[position] = memoryview(frames.pack(value))
        return frames.join_v1(channel, parts)

    def _outgoing_legacy(self, frame: Frame) -> Frame | None:
        parts = [memoryview(b"")] if isinstance(frame, str) else frames.split_legacy(frame)
        value = frames.parse(frame if isinstance(frame, str) else parts[0])
        channel = value.get("channel")
        header, parent, metadata, content = frames.legacy_objects(value)
        msg_type = header.get("msg_type")
        rules = self._binding.rules
        if not isinstance(msg_type, str) or not isinstance(channel, str):
            return None
        if not policy.may_leave(channel, msg_type, rules) or self._is_preamble(parent):
            return None
        shown = content
        if policy.needs_content(msg_type, rules):
            seen = self._content(msg_type, content, parent)
            if seen is None:
                return None
            shown = seen
        clean = (
            policy.header_from_kernel(header),
            policy.header_from_kernel(parent),
            policy.metadata_from_kernel(msg_type, metadata),
            shown,
        )
        unchanged = all(
            new is old for new, old in zip(clean, (header, parent, metadata, content), strict=True)
        )
        if unchanged and value.keys() <= _LEGACY_FIELDS:
            return frame
        return frames.encode(Message(channel, *clean, list(parts[1:])), v1=False)

    def _content(self, msg_type: str, content: JSONObject, parent: JSONObject) -> JSONObject | None:
        self._learn(msg_type, content, parent)
        return policy.content_from_kernel(msg_type, content, self._binding.rules)

    def _learn(self, msg_type: str, content: JSONObject, parent: JSONObject) -> None:
        """Keep up with what the kernel says about its comms and requests."""
        binding = self._binding
        match msg_type:
            case "comm_open":
                if comm_id := policy.comm_id_of(content):
                    binding.comm_opened(comm_id)
            case "comm_close":
                if comm_id := policy.comm_id_of(content):
                    binding.comm_closed(comm_id)
            case "comm_info_reply":
                for comm_id in policy.comms_of(content):
                    binding.comm_opened(comm_id)
            case "execute_reply":
                binding.executing.discard(str(parent.get("msg_id")))
            case "status":
                state = content.get("execution_state")
                if state == "idle":
                    binding.settled(str(parent.get("msg_id")))
                elif state in ("restarting", "dead"):
                    binding.restarted()

    def _is_preamble(self, parent: JSONObject) -> bool:
        return parent.get("msg_id") == self._binding.preamble_id


def _is_large_stdout(msg_type: str, content: memoryview) -> bool:
    """Whether this is so long a text on stdout that only its beginning is looked at."""
    if msg_type != "stream" or len(content) < _LARGE_STREAM:
        return False
    start = bytes(content[:32])
    return start.startswith(_STDOUT_STARTS)
