"""What a server that died has left on its machine."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jupyter_dashboards_api.commands.models import Limits
from jupyter_dashboards_api.commands.orphans import end_kernels
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database

from .submissions import wanted

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Kernels, by the connection files on their command lines, and something else."""
    words = ("kernel-k1.json", "kernel-k2.json", "kernel-other.json")
    started = [subprocess.Popen([*SLEEPS, word]) for word in words]
    yield started
    for each in started:
        each.kill()
        each.wait()


async def test_only_the_attempts_own_kernel_and_only_of_this_machine_is_ended(
    database: Database, processes: list[subprocess.Popen[bytes]]
) -> None:
    store = CommandStore(database)
    kernel, elsewhere, other = processes
    # The last one's number belongs to another kernel by now.
    for worker, kernel_id, process in (
        ("here:1:5", "k1", kernel),
        ("there:1:6", "k2", elsewhere),
        ("here:1", "k3", other),
    ):
        await store.submit(wanted())
        (command,) = await store.claim(worker, 1, Limits(9))
        await store.kernel(command, kernel_id, process.pid)
    found = await store.orphans("It was stopped.")
    assert [(each.worker, each.kernel_pid) for each in found] == [
        ("here:1:5", kernel.pid),
        ("there:1:6", elsewhere.pid),
        ("here:1", other.pid),
    ]
    end_kernels(found, "here", logging.getLogger("test"))
    kernel.wait(20)
    assert [each.poll() for each in processes] == [-signal.SIGKILL, None, None]
