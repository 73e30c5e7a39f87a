"""Commands on kernels that were started ahead, through a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write
from tests.handlers.command_client import CommandClient

Run = Callable[..., Awaitable[str]]


@pytest.fixture
def extension_config() -> dict[str, Any]:
    clusters = {"plain": {"kernelspec": "python3"}, "own": {"environment": {"PLACE": "here"}}}
    return {
        "KernelPool": {"warm_kernels": 1, "warm_delay": 0.1},
        "CommandsManager": {"clusters": clusters},
    }


@pytest.fixture
def run(client: CommandClient, write_notebook: Write) -> Run:
    """Runs a notebook, and answers the id of its kernel."""

    async def run_notebook(path: str = "a.ipynb", **fields: Any) -> str:
        kernel = {"name": "python3", "display_name": "Python 3"}
        write_notebook(path, new_code_cell("1"), kernelspec=kernel)
        command = await client.submit(note_id=await client.note_id(path), **fields)
        ended = await client.ended(command["id"])
        assert ended["status"] == "done", ended
        return str(ended["attempts"][-1]["kernel_id"])

    return run_notebook


async def warm(dashboards: Any) -> str:
    pool = dashboards.commands.pool
    async with asyncio.timeout(30):
        while not pool.waiting:
            await asyncio.sleep(0.02)
    return str(pool.waiting[0])


async def test_a_command_uses_the_kernel_that_waits_and_ends_it(
    run: Run, dashboards: Any, jp_serverapp: Any
) -> None:
    await run()
    first = await warm(dashboards)
    assert await run() == first
    assert first not in jp_serverapp.kernel_manager
    second = await warm(dashboards)
    assert await run("b.ipynb", label="plain") == second


async def test_a_label_that_changes_its_kernels_has_them_started_for_it(
    run: Run, dashboards: Any
) -> None:
    await run()
    first = await warm(dashboards)
    assert await run(label="own") != first
    assert dashboards.commands.pool.waiting == [first]


async def test_commands_at_once_have_a_kernel_each(run: Run, dashboards: Any) -> None:
    await run()
    first = await warm(dashboards)
    used = await asyncio.gather(*(run(f"{name}.ipynb") for name in "abc"))
    assert first in used
    assert len(set(used)) == 3
