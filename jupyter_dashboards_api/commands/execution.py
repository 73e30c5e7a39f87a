"""Runs a notebook's cells in a kernel of the server's kernel manager, one after another.

nbclient does what is to be done for one cell (`async_execute_cell`); the loop around it is ours: nbclient's own
(`async_execute`) resets the server's signal handlers, waits 200 ms for nothing, and can hang for ever when a kernel dies.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

_POLL = 0.4
"""Seconds between two looks whether the kernel is alive: a death is seen within two of them."""

_QUESTION = 0.05
_START_SECONDS = 60.0
_INTERRUPT_SECONDS = 5.0


class KernelDied(Exception):
    """The kernel is gone in the middle of a cell, or was restarted: its variables are lost."""


class TimedOut(Exception):
    """The run, or one cell of it, has taken too long."""


class CellFailed(Exception):
    """A cell has raised. `index` counts all cells from 0."""

    def __init__(self, index: int, ename: str, evalue: str) -> None:
        super().__init__(f"{ename}: {evalue}")
        self.index = index
        self.ename = ename
        self.evalue = evalue


class Execution:
    """One notebook in one kernel that runs already."""

    def __init__(
        self,
        kernel_manager: Any,
        kernel_id: str,
        notebook: NotebookNode,
        *,
        cell_timeout: float | None = None,
        on_cell: Callable[[int], None] = lambda index: None,
        on_text: Callable[[str, str], None] = lambda name, text: None,
    ) -> None:
        """`on_cell` gets the index of each cell before it runs, `on_text` the stream's name and what was printed."""
        self._manager = kernel_manager
        self._kernel_id = kernel_id
        self.notebook = notebook
        self._cell_timeout = cell_timeout
        self._on_cell = on_cell
        self._on_text = on_text
        self._died = asyncio.Event()

    async def run(self, seconds: float | None = None) -> None:
        """Runs all code cells; outputs are in the notebook, also when it raises.

        `seconds` is the longest time for all of it. Raises `CellFailed`, `TimedOut`, `KernelDied`. A cancelled run has
        interrupted its cell.
        """
        kernel = self._manager.get_kernel(self._kernel_id)
        client = _Client(self.notebook, kernel, self._cell_timeout, self._on_text)
        channels = kernel.client()
        channels.start_channels()
        channels.allow_stdin = False
        client.kc = channels
        client.reset_execution_trackers()
        for event in ("restart", "dead"):
            with contextlib.suppress(Exception):
                self._manager.add_restart_callback(self._kernel_id, self._died.set, event)
        try:
            await self._watched(self._run_cells(client, channels), seconds)
        finally:
            client.set_widgets_metadata()
            channels.stop_channels()

    async def _watched(self, work: Any, seconds: float | None) -> None:
        """Waits for the work, the kernel's death or the time-out, whatever is first."""
        running = asyncio.ensure_future(work)
        death = asyncio.ensure_future(self._death())
        try:
            await asyncio.wait({running, death}, timeout=seconds, return_when="FIRST_COMPLETED")
            if running.done():
                running.result()
            elif death.done():
                raise KernelDied("The kernel died.")
            else:
                await self._interrupt(running)
                raise TimedOut(f"The run took longer than {seconds:g} s.")
        except asyncio.CancelledError:
            await self._interrupt(running)
            raise
        finally:
            death.cancel()
            if not running.done():
                # nbclient turns a cancellation into an error of its own; whichever comes is of no interest.
                running.cancel()
                await asyncio.wait({running}, timeout=1)
            if running.done() and not running.cancelled():
                running.exception()

    async def _interrupt(self, running: asyncio.Future[None]) -> None:
        """Interrupts the cell, so that the kernel ends it by itself; whoever waits no longer ends the kernel."""
        with contextlib.suppress(Exception):
            await ensure_async(self._manager.interrupt_kernel(self._kernel_id))
        await asyncio.wait({running}, timeout=_INTERRUPT_SECONDS)

    async def _death(self) -> None:
        while not self._died.is_set():
            if self._kernel_id not in self._manager:
                return
            if not await ensure_async(self._manager.is_alive(self._kernel_id)):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._died.wait(), _POLL)

    async def _run_cells(self, client: _Client, channels: Any) -> None:
        await _ready(channels)
        for index, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            self._on_cell(index)
            try:
                await client.async_execute_cell(cell, index)
            except CellExecutionError as error:
                raise CellFailed(index, str(error.ename), str(error.evalue)) from error
            except CellTimeoutError as error:
                raise TimedOut(f"A cell took longer than {self._cell_timeout:g} s.") from error
            except DeadKernelError as error:
                raise KernelDied("The kernel died.") from error


class _Client(NotebookClient):
    """nbclient's way with one cell, which also tells what is printed as it comes."""

    def __init__(
        self,
        notebook: NotebookNode,
        kernel: Any,
        cell_timeout: float | None,
        on_text: Callable[[str, str], None],
    ) -> None:
        super().__init__(
            notebook,
            km=kernel,
            timeout=cell_timeout,
            interrupt_on_timeout=False,
            record_timing=True,
            # Widgets' state is kept with the notebook, so that it can be shown without a kernel.
            store_widget_state=True,
        )
        self._on_text = on_text

    def process_message(self, msg: Any, cell: NotebookNode, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            self._on_text(msg["content"]["name"], msg["content"]["text"])
        return super().process_message(msg, cell, cell_index)


async def _ready(channels: Any) -> None:
    """Waits until the kernel answers and what it publishes arrives.

    `wait_for_ready` of jupyter_client then listens 200 ms more for what may still come; nbclient passes over messages
    that are not its own.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _START_SECONDS
    answered = heard = False
    while not (answered and heard):
        if loop.time() > end:
            raise KernelDied("The kernel does not answer.")
        channels.kernel_info()
        if await channels.shell_channel.msg_ready() or await _arrives(channels.get_shell_msg):
            answered = True
        while await channels.iopub_channel.msg_ready():
            await channels.get_iopub_msg(timeout=0)
            heard = True


async def _arrives(get: Any) -> bool:
    try:
        await get(timeout=_QUESTION)
    except Exception:
        # queue.Empty, of which jupyter_client says nothing in its types.
        return False
    return True
