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


async def test_commands_run_and_no_kernel_waits_for_the_next(
    client: CommandClient, write_notebook: Write, dashboards: Any, jp_serverapp: Any
) -> None:
    write_notebook("a.ipynb", new_code_cell("print(6 * 7)"), kernelspec=KERNEL)
    command = await ended(client, "a.ipynb")
    assert (command["status"], command["cells_done"]) == ("done", 1), command
    results = await client.get(f"/commands/{command['id']}/results")
    assert results["results"] == "42"
    # Whether somebody has used it would be told in another thread.
    assert dashboards.commands.pool._tending is None
    assert len(jp_serverapp.kernel_manager) == 0


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
