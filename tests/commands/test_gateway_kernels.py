"""Kernels of a cluster's gateway that starts them slowly, or was left with them by a server that died."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from nbformat.v4 import new_code_cell
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from jupyter_dashboards_api.commands import runner
from jupyter_dashboards_api.commands.clusters import Gateway
from jupyter_dashboards_api.commands.gateway_kernels import GatewayKernels
from jupyter_dashboards_api.commands.models import Limits
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

from .submissions import wanted


class SlowGateway:
    """What it was asked to start and to end; it starts when it may."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.ended: list[str] = []
        self.may_start = asyncio.Event()

    async def until_asked(self, times: int) -> None:
        """Raises `TimeoutError`."""
        async with asyncio.timeout(10):
            while len(self.asked) < times:
                await asyncio.sleep(0.01)


@pytest.fixture
def gateway(jp_asyncio_loop: Any) -> Iterator[SlowGateway]:
    found = SlowGateway()

    class Spec(RequestHandler):
        def get(self, name: str) -> None:
            self.write({"name": name, "spec": {"language": "python"}})

    class Kernels(RequestHandler):
        async def post(self) -> None:
            number = f"k{len(found.asked)}"
            found.asked.append(number)
            await found.may_start.wait()
            self.write({"id": number})

    class Kernel(RequestHandler):
        def delete(self, kernel_id: str) -> None:
            found.ended.append(kernel_id)
            self.set_status(204)

    routes = [
        ("/api/kernelspecs/(.*)", Spec),
        ("/api/kernels", Kernels),
        ("/api/kernels/(.*)", Kernel),
    ]

    async def listen() -> HTTPServer:
        socket, port = bind_unused_port()
        server = HTTPServer(Application(routes))
        server.add_socket(socket)
        found.url = f"http://127.0.0.1:{port}"
        return server

    server = jp_asyncio_loop.run_until_complete(listen())
    yield found
    server.stop()
    jp_asyncio_loop.run_until_complete(server.close_all_connections())


@pytest.fixture
def extension_config(gateway: SlowGateway) -> dict[str, Any]:
    return {"CommandsManager": {"clusters": {"slow": {"gateway": gateway.url}, "here": {}}}}


async def test_more_starts_at_once_than_tornados_own_client_has_places_for(
    gateway: SlowGateway,
) -> None:
    kernels = GatewayKernels(Gateway(gateway.url))
    starts = [
        asyncio.ensure_future(kernels.start_kernel(kernel_name="python3", env={}))
        for _ in range(15)
    ]
    # None of them waits here until others have been answered.
    await gateway.until_asked(15)
    gateway.may_start.set()
    assert sorted(await asyncio.gather(*starts)) == sorted(gateway.asked)
    kernels.close()


async def test_a_kernel_that_starts_while_the_server_stops_is_ended_before_its_end(
    client: CommandClient,
    write_notebook: Write,
    dashboards: Any,
    gateway: SlowGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_LATE_SECONDS", 0.1)
    write_notebook("a.ipynb", new_code_cell("1"))
    note = await client.note_id("a.ipynb")
    command = await client.submit(note_id=note, label="slow")
    await gateway.until_asked(1)
    stopping = asyncio.ensure_future(dashboards.commands.stop())
    lost = await client.ended(command["id"])
    assert "stopped" in lost["error"]["message"]
    assert gateway.ended == []
    gateway.may_start.set()
    await stopping
    assert gateway.ended == ["k0"]


async def test_orphans_are_ended_at_the_gateway_of_their_label_and_nowhere_else(
    dashboards: Any, gateway: SlowGateway
) -> None:
    store = dashboards.commands.store
    for label, kernel_id, pid in (
        ("slow", "left", None),
        ("slow", "elsewhere", 7),
        ("slow", None, None),
        ("here", "local", None),
        ("no cluster any more", "gone", None),
    ):
        await store.submit(wanted(label=label))
        (command,) = await store.claim("there:1", 1, Limits(9))
        if kernel_id is not None:
            await store.kernel(command, kernel_id, pid)
    assert len(await store.orphans("It was stopped.")) == 5
    # A retry may begin now, and must not run beside it.
    assert gateway.ended == ["left"]
