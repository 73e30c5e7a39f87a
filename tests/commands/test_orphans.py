"""What a server that died has left on its machine."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from jupyter_dashboards_api.commands.models import Limits
from jupyter_dashboards_api.commands.orphans import end_kernels
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database

from .test_queue import wanted

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A kernel, by its command line, another one, and something else."""
    started = [subprocess.Popen([*SLEEPS, word]) for word in ("kernel", "kernel", "editor")]
    yield started
    for each in started:
        each.kill()
        each.wait()


async def test_only_a_kernel_and_only_of_this_machine_is_ended_by_its_number(
    database: Database, processes: list[subprocess.Popen[bytes]]
) -> None:
    store = CommandStore(database)
    kernel, other, editor = processes
    for worker, process in (("here:1:5", kernel), ("there:1:6", other), ("here:1", editor)):
        await store.submit(wanted())
        (command,) = await store.claim(worker, 1, Limits(9))
        await store.kernel(command, "k", process.pid)
    found = await store.orphans("It was stopped.")
    assert [(each.worker, each.kernel_pid) for each in found] == [
        ("here:1:5", kernel.pid),
        ("there:1:6", other.pid),
        ("here:1", editor.pid),
    ]
    log, begun = logging.getLogger("test"), found[0].command.started_at
    assert begun is not None
    for after, ended in ((timedelta(hours=1), False), (-timedelta(hours=1), True)):
        # What is older than the attempt is another process, that has the kernel's number by now.
        left = [
            replace(each, command=replace(each.command, started_at=begun + after)) for each in found
        ]
        end_kernels(left, "here", log)
        if ended:
            kernel.wait(20)
        assert [each.poll() for each in (kernel, other, editor)] == [
            -signal.SIGKILL if ended else None,
            None,
            None,
        ]
