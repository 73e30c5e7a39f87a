"""Commands as a whole: takes them, hands them to the queue, answers what has become of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import psutil
from traitlets import Bunch, Dict, Float, Integer, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from ..conversion.converter import NotebookConverter
from ..dashboards.contents import ContentsStore
from ..database.engine import Database
from ..database.tables import now
from ..errors import DashboardsError, Unavailable
from ..notebooks.registry import NotebookRegistry
from .clusters import BadCluster, check_cluster, cluster_of, configured
from .convert_runner import ConvertRunner
from .convert_submission import CONVERT
from .feed import CommandFeed
from .logs import CommandLogger
from .mail import Mailer
from .models import CommandInfo, Limits, Outcome, Submission
from .peers import Peers
from .queue import LOST, LocalQueue
from .runner import NotebookRunner
from .store import CommandStore
from .throttle import Throttle
from .write_back import Hold

_HOST = socket.gethostname()[:40]


class CommandsManager(LoggingConfigurable):
    """Runs notebooks that programs ask for."""

    max_running_commands = Integer(
        4,
        min=1,
        help="""Most commands that run at once on this server; the others wait.""",
    ).tag(config=True)

    max_running_per_label = Dict(
        key_trait=Unicode(),
        value_trait=Integer(min=1),
        help="""Most commands of a label that run at once, by label; the empty label is that of commands without one.""",
    ).tag(config=True)

    max_running_per_notebook = Integer(
        0,
        min=0,
        help="""Most commands of one notebook that run at once; 0: as many as there are places.""",
    ).tag(config=True)

    max_streams = Integer(
        200,
        min=1,
        help="""Most clients that follow commands live at once (`/api/v1.2/commands/ID/stream`); 503 beyond it.""",
    ).tag(config=True)

    stream_heartbeat = Float(
        15.0,
        min=0.1,
        help="""Seconds after which a stream of a command in which nothing happens shows that it is still there. Less than what
        a proxy before the server waits for.""",
    ).tag(config=True)

    cell_timeout = Float(
        None,
        allow_none=True,
        min=0.1,
        help="""Seconds that one cell of a command may take; unlimited by default. `timeout` of a command bounds the whole
        run.""",
    ).tag(config=True)

    kernel_start_timeout = Float(
        60,
        min=1,
        help="""Seconds that a command's kernel may take until it answers; a busy cluster may need more.""",
    ).tag(config=True)

    clusters = Dict(
        key_trait=Unicode(),
        help="""Where the commands of a label run, by label. Each is a dictionary with some of: `kernelspec` (a name; else the
        notebook's own), `environment` (variables of the kernel), `gateway` (the URL of a kernel gateway, or a dictionary with
        `url` and `token_variable`, the name of the server's variable that holds its token), `limits` of a kernel on this
        machine (`memory_mb`, `cpu_seconds`), `spark` (settings of the Spark session that its Python kernels begin with, such
        as `spark.master`). Without clusters a label is only a name.""",
    ).tag(config=True)

    @validate("clusters")
    def _check_clusters(self, proposal: Bunch) -> Any:
        try:
            configured(proposal["value"])
        except BadCluster as error:
            raise TraitError(str(error)) from error
        return proposal["value"]

    def __init__(
        self,
        *,
        database: Database,
        contents: ContentsStore,
        notebooks: NotebookRegistry,
        kernel_manager: Any,
        kernel_spec_manager: Any,
        hidden_environment: Iterable[str],
        converter: NotebookConverter,
        hold: Hold | None = None,
        **options: Any,
    ) -> None:
        """`contents` is the whole of the server's contents manager; the other options are traits.

        `hold` keeps uploads away from one of the manager's paths.
        """
        super().__init__(**options)
        logger = self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
        self.notebooks = notebooks
        self._clusters = configured(self.clusters)
        self.contents = contents
        self.feed = CommandFeed(self.max_streams)
        self.store = CommandStore(database, self.feed.changed, self._tell_ended)
        self._listeners: list[Callable[[CommandInfo], None]] = []
        self.mailer = Mailer(parent=self)
        self._peers = Peers(
            database, begin=self._begin, end=self._end, heard=self._heard, log=logger
        )
        self._limits = Limits(
            self.max_running_commands, self.max_running_per_label, self.max_running_per_notebook
        )
        runner = NotebookRunner(
            commands=self.store,
            contents=contents,
            kernel_manager=kernel_manager,
            kernel_spec_manager=kernel_spec_manager,
            cell_timeout=self.cell_timeout,
            start_timeout=self.kernel_start_timeout,
            clusters=self._clusters,
            hidden_environment=hidden_environment,
            log=logger,
            hold=hold,
        )
        self.converter = converter
        converting = ConvertRunner(
            run=runner.run,
            contents=contents,
            converter=converter,
            mailer=self.mailer,
            stages=self.store,
        )

        def run(command: CommandInfo, log: CommandLogger) -> Awaitable[Outcome]:
            is_conversion = command.command_type == CONVERT
            return converting.run(command, log) if is_conversion else runner.run(command, log)

        self._run = run
        self._logger = logger
        self._queue = self._new_queue()

    def _new_queue(self) -> LocalQueue:
        return LocalQueue(
            self.store,
            self._run,
            worker=f"{_HOST}:{os.getpid()}",
            limits=self._limits,
            log=self._logger,
        )

    async def start(self) -> None:
        """Takes commands from then on, unless another server runs those of this database; else when that one is gone."""
        await self._peers.start()

    async def stop(self) -> None:
        """Interrupts what runs, and hands it back."""
        self.feed.close()
        self._peers.close()
        await self._queue.stop()
        await self.converter.stop()
        await self._peers.stop()

    async def _begin(self) -> None:
        for command, pid in await self.store.orphans(LOST, _HOST):
            self.log.warning("Command %d was under way when its server ended.", command.id)
            _end_kernel(pid, command)
        self._queue = self._new_queue()
        self._queue.start()

    async def _end(self) -> None:
        await self._queue.stop()

    def _heard(self, word: str) -> None:
        """What another server has done, as `submit` and `cancel` tell it; the empty text: perhaps something."""
        self._queue.wake()
        if word.isdecimal():
            self._queue.cancel(int(word))
        elif not word:
            self._looking = asyncio.ensure_future(self._cancel_asked())

    async def _cancel_asked(self) -> None:
        with contextlib.suppress(DashboardsError):
            for command_id in await self.store.cancelling():
                self._queue.cancel(command_id)

    async def submit(self, submission: Submission) -> CommandInfo:
        """Stores a command; it waits then. Raises `Conflict` for an idempotency key that was another command's.

        Raises `Unavailable` when another server runs the commands of this database, and can't be told.
        """
        is_elsewhere = self._peers.runs is False
        if is_elsewhere and not self._peers.can_tell:
            raise Unavailable(
                "Another server runs the commands of this database: send it there.", 60
            )
        command, is_new = await self.store.submit(submission)
        if is_new and is_elsewhere:
            await self._peers.tell("new")
        elif is_new:
            self._queue.wake()
        return command

    async def added(self, command_ids: Sequence[int]) -> None:
        """Commands were stored otherwise than by `submit`, and wait."""
        if not command_ids:
            return
        if self._peers.runs is False and self._peers.can_tell:
            await self._peers.tell("new")
        else:
            self._queue.wake()

    def on_end(self, listener: Callable[[CommandInfo], None]) -> None:
        """Calls `listener` in the event loop after this server has ended a command."""
        self._listeners.append(listener)

    def _tell_ended(self, command: CommandInfo) -> None:
        for listener in self._listeners:
            listener(command)

    async def require_cluster(self, path: str, notebook_id: int, label: str | None) -> None:
        """Raises `Refused`, before a command is made, when its label is unknown or nothing says where the notebook runs."""
        cluster = cluster_of(label, self._clusters)
        if not cluster.label:
            notebook, _ = await self.contents.notebook(path)
            check_cluster(cluster, notebook.metadata, notebook_id)

    async def throttled(self, commands: Iterable[CommandInfo]) -> frozenset[int]:
        """The ids of those commands that a limit holds back now."""
        waiting = [command for command in commands if command.status == "waiting"]
        if not waiting:
            return frozenset()
        running = await self.store.running()
        throttle = Throttle(running, self._limits)
        return frozenset(each.id for each in waiting if throttle.holds(each, now()))

    async def cancel(self, command_id: int) -> tuple[bool, CommandInfo]:
        """Whether this call has cancelled the command, or asked for it, and how it stands. Raises `NotFound`."""
        cancelled, command = await self.store.cancel(command_id)
        if self._peers.runs is False and self._peers.can_tell:
            await self._peers.tell(str(command_id))
        else:
            self._queue.cancel(command_id)
        return cancelled, command


def _end_kernel(pid: int | None, command: CommandInfo) -> None:
    """Ends the kernel that a server which died has left; not another process that has its number by now."""
    if pid is None:
        return
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        begun = command.started_at.timestamp() if command.started_at else 0.0
        is_kernel = any("kernel" in word for word in process.cmdline())
        if is_kernel and process.create_time() >= begun - 1:
            os.kill(pid, signal.SIGKILL)
