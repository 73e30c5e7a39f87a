"""When viewers' kernels end, and what a page that comes back finds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.httpclient import HTTPClientError

from jupyter_dashboards_api.kernels.replay import BoundedBuffer

from .client import SECONDS, Channel, of_type, parent

ENVIRONMENT = "import os, json; print(json.dumps(dict(os.environ)))"


async def eventually(condition: Callable[[], Any], seconds: float = SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def lifetimes(**traits: float) -> Any:
    return pytest.mark.parametrize(
        "extension_config", [{"KernelBindings": traits}], ids=[str(traits)]
    )


@lifetimes(join_timeout=1.0)
async def test_a_kernel_that_nobody_joins_ends(start: Any, fetch: Any, jp_serverapp: Any) -> None:
    model = await start("1")
    assert model["id"] in jp_serverapp.kernel_manager
    await eventually(lambda: model["id"] not in jp_serverapp.kernel_manager)
    assert (await fetch(f"/_api/kernels/{model['id']}")).code == 404


@lifetimes(retention=1.0, join_timeout=600.0)
async def test_a_kernel_ends_some_time_after_its_last_socket_closed(
    start: Any, connect: Any, jp_serverapp: Any
) -> None:
    model = await start("print(1)")
    first: Channel = await connect(model)
    second: Channel = await connect(model)
    await first.run("0")
    first.close()
    await asyncio.sleep(1.5)
    assert await second.run("0") == "1\n"
    second.close()
    await asyncio.sleep(0.3)
    assert model["id"] in jp_serverapp.kernel_manager
    await eventually(lambda: model["id"] not in jp_serverapp.kernel_manager)
    with pytest.raises(HTTPClientError) as refused:
        await connect(model)
    assert refused.value.code == 404


@lifetimes(retention=30.0, join_timeout=600.0)
async def test_a_page_that_reconnects_in_time_gets_what_it_missed_through_the_filter(
    start: Any, connect: Any, dashboards: Any, v1: bool
) -> None:
    marker = "source-marker"
    cell = f"import time\nfor i in range(4):\n    print(i, flush=True)  # {marker}\n    time.sleep(0.25)\n1/0"
    model = await start(cell, "print('alive')")
    first: Channel = await connect(model, v1=v1, session_id="the-session")
    msg_id = await first.send("execute_request", {"code": "0"})
    await first.until(lambda m: m.msg_type == "stream")
    first.close()
    await asyncio.sleep(1.5)
    second: Channel = await connect(model, v1=v1, session_id="the-session")
    found = await second.settle(msg_id)
    assert of_type(found, "error").content["ename"] == "CellError"
    seen = "".join(
        m.content["text"] for c in (first, second) for m in c.messages if m.msg_type == "stream"
    )
    assert seen == "0\n1\n2\n3\n"
    assert all(marker.encode() not in frame for frame in second.frames if isinstance(frame, bytes))
    assert all(marker not in frame for frame in second.frames if isinstance(frame, str))
    # Nothing ends it any more.
    (binding,) = dashboards.kernels._bindings.values()
    assert binding.timer is None
    assert await second.run("1") == "alive\n"


async def test_a_handshake_that_is_given_up_is_no_error_of_the_server(
    start: Any, connect: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By another one of its session, or by whoever leaves the page while it loads."""
    model = await start("print(1)")
    asked, replaced = asyncio.Event(), asyncio.Event()
    prepare = ZMQChannelsWebsocketConnection.prepare

    async def held_up(connection: Any) -> None:
        await prepare(connection)
        if not asked.is_set():
            asked.set()
            await replaced.wait()

    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "prepare", held_up)
    first = asyncio.ensure_future(connect(model, session_id="same"))
    await asyncio.wait_for(asked.wait(), SECONDS)
    second: Channel = await connect(model, session_id="same")
    replaced.set()
    with pytest.raises(HTTPClientError) as refused:
        await first
    assert refused.value.code == 404
    assert "Traceback" not in caplog.text
    assert await second.run("0") == "1\n"


async def test_a_socket_of_the_same_session_takes_over_at_once(
    start: Any, connect: Any, tmp_path: Path, v1: bool
) -> None:
    go = tmp_path / "go"
    model = await start(
        f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\nprint('done')"
    )
    first: Channel = await connect(model, v1=v1, session_id="same")
    msg_id = await first.send("execute_request", {"code": "0"})
    await first.until(lambda m: m.msg_type == "execute_input")
    second: Channel = await connect(model, v1=v1, session_id="same")
    await first.gone()
    go.touch()
    found = await second.settle(msg_id)
    assert of_type(found, "stream").content["text"] == "done\n"


async def test_two_sockets_of_one_viewer_on_one_kernel_both_work(start: Any, connect: Any) -> None:
    model = await start("print('one')", "print('two')")
    first: Channel = await connect(model)
    second: Channel = await connect(model, v1=False)
    assert await first.run("0") == "one\n"
    assert await second.run("1") == "two\n"
    await first.until(lambda m: m.msg_type == "stream" and m.content["text"] == "two\n")


async def test_deleting_a_kernel_closes_its_sockets(
    start: Any, connect: Any, fetch: Any, jp_serverapp: Any
) -> None:
    model = await start("1")
    channel: Channel = await connect(model)
    assert (await fetch(f"/_api/kernels/{model['id']}", method="DELETE")).code == 204
    await channel.gone()
    await eventually(lambda: model["id"] not in jp_serverapp.kernel_manager)


@lifetimes(watch_interval=0.5)
async def test_a_kernel_that_another_api_has_ended_is_gone_here_too(
    start: Any, connect: Any, fetch: Any, dashboards: Any
) -> None:
    model = await start("1")
    channel: Channel = await connect(model)
    assert (await fetch(f"/api/kernels/{model['id']}", method="DELETE")).code == 204
    await channel.gone()
    assert (await fetch(f"/_api/kernels/{model['id']}")).code == 404


async def test_a_page_sees_its_kernel_die_and_can_run_again_in_the_new_one(
    start: Any, connect: Any, v1: bool
) -> None:
    cells = ("import os; print(os.getpid())", "x = 1", "print('x' in globals())")
    channel: Channel = await connect(await start(*cells), v1=v1)
    pid = int(await channel.run("0"))
    await channel.run("1")
    os.kill(pid, signal.SIGKILL)
    await channel.until(
        lambda m: m.msg_type == "status" and m.content["execution_state"] == "restarting"
    )
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                msg_id = await channel.send("execute_request", {"code": "2"})
                await channel.until(
                    lambda m, sent=msg_id: m.msg_type == "stream" and parent(m) == sent, 5
                )
                break
            except TimeoutError:
                continue
    assert [m.content["text"] for m in channel.messages if m.msg_type == "stream"][-1] == "False\n"


async def test_stopping_the_extension_ends_every_kernel(
    start: Any, connect: Any, dashboards: Any, jp_serverapp: Any, fetch: Any
) -> None:
    models = [await start("1", path=f"{number}.ipynb") for number in range(3)]
    channel: Channel = await connect(models[0])
    await dashboards.stop_extension()
    assert not any(model["id"] in jp_serverapp.kernel_manager for model in models)
    await channel.gone()
    response = await fetch("/_api/kernels", method="POST", body=json.dumps({"path": "0.ipynb"}))
    assert response.code == 503


async def test_no_output_is_held_back_to_be_sent_with_the_next(
    start: Any, connect: Any, dashboards: Any
) -> None:
    model = await start("1")
    await connect(model)
    (binding,) = dashboards.kernels._bindings.values()
    (handler,) = binding.sockets
    await eventually(lambda: handler._filter is not None)
    raw = handler.ws_connection.stream.socket
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


SYNC = "jupyter_server.services.kernels.kernelmanager.MappingKernelManager"


@pytest.mark.parametrize(
    "extension_config",
    [
        {"ServerApp": {"kernel_manager_class": SYNC}},
        {"AsyncMultiKernelManager": {"use_pending_kernels": True}},
    ],
    ids=["synchronous", "pending kernels"],
)
async def test_other_kernel_managers_do_as_well(
    start: Any, connect: Any, jp_serverapp: Any, fetch: Any
) -> None:
    model = await start("print('ran')")
    channel: Channel = await connect(model)
    assert await channel.run("0") == "ran\n"
    assert (await fetch(f"/_api/kernels/{model['id']}", method="DELETE")).code == 204
    await channel.gone()
    await eventually(lambda: model["id"] not in jp_serverapp.kernel_manager)


async def test_a_kernel_has_the_notebooks_folder_and_the_documented_variables(
    start: Any, connect: Any, monkeypatch: Any
) -> None:
    for name in ("KG_AUTH_TOKEN", "JUPYTERHUB_API_TOKEN", "CONFIGPROXY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "secret-of-the-server")
    monkeypatch.setenv("PGHOST", "db.example")
    model = await start(
        ENVIRONMENT,
        "import os; print(os.path.basename(os.getcwd()))",
        path="a b/c/note.ipynb",
        query="?year=2026&token=secret-of-the-viewer",
    )
    channel: Channel = await connect(model)
    environment = json.loads(await channel.run("0"))
    assert "secret-of" not in json.dumps(environment)
    assert environment["PGHOST"] == "db.example"
    assert environment["QUERY_STRING"] == "year=2026"
    assert environment["DASHBOARD_PATH"] == "a b/c/note.ipynb"
    assert environment["DASHBOARD_USER"]
    assert await channel.run("1") == "c\n"


async def test_what_cells_run_does_not_depend_on_the_operators_preamble(
    start: Any, connect: Any
) -> None:
    channel: Channel = await connect(
        await start("print([n for n in dir() if 'Altair' in n], '_' in globals())")
    )
    assert (await channel.run("0")).startswith("[] ")


@lifetimes(max_replay_bytes=100_000, retention=60.0)
async def test_what_is_kept_for_a_lost_page_is_bounded(
    start: Any, connect: Any, jp_serverapp: Any, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\n"
    model = await start(f"{waits}for i in range(50):\n    print('x' * 20_000, flush=True)")
    first: Channel = await connect(model, session_id="lost")
    msg_id = await first.send("execute_request", {"code": "0"})
    await first.until(lambda m: m.msg_type == "execute_input")
    first.close()
    # From then on nobody is told, and it is kept.
    await eventually(lambda: model["id"] in jp_serverapp.kernel_manager._kernel_buffers)
    go.touch()
    await eventually(
        lambda: jp_serverapp.kernel_manager._kernels[model["id"]].execution_state == "idle"
    )
    await asyncio.sleep(0.5)
    buffer = jp_serverapp.kernel_manager._kernel_buffers[model["id"]]["buffer"]
    assert isinstance(buffer, BoundedBuffer)
    second: Channel = await connect(model, session_id="lost")
    await second.settle(msg_id)
    assert 0 < sum(len(frame) for frame in second.frames) < 250_000


def test_a_full_buffer_still_keeps_replies() -> None:
    buffer = BoundedBuffer([("iopub", [b"x" * 50])], 5000)
    buffer.append(("iopub", [b"x" * 6000]))
    buffer.append(("iopub", [b"x" * 4000]))
    buffer.append(("iopub", [b"x" * 4000]))
    buffer.append(("iopub", [b"x" * 4000]))
    buffer.append(("shell", [b"x" * 6000]))
    assert [(channel, sum(map(len, parts))) for channel, parts in buffer] == [
        ("iopub", 50),
        ("iopub", 4000),
        ("iopub", 4000),
        ("shell", 6000),
    ]


async def test_a_session_id_that_cannot_be_a_zmq_identity_is_refused(
    start: Any, connect: Any
) -> None:
    model = await start("1")
    for session_id in ("x" * 129, "a%20b", "%C3%A9"):
        with pytest.raises(HTTPClientError) as refused:
            await connect(model, session_id=session_id)
        assert refused.value.code == 400


async def test_a_plain_get_of_the_channels_is_refused(start: Any, fetch: Any) -> None:
    model = await start("1")
    assert (await fetch(f"/_api/kernels/{model['id']}/channels")).code == 400
