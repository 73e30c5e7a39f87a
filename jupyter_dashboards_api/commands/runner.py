"""Carries out one attempt of a command: a kernel of its own, the notebook with its arguments, and what comes of it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_core.utils import ensure_async

from ..dashboards.contents import ContentsStore, Entry
from ..errors import DashboardsError
from ..kernels.environment import inherited_environment
from .execution import CellFailed, Execution, KernelDied, TimedOut
from .logs import CommandLogger
from .models import CommandInfo, Outcome
from .parameters import declared, unknown_names, with_arguments
from .results import packed, text_of
from .store import CommandStore

_PROGRESS_EVERY = 0.5


class NotebookRunner:
    """Runs notebooks on the server's kernel manager."""

    def __init__(
        self,
        *,
        commands: CommandStore,
        contents: ContentsStore,
        kernel_manager: Any,
        kernel_spec_manager: Any,
        cell_timeout: float | None,
        hidden_environment: Iterable[str],
        log: logging.Logger,
    ) -> None:
        """Has the whole contents manager; `cell_timeout` is in seconds, `hidden_environment` name patterns of variables."""
        self._commands = commands
        self._contents = contents
        self._kernels = kernel_manager
        self._specs = kernel_spec_manager
        self._cell_timeout = cell_timeout
        self._hidden = tuple(hidden_environment)
        self._log = log

    async def run(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        """How the attempt ended. Cancelling the task cancels the attempt; the kernel is ended in any case."""
        arguments: Mapping[str, Any] = command.payload.get("argument_values", {})
        try:
            notebook, source = await self._contents.notebook(command.path)
            kernel_name, language = await self._kernel_of(notebook)
            unknown = unknown_names(arguments, declared(notebook, language))
            if unknown:
                log.say(f"The notebook declares no parameter {', '.join(unknown)}.")
            notebook = with_arguments(notebook, arguments, language)
        except DashboardsError as refused:
            # It will fail in the same way again.
            return Outcome("error", {"message": refused.message}, retryable=False)
        cells = sum(c.cell_type == "code" and bool(c.source.strip()) for c in notebook.cells)
        progress = _Progress(self._commands, command, cells, log)
        kernel_id = ""
        error: dict[str, Any] | None = None
        try:
            folder = command.path.rpartition("/")[0]
            kernel_id = await ensure_async(
                self._kernels.start_kernel(
                    path=folder,
                    kernel_name=kernel_name,
                    env=inherited_environment(os.environ, self._hidden),
                )
            )
            log.say(f"Kernel {kernel_name} has started.")
            await self._commands.kernel(command, kernel_id, self._pid(kernel_id))
            execution = Execution(
                self._kernels,
                kernel_id,
                notebook,
                cell_timeout=self._cell_timeout,
                on_cell=progress.cell,
                on_text=lambda name, text: log.add(text),
            )
            await execution.run(command.timeout)
        except CellFailed as failed:
            error = {
                "message": f"Cell {failed.index} failed: {failed.ename}: {failed.evalue}",
                "cell_index": failed.index,
                "ename": failed.ename,
                "evalue": failed.evalue,
            }
        except (KernelDied, TimedOut) as failed:
            error = {"message": str(failed), "cell_index": progress.index}
        except Exception as failed:
            self._log.exception("Command %d", command.id)
            error = {"message": f"The kernel could not be used ({type(failed).__name__})."}
        finally:
            progress.stop()
            await asyncio.shield(self._end(kernel_id))
        if error is None and command.payload.get("upload_to_source"):
            await self._replace(source, notebook, log)
        if error is None:
            log.say("Done.")
        else:
            log.say(error["message"])
        text, data = await asyncio.to_thread(lambda: (text_of(notebook), packed(notebook)))
        return Outcome("error" if error else "done", error, text=text, notebook=data)

    async def _replace(self, source: Entry, notebook: Any, log: CommandLogger) -> None:
        """Writes the executed notebook over its source, unless somebody has changed that meanwhile."""
        try:
            there = await self._contents.stat(source.path)
            if there is None or there.revision != source.revision:
                log.say("The notebook was changed meanwhile: it is left as it is.")
                return
            await self._contents.save_notebook(source.path, notebook)
        except DashboardsError as error:
            log.say(f"The notebook could not be written: {error.message}")

    async def _kernel_of(self, notebook: Any) -> tuple[str, str]:
        """Name and language of the notebook's kernel. Raises `DashboardsError` when it is not installed."""
        name = (
            notebook.metadata.get("kernelspec", {}).get("name") or self._kernels.default_kernel_name
        )
        try:
            spec = await ensure_async(self._specs.get_kernel_spec(name))
        except Exception as error:
            raise DashboardsError(
                f"There is no kernel {str(name)[:100]!r} on this server."
            ) from error
        language = spec["spec"].get("language") if isinstance(spec, dict) else spec.language
        return str(name), str(language or "").lower()

    def _pid(self, kernel_id: str) -> int | None:
        provisioner = getattr(self._kernels.get_kernel(kernel_id), "provisioner", None)
        pid = getattr(provisioner, "pid", None)
        return pid if isinstance(pid, int) else None

    async def _end(self, kernel_id: str) -> None:
        """Ends the kernel, however it is; a kernel never outlives its attempt."""
        for _ in range(3):
            if not kernel_id or kernel_id not in self._kernels:
                return
            try:
                await ensure_async(self._kernels.shutdown_kernel(kernel_id, now=True))
                return
            except Exception as error:
                # It is just being restarted, since it died.
                self._log.debug("Kernel %s does not end: %s", kernel_id, type(error).__name__)
                await asyncio.sleep(0.5)


class _Progress:
    """Notes how many cells have run, a few times a second at most."""

    def __init__(
        self, commands: CommandStore, command: CommandInfo, cells: int, log: CommandLogger
    ) -> None:
        self._commands = commands
        self._command = command
        self._cells = cells
        self._log = log
        self._done = -1
        self.index: int | None = None
        self._writer: asyncio.Task[None] | None = None

    def cell(self, index: int) -> None:
        """A cell begins."""
        self._done += 1
        self.index = index
        self._log.say(f"Cell {index} ({self._done + 1} of {self._cells})")
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())

    def stop(self) -> None:
        """Nothing more is noted."""
        if self._writer is not None:
            self._writer.cancel()

    async def _write(self) -> None:
        try:
            await self._commands.progress(self._command, self._cells, self._done, self.index)
            await asyncio.sleep(_PROGRESS_EVERY)
        except DashboardsError:
            # The next cell tries again.
            return
        finally:
            self._writer = None
