"""What may pass between a viewer and a kernel. Pure: no sockets, no clock, no state.

Deny by default. A message to the kernel is never the viewer's message, changed: it is built anew from
the few fields named here, because any field left over may be code (`user_expressions`), a way around
the queue (`subshell_id`) or a way to the sources (`history_request`). A message to the viewer is
built anew from the fields of its header that clients need, and its content is replaced wherever the
kernel protocol puts source code into it.

The rule that makes a dashboard safe is the API document's: *for `execute_request` messages, only a
cell index is allowed in the `code` field*. Message types are those of the kernel protocol 5.x,
https://jupyter-client.readthedocs.io/en/stable/messaging.html.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .frames import JSONObject, Message

MAX_ID_LENGTH = 128
"""Longest message id, session id and comm id in characters."""

MAX_INPUT_LENGTH = 64 * 1024
"""Longest answer to an input request in characters."""

CONTROL_TARGET = "jupyter.widget.control"
"""The only comm that a client may open: ipywidgets' own, to fetch the state of all widgets."""

USERNAME = "viewer"
VERSION = "5.3"

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_PROTOCOL_VERSION = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", re.ASCII)

_HEADER_FIELDS = frozenset({"msg_id", "msg_type", "session", "username", "date", "version"})

_INCOMING: Mapping[str, str] = {
    "execute_request": "shell",
    "kernel_info_request": "shell",
    "comm_info_request": "shell",
    "comm_open": "shell",
    "comm_msg": "shell",
    "comm_close": "shell",
    "input_reply": "stdin",
}

_OUTGOING: Mapping[str, frozenset[str]] = {
    "iopub": frozenset(
        {
            "status",
            "stream",
            "display_data",
            "update_display_data",
            "execute_result",
            "execute_input",
            "error",
            "clear_output",
            "comm_open",
            "comm_msg",
            "comm_close",
        }
    ),
    "shell": frozenset({"execute_reply", "kernel_info_reply", "comm_info_reply"}),
    "stdin": frozenset({"input_request"}),
}

COMM_TYPES = frozenset({"comm_open", "comm_msg", "comm_close"})


class Refused(Exception):
    """The message must not reach the kernel; `reason` is told to the client as it is."""

    def __init__(self, reason: str, ename: str = "Refused") -> None:
        super().__init__(reason)
        self.reason = reason
        self.ename = ename


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs from one binding to the next.

    `sources[i]` is the source of `nb.cells[i]` when the kernel was started, None for a cell that is
    not code: an author's later edit must not shift what an index means.
    """

    sources: tuple[str | None, ...]
    allow_stdin: bool = False
    stop_on_error: bool = False
    show_tracebacks: bool = False
    show_stderr: bool = False
    error_text: str = ""


def to_kernel(message: Message, rules: Rules, comms: Collection[str], date: str) -> Message:
    """The message that the kernel gets for a viewer's message. Raises `Refused`.

    `comms` are the ids of the open comms, as `comm_opened` and `comm_closed` tell; `date` is now, in
    ISO 8601. The message must have a readable header (`read_header`).
    """
    msg_type = message.msg_type
    channel = _INCOMING.get(msg_type)
    if channel is None or (channel == "stdin" and not rules.allow_stdin):
        raise Refused("This type of message is not allowed.")
    if message.channel != channel:
        raise Refused("This type of message is not allowed on this channel.")
    content = message.content
    metadata: JSONObject = {}
    parent_header: JSONObject = {}
    built: JSONObject
    match msg_type:
        case "execute_request":
            built = _execute_content(content, rules)
        case "kernel_info_request":
            built = {}
        case "comm_info_request":
            target = content.get("target_name")
            built = {"target_name": target} if _is_id(target) else {}
        case "input_reply":
            built = _input_content(content)
            parent_header = _clean_header(message.parent_header)
        case _:
            built = _comm_content(msg_type, content, comms)
            if msg_type == "comm_open":
                # ipywidgets refuses its control comm without the version of its protocol.
                version = message.metadata.get("version")
                if isinstance(version, str) and _PROTOCOL_VERSION.fullmatch(version):
                    metadata = {"version": version}
    return Message(
        channel=channel,
        header=_header(message.header, date),
        parent_header=parent_header,
        metadata=metadata,
        content=built,
        buffers=message.buffers if msg_type in COMM_TYPES else [],
    )


def read_header(message: Message) -> bool:
    """Whether the message can be answered: it has a message id and a type within bounds."""
    return _is_id(message.header.get("msg_id")) and _is_id(message.header.get("msg_type"))


def silent_request(code: str, msg_id: str, session: str, date: str) -> Message:
    """The server's own request to run the operator's start-up code before the first cell."""
    header = {"msg_id": msg_id, "msg_type": "execute_request", "session": session}
    content = {
        "code": code,
        "silent": True,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }
    return Message("shell", _header(header, date), {}, {}, content)


def refusal(message: Message, refused: Refused, msg_id: str, date: str) -> list[Message]:
    """The answers to a refused message: its own reply (or an error), then an idle status.

    Ordinary clients settle a request when they have seen both; ipywidgets holds a widget's changes
    back until it has seen the idle status of the last one. `msg_id` is the prefix of the new ids.
    """
    parent = _clean_header(message.header)
    content: JSONObject = {"ename": refused.ename, "evalue": refused.reason, "traceback": []}
    msg_type = message.msg_type
    if msg_type.endswith("_request"):
        channel = message.channel if message.channel in ("shell", "control", "stdin") else "shell"
        reply_type = msg_type.removesuffix("_request") + "_reply"
        content = {"status": "error", **content}
        if msg_type == "execute_request":
            content |= {"execution_count": None, "payload": [], "user_expressions": {}}
    else:
        channel, reply_type = "iopub", "error"
    answers = [(channel, reply_type, content), ("iopub", "status", {"execution_state": "idle"})]
    return [
        Message(
            channel,
            {
                "msg_id": f"{msg_id}_{number}",
                "msg_type": answer_type,
                "session": msg_id,
                "username": "server",
                "date": date,
                "version": VERSION,
            },
            parent,
            {},
            answer_content,
        )
        for number, (channel, answer_type, answer_content) in enumerate(answers)
    ]


def may_leave(channel: str, msg_type: str, rules: Rules) -> bool:
    """Whether a message of the kernel may go to a viewer at all."""
    if channel == "stdin" and not rules.allow_stdin:
        return False
    return msg_type in _OUTGOING.get(channel, ())


def content_from_kernel(msg_type: str, content: JSONObject, rules: Rules) -> JSONObject | None:
    """What a viewer gets for the content of a kernel's message; None: drop the message.

    Only for the types of `needs_content`; returns `content` itself when all of it may pass.
    """
    match msg_type:
        case "execute_input":
            return {"code": "", "execution_count": content.get("execution_count")}
        case "error":
            return content if rules.show_tracebacks else _hidden_error(rules)
        case "stream":
            return content if content.get("name") == "stdout" else None
        case "execute_reply":
            return _execute_reply(content, rules)
        case "status":
            # The same object where nothing has to go: the commonest message is not written again.
            if content.keys() == {"execution_state"}:
                return content
            return {"execution_state": content.get("execution_state")}
        case "comm_info_reply":
            return {"status": content.get("status", "ok"), "comms": comms_of(content)}
        case _:
            return content


def needs_content(msg_type: str, rules: Rules) -> bool:
    """Whether `content_from_kernel` or a comm rule has to see the content of this type.

    The others (display data above all) may be megabytes, and are not parsed.
    """
    if msg_type == "stream":
        return not rules.show_stderr
    return msg_type in _WITH_CONTENT


_WITH_CONTENT = frozenset(
    {
        "execute_input",
        "error",
        "execute_reply",
        "status",
        "comm_info_reply",
        "comm_open",
        "comm_close",
    }
)


def header_from_kernel(header: JSONObject) -> JSONObject:
    """The fields of a kernel's header or parent header that viewers get; itself if it has no other."""
    if header.keys() <= _HEADER_FIELDS:
        return header
    return _clean_header(header)


def metadata_from_kernel(msg_type: str, metadata: JSONObject) -> JSONObject:
    """Metadata for a viewer: nothing but a comm_open's protocol version; itself if it is empty."""
    if not metadata:
        return metadata
    version = metadata.get("version")
    return {"version": version} if msg_type == "comm_open" and isinstance(version, str) else {}


def comms_of(content: JSONObject) -> dict[str, JSONObject]:
    """The comms of a comm_info_reply: id → `{"target_name": …}`."""
    comms = content.get("comms")
    if not isinstance(comms, dict):
        return {}
    return {
        comm_id: {"target_name": info.get("target_name")}
        for comm_id, info in comms.items()
        if _is_id(comm_id) and isinstance(info, dict)
    }


def comm_id_of(content: JSONObject) -> str | None:
    """A comm message's comm id, if it is one."""
    comm_id = content.get("comm_id")
    return comm_id if _is_id(comm_id) else None


def cell_index(code: Any) -> int | None:
    """The cell index that a `code` field holds, or None.

    A string of ASCII digits in the form that `str(int)` writes, or an integer; never a boolean.
    """
    if isinstance(code, str):
        return int(code) if _INDEX.fullmatch(code) else None
    if isinstance(code, int) and not isinstance(code, bool) and code >= 0:
        return code
    return None


def _execute_content(content: JSONObject, rules: Rules) -> JSONObject:
    index = cell_index(content.get("code"))
    if index is None:
        raise Refused("Only the index of a cell can be executed.")
    source = rules.sources[index] if index < len(rules.sources) else None
    if source is None:
        raise Refused("There is no code cell of this index.")
    return {
        "code": source,
        "silent": False,
        # IPython sees a trailing `;`, which hides a cell's value, only in the history of inputs.
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": rules.allow_stdin,
        "stop_on_error": rules.stop_on_error,
    }


def _comm_content(msg_type: str, content: JSONObject, comms: Collection[str]) -> JSONObject:
    comm_id = comm_id_of(content)
    data = content.get("data", {})
    if comm_id is None or not isinstance(data, dict):
        raise Refused("This comm message is not well formed.")
    if msg_type != "comm_open":
        if comm_id not in comms:
            raise Refused("This comm is not open.")
        return {"comm_id": comm_id, "data": data}
    if content.get("target_name") != CONTROL_TARGET:
        raise Refused("This comm target is not allowed.")
    if comm_id in comms:
        raise Refused("This comm is open already.")
    return {"comm_id": comm_id, "target_name": CONTROL_TARGET, "data": data}


def _input_content(content: JSONObject) -> JSONObject:
    value = content.get("value")
    if not isinstance(value, str) or len(value) > MAX_INPUT_LENGTH:
        raise Refused("This input is not a text, or too long.")
    return {"value": value, "status": "ok"}


def _execute_reply(content: JSONObject, rules: Rules) -> JSONObject:
    reply: JSONObject = {
        "status": content.get("status"),
        "execution_count": content.get("execution_count"),
        "payload": [],
        "user_expressions": {},
    }
    if reply["status"] == "error":
        shown = content if rules.show_tracebacks else _hidden_error(rules)
        reply |= {name: shown.get(name) for name in ("ename", "evalue", "traceback")}
    return reply


def _hidden_error(rules: Rules) -> JSONObject:
    return {"ename": "CellError", "evalue": rules.error_text, "traceback": []}


def _header(header: JSONObject, date: str) -> JSONObject:
    session = header.get("session")
    return {
        "msg_id": header["msg_id"],
        "msg_type": header["msg_type"],
        "session": session if _is_id(session) else "",
        "username": USERNAME,
        "date": date,
        "version": VERSION,
    }


def _clean_header(header: JSONObject) -> JSONObject:
    return {
        name: value for name, value in header.items() if name in _HEADER_FIELDS and _is_id(value)
    }


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH
