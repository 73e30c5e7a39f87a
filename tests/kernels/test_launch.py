"""What kernels are started with, and what they leave behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import psutil
import pytest

from jupyter_dashboards_api.kernels.launch import extra_arguments
from jupyter_dashboards_api.kernels.process import pid_of

from .client import SECONDS, Channel

HISTORY = """
manager = get_ipython().history_manager
print(os.getpid(), manager.hist_file, len(manager.input_hist_raw) - 1)
"""
"""What is kept of the cells, and how many there are of them."""


async def test_what_viewers_run_is_not_in_the_accounts_history(
    start: Any, connect: Any, jp_serverapp: Any
) -> None:
    """Nor after a restart, which the server does by itself."""
    model = await start("import os", HISTORY)
    channel: Channel = await connect(model)
    await channel.run("0")
    pid, place, cells = (await channel.run("1")).split()
    assert (place, cells) == (":memory:", "2")
    os.kill(int(pid), signal.SIGKILL)
    async with asyncio.timeout(SECONDS):
        while (other := pid_of(jp_serverapp.kernel_manager, model["id"])) in {None, int(pid)}:
            await asyncio.sleep(0.05)
    assert "--HistoryManager.hist_file=:memory:" in psutil.Process(other).cmdline()


@pytest.mark.parametrize(
    ("argv", "is_ipykernel"),
    [
        (["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], True),
        (["python", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "x"], True),
        (["python3", "-m", "ipykernel", "-f", "x"], True),
        (["conda", "run", "-n", "x", "python", "-m", "ipykernel.kernelapp", "-f", "x"], True),
        (["bash", "-c", "exec python -m ipykernel_launcher -f {connection_file}"], False),
        (["python", "-m", "bash_kernel", "-f", "x"], False),
        (["R", "--slave", "-e", "IRkernel::main()", "--args", "x"], False),
        (["ipykernel_launcher", "-m"], False),
        ([], False),
    ],
)
def test_only_ipykernels_own_command_is_told_so(argv: list[str], is_ipykernel: bool) -> None:
    expected = ["--HistoryManager.hist_file=:memory:"] if is_ipykernel else []
    assert extra_arguments(argv) == expected
