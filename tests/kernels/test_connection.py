"""The filter of one websocket: frames in, frames out, in both subprotocols."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.kernels import frames, policy
from jupyter_dashboards_api.kernels.binding import MAX_COMMS, Binding
from jupyter_dashboards_api.kernels.connection import MessageFilter
from jupyter_dashboards_api.kernels.environment import KernelRequest
from jupyter_dashboards_api.kernels.frames import Message
from jupyter_dashboards_api.kernels.policy import Rules
from jupyter_dashboards_api.kernels.throttle import TokenBucket

SECRET = "the source of a cell"
subprotocols = pytest.mark.parametrize("v1", [True, False], ids=["v1", "legacy"])


def make_binding(
    preamble: str = "", executes: int = 100, comms: int = 100, **rules: Any
) -> Binding:
    return Binding(
        kernel_id="k",
        path="a.ipynb",
        owner="o",
        session_id="s",
        request=KernelRequest("a.ipynb", "o"),
        rules=Rules(sources=(f"print({SECRET!r})", None), error_text="Sorry.", **rules),
        execute_limit=TokenBucket(0, executes),
        comm_limit=TokenBucket(0, comms),
        max_executing=50,
        max_waiting_bytes=1_000_000,
        preamble=preamble,
        preamble_id="preamble",
    )


def client(msg_type: str, content: dict[str, Any], msg_id: str = "m1", **fields: Any) -> Message:
    return Message(
        "shell", {"msg_id": msg_id, "msg_type": msg_type, "session": "s"}, {}, {}, content, **fields
    )


def kernel(
    msg_type: str, content: dict[str, Any], channel: str = "iopub", **fields: Any
) -> Message:
    header = {"msg_id": "k1", "msg_type": msg_type, "session": "k", "username": "u", "date": "d"}
    parent = fields.pop("parent", {"msg_id": "m1", "msg_type": "execute_request"})
    return Message(channel, header, parent, fields.pop("metadata", {}), content, **fields)


class Conversation:
    """A filter with its subprotocol, speaking in messages."""

    def __init__(self, binding: Binding, v1: bool) -> None:
        self.v1 = v1
        self.filter = MessageFilter(binding, v1=v1)

    def send(self, message: Message) -> tuple[list[Message], list[Message]]:
        incoming = self.filter.incoming(frames.encode(message, v1=self.v1))
        return self.decode(incoming.to_kernel), self.decode(incoming.to_client)

    def show(self, message: Message) -> Message | None:
        frame = self.filter.outgoing(frames.encode(message, v1=self.v1))
        return None if frame is None else self.decode([frame])[0]

    def decode(self, encoded: list[frames.Frame]) -> list[Message]:
        return [frames.decode(frame, v1=self.v1) for frame in encoded]


@subprotocols
def test_a_cell_is_executed_by_its_index(v1: bool) -> None:
    to_kernel, to_client = Conversation(make_binding(), v1).send(
        client("execute_request", {"code": "0"})
    )
    assert to_kernel[0].content["code"] == f"print({SECRET!r})"
    assert not to_client


@subprotocols
def test_a_refused_message_is_answered_in_the_sockets_own_subprotocol(v1: bool) -> None:
    conversation = Conversation(make_binding(), v1)
    to_kernel, to_client = conversation.send(client("inspect_request", {"code": "x"}))
    assert not to_kernel
    assert [answer.msg_type for answer in to_client] == ["inspect_reply", "status"]
    assert to_client[0].parent_header["msg_id"] == "m1"


@subprotocols
def test_an_answer_that_cannot_be_written_counts_as_unreadable(v1: bool) -> None:
    text = '{"channel":"shell","header":{"msg_id":"\\ud800","msg_type":"x_request"}}'
    if v1:
        part = b'{"msg_id":"\\ud800","msg_type":"x_request"}'
        incoming = MessageFilter(make_binding(), v1=True).incoming(
            frames.join_v1("shell", [part, b"{}", b"{}", b"{}"])
        )
    else:
        incoming = MessageFilter(make_binding(), v1=False).incoming(text)
    assert not incoming.readable
    assert not incoming.to_client


@subprotocols
def test_the_preamble_runs_once_before_the_first_cell_and_is_not_seen(v1: bool) -> None:
    binding = make_binding(preamble="import x")
    conversation = Conversation(binding, v1)
    first, _ = conversation.send(client("execute_request", {"code": "0"}))
    assert [message.content["silent"] for message in first] == [True, False]
    assert first[0].content["code"] == "import x"
    second, _ = conversation.send(client("execute_request", {"code": "0"}, "m2"))
    assert len(second) == 1
    parent = {"msg_id": "preamble", "msg_type": "execute_request"}
    for channel, msg_type in (("iopub", "status"), ("iopub", "error"), ("shell", "execute_reply")):
        assert conversation.show(kernel(msg_type, {}, channel, parent=parent)) is None
    conversation.show(kernel("status", {"execution_state": "restarting"}, parent={}))
    again, _ = conversation.send(client("execute_request", {"code": "0"}, "m3"))
    assert len(again) == 2


@subprotocols
def test_the_kernels_comms_are_learned_and_forgotten(v1: bool) -> None:
    conversation = Conversation(make_binding(), v1)
    update = client("comm_msg", {"comm_id": "c1", "data": {}})
    assert not conversation.send(update)[0]
    opened = kernel("comm_open", {"comm_id": "c1", "target_name": "jupyter.widget", "data": {}})
    assert conversation.show(opened) is not None
    assert conversation.send(update)[0]
    conversation.show(kernel("comm_close", {"comm_id": "c1"}))
    assert not conversation.send(update)[0]
    info = {"comms": {"c2": {"target_name": "jupyter.widget"}}, "status": "ok"}
    conversation.show(kernel("comm_info_reply", info, "shell"))
    assert conversation.send(client("comm_msg", {"comm_id": "c2", "data": {}}, "m2"))[0]
    conversation.show(kernel("status", {"execution_state": "restarting"}, parent={}))
    assert not conversation.send(client("comm_msg", {"comm_id": "c2", "data": {}}, "m3"))[0]


@subprotocols
def test_a_comm_that_the_client_opened_may_be_used(v1: bool) -> None:
    conversation = Conversation(make_binding(), v1)
    content = {"comm_id": "c", "target_name": policy.CONTROL_TARGET, "data": {}}
    assert conversation.send(client("comm_open", content))[0]
    data = {"method": "request_states"}
    assert conversation.send(client("comm_msg", {"comm_id": "c", "data": data}, "m2"))[0]
    assert not conversation.send(client("comm_open", content, "m3"))[0]


@subprotocols
def test_buffers_pass_both_ways(v1: bool) -> None:
    binding = make_binding()
    binding.comm_opened("c")
    conversation = Conversation(binding, v1)
    message = client("comm_msg", {"comm_id": "c", "data": {}}, buffers=[b"\xff\0", b""])
    sent = conversation.send(message)[0][0]
    assert [bytes(buffer) for buffer in sent.buffers] == [b"\xff\0", b""]
    shown = conversation.show(
        kernel("comm_msg", {"comm_id": "c", "data": {}}, buffers=[b"\x89PNG"])
    )
    assert shown is not None
    assert bytes(shown.buffers[0]) == b"\x89PNG"
    changed = kernel("comm_msg", {"comm_id": "c"}, metadata={"x": 1}, buffers=[b"\x89PNG"])
    shown = conversation.show(changed)
    assert shown is not None
    assert shown.metadata == {}
    assert bytes(shown.buffers[0]) == b"\x89PNG"


@subprotocols
def test_cells_beyond_the_burst_are_refused_as_rate_limited(v1: bool) -> None:
    conversation = Conversation(make_binding(executes=5), v1)
    results = [
        conversation.send(client("execute_request", {"code": "0"}, str(i))) for i in range(10)
    ]
    assert sum(bool(to_kernel) for to_kernel, _ in results) == 5
    assert results[-1][1][0].content["ename"] == "RateLimited"


@subprotocols
def test_cells_that_wait_are_bounded_until_they_are_answered(v1: bool) -> None:
    conversation = Conversation(make_binding(), v1)
    for i in range(50):
        assert conversation.send(client("execute_request", {"code": "0"}, f"w{i}"))[0]
    refused = conversation.send(client("execute_request", {"code": "0"}, "more"))[1]
    assert refused[0].content["ename"] == "RateLimited"
    conversation.show(kernel("execute_reply", {"status": "ok"}, "shell", parent={"msg_id": "w0"}))
    conversation.show(kernel("status", {"execution_state": "idle"}, parent={"msg_id": "w1"}))
    for name in ("more", "one more"):
        assert conversation.send(client("execute_request", {"code": "0"}, name))[0]


@subprotocols
def test_widget_messages_have_a_limit_of_their_own_that_counts_size(v1: bool) -> None:
    binding = make_binding(comms=10)
    binding.comm_opened("c")
    conversation = Conversation(binding, v1)
    content = {"comm_id": "c", "data": {"x": "a" * 100_000}}
    assert conversation.send(client("comm_msg", content, "m1"))[0]
    refused = conversation.send(client("comm_msg", content, "m2"))[1]
    assert [answer.msg_type for answer in refused] == ["error", "status"]
    assert refused[0].content["ename"] == "RateLimited"
    assert conversation.send(client("execute_request", {"code": "0"}, "m3"))[0]


@subprotocols
def test_what_waits_for_a_busy_kernel_is_bounded_in_bytes(v1: bool) -> None:
    binding = make_binding(comms=1000)
    binding.comm_opened("c")
    conversation = Conversation(binding, v1)

    def send(msg_id: str) -> bool:
        content = {"comm_id": "c", "data": {}}
        message = client("comm_msg", content, msg_id, buffers=[b"x" * 300_000])
        return bool(conversation.send(message)[0])

    assert [send(f"m{i}") for i in range(4)] == [True, True, True, False]
    # The kernel takes its messages in order: what came before the settled one is done too.
    conversation.show(kernel("status", {"execution_state": "idle"}, parent={"msg_id": "m1"}))
    assert [send(f"n{i}") for i in range(3)] == [True, True, False]
    conversation.show(kernel("status", {"execution_state": "restarting"}, parent={}))
    assert binding.waiting_bytes == 0


def leaks() -> list[Message]:
    error = {"ename": "E", "evalue": SECRET, "traceback": [SECRET]}
    return [
        kernel("execute_input", {"code": SECRET, "execution_count": 1}),
        kernel("error", error),
        kernel("stream", {"name": "stderr", "text": SECRET}),
        kernel("execute_reply", {"status": "error", **error}, "shell"),
        kernel("execute_reply", {"status": "ok", "payload": [{"text": SECRET}]}, "shell"),
        kernel("execute_reply", {"status": "ok", "user_expressions": {"a": SECRET}}, "shell"),
        kernel("inspect_reply", {"data": {"text/plain": SECRET}}, "shell"),
        kernel("history_reply", {"history": [[1, 1, SECRET]]}, "shell"),
        kernel("complete_reply", {"matches": [SECRET]}, "shell"),
        kernel("debug_reply", {"body": SECRET}, "control"),
        kernel("debug_event", {"body": SECRET}),
        kernel("input_request", {"prompt": SECRET}, "stdin"),
        kernel("unknown", {"x": SECRET}),
        kernel("display_data", {"data": {}}, metadata={"source": SECRET}),
        kernel("status", {"execution_state": "idle", "source": SECRET}),
        kernel("status", {"execution_state": "idle"}, parent={"msg_id": "m1", "code": SECRET}),
        kernel("clear_output", {"wait": True}, "control"),
    ]


@subprotocols
@pytest.mark.parametrize("message", leaks(), ids=lambda message: message.msg_type)
def test_no_message_shows_a_cells_source(message: Message, v1: bool) -> None:
    shown = Conversation(make_binding(), v1).show(message)
    assert shown is None or SECRET not in repr(shown)


@subprotocols
def test_a_clean_output_passes_as_the_same_frame(v1: bool) -> None:
    message = kernel("display_data", {"data": {"text/plain": "x"}, "metadata": {}, "transient": {}})
    frame = frames.encode(message, v1=v1)
    assert MessageFilter(make_binding(), v1=v1).outgoing(frame) is frame


@subprotocols
def test_a_frame_that_is_no_message_is_not_passed_on(v1: bool) -> None:
    for frame in (b"\xff" * 64, "x", "{}", b"", {"header": {}}):
        try:
            shown = MessageFilter(make_binding(), v1=v1).outgoing(frame)
        except frames.FrameError:
            continue
        assert shown is None


def test_a_large_text_on_stdout_is_not_parsed_but_one_on_stderr_is_seen() -> None:
    conversation = Conversation(make_binding(), True)
    assert (
        conversation.show(kernel("stream", {"name": "stdout", "text": "x" * 100_000})) is not None
    )
    assert conversation.show(kernel("stream", {"name": "stderr", "text": "x" * 100_000})) is None
    assert conversation.show(kernel("stream", {"text": "x" * 100_000, "name": "stderr"})) is None


def test_the_cost_of_a_large_output_does_not_grow_with_its_size() -> None:
    frame = frames.encode(
        kernel("display_data", {"data": {"text/plain": "x" * 2_000_000}}), v1=True
    )
    message_filter = MessageFilter(make_binding(), v1=True)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        assert message_filter.outgoing(frame) is frame
        times.append(time.perf_counter() - start)
    assert min(times) < 0.0002


@subprotocols
def test_a_message_id_counts_once_and_so_may_wait_only_once(v1: bool) -> None:
    binding = make_binding()
    conversation = Conversation(binding, v1)
    for content in ({"code": "0"}, {"code": "0"}):
        to_kernel, to_client = conversation.send(client("execute_request", content, "same"))
    assert not to_kernel
    assert to_client[0].content["ename"] == "Refused"
    assert binding.executing == {"same"}
    conversation.show(
        kernel("status", {"execution_state": "idle"}, parent={"msg_id": "same", "msg_type": "x"})
    )
    assert binding.waiting_bytes == 0
    assert conversation.send(client("execute_request", {"code": "0"}, "same"))[0]


def test_what_one_socket_has_waiting_is_not_forgotten_for_another_sockets_answer() -> None:
    binding = make_binding()
    filters = [MessageFilter(binding, v1=True, sender=name) for name in ("a", "b")]
    for sender, msg_id in ((0, "a1"), (1, "b1"), (0, "a2")):
        request = client("execute_request", {"code": "0"}, msg_id)
        assert filters[sender].incoming(frames.encode(request, v1=True)).accepted
    for answered, left in (("b1", {"a1", "a2"}), ("a2", set())):
        idle = kernel("status", {"execution_state": "idle"}, parent={"msg_id": answered})
        # Both sockets hear of it.
        for message_filter in filters:
            message_filter.outgoing(frames.encode(idle, v1=True))
        assert set(binding.waiting) == binding.executing == left
    assert binding.waiting_bytes == 0


def test_a_client_cannot_open_comms_without_end() -> None:
    binding = make_binding()
    binding.comms.update(str(number) for number in range(MAX_COMMS))
    content = {"comm_id": "mine", "target_name": policy.CONTROL_TARGET, "data": {}}
    to_kernel, to_client = Conversation(binding, True).send(client("comm_open", content))
    assert not to_kernel
    assert to_client[0].content["ename"] == "Refused"


def test_whoever_keeps_the_server_busy_is_read_more_slowly_by_all_sockets() -> None:
    binding = make_binding()
    assert binding.rest(0.0001, now=100) == 0
    assert binding.rest(0.05, now=100) == pytest.approx(1)
    assert binding.rest(0.05, now=100) == pytest.approx(2)
    assert binding.rest(0.0001, now=101) == pytest.approx(1)
    assert binding.rest(1, now=101) == pytest.approx(5)
    assert binding.rest(0.0001, now=200) == 0


@given(st.binary(max_size=200) | st.text(max_size=200), st.booleans())
@settings(max_examples=50, deadline=None)
def test_no_frame_of_a_client_raises(frame: str | bytes, v1: bool) -> None:
    incoming = MessageFilter(make_binding(), v1=v1).incoming(frame)
    assert not incoming.to_kernel
