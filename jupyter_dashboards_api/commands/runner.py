"""Carries out one attempt of a command: a kernel of its own, the notebook with its arguments, and what comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

import psutil
from jupyter_core.utils import ensure_async
from jupyter_server.gateway.managers import GatewayMappingKernelManager
from nbformat import NotebookNode

from ..dashboards.contents import ContentsStore, parent_path
from ..dashboards.stamp import stamp
from ..database.tables import now
from ..errors import DashboardsError, Unavailable
from ..kernels.environment import inherited_environment
from ..kernels.launch import start_kernel
from ..kernels.pool import KernelPool
from ..kernels.preamble import PREAMBLES
from ..kernels.process import kill, pid_of
from . import spark
from .clusters import Cluster, cluster_of, kernelspec_of
from .execution import CellFailed, Execution, KernelDied, NeverAnswered, TimedOut
from .gateway_kernels import GatewayKernels
from .logs import CommandLogger
from .models import CommandInfo, Outcome
from .orphans import Orphan
from .outages import insist
from .parameters import declared, unknown_names, with_arguments
from .results import is_cut, packed, storable, text_of
from .store import CommandStore
from .write_back import Hold, WriteBack

_PROGRESS_EVERY = 0.3
_LATE_SECONDS = 5.0
"""How long a cancelled attempt waits for its kernel to start or to end."""

_STOP_SECONDS = 10.0
_ORPHAN_SECONDS = 10.0
_MAX_ERROR_BYTES = 16 * 1024
_MAX_NAME, _MOST_NAMES = 100, 1000
"""Bytes of a cell's name that are told, and cells whose names are."""


class NotebookRunner:
    """Runs notebooks on the server's kernel manager, or at the gateway of a cluster."""

    def __init__(
        self,
        *,
        commands: CommandStore,
        contents: ContentsStore,
        kernel_manager: Any,
        kernel_spec_manager: Any,
        cell_timeout: float | None,
        hidden_environment: Iterable[str],
        where: Callable[[CommandInfo], Awaitable[str]],
        log: logging.Logger,
        start_timeout: float = 60,
        clusters: Mapping[str, Cluster] | None = None,
        pool: KernelPool | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Has the whole contents manager; time-outs are in seconds, `hidden_environment` name patterns of variables.

        Without a `pool` every run waits for its kernel's start. `hold` keeps uploads from writing to a path. `where` tells
        where a command's notebook lies by now, and raises `NotFound`.
        """
        self._commands = commands
        self._contents = contents
        self._where = where
        self._write_back = WriteBack(contents, hold)
        self._kernels = kernel_manager
        self._specs = kernel_spec_manager
        self._cell_timeout = cell_timeout
        self._start_timeout = start_timeout
        self._clusters = dict(clusters or {})
        self._pool = pool
        gateways = {each.gateway for each in self._clusters.values() if each.gateway}
        self._gateways = {gateway: GatewayKernels(gateway) for gateway in gateways}
        self._hidden = (
            *hidden_environment,
            *(gateway.token_variable.upper() for gateway in gateways if gateway.token_variable),
        )
        self._log = log
        self._late: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Waits a while for kernels that are just being started or ended: at a gateway nobody else would end them."""
        if self._late:
            _, left = await asyncio.wait(self._late, timeout=_STOP_SECONDS)
            if left:
                self._log.error("%d kernels could not be ended before the server's end.", len(left))
        for gateway in self._gateways.values():
            gateway.close()

    async def end_orphans(self, orphans: Iterable[Orphan]) -> None:
        """Ends the kernels that servers have left at gateways; waits a while: on one server no retry runs beside them.

        Those that have a process on a machine are ended there (`orphans.py`).
        """
        ends = {
            self._keep(self._end_orphan(orphan.command.label, orphan.kernel_id))
            for orphan in orphans
            if orphan.kernel_id and not orphan.kernel_pid
        }
        if ends:
            await asyncio.wait(ends, timeout=_ORPHAN_SECONDS)

    async def _end_orphan(self, label: str | None, kernel_id: str) -> None:
        try:
            manager = self._manager_of(cluster_of(label, self._clusters))
            if isinstance(manager, GatewayKernels):
                manager.adopt(kernel_id)
            elif isinstance(manager, GatewayMappingKernelManager):
                await manager.start_kernel(kernel_id=kernel_id)
            else:
                return
        except Exception as error:
            # Its label is no cluster any more; or its gateway does not answer.
            self._log.error("Kernel %s could not be ended: %s", kernel_id, error)
        else:
            await self._end(manager, kernel_id, None)

    async def run(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        """How the attempt ended. Cancelling the task cancels the attempt, which keeps what has run; the kernel is ended in any case.

        Once the cells have run a cancellation changes nothing any more: the outcome is the run's own.
        """
        arguments: Mapping[str, Any] = command.payload.get("argument_values", {})
        try:
            cluster = cluster_of(command.label, self._clusters)
            original, _ = await self._contents.notebook(command.path)
            kernel_name, language = await self._kernel_of(original, cluster)
            known = await asyncio.to_thread(declared, original, language)
            unknown = unknown_names(arguments, known)
            if unknown:
                log.say(f"The notebook declares no parameter {', '.join(unknown)}.")
            notebook = await asyncio.to_thread(with_arguments, original, arguments, language)
            told = {"unknown_arguments": unknown, "cell_names": _names(notebook)}
            before = {"unknown_arguments": [], "cell_names": {}, **command.payload}
            if told != {name: before[name] for name in told}:
                await insist(lambda: self._commands.tell(command, told))
            if cluster.spark is not None and language != "python":
                raise DashboardsError("Spark sessions are made for kernels of Python only.")
        except DashboardsError as refused:
            log.say(refused.message)
            # What is wrong with the request fails in the same way again.
            retryable = refused.status >= 500
            return Outcome("error", {"message": refused.message}, retryable=retryable)
        cells = sum(c.cell_type == "code" and bool(c.source.strip()) for c in notebook.cells)
        progress = _Progress(self._commands, command, cells, log)
        pool = self._pool if language == "python" and not cluster.changes_kernels else None
        error: dict[str, Any] | None = None
        is_cancelled = has_failed_cell = False
        ends: list[asyncio.Task[None]] = []
        try:
            await self._run(
                command, cluster, kernel_name, language, pool, notebook, progress, ends, log
            )
            progress.done()
        except asyncio.CancelledError:
            is_cancelled = True
        except CellFailed as failed:
            has_failed_cell = failed.index >= 0
            where = f"Cell {failed.index}" if failed.index >= 0 else "The Spark session"
            ename = storable(failed.ename, _MAX_ERROR_BYTES)
            evalue = storable(failed.evalue, _MAX_ERROR_BYTES)
            error = {"message": f"{where} failed: {ename}: {evalue}"}
            if failed.index >= 0:
                error["cell_index"] = failed.index
            error |= {"ename": ename, "evalue": evalue}
        except (KernelDied, TimedOut) as failed:
            error = {"message": str(failed), "cell_index": progress.index}
        except Exception as failed:
            self._log.exception("Command %d", command.id)
            error = {"message": f"The kernel could not be used ({type(failed).__name__})."}
        status = "cancelled" if is_cancelled else "error" if error else "done"
        key = "upload_failures" if has_failed_cell else "upload_to_source"
        has_upload = (status == "done" or has_failed_cell) and command.payload.get(key)

        async def end() -> Outcome:
            await progress.close()
            if error is not None:
                log.say(error["message"])
            if has_upload and progress.is_current:
                await self._replace(command, original, notebook, log)
            if status == "done":
                log.say("Done.")
            text, data = await asyncio.to_thread(lambda: (text_of(notebook), packed(notebook)))
            if is_cut(text):
                log.say("The results are longer than 20 MB: only the notebook has all of them.")
            return Outcome(status, error, retryable=not is_cancelled, text=text, notebook=data)

        ending = asyncio.ensure_future(end())
        try:
            outcome = await asyncio.shield(ending)
            if ends:
                # The kernel never outlives its attempt.
                await asyncio.wait(ends)
        except asyncio.CancelledError:
            # The source may have been written already, so this is not to be run again.
            outcome = await ending
            if ends:
                await asyncio.wait(ends, timeout=_LATE_SECONDS)
        return outcome

    async def _run(
        self,
        command: CommandInfo,
        cluster: Cluster,
        kernel_name: str,
        language: str,
        pool: KernelPool | None,
        notebook: Any,
        progress: _Progress,
        ends: list[asyncio.Task[None]],
        log: CommandLogger,
    ) -> None:
        """The cells in a kernel of their own, whose end is in `ends` then. Raises what `Execution.run` raises.

        One that is gone before it has answered has another one in its place, once; the time limit of the command is for both.
        """
        manager = self._manager_of(cluster)
        preamble = PREAMBLES.get(language, "")
        if cluster.spark is not None:
            preamble += spark.preamble(cluster.spark, command.name or command.path)
        loop = asyncio.get_running_loop()
        end = None if command.timeout is None else loop.time() + command.timeout
        wanted: dict[str, Any] = {
            "kernel_name": kernel_name,
            "path": parent_path(command.path),
            "env": self._environment(command, cluster),
        }
        found: list[Mapping[str, Any]] = []

        def session(about: Mapping[str, Any]) -> None:
            job = spark.job(about)
            found.append(job)
            log.say(f"Spark application {job['job_id']}, {job['url']}")

        async def start() -> str:
            left = self._start_timeout if end is None else max(end - loop.time(), 0.1)
            specs = None if self._is_far(cluster) else self._specs
            return await self._start(manager, specs, min(self._start_timeout, left), **wanted)

        async def run_in(kernel_id: str) -> None:
            pid = pid_of(manager, kernel_id)
            try:
                log.say(f"Kernel {kernel_name} has started.")
                _limit(pid, cluster.limits)
                await insist(lambda: self._commands.kernel(command, kernel_id, pid))
                execution = Execution(
                    manager,
                    kernel_id,
                    notebook,
                    cell_timeout=self._cell_timeout,
                    start_timeout=self._start_timeout,
                    preamble=preamble,
                    on_preamble=session,
                    on_cell=progress.cell,
                    on_text=lambda name, text: log.add(text),
                )
                left = None if end is None else max(end - loop.time(), 0.1)
                await execution.run(left, allowed=command.timeout)
            finally:
                # What has run is packed meanwhile.
                ends.append(self._keep(self._end(manager, kernel_id, pid)))

        warm = await pool.take(**wanted) if pool is not None else None
        try:
            await run_in(warm or await start())
        except NeverAnswered:
            # Most likely somebody else was given one of its ports (`lost_ports.py`).
            log.say("The kernel died before it answered; another one is started.")
            await run_in(await start())
        finally:
            if found:
                with contextlib.suppress(DashboardsError):
                    await self._commands.jobs(command, found)

    def _manager_of(self, cluster: Cluster) -> Any:
        return self._gateways[cluster.gateway] if cluster.gateway else self._kernels

    def _is_far(self, cluster: Cluster) -> bool:
        """Whether its kernels are a gateway's."""
        return bool(cluster.gateway) or isinstance(self._kernels, GatewayMappingKernelManager)

    def _environment(self, command: CommandInfo, cluster: Cluster) -> dict[str, str]:
        """A kernel on this machine has what the server has, without credentials; a gateway's has its own and ours."""
        own = dict(cluster.environment)
        if not self._is_far(cluster):
            return inherited_environment(os.environ, self._hidden) | own
        documented = {"KERNEL_DASHBOARD_PATH": command.path}
        if cluster.gateway is not None or "KERNEL_USERNAME" not in os.environ:
            documented["KERNEL_USERNAME"] = command.owner
        return documented | own

    async def _start(self, manager: Any, specs: Any, seconds: float, **options: Any) -> str:
        """A new kernel's id. One that comes too late, or after a cancellation, is ended as soon as it is there."""
        starting: asyncio.Future[str] = asyncio.ensure_future(
            start_kernel(manager, specs, **options)
        )
        try:
            done, _ = await asyncio.wait({starting}, timeout=seconds)
        except asyncio.CancelledError:
            await self._end_late(manager, starting)
            raise
        if not done:
            await self._end_late(manager, starting)
            raise TimedOut(f"The kernel did not start within {round(seconds, 1):g} s.")
        return starting.result()

    async def _end_late(self, manager: Any, starting: asyncio.Future[str]) -> None:
        async def end() -> None:
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                await self._end(manager, starting.result(), None)

        await asyncio.wait({self._keep(end())}, timeout=_LATE_SECONDS)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that whoever waits for it does not cancel."""
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return task

    async def _replace(
        self, command: CommandInfo, original: Any, notebook: Any, log: CommandLogger
    ) -> None:
        """Writes the executed notebook over its source, unless somebody has changed that meanwhile."""
        executed = NotebookNode(notebook)
        executed.metadata = copy.deepcopy(notebook.metadata)
        await asyncio.to_thread(stamp, executed, now())
        try:
            # Where it lies by now.
            path = await insist(lambda: self._where(command))
            if await self._write_back.replace(path, original, executed):
                log.say("The notebook has the new outputs.")
            else:
                log.say("The notebook was changed meanwhile: it is left as it is.")
        except DashboardsError as error:
            log.say(f"The notebook could not be written: {error.message}")

    async def _kernel_of(self, notebook: Any, cluster: Cluster) -> tuple[str, str]:
        """Name and language of the notebook's kernel. Raises `DashboardsError` when it is not installed."""
        manager = self._manager_of(cluster)
        specs = manager if cluster.gateway else self._specs
        name = kernelspec_of(cluster, notebook.metadata, str(manager.default_kernel_name))
        try:
            spec = await ensure_async(specs.get_kernel_spec(name))
        except Exception as error:
            status = getattr(error, "code", getattr(error, "status_code", None))
            if isinstance(error, KeyError) or status == 404:
                missing = f"There is no kernel {name[:100]!r} on this server."
                raise DashboardsError(missing) from error
            self._log.warning("Kernelspec %.100r: %r", name, error)
            raise Unavailable(
                "The gateway of the kernels does not answer."
                if self._is_far(cluster)
                else "The kernel's specification can't be read."
            ) from error
        language = spec["spec"].get("language") if isinstance(spec, dict) else spec.language
        return name, str(language or "").lower()

    async def _end(self, manager: Any, kernel_id: str, pid: int | None) -> None:
        """Ends the kernel, however it is."""
        with contextlib.suppress(Exception):
            await kill(manager, kernel_id)
        for _ in range(3):
            if kernel_id not in manager:
                break
            try:
                await asyncio.wait_for(
                    ensure_async(manager.shutdown_kernel(kernel_id, now=True)), 20
                )
                break
            except Exception as error:
                # It is just being restarted, since it died; or its gateway does not answer.
                self._log.debug("Kernel %s does not end: %s", kernel_id, type(error).__name__)
                await asyncio.sleep(0.5)
        else:
            self._log.error("Kernel %s could not be ended.", kernel_id)
        if pid is not None:
            with contextlib.suppress(psutil.Error, OSError):
                process = psutil.Process(pid)
                if process.ppid() == os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    os.kill(pid, signal.SIGKILL)


def _names(notebook: NotebookNode) -> dict[str, str]:
    """The names that authors have given cells, by the cells' positions as JSON has them."""
    named = ((index, cell.metadata.get("name")) for index, cell in enumerate(notebook.cells))
    found = {
        str(i): storable(name, _MAX_NAME) for i, name in named if isinstance(name, str) and name
    }
    return dict(itertools.islice(found.items(), _MOST_NAMES))


def _limit(pid: int | None, limits: Mapping[str, int]) -> None:
    """Bounds a kernel on this machine, and what it starts; that it has died already, the run will see."""
    if pid is None or not limits:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if "memory_mb" in limits:
            most = limits["memory_mb"] * 1024 * 1024
            process.rlimit(psutil.RLIMIT_AS, (most, most))
        if "cpu_seconds" in limits:
            seconds = limits["cpu_seconds"]
            process.rlimit(psutil.RLIMIT_CPU, (seconds, seconds + 5))


class _Progress:
    """Notes how many cells have run, a few times a second at most."""

    def __init__(
        self, commands: CommandStore, command: CommandInfo, cells: int, log: CommandLogger
    ) -> None:
        self._commands = commands
        self._command = command
        self._cells = cells
        self._log = log
        self._begun = 0
        self._done = 0
        self.index: int | None = None
        self.is_current = True
        """False once another server has taken the command over."""
        self._noted: tuple[int, int | None] = (-1, None)
        self._closing = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def cell(self, index: int) -> None:
        """A cell begins; the one before has ended."""
        self._done, self._begun = self._begun, self._begun + 1
        self.index = index
        self._log.say(f"Cell {index} ({self._begun} of {self._cells})")
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())

    def done(self) -> None:
        """All cells have ended."""
        self._done = self._begun

    async def close(self) -> None:
        """Notes where it ended; nothing more comes."""
        self._closing.set()
        if self._writer is not None:
            await asyncio.wait({self._writer})
        # Whatever was noted: the command may have been taken over since.
        self._noted = (-1, None)
        await insist(self._note)

    async def _note(self) -> None:
        now = (self._done, self.index)
        if now != self._noted:
            self.is_current = await self._commands.progress(self._command, self._cells, *now)
            self._noted = now

    async def _write(self) -> None:
        try:
            while (self._done, self.index) != self._noted and not self._closing.is_set():
                await self._note()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), _PROGRESS_EVERY)
        except DashboardsError:
            # The next cell tries again.
            return
        finally:
            self._writer = None
