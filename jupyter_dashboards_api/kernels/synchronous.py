"""Kernels of a synchronous kernel manager, heard and asked on the server's loop.

A server may be configured with jupyter_server's synchronous `MappingKernelManager`. jupyter_core then runs
each of its coroutines on a loop in a thread of its own. What is made there watches over the kernel there, and
binds the streams of whoever connects to that loop, while Tornado's sockets and asyncio's events may be
touched in their own thread only. Its clients would block the server's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from jupyter_client.ioloop.manager import IOLoopKernelManager
from tornado.ioloop import IOLoop


def serve_here(kernel: Any) -> None:
    """From now on the streams and clients of a kernel, given by its manager, work on the loop that runs here."""
    if isinstance(kernel, IOLoopKernelManager):
        kernel.loop = IOLoop.current()
        kernel.client_class = "jupyter_client.asynchronous.AsyncKernelClient"


def on_this_loop(callback: Callable[..., Any]) -> Callable[..., None]:
    """`callback`, called by the loop that runs here whichever thread calls the result; its answer is dropped.

    In the loop's own thread it is called at once.
    """
    loop, thread = asyncio.get_running_loop(), threading.get_ident()

    def called(*args: Any) -> None:
        if threading.get_ident() == thread:
            callback(*args)
            return
        # A loop that is closed has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(callback, *args)

    return called
