"""What a server that died has left on this machine: the kernels of its commands."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from .models import CommandInfo


@dataclass(frozen=True)
class Orphan:
    """A command whose server died, with that one's name (`host:pid…`) and the process of the kernel, if it is known."""

    command: CommandInfo
    worker: str
    kernel_pid: int | None


def host_of(worker: str) -> str:
    """The machine of a server by its name."""
    return worker.partition(":")[0]


def end_kernels(orphans: Iterable[Orphan], host: str, log: logging.Logger) -> None:
    """Ends the kernels that were left on `host`, which is this machine. On another one the number is another process."""
    for orphan in orphans:
        log.warning("Command %d was under way when its server ended.", orphan.command.id)
        if orphan.kernel_pid is not None and host_of(orphan.worker) == host:
            _end(orphan.kernel_pid, orphan.command)


def _end(pid: int, command: CommandInfo) -> None:
    """Not another process that has the kernel's number by now."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        begun = command.started_at.timestamp() if command.started_at else 0.0
        is_kernel = any("kernel" in word for word in process.cmdline())
        if is_kernel and process.create_time() >= begun - 1:
            os.kill(pid, signal.SIGKILL)
