"""What reaches a kernel, and what reaches a viewer, message by message."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.kernels import policy
from jupyter_dashboards_api.kernels.frames import Message
from jupyter_dashboards_api.kernels.policy import CONTROL_TARGET, Refused, Rules

SOURCES = ("print('first')", None, "print('third')", "")
RULES = Rules(sources=SOURCES, error_text="Sorry.")
SHOWING = Rules(sources=SOURCES, show_tracebacks=True, show_stderr=True)
ASKING = Rules(sources=SOURCES, allow_stdin=True, stop_on_error=True)
DATE = "2026-11-20T10:00:00Z"
COMMS = {"known"}


def request(msg_type: str, content: Any = None, channel: str = "shell", **fields: Any) -> Message:
    header = {"msg_id": "m1", "msg_type": msg_type, "session": "s1", "username": "root"}
    return Message(
        channel,
        header | fields.get("header", {}),
        fields.get("parent_header", {}),
        fields.get("metadata", {}),
        content or {},
        fields.get("buffers", []),
    )


def to_kernel(message: Message, rules: Rules = RULES) -> Message:
    return policy.to_kernel(message, rules, COMMS, DATE)


def test_an_index_becomes_the_cells_source_in_a_message_built_anew() -> None:
    message = request(
        "execute_request",
        {
            "code": "2",
            "silent": True,
            "store_history": True,
            "user_expressions": {"x": "1+1"},
            "allow_stdin": True,
            "stop_on_error": True,
            "more": 1,
        },
        header={"subshell_id": "abc", "version": "9"},
        metadata={"deletedCells": ["x"], "cellId": "y"},
        parent_header={"msg_id": "p"},
        buffers=[b"x"],
    )
    built = to_kernel(message)
    assert built.channel == "shell"
    assert built.content == {
        "code": "print('third')",
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }
    assert built.header == {
        "msg_id": "m1",
        "msg_type": "execute_request",
        "session": "s1",
        "username": "viewer",
        "date": DATE,
        "version": "5.3",
    }
    assert built.metadata == {}
    assert built.parent_header == {}
    assert built.buffers == []


def test_stdin_and_stopping_at_an_error_are_the_operators_choice() -> None:
    content = to_kernel(request("execute_request", {"code": "0"}), ASKING).content
    assert content["allow_stdin"] is True
    assert content["stop_on_error"] is True


@pytest.mark.parametrize("code", ["0", "2", "3", 0, 2])
def test_the_index_of_a_code_cell_is_accepted(code: Any) -> None:
    assert (
        to_kernel(request("execute_request", {"code": code})).content["code"] == SOURCES[int(code)]
    )


NOT_AN_INDEX = [
    *[
        "-1",
        "1.5",
        "00",
        "+0",
        " 0",
        "0 ",
        "0\n",
        "",
        "NaN",
        "1e0",
        "0x0",
        "0_0",
        "٠",
        "०",
        "𝟎",
        "²",
    ],
    *["print(1)", "0;print(1)", "456; foo = 1; print(foo)", "1", "4", "999999999", "9" * 5000],
    *[None, True, False, -1, 1, 4, 10**30, 0.0, 2.0, [], ["0"], {}, {"0": 0}],
]


@pytest.mark.parametrize("code", NOT_AN_INDEX, ids=repr)
def test_anything_but_the_index_of_a_code_cell_is_refused(code: Any) -> None:
    with pytest.raises(Refused):
        to_kernel(request("execute_request", {"code": code}))


def test_an_execute_request_without_code_is_refused() -> None:
    with pytest.raises(Refused):
        to_kernel(request("execute_request"))


REFUSED_TYPES = [
    *["complete_request", "inspect_request", "history_request", "is_complete_request"],
    *["shutdown_request", "interrupt_request", "debug_request", "create_subshell_request"],
    *["delete_subshell_request", "list_subshell_request", "connect_request", "apply_request"],
    *["execute_reply", "status", "stream", "error", "execute_input", "custom", "Execute_request"],
    *["execute_request ", "execute＿request", "input_reply"],
]


@pytest.mark.parametrize("channel", ["shell", "control", "stdin", "iopub", "", "hb"])
@pytest.mark.parametrize("msg_type", REFUSED_TYPES)
def test_every_other_type_is_refused_on_every_channel(msg_type: str, channel: str) -> None:
    with pytest.raises(Refused):
        to_kernel(request(msg_type, {"code": "0", "value": "x"}, channel))


@pytest.mark.parametrize("channel", ["control", "stdin", "iopub", "", "Shell"])
@pytest.mark.parametrize("msg_type", ["execute_request", "kernel_info_request", "comm_msg"])
def test_an_allowed_type_is_refused_on_another_channel(msg_type: str, channel: str) -> None:
    with pytest.raises(Refused):
        to_kernel(request(msg_type, {"code": "0", "comm_id": "known", "data": {}}, channel))


def test_requests_for_information_lose_whatever_came_along() -> None:
    assert to_kernel(request("kernel_info_request", {"code": "x"})).content == {}
    info = request("comm_info_request", {"target_name": "jupyter.widget", "x": 1})
    assert to_kernel(info).content == {"target_name": "jupyter.widget"}
    assert to_kernel(request("comm_info_request", {"target_name": ["x"]})).content == {}


def test_a_message_goes_to_an_open_comm_with_its_data_and_buffers() -> None:
    data = {"method": "update", "state": {"value": 3}, "buffer_paths": [["value"]]}
    message = request("comm_msg", {"comm_id": "known", "data": data, "x": 1}, buffers=[b"\0"])
    built = to_kernel(message)
    assert built.content == {"comm_id": "known", "data": data}
    assert built.buffers == [b"\0"]
    assert to_kernel(request("comm_close", {"comm_id": "known"})).content["comm_id"] == "known"


@pytest.mark.parametrize("comm_id", ["unknown", "", None, 1, ["known"], "x" * 129])
@pytest.mark.parametrize("msg_type", ["comm_msg", "comm_close"])
def test_a_message_to_another_comm_is_refused(msg_type: str, comm_id: Any) -> None:
    with pytest.raises(Refused):
        to_kernel(request(msg_type, {"comm_id": comm_id, "data": {}}))


def test_only_the_widgets_control_comm_may_be_opened() -> None:
    content = {"comm_id": "new", "target_name": CONTROL_TARGET, "data": {}, "target_module": "os"}
    built = to_kernel(request("comm_open", content, metadata={"version": "1.0.0", "x": 1}))
    assert built.content == {"comm_id": "new", "target_name": CONTROL_TARGET, "data": {}}
    assert built.metadata == {"version": "1.0.0"}
    for target in ("jupyter.widget", "anything", "", None, [CONTROL_TARGET]):
        with pytest.raises(Refused):
            to_kernel(request("comm_open", content | {"target_name": target}))
    with pytest.raises(Refused):
        to_kernel(request("comm_open", content | {"comm_id": "known"}))
    assert to_kernel(request("comm_open", content, metadata={"version": ["1"]})).metadata == {}


def test_an_answer_to_input_passes_only_where_input_is_enabled() -> None:
    message = request(
        "input_reply", {"value": "42", "x": 1}, "stdin", parent_header={"msg_id": "k", "x": 1}
    )
    built = to_kernel(message, ASKING)
    assert built.content == {"value": "42", "status": "ok"}
    assert built.parent_header == {"msg_id": "k"}
    with pytest.raises(Refused):
        to_kernel(message)
    for value in (None, 1, "x" * 70_000):
        with pytest.raises(Refused):
            to_kernel(request("input_reply", {"value": value}, "stdin"), ASKING)


@pytest.mark.parametrize("msg_id", [None, 1, "", "x" * 129, ["m"]])
def test_a_message_without_a_usable_id_cannot_be_answered(msg_id: Any) -> None:
    assert not policy.read_header(request("execute_request", header={"msg_id": msg_id}))


def test_a_refused_request_is_answered_by_its_own_reply_and_an_idle_status() -> None:
    message = request("execute_request", header={"secret": "x"})
    reply, idle = policy.refusal(message, Refused("Why.", "RateLimited"), "a1", DATE)
    assert (reply.channel, reply.msg_type) == ("shell", "execute_reply")
    assert reply.parent_header["msg_id"] == "m1"
    assert "secret" not in reply.parent_header
    assert reply.content["status"] == "error"
    assert (reply.content["ename"], reply.content["evalue"]) == ("RateLimited", "Why.")
    assert (idle.channel, idle.content) == ("iopub", {"execution_state": "idle"})
    assert idle.parent_header["msg_id"] == "m1"
    assert reply.header["msg_id"] != idle.header["msg_id"]


def test_a_refused_message_that_is_no_request_is_answered_by_an_error() -> None:
    error, idle = policy.refusal(request("comm_msg"), Refused("Why."), "a1", DATE)
    assert (error.channel, error.msg_type) == ("iopub", "error")
    assert error.content == {"ename": "Refused", "evalue": "Why.", "traceback": []}
    assert idle.msg_type == "status"


LEAVING = {
    "iopub": [
        *["status", "stream", "display_data", "update_display_data", "execute_result"],
        *["execute_input", "error", "clear_output", "comm_open", "comm_msg", "comm_close"],
    ],
    "shell": ["execute_reply", "kernel_info_reply", "comm_info_reply"],
}


def test_only_listed_messages_leave_the_kernel() -> None:
    others = [
        "debug_event",
        "inspect_reply",
        "history_reply",
        "complete_reply",
        "input_request",
        "",
    ]
    everything = {name for names in LEAVING.values() for name in names} | set(others)
    for channel in ("iopub", "shell", "control", "stdin", ""):
        for msg_type in everything:
            expected = msg_type in LEAVING.get(channel, [])
            assert policy.may_leave(channel, msg_type, RULES) is expected
    assert policy.may_leave("stdin", "input_request", ASKING)


SECRET = "the source"


def test_the_source_in_an_execute_input_is_blanked() -> None:
    for rules in (RULES, SHOWING):
        content = {"code": SECRET, "execution_count": 3, "more": SECRET}
        shown = policy.content_from_kernel("execute_input", content, rules)
        assert shown == {"code": "", "execution_count": 3}


def test_an_error_is_replaced_unless_tracebacks_are_shown() -> None:
    content = {"ename": SECRET, "evalue": SECRET, "traceback": [SECRET], "more": SECRET}
    hidden = {"ename": "CellError", "evalue": "Sorry.", "traceback": []}
    assert policy.content_from_kernel("error", content, RULES) == hidden
    assert policy.content_from_kernel("error", content, SHOWING) is content


def test_an_execute_reply_loses_payload_expressions_and_error() -> None:
    content = {
        "status": "error",
        "execution_count": 1,
        "payload": [{"source": "set_next_input", "text": SECRET}],
        "user_expressions": {"x": SECRET},
        "ename": SECRET,
        "evalue": SECRET,
        "traceback": [SECRET],
        "engine_info": SECRET,
    }
    shown = policy.content_from_kernel("execute_reply", content, RULES)
    assert SECRET not in json.dumps(shown)
    assert shown is not None
    assert shown["status"] == "error"
    assert (shown["payload"], shown["user_expressions"]) == ([], {})
    open_reply = policy.content_from_kernel("execute_reply", content, SHOWING)
    assert open_reply is not None
    assert open_reply["traceback"] == [SECRET]
    assert (open_reply["payload"], open_reply["user_expressions"]) == ([], {})


def test_stderr_is_dropped_unless_it_is_shown() -> None:
    for name in ("stderr", "other", None, ["stdout"]):
        assert policy.content_from_kernel("stream", {"name": name, "text": SECRET}, RULES) is None
    stdout = {"name": "stdout", "text": "hello"}
    assert policy.content_from_kernel("stream", stdout, RULES) is stdout
    assert not policy.needs_content("stream", SHOWING)


def test_headers_and_metadata_lose_what_clients_do_not_need() -> None:
    header = {"msg_id": "1", "msg_type": "status", "session": "s", "username": "u", "date": "d"}
    assert policy.header_from_kernel(header) is header
    assert policy.header_from_kernel(header | {"x": SECRET, "subshell_id": "y"}) == header
    assert policy.metadata_from_kernel("status", {"x": SECRET}) == {}
    opened = {"version": "2.1.0", "x": SECRET}
    assert policy.metadata_from_kernel("comm_open", opened) == {"version": "2.1.0"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
fields = st.sampled_from(
    ["code", "comm_id", "target_name", "data", "user_expressions", "silent", "value", "allow_stdin"]
)
contents = st.dictionaries(fields, json_values | st.sampled_from(["0", "2", "known"]), max_size=6)
msg_types = st.sampled_from([*REFUSED_TYPES, *policy._INCOMING]) | st.text(max_size=10)
hostile = st.builds(
    Message,
    channel=st.sampled_from(["shell", "control", "stdin", "iopub", "x"]),
    header=st.builds(
        lambda base, extra: {**extra, **base},
        st.fixed_dictionaries({"msg_id": st.text(min_size=1, max_size=5), "msg_type": msg_types}),
        json_objects,
    ),
    parent_header=json_objects,
    metadata=json_objects,
    content=contents | json_objects,
    buffers=st.lists(st.binary(max_size=3), max_size=2),
)


@given(hostile, st.sampled_from([RULES, ASKING]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_message_takes_code_to_the_kernel_that_is_not_a_cells_source(
    message: Message, rules: Rules
) -> None:
    before = copy.deepcopy(message.content)
    try:
        built = policy.to_kernel(message, rules, COMMS, DATE)
    except Refused:
        return
    assert built.msg_type in policy._INCOMING
    assert set(built.header) == {"msg_id", "msg_type", "session", "username", "date", "version"}
    assert set(built.metadata) <= {"version"}
    if built.msg_type == "execute_request":
        assert built.channel == "shell"
        assert built.content["code"] in [source for source in SOURCES if source is not None]
        assert built.content["user_expressions"] == {}
        assert built.buffers == []
        assert set(built.content) == {
            *["code", "silent", "store_history", "user_expressions", "allow_stdin"],
            "stop_on_error",
        }
    else:
        assert "code" not in built.content
        assert "user_expressions" not in built.content
    assert repr(message.content) == repr(before)


@given(hostile)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_readable_message_can_be_refused(message: Message) -> None:
    if policy.read_header(message):
        answers = policy.refusal(message, Refused("x"), "a", DATE)
        assert all(answer.parent_header["msg_id"] == message.header["msg_id"] for answer in answers)
