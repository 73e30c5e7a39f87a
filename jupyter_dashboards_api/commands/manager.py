"""Commands as a whole: takes them, hands them to the queue, answers what has become of them."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from traitlets import Bunch, Dict, Float, Integer, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from ..conversion.converter import NotebookConverter
from ..dashboards.contents import ContentsStore
from ..database.engine import Database
from ..database.tables import now
from ..errors import DashboardsError, NotFound, Unavailable
from ..kernels.pool import KernelPool
from ..notebooks.registry import NotebookRegistry
from .attempts import CommandQueue
from .claims import ACTIVE
from .clusters import BadCluster, configured
from .convert_runner import ConvertRunner
from .convert_submission import CONVERT
from .feed import CommandFeed
from .intake import CommandIntake
from .labels import label_models
from .logs import CommandLogger
from .mail import Mailer
from .models import CommandInfo, Limits, Outcome, Submission
from .outages import insist
from .queue import LocalQueue
from .removal import remove
from .runner import NotebookRunner
from .runner_lock import RunnerLock
from .shared_queue import SharedQueue
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
        help="""Most commands of a label that run at once, by label; the empty label is that of commands without one,
        `default` that of a `JupyterNotebookCommand` without one.""",
    ).tag(config=True)

    max_running_per_notebook = Integer(
        0,
        min=0,
        help="""Most commands of one notebook that run at once; 0: as many as there are places.""",
    ).tag(config=True)

    max_waiting_commands = Integer(
        10_000,
        min=1,
        help="""Most commands of one owner that wait; 429 beyond it. What a schedule starts always waits.""",
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
        as `spark.master`). The label `default` is that of a
        `JupyterNotebookCommand` that names none; where no cluster is called so, it means this server. Without clusters a label
        is only a name.""",
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
        self._database = database
        self._clusters = configured(self.clusters)
        self.contents = contents
        self.feed = CommandFeed(self.max_streams)
        self.store = CommandStore(database, self._changed, self._tell_ended)
        self._listeners: list[Callable[[CommandInfo], None]] = []
        self.mailer = Mailer(parent=self)
        self.intake = CommandIntake(
            notebooks=notebooks,
            contents=contents,
            converter=converter,
            mailer=self.mailer,
            clusters=self._clusters,
            kernel_spec_manager=kernel_spec_manager,
        )
        self._limits = Limits(
            self.max_running_commands, self.max_running_per_label, self.max_running_per_notebook
        )
        self.pool = KernelPool(
            parent=self, kernel_manager=kernel_manager, kernel_spec_manager=kernel_spec_manager
        )
        self._runner = runner = NotebookRunner(
            commands=self.store,
            contents=contents,
            kernel_manager=kernel_manager,
            kernel_spec_manager=kernel_spec_manager,
            cell_timeout=self.cell_timeout,
            start_timeout=self.kernel_start_timeout,
            clusters=self._clusters,
            hidden_environment=hidden_environment,
            where=self._where,
            log=logger,
            pool=self.pool,
            hold=hold,
        )
        self.store.tell_orphaned(runner.end_orphans)
        self.converter = converter
        converting = ConvertRunner(
            run=runner.run,
            contents=contents,
            converter=converter,
            mailer=self.mailer,
            stages=self.store,
        )

        async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
            try:
                found = await insist(lambda: self._located(command, log))
            except NotFound as gone:
                log.say(gone.message)
                return Outcome("error", {"message": gone.message}, retryable=False)
            by = converting if found.command_type == CONVERT else runner
            return await by.run(found, log)

        self._run = run
        self._logger = logger
        self._queue = self._new_queue(database)

    async def _where(self, command: CommandInfo) -> str:
        """Where a command's notebook lies now, which may have been moved since. Raises `NotFound`."""
        if command.notebook_id is None:
            return command.path
        known = await self.notebooks.by_id(command.notebook_id)
        if known is None:
            raise NotFound("The notebook of this command is not there any more.")
        return known.path

    async def _located(self, command: CommandInfo, log: CommandLogger) -> CommandInfo:
        if command.notebook_id is not None:
            # Noted, if its file is missing; of that, and of a storage that fails, the run tells.
            with contextlib.suppress(DashboardsError):
                await self.notebooks.there(command.notebook_id)
        path = await self._where(command)
        if path == command.path:
            return command
        await self.store.moved(command, path)
        log.say(f"The notebook is {path} now.")
        return replace(command, path=path)

    def _new_queue(self, database: Database) -> CommandQueue:
        worker = f"{_HOST}:{os.getpid()}"
        if database.is_shared:
            return SharedQueue(
                database,
                self.store,
                self._run,
                worker=worker,
                limits=self._limits,
                log=self._logger,
                changed=self.feed.changed,
            )
        return LocalQueue(
            self.store,
            self._run,
            worker=worker,
            limits=self._limits,
            log=self._logger,
            # One database by two names has one lock.
            lock=RunnerLock(Path(f"{os.path.realpath(str(database.engine.url.database))}.lock")),
        )

    def _changed(self, command_id: int) -> None:
        self.feed.changed(command_id)
        self._queue.tell(command_id)

    async def start(self) -> None:
        """Takes commands from then on; with SQLite, unless another server runs those of this database."""
        await self._queue.start()

    async def stop(self) -> None:
        """Interrupts what runs, and hands it back."""
        self.feed.close()
        await self._queue.stop()
        await self._runner.stop()
        await self.pool.stop()
        await self.converter.stop()

    async def submit(self, submission: Submission) -> CommandInfo:
        """As `submit_all` does, one; with its `callback_secret` only if it is new."""
        return (await self.submit_all([submission]))[0]

    async def submit_all(self, submissions: Sequence[Submission]) -> list[CommandInfo]:
        """Stores commands, all or none; they wait then.

        Raises `Conflict` for an idempotency key that was another command's, `QueueFull` when too many of an owner wait, and
        `Unavailable` when another server runs the commands of this database, and can't be told.
        """
        self.require_turn()
        made = await self.store.submit_all(submissions, self.max_waiting_commands)
        if any(is_new for _, is_new in made):
            self._queue.wake()
        return [command for command, _ in made]

    @property
    def runs_here(self) -> bool:
        """Whether commands that are stored now will be run, as far as this server knows."""
        return self._queue.accepts

    def require_turn(self) -> None:
        """Raises `Unavailable` when another server runs the commands of this database, and can't be told."""
        if not self.runs_here:
            raise Unavailable(
                "Another server runs the commands of this database: send it there.", 60
            )

    async def added(self, command_ids: Sequence[int]) -> None:
        """Commands were stored otherwise than by `submit`, and wait."""
        if command_ids:
            self._queue.wake()

    def on_end(self, listener: Callable[[CommandInfo], None]) -> None:
        """Calls `listener` in the event loop after this server has ended a command."""
        self._listeners.append(listener)

    def _tell_ended(self, command: CommandInfo) -> None:
        for listener in self._listeners:
            listener(command)

    async def throttled(self, commands: Iterable[CommandInfo]) -> frozenset[int]:
        """The ids of those commands that a limit holds back now."""
        waited = {command.id: command for command in commands if command.status == "waiting"}
        if not waited:
            return frozenset()
        running, waiting = await self.store.running(waited)
        throttle = Throttle(running, replace(self._limits, places=self._queue.places))
        return frozenset(each for each in waiting if throttle.holds(waited[each], now()))

    def labels(self) -> list[dict[str, Any]]:
        """What commands can have as their label, as the API lists it."""
        return label_models(self._clusters, self.max_running_per_label)

    async def cancel(self, command_id: int) -> tuple[bool, CommandInfo]:
        """Whether this call has cancelled the command, or asked for it, and how it stands.

        Raises `NotFound`, and `Unavailable` when another server runs it, and can't be told.
        """
        if not self.runs_here and (await self.store.get(command_id)).status in ACTIVE:
            self.require_turn()
        cancelled, command = await self.store.cancel(command_id)
        if command.status == "cancelling":
            await self._queue.cancel(command_id)
        return cancelled, command

    async def remove(self, command_id: int) -> None:
        """Deletes a command that has ended, with all that is left of it. Raises `NotFound` or `Conflict`."""
        await remove(self._database, command_id)
        self.feed.changed(command_id)
