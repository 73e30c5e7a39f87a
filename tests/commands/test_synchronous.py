"""Commands on a server whose kernel manager is the synchronous one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write
from tests.handlers.command_client import CommandClient

SYNC = "jupyter_server.services.kernels.kernelmanager.MappingKernelManager"
KERNEL = {"name": "python3", "display_name": "Python 3"}


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {
        "ServerApp": {"kernel_manager_class": SYNC},
        "KernelPool": {"warm_kernels": 1, "warm_delay": 0.1},
    }


async def ended(client: CommandClient, path: str) -> Any:
    command = await client.submit(note_id=await client.note_id(path))
    return await client.ended(command["id"])


async def test_commands_run_also_on_a_kernel_that_waits(
    client: CommandClient, write_notebook: Write, dashboards: Any, jp_serverapp: Any
) -> None:
    write_notebook("a.ipynb", new_code_cell("print(6 * 7)"), kernelspec=KERNEL)
    first = await ended(client, "a.ipynb")
    assert (first["status"], first["cells_done"]) == ("done", 1), first
    pool = dashboards.commands.pool
    async with asyncio.timeout(60):
        while not pool.waiting:
            await asyncio.sleep(0.02)
    (waiting,) = pool.waiting
    second = await ended(client, "a.ipynb")
    assert second["attempts"][-1]["kernel_id"] == waiting, second
    assert waiting not in jp_serverapp.kernel_manager


async def test_a_command_whose_kernel_dies_fails(
    client: CommandClient, write_notebook: Write
) -> None:
    write_notebook(
        "a.ipynb",
        new_code_cell("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
        kernelspec=KERNEL,
    )
    command = await ended(client, "a.ipynb")
    assert command["status"] == "error"
    assert "died" in command["error"]["message"], command


async def test_a_command_that_is_cancelled_ends_its_kernel(
    client: CommandClient, write_notebook: Write, jp_serverapp: Any
) -> None:
    write_notebook("a.ipynb", new_code_cell("import time; time.sleep(600)"), kernelspec=KERNEL)
    command = await client.submit(note_id=await client.note_id("a.ipynb"))
    async for seen in client.polls(command["id"]):
        if seen["status"] == "running":
            break
    assert (await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})).code == 200
    over = await client.ended(command["id"])
    assert over["status"] == "cancelled"
    async with asyncio.timeout(60):
        while over["attempts"][-1]["kernel_id"] in jp_serverapp.kernel_manager:
            await asyncio.sleep(0.02)
