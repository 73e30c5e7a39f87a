"""Kernels that are started ahead, real ones of the server's kernel manager."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.connect import LocalPortCache
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_dashboards_api.commands.execution import Execution
from jupyter_dashboards_api.kernels import pool as pool_module
from jupyter_dashboards_api.kernels.launch import start_kernel
from jupyter_dashboards_api.kernels.pool import KernelPool
from jupyter_dashboards_api.kernels.process import pid_of

REPORT = """
import json, os, sys, threading
from IPython import get_ipython
print(json.dumps({
    "cwd": os.getcwd(), "path": sys.path, "argv": len(sys.argv), "names": sorted(globals()), "In": In, "Out": Out, "dirs": [*map(str, _dh)],
    "environment": dict(os.environ), "count": get_ipython().execution_count, "modules": sorted(sys.modules),
    "history": [line for _, _, line in get_ipython().history_manager.get_range()], "threads": threading.active_count(),
}))
"""


@pytest.fixture
def manager(jp_serverapp: Any) -> Any:
    return jp_serverapp.kernel_manager


@pytest.fixture
def new_pool(jp_serverapp: Any, jp_asyncio_loop: Any) -> Iterator[Callable[..., KernelPool]]:
    made: list[KernelPool] = []

    def make(**options: Any) -> KernelPool:
        made.append(
            KernelPool(
                kernel_manager=jp_serverapp.kernel_manager,
                kernel_spec_manager=jp_serverapp.kernel_spec_manager,
                **{"warm_delay": 0.05, **options},
            )
        )
        return made[-1]

    yield make
    for each in made:
        jp_asyncio_loop.run_until_complete(each.stop())


def wanted(path: str = "", **variables: str) -> dict[str, Any]:
    return {"kernel_name": "python3", "path": path, "env": {**os.environ, **variables}}


async def waits(pool: KernelPool, count: int = 1, but: str = "") -> list[str]:
    """The kernels that wait, once there are so many of them."""
    async with asyncio.timeout(30):
        while len(pool.waiting) != count or but in pool.waiting:
            await asyncio.sleep(0.02)
    return pool.waiting


async def gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


async def report(manager: Any, kernel_id: str) -> dict[str, Any]:
    notebook = new_notebook(cells=[new_code_cell(REPORT)])
    await Execution(manager, kernel_id, notebook).run(30)
    found: dict[str, Any] = json.loads(notebook.cells[0].outputs[0].text)
    return found | {"shown": notebook.cells[0].execution_count}


async def test_a_kernel_waits_after_a_run_and_is_used_once(new_pool: Any, manager: Any) -> None:
    pool = new_pool()
    assert await pool.take(**wanted()) is None
    (first,) = await waits(pool)
    assert await pool.take(**wanted()) == first
    assert first in manager
    assert pool.waiting == []
    # At once: it is started for the next one again only.
    assert await pool.take(**wanted()) is None
    (second,) = await waits(pool)
    assert second != first


async def test_a_notebook_cannot_tell_it_from_one_that_was_started_for_it(
    new_pool: Any, manager: Any, jp_root_dir: Path, jp_serverapp: Any
) -> None:
    (jp_root_dir / "a folder").mkdir()
    pool = new_pool()
    options = wanted("a folder", PLACE="here")
    assert await pool.take(**options) is None
    started = await start_kernel(manager, jp_serverapp.kernel_spec_manager, **options)
    cold = await report(manager, started)
    await waits(pool)
    warm = await report(manager, await pool.take(**options))
    assert warm["cwd"] == str(jp_root_dir / "a folder")
    assert warm["shown"] == 1
    assert warm == cold


async def test_it_is_for_runs_of_the_same_kernelspec_folder_and_environment_only(
    new_pool: Any, jp_root_dir: Path
) -> None:
    (jp_root_dir / "other").mkdir()
    pool = new_pool(warm_kernels=4)
    await pool.take(**wanted())
    (there,) = await waits(pool)
    pool.warm_delay = 3600.0
    assert await pool.take(**wanted("other")) is None
    assert await pool.take(**wanted(PLACE="there")) is None
    assert await pool.take(**{**wanted(), "kernel_name": "other"}) is None
    assert await pool.take(**wanted()) == there


async def test_there_are_no_more_than_allowed_and_they_are_for_the_last_runs(
    new_pool: Any, manager: Any, jp_root_dir: Path
) -> None:
    for name in "abc":
        (jp_root_dir / name).mkdir()
        assert await new_pool(warm_kernels=0).take(**wanted(name)) is None
    pool = new_pool(warm_kernels=2)
    for name in "abc":
        await pool.take(**wanted(name))
    first = await waits(pool, 2)
    assert len(manager.list_kernel_ids()) == 2
    assert {await pool.take(**wanted("b")), await pool.take(**wanted("c"))} == set(first)


async def test_none_is_started_while_runs_come(new_pool: Any, manager: Any) -> None:
    pool = new_pool(warm_delay=3600.0)
    await pool.take(**wanted())
    await asyncio.sleep(0.2)
    assert manager.list_kernel_ids() == []


async def test_one_that_was_asked_often_before_it_answered_is_handed_out(
    new_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a busy machine, where it takes long to start: what it says of the later ones is no use by its owner."""
    monkeypatch.setattr(pool_module, "_PATIENCE", 0.03)
    pool = new_pool()
    for _ in range(3):
        await pool.take(**wanted())
        (waiting,) = await waits(pool)
        assert await pool.take(**wanted()) == waiting
        await pool._shut_down(waiting)


async def test_one_that_dies_while_it_starts_is_not_waited_for(
    new_pool: Any, manager: Any, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(1)")
    pool = new_pool()
    await pool.take(**wanted(PYTHONPATH=str(tmp_path)))
    # Less than a start may take.
    async with asyncio.timeout(45):
        while not pool._failures or pool._ending:
            await asyncio.sleep(0.02)
    assert pool.waiting == []


async def test_one_whose_port_was_taken_is_not_waited_for(
    new_pool: Any, manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = LocalPortCache.instance()
    find = ports.find_available_port
    found: list[int] = []

    def find_and_note(ip: str) -> int:
        found.append(find(ip))
        # IOPub's is asked for after the shell's. Without it the kernel stays, and never answers.
        if len(found) == 2:
            held.append(socket.create_server((ip, found[-1])))
        return found[-1]

    held: list[socket.socket] = []
    monkeypatch.setattr(ports, "find_available_port", find_and_note)
    pool = new_pool()
    await pool.take(**wanted())
    await waits(pool)
    # Less than a start may take, so it was another one.
    assert pool._failures == 1
    assert len(found) == 10
    held[0].close()


async def test_one_that_dies_while_it_waits_is_replaced(new_pool: Any, manager: Any) -> None:
    pool = new_pool()
    await pool.take(**wanted())
    (first,) = await waits(pool)
    os.kill(pid_of(manager, first) or 0, signal.SIGKILL)
    (second,) = await waits(pool, but=first)
    assert await pool.take(**wanted()) == second
    assert first not in manager


async def test_one_that_has_just_died_is_not_handed_out(new_pool: Any, manager: Any) -> None:
    pool = new_pool()
    await pool.take(**wanted())
    (first,) = await waits(pool)
    pool.warm_delay = 3600.0
    os.kill(pid_of(manager, first) or 0, signal.SIGKILL)
    async with asyncio.timeout(10):
        # The pool may have seen it already, and ended it.
        while first in manager and await manager.is_alive(first):
            await asyncio.sleep(0.01)
    assert await pool.take(**wanted()) is None


async def test_one_that_nobody_uses_is_ended_and_no_other_is_started(
    new_pool: Any, manager: Any
) -> None:
    pool = new_pool(warm_seconds=2.0)
    await pool.take(**wanted())
    (first,) = await waits(pool)
    pid = pid_of(manager, first) or 0
    await gone(pid)
    assert pool.waiting == []
    await pool._tending
    assert manager.list_kernel_ids() in ([], [first])


async def test_an_idle_culler_lets_it_wait_and_ends_it_later(new_pool: Any, manager: Any) -> None:
    manager.cull_idle_timeout = 1
    pool = new_pool()
    await pool.take(**wanted())
    (first,) = await waits(pool)
    await asyncio.sleep(1.1)
    await manager.cull_kernels()
    assert await pool.take(**wanted()) == first
    taken = manager.get_kernel(first)
    assert taken.last_activity <= datetime.now(UTC)
    await asyncio.sleep(1.1)
    await manager.cull_kernels()
    assert first not in manager


async def test_one_that_its_owner_has_found_and_used_is_left_to_him(
    new_pool: Any, manager: Any
) -> None:
    pool = new_pool()
    await pool.take(**wanted())
    (first,) = await waits(pool)
    await Execution(manager, first, new_notebook(cells=[new_code_cell("x = 1")])).run(30)
    await waits(pool, but=first)
    assert await pool.take(**wanted()) != first
    assert await manager.is_alive(first)


async def test_what_is_installed_or_configured_meanwhile_ends_it(
    new_pool: Any, tmp_path: Path
) -> None:
    pool = new_pool()
    options = wanted(PYTHONUSERBASE=str(tmp_path), IPYTHONDIR=str(tmp_path / "ipython"))
    profile = tmp_path / "ipython" / "profile_default"
    packages = (
        tmp_path
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )
    packages.mkdir(parents=True)
    await pool.take(**options)
    for change in (packages / "new.pth", profile / "ipython_config.py"):
        await waits(pool)
        change.touch()
        assert await pool.take(**options) is None
    await waits(pool)
    assert await pool.take(**options) is not None


async def test_a_folder_that_was_made_again_ends_it(new_pool: Any, jp_root_dir: Path) -> None:
    folder = jp_root_dir / "again"
    folder.mkdir()
    pool = new_pool()
    await pool.take(**wanted("again"))
    await waits(pool)
    shutil.rmtree(folder)
    folder.mkdir()
    assert await pool.take(**wanted("again")) is None


async def test_kernels_that_run_code_of_their_user_at_the_start_are_not_kept(
    new_pool: Any, manager: Any, tmp_path: Path
) -> None:
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "a.py").write_text("import time; begun = time.time()")
    pool = new_pool()
    await pool.take(**wanted(IPYTHONDIR=str(tmp_path)))
    async with asyncio.timeout(30):
        while not pool._unfit or pool._ending:
            await asyncio.sleep(0.02)
    assert pool.waiting == manager.list_kernel_ids() == []
    assert await pool.take(**wanted(IPYTHONDIR=str(tmp_path))) is None


@pytest.mark.parametrize("ready", [True, False], ids=["waits", "starts"])
async def test_a_server_that_stops_leaves_none(new_pool: Any, manager: Any, ready: bool) -> None:
    pool = new_pool()
    await pool.take(**wanted())
    async with asyncio.timeout(30):
        while not (pool.waiting if ready else manager.list_kernel_ids()):
            await asyncio.sleep(0.001)
    pid = pid_of(manager, manager.list_kernel_ids()[0]) or 0
    await pool.stop()
    assert manager.list_kernel_ids() == []
    assert not psutil.pid_exists(pid)
    assert await pool.take(**wanted()) is None


@pytest.mark.parametrize("extension_config", [{"KernelBindings": {"max_kernels": 1}}])
async def test_it_counts_for_no_limit_of_viewers_and_they_cannot_reach_it(
    new_pool: Any, start: Any, fetch: Any
) -> None:
    pool = new_pool()
    await pool.take(**wanted())
    (waiting,) = await waits(pool)
    assert (await fetch(f"/_api/kernels/{waiting}")).code == 404
    model = await start("1")
    assert model["id"] != waiting
