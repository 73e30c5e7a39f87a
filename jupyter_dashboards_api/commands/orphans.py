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
    kernel_id: str | None
    kernel_pid: int | None


def host_of(worker: str) -> str:
    """The machine of a server by its name."""
    return worker.partition(":")[0]


def end_kernels(orphans: Iterable[Orphan], host: str, log: logging.Logger) -> None:
    """Ends the kernels that were left on `host`, which is this machine. On another one the number is another process."""
    for orphan in orphans:
        log.warning("Command %d was under way when its server ended.", orphan.command.id)
        if orphan.kernel_pid and orphan.kernel_id and host_of(orphan.worker) == host:
            _end(orphan.kernel_pid, orphan.kernel_id)


def _end(pid: int, kernel_id: str) -> None:
    """Not another process that has the kernel's number by now."""
    with contextlib.suppress(psutil.Error, OSError):
        # A kernel is started with the path of its connection file, which has its id.
        if any(kernel_id in word for word in psutil.Process(pid).cmdline()):
            os.kill(pid, signal.SIGKILL)
