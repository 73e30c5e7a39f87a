"""The same proxy in front of a real kernel gateway: kernels that run somewhere else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse

from tests.servers import TOKEN, ServerProcess

from .client import SECONDS, Channel, of_type, text_of
from .test_attacks import WIDGETS, Attack, is_echo

EDITED = b"\xff\xfe\0"
GATEWAY_TOKEN = "the-gateways-token"
GATEWAY_HEADERS = {"Authorization": f"token {GATEWAY_TOKEN}"}
MARKER = "Zq7-source-of-a-cell"
OWNER = {"Authorization": f"token {TOKEN}"}
JSON = OWNER | {"Content-Type": "application/json"}

CELLS = [
    new_code_cell(f"print('first ran')  # {MARKER}"),
    new_markdown_cell("print('not code')"),
    new_code_cell(f"raise ValueError('{MARKER}')"),
    new_code_cell(WIDGETS),
    new_code_cell("print(slider.value)"),
    new_code_cell("import os, json; print(json.dumps(dict(os.environ)))"),
    new_code_cell(
        "import time\nfor i in range(4):\n    print(i, flush=True)\n    time.sleep(0.25)"
    ),
    new_code_cell("import os; print(os.getpid())"),
    new_code_cell("print('print' in globals(), bytes(picture.value))"),
    new_code_cell("import altair; altair.Chart(altair.Data(values=[{'a': 1}])).mark_point()"),
    new_code_cell("from IPython.display import display, Image; display(Image(b'\\x89PNG' * 10))"),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A kernel gateway that wants a token."""
    command = [
        "kernel_gateway",
        "--KernelGatewayApp.port={port}",
        "--KernelGatewayApp.port_retries=0",
    ]
    command += ["--KernelGatewayApp.ip=127.0.0.1", f"--KernelGatewayApp.auth_token={GATEWAY_TOKEN}"]
    command += ["--JupyterWebsocketPersonality.list_kernels=True"]
    with ServerProcess(command, tmp_path_factory.mktemp("gateway")) as process:
        yield process


@pytest.fixture(scope="module")
def server(
    gateway: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """`jupyter server` with the extension, whose kernels are the gateway's."""
    folder: Path = tmp_path_factory.mktemp("notebooks")
    nbformat.write(new_notebook(cells=CELLS), folder / "a note.ipynb")
    command = [
        "jupyter_server",
        "--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.jpserver_extensions={'jupyter_dashboards_api': True}",
        "--ServerApp.reraise_server_extension_failures=True",
        f"--IdentityProvider.token={TOKEN}",
        "--no-browser",
        "--allow-root",
        f"--gateway-url={gateway.url}",
        f"--GatewayClient.auth_token={GATEWAY_TOKEN}",
        "--KernelBindings.retention=10",
        "--KernelBindings.watch_interval=0.5",
    ]
    environment = {"PGHOST": "secret-of-the-server", "KG_AUTH_TOKEN": GATEWAY_TOKEN}
    home = tmp_path_factory.mktemp("server")
    with ServerProcess(command, home, environment=environment) as process:
        yield process


@pytest.fixture
def ask(server: ServerProcess) -> Callable[..., Any]:
    async def fetch(path: str, **options: Any) -> HTTPResponse:
        return await AsyncHTTPClient().fetch(
            server.url + path, headers=JSON, raise_error=False, request_timeout=60, **options
        )

    return fetch


@pytest.fixture
def start_kernel(ask: Any) -> Callable[..., Any]:
    async def start(query: str = "") -> dict[str, Any]:
        body = json.dumps({"path": "a note.ipynb", "query": query})
        response = await ask("/_api/kernels", method="POST", body=body)
        assert response.code == 201, response.body
        found: dict[str, Any] = json.loads(response.body)
        return found

    return start


@pytest.fixture
def connect_to(server: ServerProcess, jp_asyncio_loop: Any) -> Iterator[Callable[..., Any]]:
    opened: list[Channel] = []

    async def connect(model: dict[str, Any], **options: Any) -> Channel:
        url = f"{server.url.replace('http', 'ws')}/_api/kernels/{model['id']}/channels"
        channel = await Channel.open(url, headers=OWNER, **options)
        opened.append(channel)
        return channel

    yield connect

    async def close_all() -> None:
        for channel in opened:
            channel.close()
        await asyncio.sleep(0.05)

    jp_asyncio_loop.run_until_complete(close_all())


async def test_cells_run_by_index_and_nothing_else_does(start_kernel: Any, connect_to: Any) -> None:
    channel: Channel = await connect_to(await start_kernel())
    attack = Attack(channel)
    code = "print('attacked')"
    await attack.refused("execute_request", {"code": code})
    for index in ("1", "99", "00", True):
        await attack.refused("execute_request", {"code": index})
    await attack.refused("execute_request", {"code": code}, "control")
    for msg_type in ("history_request", "inspect_request", "complete_request", "shutdown_request"):
        for where in ("shell", "control"):
            await attack.refused(msg_type, {"code": code, "cursor_pos": 1}, where)
    body = {"type": "request", "seq": 1, "command": "evaluate", "arguments": {"expression": code}}
    await attack.refused("debug_request", body, "control")
    await attack.refused("comm_open", {"comm_id": "c", "target_name": "any", "data": {}})
    await attack.refused("input_reply", {"value": code}, "stdin")
    await channel.write(b"\xff" * 64)
    await channel.write("{}")
    found = await channel.execute("0", user_expressions={"x": code})
    assert text_of(found) == "first ran\n"
    assert of_type(found, "execute_input").content["code"] == ""
    assert of_type(found, "execute_reply").content["user_expressions"] == {}
    failed = await channel.execute("2")
    assert of_type(failed, "error").content["ename"] == "CellError"
    assert "attacked" not in text_of(channel.messages)
    assert all(MARKER not in str(frame) for frame in channel.frames)


async def test_widgets_with_binary_buffers_work_both_ways(
    start_kernel: Any, connect_to: Any
) -> None:
    channel: Channel = await connect_to(await start_kernel())
    await channel.execute("3")
    models = {
        m.content["data"]["state"]["_model_name"]: m
        for m in channel.messages
        if m.msg_type == "comm_open"
    }
    assert bytes(range(256)) in [bytes(buffer) for buffer in models["ImageModel"].buffers]
    slider = models["IntSliderModel"].content["comm_id"]
    data = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
    await channel.send("comm_msg", {"comm_id": slider, "data": data})
    await channel.until(lambda m: is_echo(m) and m.content["data"]["state"].get("value") == "at 7")
    image = models["ImageModel"].content["comm_id"]
    data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    await channel.send("comm_msg", {"comm_id": image, "data": data}, buffers=[EDITED])
    assert await channel.run("4") == "7\n"
    assert await channel.run("8") == f"False {EDITED!r}\n"
    assert of_type(await channel.execute("10"), "display_data").content["data"]["image/png"]


async def test_a_page_that_reconnects_gets_what_it_missed(
    start_kernel: Any, connect_to: Any
) -> None:
    model = await start_kernel()
    first: Channel = await connect_to(model, session_id="the-session")
    msg_id = await first.send("execute_request", {"code": "6"})
    await first.until(lambda m: m.msg_type == "stream")
    first.close()
    await asyncio.sleep(1.0)
    second: Channel = await connect_to(model, session_id="the-session")
    await second.settle(msg_id)
    seen = "".join(
        m.content["text"] for c in (first, second) for m in c.messages if m.msg_type == "stream"
    )
    assert seen == "0\n1\n2\n3\n"


async def test_the_gateway_gets_the_documented_variables_and_none_of_the_servers(
    start_kernel: Any, connect_to: Any
) -> None:
    channel: Channel = await connect_to(await start_kernel("year=2026&token=x"))
    environment = json.loads(await channel.run("5"))
    assert environment["KERNEL_QUERY_STRING"] == "year=2026"
    assert environment["KERNEL_DASHBOARD_PATH"] == "a note.ipynb"
    assert environment["KERNEL_DASHBOARD_USER"] == environment["KERNEL_USERNAME"]
    assert "secret-of-the-server" not in environment.values()
    assert TOKEN not in str(environment)


async def test_altair_needs_no_outside_host(start_kernel: Any, connect_to: Any) -> None:
    channel: Channel = await connect_to(await start_kernel())
    data = of_type(await channel.execute("9"), "execute_result").content["data"]
    assert any(name.startswith("application/vnd.vegalite") for name in data)


async def test_a_page_sees_its_kernel_die(start_kernel: Any, connect_to: Any) -> None:
    channel: Channel = await connect_to(await start_kernel())
    os.kill(int(await channel.run("7")), signal.SIGKILL)
    await channel.until(
        lambda m: m.msg_type == "status" and m.content["execution_state"] == "restarting"
    )


async def test_an_abandoned_kernel_ends_at_the_gateway_too(
    start_kernel: Any, connect_to: Any, gateway: ServerProcess
) -> None:
    async def kernels() -> list[str]:
        url = f"{gateway.url}/api/kernels"
        response = await AsyncHTTPClient().fetch(url, headers=GATEWAY_HEADERS)
        return [kernel["id"] for kernel in json.loads(response.body)]

    model = await start_kernel()
    channel: Channel = await connect_to(model)
    await channel.run("0")
    assert model["id"] in await kernels()
    channel.close()
    end = time.monotonic() + SECONDS
    while model["id"] in await kernels():
        assert time.monotonic() < end
        await asyncio.sleep(0.2)
    with pytest.raises(HTTPClientError) as refused:
        await connect_to(model)
    assert refused.value.code == 404


async def test_deleting_a_kernel_closes_its_sockets(
    start_kernel: Any, connect_to: Any, ask: Any
) -> None:
    model = await start_kernel()
    channel: Channel = await connect_to(model)
    assert json.loads((await ask(f"/_api/kernels/{model['id']}")).body)["id"] == model["id"]
    assert (await ask(f"/_api/kernels/{model['id']}", method="DELETE")).code == 204
    await channel.gone()


async def test_a_kernel_that_the_gateway_has_ended_is_gone_here_too(
    start_kernel: Any, connect_to: Any, gateway: ServerProcess, ask: Any
) -> None:
    model = await start_kernel()
    channel: Channel = await connect_to(model)
    await channel.run("0")
    url = f"{gateway.url}/api/kernels/{model['id']}"
    await AsyncHTTPClient().fetch(url, method="DELETE", headers=GATEWAY_HEADERS)
    await channel.gone()
    assert (await ask(f"/_api/kernels/{model['id']}")).code == 404
