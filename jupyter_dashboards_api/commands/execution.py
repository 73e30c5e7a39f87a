"""Runs a notebook's cells in a kernel of the server's kernel manager, one after another.

nbclient does what is to be done for one cell (`async_execute_cell`); the loop around it is ours: nbclient's own
(`async_execute`) resets the server's signal handlers, waits 200 ms for nothing, and can hang for ever when a kernel dies.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.gateway.managers import GatewayMappingKernelManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from ..kernels.lost_ports import has_lost_port
from ..kernels.synchronous import on_this_loop
from .cell_client import CellClient, merged
from .gateway_client import server_gateway_client
from .gateway_kernels import GatewayKernels

_POLL = 0.4
"""Seconds between two looks whether the kernel is alive: a death is seen within two of them."""

_GATEWAY_POLL = 2.0
_RECONNECT_MS = 10
_NUDGE = 2.0
"""Seconds after which a kernel that neither runs the cell nor has answered is asked for its info."""

_QUESTION = 0.05
_LONGEST_QUESTION = 1.0
_SILENCE, _LOOK = 2.0, 1.0
"""Seconds without an answer before a kernel's ports are looked at, and between two looks."""

_BEGIN_SECONDS, _READ_SECONDS = 1.0, 0.1
_INTERRUPT_SECONDS = 5.0


class KernelDied(Exception):
    """The kernel is gone in the middle of a cell, or was restarted: its variables are lost."""


class NeverAnswered(KernelDied):
    """It was gone before it had answered: nothing of the notebook has run, so that another kernel can take its place."""


class TimedOut(Exception):
    """The run, one cell of it, or the kernel's start has taken too long."""


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
        start_timeout: float = 60,
        nudge: float = _NUDGE,
        preamble: str = "",
        on_preamble: Callable[[Mapping[str, Any]], None] = lambda found: None,
        on_cell: Callable[[int], None] = lambda index: None,
        on_text: Callable[[str, str], None] = lambda name, text: None,
    ) -> None:
        """`on_cell` gets the index of each cell before it runs, `on_text` the stream's name and what was printed.

        Outputs of an earlier run are removed from the notebook. `preamble` is code that runs first, without a trace in the
        notebook; it may leave a JSON object, as text, in `_preamble`, which `on_preamble` gets.
        """
        self._manager = kernel_manager
        self._kernel_id = kernel_id
        self.notebook = notebook
        self._cell_timeout = cell_timeout
        self._start_timeout = start_timeout
        self._nudge_seconds = nudge
        self._preamble = preamble
        self._on_preamble = on_preamble
        self._on_cell = on_cell
        self._on_text = on_text
        self._died = asyncio.Event()
        self._deadline: float | None = None
        self._late = ""
        self._has_answered = self._has_begun = self._is_over = self._is_asked = False
        self._began = asyncio.Event()

    async def run(self, seconds: float | None = None, *, allowed: float | None = None) -> None:
        """Runs all code cells; outputs are in the notebook, also when it raises.

        `seconds` is the longest time for all of it, `allowed` the one that is told of, if a part has passed before. Raises
        `CellFailed`, `TimedOut`, `KernelDied` or its `NeverAnswered`. A cancelled run has interrupted its cell.
        """
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        kernel = self._manager.get_kernel(self._kernel_id)
        client = CellClient(self.notebook, kernel, self._on_text)
        # A kernel that died would be started again, and look alive.
        with contextlib.suppress(Exception):
            kernel.stop_restarter()
        died = on_this_loop(self._died.set)
        for event in ("restart", "dead"):
            with contextlib.suppress(Exception):
                self._manager.add_restart_callback(self._kernel_id, died, event)
        channels = await self._channels(kernel)
        channels.allow_stdin = False
        client.kc = channels
        self._began = client.began
        client.reset_execution_trackers()
        nudging = asyncio.ensure_future(self._nudge(client, channels))
        looking = asyncio.ensure_future(self._look_at_ports(kernel))
        try:
            await self._watched(self._run_cells(client, channels), seconds, allowed or seconds)
        finally:
            nudging.cancel()
            looking.cancel()
            client.set_widgets_metadata()
            for cell in self.notebook.cells:
                if cell.cell_type == "code":
                    cell.outputs = merged(cell.outputs)
            await ensure_async(channels.stop_channels())

    async def _channels(self, kernel: Any) -> Any:
        if isinstance(self._manager, GatewayMappingKernelManager):
            return await server_gateway_client(kernel, self._died.set)
        if isinstance(self._manager, GatewayKernels):
            return await kernel.connect(self._died.set)
        channels = kernel.client()
        # A kernel that just starts does not listen yet; ZMQ would try again after 100 ms only.
        channels.context.reconnect_ivl = _RECONNECT_MS
        # The heartbeat's thread makes sockets without a pause when it is stopped before it has begun, as it would be where
        # a kernel is dead already; nobody needs it.
        channels.start_channels(hb=False)
        return channels

    async def _watched(self, work: Any, seconds: float | None, allowed: float | None) -> None:
        """Waits for the work, the kernel's death or a time-out, whatever is first."""
        end = None if seconds is None else asyncio.get_running_loop().time() + seconds
        running = asyncio.ensure_future(work)
        watch = asyncio.ensure_future(self._watch(end, allowed))
        try:
            await asyncio.wait({running, watch}, return_when="FIRST_COMPLETED")
            if running.done():
                running.result()
            else:
                ended = watch.result()
                if isinstance(ended, TimedOut):
                    await self._interrupt(running)
                raise ended
        except asyncio.CancelledError:
            await self._interrupt(running)
            raise
        finally:
            watch.cancel()
            if not running.done():
                # nbclient turns a cancellation into an error of its own; whichever comes is of no interest.
                running.cancel()
                await asyncio.wait({running}, timeout=1)
            if running.done() and not running.cancelled():
                running.exception()

    async def _interrupt(self, running: asyncio.Future[None]) -> None:
        """Interrupts the cell, so that the kernel ends it by itself; whoever waits no longer ends the kernel."""
        self._is_over = True
        if not self._has_begun:
            return
        # Between two cells ipykernel does not mind an interrupt. It gets one, since cells may clear up after it.
        if not self._began.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._began.wait(), _BEGIN_SECONDS)
            # It says so before it has read the code.
            await asyncio.sleep(_READ_SECONDS)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(
                ensure_async(self._manager.interrupt_kernel(self._kernel_id)), _INTERRUPT_SECONDS
            )
        await asyncio.wait({running}, timeout=_INTERRUPT_SECONDS)

    async def _watch(self, end: float | None, allowed: float | None) -> KernelDied | TimedOut:
        """Why the run must end. Kernels are asked and clocks looked at until there is a reason."""
        is_far = isinstance(self._manager, (GatewayMappingKernelManager, GatewayKernels))
        poll = _GATEWAY_POLL if is_far else _POLL
        loop = asyncio.get_running_loop()
        look = loop.time()
        died = asyncio.ensure_future(self._died.wait())
        # A gateway may take its time to answer, and clocks go on meanwhile.
        asking: asyncio.Future[bool] | None = None
        try:
            while not died.done():
                now = loop.time()
                if end is not None and now >= end:
                    return TimedOut(f"The run took longer than {allowed:g} s.")
                if self._deadline is not None and now >= self._deadline:
                    return TimedOut(self._late)
                if asking is not None and asking.done():
                    if not asking.result():
                        break
                    asking, look = None, now + poll
                if asking is None and now >= look:
                    asking = asyncio.ensure_future(self._is_alive())
                moments = [time for time in (end, self._deadline) if time is not None]
                waited: set[asyncio.Future[Any]] = {died}
                if asking is None:
                    moments.append(look)
                else:
                    waited.add(asking)
                # The next cell's deadline is not known yet, so it is looked for often enough.
                wait = min([_POLL, *(max(moment - loop.time(), 0.0) for moment in moments)])
                await asyncio.wait(waited, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            died.cancel()
            if asking is not None:
                asking.cancel()
        kind = KernelDied if self._has_answered else NeverAnswered
        return kind("The kernel died.")

    async def _is_alive(self) -> bool:
        if self._kernel_id not in self._manager:
            return False
        try:
            return bool(await ensure_async(self._manager.is_alive(self._kernel_id)))
        except KeyError:
            return False
        except Exception:
            # A gateway that does not answer now; its websocket tells when the kernel is gone.
            return True

    def _until(self, seconds: float | None, late: str) -> None:
        self._deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        self._late = late

    async def _run_cells(self, client: CellClient, channels: Any) -> None:
        self._until(
            self._start_timeout, f"The kernel was not ready within {self._start_timeout:g} s."
        )
        await ready(channels)
        self._has_answered = True
        if self._preamble:
            await self._run_preamble(channels)
        for index, cell in enumerate(self.notebook.cells):
            if self._is_over:
                return
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            self._until(
                self._cell_timeout, f"Cell {index} took longer than {self._cell_timeout or 0:g} s."
            )
            self._has_begun = self._is_asked = True
            client.is_busy = False
            client.began.clear()
            self._on_cell(index)
            try:
                await client.async_execute_cell(cell, index)
            except CellExecutionError as error:
                raise CellFailed(index, str(error.ename), str(error.evalue)) from error
            except (CellTimeoutError, DeadKernelError) as error:
                raise KernelDied("The kernel died.") from error
            client.tell_outputs()

    async def _look_at_ports(self, kernel: Any) -> None:
        """Takes a kernel that can't ever answer for dead."""
        await asyncio.sleep(_SILENCE)
        while not self._has_answered:
            if await has_lost_port(kernel) and not self._has_answered:
                self._died.set()
                return
            await asyncio.sleep(_LOOK)

    async def _nudge(self, client: CellClient, channels: Any) -> None:
        """Has the kernel look at what it was sent.

        ipykernel 7 before 7.4 can oversee a request that comes while it sends a reply, until the next one comes.
        """
        while True:
            await asyncio.sleep(self._nudge_seconds)
            if self._is_asked and not client.is_busy:
                channels.kernel_info()

    async def _run_preamble(self, channels: Any) -> None:
        self._is_asked = True
        msg_id = channels.execute(
            self._preamble,
            silent=True,
            store_history=False,
            user_expressions={"found": "_preamble"},
        )
        while True:
            reply = await channels.get_shell_msg(timeout=None)
            if reply["parent_header"].get("msg_id") == msg_id:
                break
        content = reply["content"]
        if content["status"] != "ok":
            raise CellFailed(-1, str(content.get("ename")), str(content.get("evalue"))[:2000])
        with contextlib.suppress(ValueError, TypeError, KeyError, SyntaxError):
            # The repr of a text that holds JSON.
            text = content["user_expressions"]["found"]["data"]["text/plain"]
            self._on_preamble(json.loads(ast.literal_eval(text)))


async def ready(channels: Any) -> None:
    """Waits until the kernel answers and what it publishes arrives; for how long, others decide.

    `wait_for_ready` of jupyter_client then listens 200 ms more for what may still come; nbclient passes over messages
    that are not its own.
    """
    answered = heard = False
    wait = _QUESTION
    while not (answered and heard):
        channels.kernel_info()
        # Waits in each round, whatever is there already: a channel that has a message need not let others have their turn.
        if not answered:
            answered = await _arrives(channels.get_shell_msg, wait)
        else:
            heard = await _arrives(channels.get_iopub_msg, wait)
        while await channels.iopub_channel.msg_ready():
            await channels.get_iopub_msg(timeout=0)
            heard = True
        # A kernel that starts slowly is not to answer a thousand questions then.
        wait = min(wait * 1.5, _LONGEST_QUESTION)


async def _arrives(get: Any, seconds: float) -> bool:
    try:
        await get(timeout=seconds)
    except Exception:
        # queue.Empty, of which jupyter_client says nothing in its types.
        return False
    return True
