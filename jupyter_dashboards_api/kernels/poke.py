"""Removes a wait from a kernel's start.

jupyter_server asks a new kernel for its info twice a second until the kernel's state is no longer
"starting" and the client's subscription is seen to work; a question that comes too early costs half a
second. Asking more often from outside, on a channel of our own, costs the kernel a millisecond each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_INTERVAL = 0.05
_LONGEST = 30.0


async def poke(kernel_manager: Any, kernel_id: str) -> None:
    """Ask a kernel for its info until it has left the state "starting"."""
    async with _questions(kernel_manager, kernel_id) as ask:
        for _ in range(int(_LONGEST / _INTERVAL)):
            if kernel_id not in kernel_manager:
                return
            kernel = kernel_manager.get_kernel(kernel_id)
            if getattr(kernel, "execution_state", None) != "starting" or not ask():
                return
            await asyncio.sleep(_INTERVAL)


@asynccontextmanager
async def poking(kernel_manager: Any, kernel_id: str) -> AsyncIterator[None]:
    """Ask an idle kernel while the body waits for it to be connected."""

    async def repeat() -> None:
        async with _questions(kernel_manager, kernel_id) as ask:
            for _ in range(int(_LONGEST / _INTERVAL)):
                await asyncio.sleep(_INTERVAL)
                if kernel_id not in kernel_manager or not ask():
                    return

    task = asyncio.ensure_future(repeat())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def _questions(kernel_manager: Any, kernel_id: str) -> AsyncIterator[Any]:
    """A function that asks once; it returns False when the kernel cannot be asked."""
    channel: Any = None

    def ask() -> bool:
        nonlocal channel
        try:
            kernel = kernel_manager.get_kernel(kernel_id)
            if getattr(kernel, "execution_state", None) == "busy":
                # The questions would queue behind the running cell.
                return False
            if channel is None:
                channel = kernel.connect_shell()
                channel.on_recv(lambda _reply: None)
            kernel.session.send(channel, "kernel_info_request")
        except Exception:
            return False
        return True

    try:
        yield ask
    finally:
        if channel is not None and not channel.closed():
            channel.close()
