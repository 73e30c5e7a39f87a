"""Commands whose kernels are a gateway's: the server's own gateway, and that of a label."""

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
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from jupyter_dashboards_api.commands.gateway_kernels import GatewayKernels
from tests.conftest import Write
from tests.handlers.command_client import CommandClient
from tests.servers import TOKEN, ServerProcess

GATEWAY_TOKEN = "the-gateways-token"
KERNEL = {"name": "python3", "display_name": "Python 3"}
PID = "import os; print('pid', os.getpid(), flush=True)"
WAIT = "import time; time.sleep(600)"
WIDGET = "import ipywidgets; ipywidgets.Image(value=bytes(range(256)))"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A kernel gateway that wants a token."""
    command = [
        "kernel_gateway",
        "--KernelGatewayApp.port={port}",
        "--KernelGatewayApp.port_retries=0",
        "--KernelGatewayApp.ip=127.0.0.1",
        f"--KernelGatewayApp.auth_token={GATEWAY_TOKEN}",
        "--JupyterWebsocketPersonality.list_kernels=True",
        # As the guide for operators has it.
        "--AsyncIOLoopKernelRestarter.time_to_dead=0.5",
    ]
    with ServerProcess(command, tmp_path_factory.mktemp("gateway")) as process:
        yield process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the server that has the gateway."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def server(
    gateway: ServerProcess, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server whose kernels are the gateway's."""
    with own_server(folder, tmp_path_factory.mktemp("server"), *whole(gateway)) as process:
        yield process


def own_server(folder: Path, home: Path, *options: str) -> ServerProcess:
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
        *options,
    ]
    environment = {"PGHOST": "secret-of-the-server", "TOKEN_OF_THE_GATEWAY": GATEWAY_TOKEN}
    return ServerProcess(command, home, environment=environment)


def whole(gateway: ServerProcess) -> list[str]:
    """Options of a server all of whose kernels are the gateway's."""
    return [f"--gateway-url={gateway.url}", f"--GatewayClient.auth_token={GATEWAY_TOKEN}"]


def client_of(server: ServerProcess) -> CommandClient:
    async def fetch(path: str, *, token: Any, headers: Any, **options: Any) -> HTTPResponse:
        return await AsyncHTTPClient().fetch(
            server.url + path, headers=headers, raise_error=False, **options
        )

    return CommandClient(fetch, TOKEN)


@pytest.fixture(params=["server", "label"])
def run(request: pytest.FixtureRequest, jp_asyncio_loop: Any) -> Callable[..., Any]:
    """Submits cells to a server whose own gateway it is, or with the label that names it; answers client and command."""
    if request.param == "label":
        client: CommandClient = request.getfixturevalue("client")
        write: Write = request.getfixturevalue("write_notebook")

        async def submit(*sources: str, **fields: Any) -> Any:
            write("a.ipynb", *map(new_code_cell, sources))
            note = await client.note_id("a.ipynb")
            return client, await client.submit(note_id=note, label="gateway", **fields)

        return submit
    server: ServerProcess = request.getfixturevalue("server")
    root: Path = request.getfixturevalue("folder")
    own = client_of(server)

    async def submit_there(*sources: str, **fields: Any) -> Any:
        notebook = new_notebook(
            cells=[*map(new_code_cell, sources)], metadata={"kernelspec": KERNEL}
        )
        nbformat.write(notebook, root / "a.ipynb")
        return own, await own.submit(note_id=await own.note_id("a.ipynb"), **fields)

    return submit_there


@pytest.fixture
def extension_config(gateway: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("TOKEN_OF_THE_GATEWAY", GATEWAY_TOKEN)
    cluster = {
        "kernelspec": "python3",
        "environment": {"KERNEL_PLACE": "far"},
        "gateway": {"url": gateway.url, "token_variable": "TOKEN_OF_THE_GATEWAY"},
    }
    return {"CommandsManager": {"clusters": {"gateway": cluster}}}


async def kernels(gateway: ServerProcess) -> list[Any]:
    headers = {"Authorization": f"token {GATEWAY_TOKEN}"}
    response = await AsyncHTTPClient().fetch(f"{gateway.url}/api/kernels", headers=headers)
    return list(json.loads(response.body))


async def pid_of(client: CommandClient, command: Any) -> int:
    while "pid " not in (log := await log_of(client, command)):
        await asyncio.sleep(0.05)
    return int(log.partition("pid ")[2].split()[0])


async def log_of(client: CommandClient, command: Any) -> str:
    return (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()


async def test_a_notebook_runs_at_the_gateway_and_its_kernel_ends(
    run: Any, gateway: ServerProcess
) -> None:
    client, command = await run(
        "import os",
        "print(x, os.environ['KERNEL_DASHBOARD_PATH'], 'PGHOST' in os.environ)",
        WIDGET,
        arguments={"x": ["é", 1.0, None]},
    )
    ended = await client.ended(command["id"])
    assert ended["status"] == "done", await log_of(client, command)
    results = (await client.get(f"/commands/{command['id']}/results"))["results"]
    assert results.startswith("['é', 1.0, None] a.ipynb False")
    response = await client.ask("GET", f"/commands/{command['id']}/notebook")
    notebook = nbformat.reads(response.body.decode(), as_version=4)
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert any(state.get("buffers") for state in states.values())
    assert await kernels(gateway) == []


async def test_errors_and_cancelling_are_as_with_the_servers_own_kernels(
    run: Any, gateway: ServerProcess
) -> None:
    client, command = await run("1/0")
    assert (await client.ended(command["id"]))["error"]["ename"] == "ZeroDivisionError"
    client, command = await run(PID, WAIT)
    await pid_of(client, command)
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    assert await kernels(gateway) == []


async def test_a_kernel_that_dies_at_the_gateway_is_seen_within_two_seconds(
    run: Any, gateway: ServerProcess
) -> None:
    waits: list[float] = []
    # The best of three: the machine does its part now and then.
    while len(waits) < 3 and min(waits, default=2.0) >= 2:
        client, command = await run(PID, WAIT)
        os.kill(await pid_of(client, command), signal.SIGKILL)
        killed = time.monotonic()
        while "The kernel died." not in await log_of(client, command):
            await asyncio.sleep(0.05)
        waits.append(time.monotonic() - killed)
        ended = await client.ended(command["id"])
        assert ended["error"]["message"] == "The kernel died."
        assert await kernels(gateway) == []
    assert min(waits) < 2, waits


@pytest.mark.parametrize("run", ["label"], indirect=True)
async def test_clocks_go_on_while_the_gateway_does_not_say_whether_a_kernel_lives(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says_nothing(self: GatewayKernels, kernel_id: str) -> bool:
        await asyncio.sleep(600)
        return True

    monkeypatch.setattr(GatewayKernels, "is_alive", says_nothing)
    client, command = await run(WAIT, timeout=5)
    async with asyncio.timeout(60):
        ended = await client.ended(command["id"])
    assert ended["error"]["message"] == "The run took longer than 5 s."


@pytest.mark.parametrize("run", ["server"], indirect=True)
async def test_waiting_for_a_cell_at_the_gateway_costs_no_processor_time(
    run: Any, server: ServerProcess
) -> None:
    client, command = await run(PID, "import time; time.sleep(2)")
    await pid_of(client, command)
    process = psutil.Process(server.process.pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(1.2)
    # It was 94 % of a core.
    assert sum(process.cpu_times()[:2]) - before < 0.6
    assert (await client.ended(command["id"]))["status"] == "done"


async def test_a_gateway_that_refuses_is_an_error_that_a_retry_may_mend(
    client: CommandClient, write_notebook: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_THE_GATEWAY", "another token")
    write_notebook("a.ipynb", new_code_cell("1"))
    note = await client.note_id("a.ipynb")
    command = await client.submit(note_id=note, label="gateway", retry=1)
    ended = await client.ended(command["id"])
    assert ended["error"]["message"] == "The gateway of the kernels does not answer."
    assert len(ended["attempts"]) == 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["server", "label"])
async def test_a_killed_servers_kernel_at_the_gateway_is_ended_before_the_retry(
    kind: str, gateway: ServerProcess, tmp_path: Path
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells = [new_code_cell(PID), new_code_cell(WAIT)]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / "a.ipynb")
    settings = {"url": gateway.url, "token_variable": "TOKEN_OF_THE_GATEWAY"}
    clusters = {"gateway": {"gateway": settings}}
    options = whole(gateway) if kind == "server" else [f"--CommandsManager.clusters={clusters}"]
    with own_server(folder, tmp_path, *options) as server:
        client = client_of(server)
        note = await client.note_id("a.ipynb")
        label = {"label": "gateway"} if kind == "label" else {}
        submitted = await client.submit(note_id=note, retry=1, **label)
        pid = await pid_of(client, submitted)
        (left,) = [each["id"] for each in await kernels(gateway)]
        server.process.kill()
        server.process.wait(20)
    assert psutil.pid_exists(pid)
    with own_server(folder, tmp_path, *options) as server:
        client = client_of(server)
        async for polled in client.polls(submitted["id"]):
            if polled["attempt"] == 2:
                break
        assert left not in [each["id"] for each in await kernels(gateway)]
        await client.ask("PUT", f"/commands/{submitted['id']}", {"status": "kill"})
        ended = await client.ended(submitted["id"])
    assert [each["outcome"] for each in ended["attempts"]] == ["lost", "cancelled"]
    assert await kernels(gateway) == []
