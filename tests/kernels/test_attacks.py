"""Every hole of the Node dashboards server, tried on a real kernel, in both subprotocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_markdown_cell, new_raw_cell
from tornado.httpclient import HTTPClientError

from jupyter_dashboards_api.kernels import frames
from jupyter_dashboards_api.kernels.frames import Message

from .client import Channel, of_type, parent, text_of

MARKER = "Zq7-source-of-a-cell"
FIRST = f"secret = 41 + 1  # {MARKER}\nprint('first ran')"
FAILING = f"raise ValueError('{MARKER}')"
WARNING = f"import warnings; warnings.warn('careful')  # {MARKER}"
HELP = f"def f():\n    '''{MARKER}'''\nget_ipython().payload_manager.write_payload({{'source': 'page', 'data': '{MARKER}'}})\nget_ipython().set_next_input('{MARKER}')"
SYNTAX = f"this is no python  # {MARKER}"
PRINTING = "print('execute_input execute_request')"

CELLS: list[Any] = [
    FIRST,
    new_markdown_cell("open('pwned-markdown', 'w')"),
    new_raw_cell("open('pwned-raw', 'w')"),
    FAILING,
    WARNING,
    HELP,
    SYNTAX,
    PRINTING,
]
CODE_CELLS = [index for index, cell in enumerate(CELLS) if isinstance(cell, str)]


class Attack:
    """Sends what must not run; if it did, a file would appear in the kernel's folder."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.count = 0

    @property
    def code(self) -> str:
        self.count += 1
        return f"open('pwned-{self.count}', 'w')"

    async def refused(
        self, msg_type: str, content: Any, channel: str = "shell", **more: Any
    ) -> None:
        """Send a message and see that it is answered by an error on its own id."""
        msg_id = await self.channel.send(msg_type, content, channel, **more)
        reply_type = f"{msg_type.removesuffix('_request')}_reply"
        if not msg_type.endswith("_request"):
            reply_type = "error"
        reply = await self.channel.until(lambda m: parent(m) == msg_id and m.msg_type == reply_type)
        assert reply.content["ename"] == "Refused"
        await self.channel.until(lambda m: parent(m) == msg_id and m.msg_type == "status")


def assert_no_source_was_sent(channel: Channel) -> None:
    marker = MARKER.encode()
    for frame in channel.frames:
        data = frame.encode() if isinstance(frame, str) else frame
        assert marker not in data, data[:2000]


def pwned(root: Path) -> list[str]:
    return [path.name for path in root.rglob("pwned*")]


async def test_no_message_runs_anything_but_the_notebooks_code_cells(
    start: Any, connect: Any, v1: bool, jp_root_dir: Path
) -> None:
    channel: Channel = await connect(await start(*CELLS), v1=v1)
    attack = Attack(channel)
    # Raw code right after the handshake, before the kernel is connected.
    await attack.refused("execute_request", {"code": attack.code})
    # The index of what is not code, of nothing, and what only looks like an index.
    for code in (
        "1",
        "2",
        "8",
        "-1",
        "00",
        "+0",
        " 0",
        "0\n",
        "1e0",
        "٠",
        "",
        "0.0",
        True,
        None,
        0.0,
    ):
        await attack.refused("execute_request", {"code": code})
    for code in ([attack.code], {"0": attack.code}, "0;" + attack.code, "456; foo = 1; print(foo)"):
        await attack.refused("execute_request", {"code": code})
    # An execute_request on a channel where ipykernel would take it too.
    await attack.refused("execute_request", {"code": attack.code}, "control")
    await attack.refused("execute_request", {"code": "0"}, "control")
    await attack.refused("execute_request", {"code": attack.code}, "stdin")
    await attack.refused("execute_request", {"code": attack.code}, "iopub")
    # What asks for sources, values and names, and what ends or stops the kernel.
    await attack.refused("history_request", {"hist_access_type": "tail", "n": 10, "raw": True})
    await attack.refused("inspect_request", {"code": "f", "cursor_pos": 1, "detail_level": 1})
    await attack.refused("complete_request", {"code": "sec", "cursor_pos": 3})
    await attack.refused("is_complete_request", {"code": attack.code})
    for where in ("shell", "control"):
        await attack.refused("shutdown_request", {"restart": False}, where)
        await attack.refused("interrupt_request", {}, where)
        await attack.refused("create_subshell_request", {}, where)
        for command in ("initialize", "attach", "evaluate", "dumpCell"):
            arguments = {"expression": attack.code, "code": attack.code}
            body = {"type": "request", "seq": 1, "command": command, "arguments": arguments}
            await attack.refused("debug_request", body, where)
    # Comms other than the kernel's own and the widgets' control comm.
    for target in ("jupyter.widget", "any", "jupyter.widget.control2"):
        content = {"comm_id": "c", "target_name": target, "data": {}}
        await attack.refused("comm_open", content)
    await attack.refused("comm_msg", {"comm_id": "unknown", "data": {"x": "execute_request"}})
    await attack.refused("comm_close", {"comm_id": "unknown"})
    await attack.refused("input_reply", {"value": attack.code}, "stdin")
    await attack.refused("unheard_of", {})
    # A message that ran takes its code along in fields beside `code`.
    found = await channel.execute(
        "0",
        user_expressions={"x": attack.code, "y": "secret"},
        silent=True,
        allow_stdin=True,
        store_history=True,
    )
    assert of_type(found, "execute_reply").content["user_expressions"] == {}
    # `header.session` of somebody else's notebook chooses nothing.
    msg_id = await channel.send("execute_request", {"code": "0"}, header={"session": "other"})
    assert text_of(await channel.settle(msg_id)) == "first ran\n"
    # A cell whose output looks like protocol neither stops nor changes anything.
    assert await channel.run("7") == "execute_input execute_request\n"
    assert pwned(jp_root_dir) == []
    assert_no_source_was_sent(channel)


def handmade(msg_type: str, code: str, msg_id: str) -> dict[str, Any]:
    return {
        "channel": "shell",
        "header": {"msg_id": msg_id, "msg_type": msg_type, "session": "s", "version": "5.3"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }


async def test_frames_made_by_hand_run_nothing(
    start: Any, connect: Any, v1: bool, jp_root_dir: Path
) -> None:
    channel: Channel = await connect(await start(*CELLS), v1=v1)
    message = handmade("execute_request", "open('pwned-frame', 'w')", "h1")
    parts = [
        json.dumps(message[name]).encode()
        for name in ("header", "parent_header", "metadata", "content")
    ]
    text = json.dumps(message)
    escaped = text.replace("execute_request", "execute\\u005frequest")
    hostile: list[str | bytes] = [
        # Whatever form the other subprotocol has, and forms that upstream's decoders can't take.
        text,
        escaped,
        frames.join_legacy([text.encode()]),
        frames.join_v1("shell", parts),
        frames.join_v1("shell", [part.replace(b"execute_", b"execute\\u005f") for part in parts]),
        b"\xff" * 64,
        b"",
        "",
        "{}",
        "[]",
        "\0",
        frames.join_v1("shell", [b"\xff\xfe", *parts[1:]]),
        frames.join_v1("shell", parts)[:-3],
        b"\x00\x00\x00\x01" + b"\xff" * 20,
        "[" * 100_000,
        "x" * 10_000_000,
    ]
    for frame in hostile:
        await channel.write(frame)
    assert await channel.run("0") == "first ran\n"
    readable = [m for m in channel.messages if parent(m) == "h1" and m.msg_type.endswith("_reply")]
    assert all(reply.content["ename"] == "Refused" for reply in readable)
    assert len(readable) == (2 if v1 else 3)
    assert pwned(jp_root_dir) == []


@pytest.mark.parametrize(
    "extension_config", [{"KernelBindings": {"max_unreadable_frames": 3}}], ids=["few frames"]
)
async def test_a_socket_of_too_many_unreadable_frames_is_closed(start: Any, connect: Any) -> None:
    channel: Channel = await connect(await start("1"))
    for _ in range(4):
        await channel.write(b"\xff" * 64)
    await channel.gone()
    assert channel.socket.close_code == 1008


@pytest.mark.parametrize(
    "extension_config", [{"KernelBindings": {"max_message_size": 10_000}}], ids=["10 kB"]
)
async def test_a_socket_of_too_large_a_message_is_closed(start: Any, connect: Any) -> None:
    channel: Channel = await connect(await start("1"))
    await channel.write(b"\0" * 10_001)
    await channel.gone()


async def test_the_source_never_leaves_by_any_message(start: Any, connect: Any, v1: bool) -> None:
    model = await start(*CELLS)
    channel: Channel = await connect(model, v1=v1)
    for index in CODE_CELLS:
        found = await channel.execute(str(index))
        reply = of_type(found, "execute_reply").content
        assert (reply["payload"], reply["user_expressions"]) == ([], {})
        assert of_type(found, "execute_input").content["code"] == ""
    for msg_type in ("kernel_info_request", "comm_info_request"):
        await channel.settle(await channel.send(msg_type), msg_type.replace("request", "reply"))
    assert_no_source_was_sent(channel)
    assert MARKER not in json.dumps(model)
    errors = [m.content for m in channel.messages if m.msg_type == "error"]
    assert (
        errors
        == [
            {
                "ename": "CellError",
                "evalue": "This part of the dashboard could not be computed.",
                "traceback": [],
            }
        ]
        * 2
    )


@pytest.mark.parametrize(
    "extension_config", [{"DashboardsApp": {"show_tracebacks": True}}], ids=["shown"]
)
async def test_tracebacks_and_stderr_are_shown_where_the_operator_says_so(
    start: Any, connect: Any, v1: bool
) -> None:
    channel: Channel = await connect(await start(*CELLS), v1=v1)
    found = await channel.execute("3")
    for message in (of_type(found, "error"), of_type(found, "execute_reply")):
        assert message.content["ename"] == "ValueError"
        assert MARKER in "".join(message.content["traceback"])
    stderr = of_type(await channel.execute("4"), "stream")
    assert stderr.content["name"] == "stderr"
    # Never the code itself, nor what a cell asks the notebook's editor to do.
    found = await channel.execute("5")
    assert of_type(found, "execute_input").content["code"] == ""
    assert of_type(found, "execute_reply").content["payload"] == []


@pytest.mark.parametrize(
    "extension_config",
    [
        {
            "DashboardsApp": {"show_tracebacks": True},
            "AsyncMappingKernelManager": {"allow_tracebacks": False},
        }
    ],
    ids=["the server hides"],
)
async def test_the_servers_own_hiding_of_tracebacks_wins_and_breaks_nothing(
    start: Any, connect: Any, v1: bool
) -> None:
    channel: Channel = await connect(await start(*CELLS), v1=v1)
    assert of_type(await channel.execute("3"), "error").content["ename"] == "CellError"
    assert await channel.run("0") == "first ran\n"
    assert_no_source_was_sent(channel)


async def test_a_cell_that_asks_for_input_fails_at_once(start: Any, connect: Any, v1: bool) -> None:
    channel: Channel = await connect(await start("input('name?')", "print(1)"), v1=v1)
    found = await channel.execute("0", allow_stdin=True)
    assert of_type(found, "execute_reply").content["status"] == "error"
    assert not [message for message in channel.messages if message.channel == "stdin"]
    assert await channel.run("1") == "1\n"


@pytest.mark.parametrize(
    "extension_config", [{"KernelBindings": {"allow_stdin": True}}], ids=["stdin"]
)
async def test_a_cell_may_ask_for_input_where_the_operator_says_so(
    start: Any, connect: Any, v1: bool
) -> None:
    channel: Channel = await connect(await start("print('Hello ' + input('name?'))"), v1=v1)
    msg_id = await channel.send("execute_request", {"code": "0"})
    asked = await channel.until(lambda m: m.msg_type == "input_request")
    assert asked.content["prompt"] == "name?"
    await channel.send("input_reply", {"value": "Ada"}, "stdin", parent_header=asked.header)
    assert text_of(await channel.settle(msg_id)) == "Hello Ada\n"


async def test_an_owners_edit_does_not_shift_the_indices_of_a_running_kernel(
    start: Any, connect: Any, write_notebook: Any
) -> None:
    model = await start("print('old')", path="edited.ipynb")
    write_notebook("edited.ipynb", new_markdown_cell("new"))
    channel: Channel = await connect(model)
    assert await channel.run("0") == "old\n"


@pytest.mark.parametrize(
    "extension_config",
    [{"KernelBindings": {"execute_burst": 4, "execute_rate": 0.0}}],
    ids=["burst of 4 and one run"],
)
async def test_cells_beyond_the_burst_do_not_run(start: Any, connect: Any, v1: bool) -> None:
    channel: Channel = await connect(await start("print('ran')"), v1=v1)
    ids = [await channel.send("execute_request", {"code": "0"}) for _ in range(30)]
    replies = [of_type(await channel.settle(msg_id), "execute_reply") for msg_id in ids]
    assert [reply.content["status"] for reply in replies] == ["ok"] * 5 + ["error"] * 25
    assert replies[-1].content["ename"] == "RateLimited"
    assert text_of(channel.messages) == "ran\n" * 5


def is_echo(message: Message) -> bool:
    data = message.content.get("data", {})
    return message.msg_type == "comm_msg" and data.get("method") in ("update", "echo_update")


WIDGETS = """\
import ipywidgets as widgets
from IPython.display import display
slider = widgets.IntSlider()
label = widgets.Label()
picture = widgets.Image(value=bytes(range(256)))
slider.observe(lambda change: setattr(label, 'value', f"at {change['new']}"), 'value')
display(slider, label, picture)
"""


async def test_widgets_work_through_the_filter(start: Any, connect: Any, v1: bool) -> None:
    channel: Channel = await connect(await start(WIDGETS, "print(slider.value)"), v1=v1)
    await channel.execute("0")
    opened = [message for message in channel.messages if message.msg_type == "comm_open"]
    models = {m.content["data"]["state"]["_model_name"]: m for m in opened}
    assert models["IntSliderModel"].metadata["version"]
    assert bytes(range(256)) in [bytes(buffer) for buffer in models["ImageModel"].buffers]
    slider = models["IntSliderModel"].content["comm_id"]
    data = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
    msg_id = await channel.send("comm_msg", {"comm_id": slider, "data": data})
    changed = await channel.until(
        lambda m: is_echo(m) and m.content["data"]["state"].get("value") == "at 7"
    )
    assert changed.content["comm_id"] == models["LabelModel"].content["comm_id"]
    await channel.until(lambda m: m.msg_type == "status" and parent(m) == msg_id)
    assert await channel.run("1") == "7\n"
    # A binary buffer from the client, and the handshake that fetches all widgets' state.
    image = models["ImageModel"].content["comm_id"]
    data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    await channel.send("comm_msg", {"comm_id": image, "data": data}, buffers=[b"\xff\xfe\0"])
    control = {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}}
    await channel.send("comm_open", control, metadata={"version": "1.0.0"})
    asked = {"comm_id": "control", "data": {"method": "request_states"}}
    await channel.send("comm_msg", asked)
    states = await channel.until(
        lambda m: m.msg_type == "comm_msg" and m.content["data"].get("method") == "update_states"
    )
    assert b"\xff\xfe\0" in [bytes(buffer) for buffer in states.buffers]


ALTAIR = """\
import altair
chart = altair.Chart(altair.Data(values=[{'a': 1}])).mark_point().encode(x='a:Q')
chart
"""


async def test_altair_needs_no_outside_host(start: Any, connect: Any) -> None:
    channel: Channel = await connect(await start(ALTAIR))
    found = of_type(await channel.execute("0"), "execute_result")
    data = found.content["data"]
    assert "text/html" not in data
    assert any(
        name.startswith("application/vnd.vegalite.") and name.endswith("+json") for name in data
    )


@pytest.mark.parametrize("extension_config", [{"KernelBindings": {"max_sockets": 2}}])
async def test_a_kernel_has_few_sockets_and_another_of_the_same_session_takes_its_place(
    start: Any, connect: Any
) -> None:
    model = await start("print(1)")
    first = await connect(model, session_id="a")
    await connect(model, session_id="b")
    with pytest.raises(HTTPClientError) as refused:
        await connect(model, session_id="c")
    assert refused.value.code == 503
    again = await connect(model, session_id="a")
    await first.gone()
    assert await again.run("0") == "1\n"
