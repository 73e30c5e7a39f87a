"""The frame decoders take whatever a viewer sends: they decode it within bounds, or say no."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)

from jupyter_dashboards_api.kernels import frames
from jupyter_dashboards_api.kernels.frames import FrameError, Message

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=10,
)
objects = st.dictionaries(names, values, max_size=5)
headers = st.fixed_dictionaries({"msg_id": names, "msg_type": names, "session": names})
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
messages = st.builds(
    Message,
    channel=st.sampled_from(["shell", "iopub", "stdin", "control"]),
    header=headers,
    parent_header=objects,
    metadata=objects,
    content=objects,
    buffers=st.lists(st.binary(max_size=50), max_size=5),
)


def assert_same(decoded: Message, message: Message) -> None:
    assert decoded.channel == message.channel
    assert decoded.header == message.header
    assert decoded.parent_header == message.parent_header
    assert decoded.metadata == message.metadata
    assert decoded.content == message.content
    assert [bytes(buffer) for buffer in decoded.buffers] == message.buffers


@given(messages, st.booleans())
@quick
def test_decoding_gives_back_what_was_encoded(message: Message, v1: bool) -> None:
    assert_same(frames.decode(frames.encode(message, v1=v1), v1=v1), message)


@given(messages)
@quick
def test_upstream_reads_the_v1_frames_we_write(message: Message) -> None:
    channel, parts = deserialize_msg_from_ws_v1(frames.encode(message, v1=True))
    assert channel == message.channel
    assert json.loads(parts[3]) == message.content
    assert parts[4:] == message.buffers


@given(messages)
@quick
def test_we_read_the_v1_frames_that_upstream_writes(message: Message) -> None:
    parts = [frames.pack(part) for part in (message.header, message.parent_header)]
    parts += [frames.pack(part) for part in (message.metadata, message.content)]
    frame = serialize_msg_to_ws_v1([*parts, *message.buffers], message.channel)
    assert_same(frames.decode(frame, v1=True), message)


def test_legacy_binary_frames_are_upstreams() -> None:
    message = Message("shell", {"msg_id": "1"}, {}, {}, {"a": "é"}, [b"\x00\xff", b""])
    frame = frames.encode(message, v1=False)
    assert isinstance(frame, bytes)
    assert deserialize_binary_message(frame)["buffers"] == [b"\x00\xff", b""]
    theirs = serialize_binary_message(
        {
            "channel": "shell",
            "header": {"msg_id": "1"},
            "parent_header": {},
            "metadata": {},
            "content": {"a": "é"},
            "buffers": [b"\x00\xff", b""],
        }
    )
    assert_same(frames.decode(theirs, v1=False), message)


@given(st.binary(max_size=400) | st.text(max_size=400), st.booleans())
@quick
def test_arbitrary_frames_raise_nothing_but_a_frame_error(frame: str | bytes, v1: bool) -> None:
    with contextlib.suppress(FrameError):
        frames.decode(frame, v1=v1)


@given(messages, st.data(), st.booleans())
@quick
def test_damaged_frames_raise_nothing_but_a_frame_error(
    message: Message, data: st.DataObject, v1: bool
) -> None:
    frame = frames.encode(message, v1=v1)
    if isinstance(frame, str):
        cut = data.draw(st.integers(0, len(frame)))
        damaged: str | bytes = frame[:cut] + data.draw(st.text(max_size=5)) + frame[cut + 1 :]
    else:
        changed = bytearray(frame)
        position = data.draw(st.integers(0, len(changed) - 1))
        changed[position] = data.draw(st.integers(0, 255))
        damaged = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    with contextlib.suppress(FrameError):
        frames.decode(damaged, v1=v1)


def v1_frame(count: int, *offsets: int, tail: bytes = b"") -> bytes:
    return struct.pack(f"<{1 + len(offsets)}Q", count, *offsets) + tail


HOSTILE: dict[str, str | bytes] = {
    "all ones": b"\xff" * 64,
    "zeros": b"\0" * 64,
    "empty": b"",
    "empty text": "",
    "one byte": b"\x01",
    "huge count": v1_frame(2**64 - 1, 0, 1, 2),
    "huge legacy count": b"\x7f\xff\xff\xff" + b"\0" * 60,
    "negative legacy count": b"\x80\x00\x00\x00" + b"\0" * 60,
    "huge offsets": v1_frame(6, *[2**63] * 6),
    "offsets beyond the end": v1_frame(6, 56, 61, 63, 65, 67, 10**6, tail=b"shell{}{}{}{}"),
    "falling offsets": v1_frame(6, 69, 67, 65, 63, 61, 56, tail=b"shell{}{}{}{}"),
    "offsets into the table": v1_frame(6, 0, 8, 16, 24, 32, 40),
    "too few parts": v1_frame(3, 32, 37, 39, tail=b"shell{}"),
    "not UTF-8": v1_frame(6, 56, 61, 63, 65, 67, 69, tail=b"shell\xff\xfe{}{}{}"),
    "channel is not ASCII": v1_frame(6, 56, 58, 60, 62, 64, 66, tail="é{}{}{}{}".encode()),
    "parts are lists": v1_frame(6, 56, 61, 63, 65, 67, 69, tail=b"shell[][][][]"),
    "legacy, not UTF-8": struct.pack(">2I", 1, 8) + b"\xff\xfe\xfd",
    "legacy list": "[]",
    "legacy number": "1",
    "legacy null": "null",
    "legacy empty object": "{}",
    "legacy header is a list": '{"channel":"shell","header":[]}',
    "legacy channel is a number": '{"channel":1,"header":{}}',
    "deep JSON": '{"channel":"shell","header":{},"content":' + "[" * 200_000,
    "deep objects": '{"a":' * 100_000,
    "NaN": '{"channel":"shell","header":{},"content":{"a":NaN}}',
    "endless number": '{"channel":"shell","header":{},"content":{"a":' + "9" * 5000 + "}}",
    "10 MB of text": "x" * 10_000_000,
    "10 MB of JSON": '{"channel":"shell","header":{},"content":[' + "[]," * 3_300_000,
    "10 MB of ones": b"\xff" * 10_000_000,
    "10 MB of noise": os.urandom(10_000_000),
}


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "legacy"])
@pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_frames_are_refused_at_once(frame: str | bytes, v1: bool) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with pytest.raises(FrameError):
            frames.decode(frame, v1=v1)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


@pytest.mark.parametrize("value", ['{"a":[]}', "[]", "1", '"a"', '"' + "[" * 1000 + '"'])
def test_the_largest_json_that_is_parsed_does_not_hold_the_event_loop(value: str) -> None:
    containers = value.count("[") + value.count("{")
    most = [frames.MAX_JSON_BYTES // (len(value) + 1), frames.MAX_VALUES]
    if containers:
        most.append(frames.MAX_CONTAINERS // containers)
    content = f"{value}," * (min(most) - 60)
    frame = '{"channel":"shell","header":{},"content":{"a":[' + content + "1]}}"
    times = []
    for _ in range(3):
        start = time.perf_counter()
        frames.decode(frame, v1=False)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


def test_json_that_takes_long_to_parse_is_refused() -> None:
    for content in ("[]," * (frames.MAX_CONTAINERS + 1), "1," * (frames.MAX_VALUES + 1)):
        with pytest.raises(FrameError):
            frames.decode(
                '{"channel":"shell","header":{},"content":{"a":[' + content + "1]}}", v1=False
            )


def test_buffers_that_overlap_are_refused() -> None:
    v1 = v1_frame(8, 72, 77, 79, 81, 83, 85, 90, 88, tail=b"shell{}{}{}{}abcde")
    with pytest.raises(FrameError):
        frames.decode(v1, v1=True)
    text = b'{"channel":"shell","header":{}}'
    start = 16
    legacy = (
        struct.pack(">4I", 3, start, start + len(text) + 4, start + len(text)) + text + b"abcde"
    )
    with pytest.raises(FrameError):
        frames.decode(legacy, v1=False)


def test_more_buffers_than_the_bound_are_refused() -> None:
    message = Message("shell", {}, {}, {}, {}, [b""] * (frames.MAX_BUFFERS + 1))
    for v1 in (True, False):
        with pytest.raises(FrameError):
            frames.decode(frames.encode(message, v1=v1), v1=v1)


def test_a_v1_header_has_its_own_bound() -> None:
    message = Message("shell", {"msg_id": "x" * frames.MAX_HEADER_BYTES}, {}, {}, {})
    with pytest.raises(FrameError):
        frames.decode(frames.encode(message, v1=True), v1=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1, 2}])
def test_what_json_cannot_carry_is_not_encoded(value: object) -> None:
    for v1 in (True, False):
        with pytest.raises(FrameError):
            frames.encode(Message("shell", {}, {}, {}, {"a": value}), v1=v1)
