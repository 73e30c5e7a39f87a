"""Whether a kernel has lost a port to somebody else: yes only where that is certain."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from jupyter_dashboards_api.kernels import lost_ports
from jupyter_dashboards_api.kernels.lost_ports import has_lost_port
from tests.ports import free_port

NAMES = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
LISTEN = """
import socket, sys, time
held = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("there", flush=True)
time.sleep(600)
"""


@pytest.fixture
def ports() -> dict[str, int]:
    return {name: free_port() for name in NAMES}


@pytest.fixture
def start(ports: dict[str, int]) -> Iterator[Callable[..., Any]]:
    """Starts a process that listens at the named ports, and answers what a kernel's manager says of it."""
    started: list[subprocess.Popen[str]] = []

    def run(*names: str, shell: bool = False) -> Any:
        command = [sys.executable, "-c", LISTEN, *(str(ports[name]) for name in names)]
        if shell:
            command = ["sh", "-c", f"{shlex.join(command)}; true"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        provisioner = SimpleNamespace(pid=process.pid)
        return SimpleNamespace(ip="127.0.0.1", transport="tcp", provisioner=provisioner, **ports)

    yield run
    for process in started:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()


@pytest.fixture
def take(ports: dict[str, int]) -> Iterator[Callable[[str], None]]:
    """Listens at the named port, as somebody else."""
    held: list[socket.socket] = []
    yield lambda name: held.append(socket.create_server(("127.0.0.1", ports[name])))
    for each in held:
        each.close()


@pytest.mark.parametrize("shell", [False, True], ids=["itself", "by a shell"])
async def test_one_that_listens_at_some_of_its_ports_has_lost_the_one_where_somebody_else_does(
    start: Any, take: Any, shell: bool
) -> None:
    kernel = start("shell_port", "stdin_port", shell=shell)
    # It may still begin to listen at the others.
    assert not await has_lost_port(kernel)
    take("iopub_port")
    assert await has_lost_port(kernel)
    kernel.transport = "ipc"
    assert not await has_lost_port(kernel)


async def test_one_without_its_heartbeat_answers(start: Any, take: Any) -> None:
    take("hb_port")
    assert not await has_lost_port(start("shell_port"))


@pytest.mark.parametrize("shell", [False, True], ids=["itself", "by a shell"])
async def test_one_that_has_all_its_ports_has_lost_none(start: Any, shell: bool) -> None:
    assert not await has_lost_port(start(*NAMES, shell=shell))


async def test_one_that_begins_to_listen_while_it_is_looked_at_has_lost_none(
    start: Any, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([{ports["shell_port"]}, {*ports.values()}])
    monkeypatch.setattr(lost_ports, "_listening", lambda family: next(looks))
    assert not await has_lost_port(start(*NAMES))
    assert next(looks, None) is None


async def test_who_listens_for_a_launcher_may_be_its_kernel(start: Any, take: Any) -> None:
    for name in NAMES:
        take(name)
    assert not await has_lost_port(start())


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        ("python -m ipykernel_launcher -f x", True),
        ("python3.11 -Xfrozen_modules=off -m ipykernel -f x", True),
        ("conda run -n x python -m ipykernel_launcher -f x", False),
        ("ssh -q host python -m ipykernel_launcher", False),
        ("python -m other", False),
        ("python -m", False),
        ("", False),
    ],
)
async def test_ipykernel_itself_needs_not_listen_yet(
    start: Any, take: Any, monkeypatch: pytest.MonkeyPatch, command: str, lost: bool
) -> None:
    take("shell_port")
    kernel = start()
    monkeypatch.setattr(psutil.Process, "cmdline", lambda self: command.split())
    assert await has_lost_port(kernel) is lost
    # In a network of its own the port is another one.
    monkeypatch.setattr(lost_ports, "_network", str)
    assert not await has_lost_port(kernel)


async def test_what_can_not_be_told_is_no_loss(
    start: Any, take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    take("iopub_port")
    kernel = start("shell_port")
    assert await has_lost_port(kernel)

    def deny(self: psutil.Process, kind: str) -> Any:
        raise psutil.AccessDenied(self.pid)

    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "net_connections", deny)
        assert not await has_lost_port(kernel)
    with monkeypatch.context() as patch:
        patch.setattr(psutil, "LINUX", False)
        assert not await has_lost_port(kernel)
    # A provisioner's process elsewhere may have the number of one here.
    kernel.provisioner.pid = os.getppid()
    assert not await has_lost_port(kernel)
    kernel.provisioner.pid = None
    assert not await has_lost_port(kernel)
    assert not await has_lost_port(object())


async def test_kernels_that_answer_have_lost_none(jp_serverapp: Any) -> None:
    manager = jp_serverapp.kernel_manager
    kernel = manager.get_kernel(await manager.start_kernel(kernel_name="python3"))
    client = kernel.client()
    client.start_channels()
    try:
        asked = asyncio.ensure_future(client.wait_for_ready(timeout=60))
        while not asked.done():
            assert not await has_lost_port(kernel)
            await asyncio.sleep(0.02)
        await asked
    finally:
        client.stop_channels()
    assert not await has_lost_port(kernel)
