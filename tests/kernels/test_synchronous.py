"""A synchronous kernel manager works in a thread of its own; what it says is heard in the server's."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest

from jupyter_dashboards_api.handlers.kernels import KernelChannelsHandler
from jupyter_dashboards_api.kernels.synchronous import on_this_loop

from .client import Channel

SYNC = "jupyter_server.services.kernels.kernelmanager.MappingKernelManager"
synchronous = pytest.mark.parametrize(
    "extension_config", [{"ServerApp": {"kernel_manager_class": SYNC}}], ids=["synchronous"]
)


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads that wrote to a kernel's websocket."""
    threads: set[int] = set()
    write = KernelChannelsHandler.write_message

    def noted(self: Any, *args: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return write(self, *args, **options)

    monkeypatch.setattr(KernelChannelsHandler, "write_message", noted)
    return threads


@synchronous
async def test_websockets_are_written_by_the_servers_thread_also_when_the_kernel_dies(
    start: Any, connect: Any, writers: set[int]
) -> None:
    channel: Channel = await connect(await start("import os; print(os.getpid())"))
    pid = int(await channel.run("0"))
    assert writers == {threading.get_ident()}
    os.kill(pid, signal.SIGKILL)
    await channel.until(
        lambda m: m.msg_type == "status" and m.content["execution_state"] == "restarting"
    )
    assert writers == {threading.get_ident()}


async def test_a_callback_runs_in_its_loops_thread_whoever_calls_it() -> None:
    calls: list[tuple[int, str]] = []
    both = asyncio.Event()

    def callback(text: str) -> None:
        calls.append((threading.get_ident(), text))
        if len(calls) == 2:
            both.set()

    called = on_this_loop(callback)
    called("here")
    assert calls == [(threading.get_ident(), "here")]
    await asyncio.to_thread(called, "elsewhere")
    await both.wait()
    assert calls == [(threading.get_ident(), "here"), (threading.get_ident(), "elsewhere")]


def test_a_callback_of_a_loop_that_is_closed_is_dropped() -> None:
    calls: list[str] = []

    async def wrapped() -> Any:
        return on_this_loop(calls.append)

    called = asyncio.run(wrapped())
    thread = threading.Thread(target=called, args=("late",))
    thread.start()
    thread.join()
    assert calls == []
