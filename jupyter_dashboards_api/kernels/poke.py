"""Removes a wait from a kernel's start.

jupyter_server asks a new kernel for its info twice a second until the kernel's state is no longer
"starting" and the client's subscription is seen to work; a question that comes too early costs half a
second. Asking again as soon as the last question was answered, on a channel of our own, costs the
kernel a millisecond each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

_PAUSE = 0.03
"""Seconds between an answer and the next question."""

_PATIENCE = 1.0
"""Seconds after which a question without an answer is asked again."""

_LONGEST = 60.0
"""Seconds after which a kernel that doesn't start is left alone."""


async def poke(kernel_manager: Any, kernel_id: str) -> None:
    """Ask a kernel for its info until it has left the state "starting"."""
    await _ask(kernel_manager, kernel_id, only_starting=True)


@asynccontextmanager
async def poking(kernel_manager: Any, kernel_id: str) -> AsyncIterator[None]:
    """Ask a kernel while the body waits for it to be connected."""
    task = asyncio.ensure_future(_ask(kernel_manager, kernel_id, only_starting=False))
    try:
        yield
    finally:
        task.cancel()


async def _ask(kernel_manager: Any, kernel_id: str, *, only_starting: bool) -> None:
    """Keep one question on its way, until the kernel is busy or cannot be asked."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _LONGEST
    answered = asyncio.Event()
    channel: Any = None
    try:
        while loop.time() < end and kernel_id in kernel_manager:
            kernel = kernel_manager.get_kernel(kernel_id)
            state = getattr(kernel, "execution_state", None)
            # Behind a running cell, questions would only queue.
            if state == "busy" or (only_starting and state != "starting"):
                return
            if channel is None:
                channel = kernel.connect_shell()
                channel.on_recv(lambda _reply: answered.set())
            answered.clear()
            kernel.session.send(channel, "kernel_info_request")
            try:
                await asyncio.wait_for(answered.wait(), _PATIENCE)
            except TimeoutError:
                continue
            await asyncio.sleep(_PAUSE)
    except Exception:
        # A kernel that cannot be asked (a gateway's, one that is just ending) starts without.
        return
    finally:
        if channel is not None and not channel.closed():
            # What a kernel that is gone was not told need not reach it.
            channel.close(linger=0)
