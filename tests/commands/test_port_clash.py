"""Commands whose kernel dies, or hangs, before it has answered: mostly since somebody else was given one of its ports."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from jupyter_client.connect import LocalPortCache
from nbformat.v4 import new_code_cell
from sqlalchemy import select

from jupyter_dashboards_api.commands.execution import Execution
from jupyter_dashboards_api.database.command_tables import CommandAttempt
from jupyter_dashboards_api.kernels.process import pid_of
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

from .test_runner import KERNEL, WAIT, log_of

ORDER = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
"""In which jupyter_client asks for a kernel's ports."""

ANOTHER = "The kernel died before it answered; another one is started."

Start = Callable[..., Awaitable[Any]]


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"KernelPool": {"warm_kernels": 0, "warm_delay": 0.1}}


@pytest.fixture
def start(client: CommandClient, write_notebook: Write) -> Start:
    """Submits a notebook of one cell, and answers the command."""

    async def submit(source: str = "print('ran')", **fields: Any) -> Any:
        write_notebook("a.ipynb", new_code_cell(source), kernelspec=KERNEL)
        return await client.submit(note_id=await client.note_id("a.ipynb"), **fields)

    return submit


@pytest.fixture
def clash(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Has the next starts of a kernel get a port that somebody else listens at: the named one, of one start each."""
    ports = LocalPortCache.instance()
    find = ports.find_available_port
    held: list[socket.socket] = []

    def take(*names: str) -> None:
        wanted = iter([(name == taken) for taken in names for name in ORDER])

        def find_or_take(ip: str) -> int:
            port = int(find(ip))
            if next(wanted, False):
                held.append(socket.create_server((ip, port)))
            return port

        monkeypatch.setattr(ports, "find_available_port", find_or_take)

    yield take
    for each in held:
        each.close()


@pytest.fixture
def started(jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None]]:
    """Id and process of each kernel that the server has started."""
    manager = jp_serverapp.kernel_manager
    start_kernel = manager.start_kernel
    seen: list[tuple[str, int | None]] = []

    async def start_and_note(**options: Any) -> str:
        kernel_id = str(await start_kernel(**options))
        seen.append((kernel_id, pid_of(manager, kernel_id)))
        return kernel_id

    monkeypatch.setattr(manager, "start_kernel", start_and_note)
    return seen


@pytest.mark.parametrize("name", ORDER)
async def test_a_kernel_whose_port_was_taken_has_another_one_in_its_place(
    client: CommandClient,
    start: Start,
    clash: Any,
    started: Any,
    dashboards: Any,
    jp_serverapp: Any,
    name: str,
) -> None:
    clash(name)
    command = await start()
    ended = await client.ended(command["id"])
    log = await log_of(client, command)
    assert ended["status"] == "done", log
    # Only the heartbeat's thread ends: the kernel answers as ever.
    assert log.count(ANOTHER) == (name != "hb_port")
    assert len(started) == 1 + (name != "hb_port")
    assert [each["outcome"] for each in ended["attempts"]] == ["done"]
    # Whoever finds the command orphaned would end the one that runs.
    noted = select(CommandAttempt.kernel_id, CommandAttempt.kernel_pid)
    store = dashboards.commands.store
    rows = await store._database.read(lambda session: session.execute(noted).all())
    assert [tuple(row) for row in rows] == started[-1:]
    assert (await client.get(f"/commands/{command['id']}/results"))["results"] == "ran"
    assert jp_serverapp.kernel_manager.list_kernel_ids() == []


@pytest.mark.parametrize("names", [("shell_port", "control_port"), ("stdin_port", "iopub_port")])
async def test_a_second_kernel_that_dies_so_is_an_error(
    client: CommandClient,
    start: Start,
    clash: Any,
    started: Any,
    jp_serverapp: Any,
    names: tuple[str, str],
) -> None:
    clash(*names)
    command = await start()
    ended = await client.ended(command["id"])
    assert (ended["status"], ended["attempt"]) == ("error", 1)
    assert ended["error"]["message"] == "The kernel died."
    assert (await log_of(client, command)).count(ANOTHER) == 1
    assert len(started) == 2
    assert jp_serverapp.kernel_manager.list_kernel_ids() == []


async def test_a_kernel_that_dies_in_a_cell_has_none_in_its_place(
    client: CommandClient, start: Start, started: Any
) -> None:
    command = await start("import os; os.kill(os.getpid(), 9)")
    ended = await client.ended(command["id"])
    assert ended["error"]["message"] == "The kernel died."
    assert ANOTHER not in await log_of(client, command)
    assert len(started) == 1


async def test_a_warm_kernel_that_dies_when_it_is_taken_has_a_new_one_in_its_place(
    client: CommandClient,
    start: Start,
    dashboards: Any,
    jp_serverapp: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take = dashboards.commands.pool.take
    taken: list[str] = []

    async def take_and_kill(**options: Any) -> str:
        # Whatever is wrong with it, the pool did not see it.
        assert await take(**options) is None
        manager = jp_serverapp.kernel_manager
        taken.append(str(await manager.start_kernel(kernel_name="python3")))
        manager.get_kernel(taken[0]).stop_restarter()
        os.kill(pid_of(manager, taken[0]) or 0, signal.SIGKILL)
        return taken[0]

    monkeypatch.setattr(dashboards.commands.pool, "take", take_and_kill)
    command = await start()
    ended = await client.ended(command["id"])
    assert ended["status"] == "done", ended
    assert (await log_of(client, command)).count(ANOTHER) == 1
    # The pool was not asked again.
    assert len(taken) == 1
    assert ended["attempts"][0]["kernel_id"] != taken[0]
    assert jp_serverapp.kernel_manager.list_kernel_ids() == []


async def test_cancelling_while_the_second_starts_leaves_none(
    client: CommandClient,
    start: Start,
    clash: Any,
    jp_serverapp: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = jp_serverapp.kernel_manager
    start_kernel = manager.start_kernel
    is_starting, may_start = asyncio.Event(), asyncio.Event()
    ids: list[str] = []

    async def start_second_later(**options: Any) -> str:
        if ids:
            is_starting.set()
            await may_start.wait()
        ids.append(str(await start_kernel(**options)))
        return ids[-1]

    monkeypatch.setattr(manager, "start_kernel", start_second_later)
    clash("stdin_port")
    command = await start(WAIT)
    async with asyncio.timeout(60):
        await is_starting.wait()
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    may_start.set()
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    async with asyncio.timeout(60):
        while len(ids) < 2 or manager.list_kernel_ids():
            await asyncio.sleep(0.02)


async def test_the_time_limit_is_for_both(
    client: CommandClient, start: Start, clash: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Execution.run
    given: list[float] = []

    async def run_and_note(
        self: Execution, seconds: float, *, allowed: float | None = None
    ) -> None:
        given.append(seconds)
        assert allowed == 600
        await run(self, seconds, allowed=allowed)

    monkeypatch.setattr(Execution, "run", run_and_note)
    clash("shell_port")
    command = await start(timeout=600)
    assert (await client.ended(command["id"]))["status"] == "done"
    first, second = given
    assert second < first <= 600
