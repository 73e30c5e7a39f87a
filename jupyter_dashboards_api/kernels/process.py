"""A kernel's process on this machine: which it is, and its end without the waits of `shutdown_kernel`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

from jupyter_core.utils import ensure_async

_SECONDS = 1.0
_LOOK, _LONGEST_LOOK = 0.002, 0.005


def pid_of(kernel_manager: Any, kernel_id: str) -> int | None:
    """The kernel's process, or None where it runs elsewhere."""
    provisioner = getattr(kernel_manager.get_kernel(kernel_id), "provisioner", None)
    pid = getattr(provisioner, "pid", None)
    return pid if isinstance(pid, int) else None


async def kill(kernel_manager: Any, kernel_id: str) -> None:
    """Kills a kernel on this machine and what it has started; gives up after a second. Nothing for kernels elsewhere.

    `shutdown_kernel(now=True)` does so too, and then looks ten times a second whether the process is gone. It is still
    to be called, for the kernel's files and sockets: it finds nothing to wait for.
    """
    if pid_of(kernel_manager, kernel_id) is None:
        return
    kernel = kernel_manager.get_kernel(kernel_id)
    # It would start the kernel again.
    kernel.stop_restarter()
    await ensure_async(kernel.signal_kernel(signal.SIGKILL))
    look = _LOOK
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            while await ensure_async(kernel.is_alive()):
                await asyncio.sleep(look)
                look = min(look * 2, _LONGEST_LOOK)
