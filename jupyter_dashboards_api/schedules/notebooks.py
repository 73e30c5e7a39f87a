"""The notebooks API's notebooks: made, renamed, deleted, run and scheduled. API: `specs/projects_and_notebooks.md` §4.

A notebook's id is the registry's, a run is a command, a schedule one of the core's: this only ties them together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import nbformat
from jupyter_core.utils import ensure_async
from traitlets import Bool, Bunch, Float, TraitError, Unicode, default, validate
from traitlets.config import LoggingConfigurable

from ..commands.models import CommandInfo
from ..dashboards.contents import clean_path, join_path, parent_path
from ..database.engine import Database
from ..database.tables import now
from ..errors import Conflict, DashboardsError, InvalidRequest, NotFound
from . import store
from .fields import shown, zone_named
from .local_zone import local_zone
from .manager import SchedulesManager
from .models import NOTEBOOKS, RUNNING, NewSchedule
from .notebook_names import new_name, renamed, user_segment
from .notebook_records import NotebookRecords, RecordInfo
from .triggers import first_run, trigger_of, weekly
from .walls import exact_instant

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_MOST_OF_A_SECOND = 1000
"""Notebooks that one user may make within a second."""

_ELSEWHERE = 1.0
"""Seconds between two looks at a command that another server may run."""


class NotGiven(DashboardsError):
    """A new notebook could not be given to the account of its maker."""


class CellsFailed(InvalidRequest):
    """Some of the runs that were waited for have failed."""


class NotebooksManager(LoggingConfigurable):
    """Makes notebooks for users, runs them and schedules them."""

    folder = Unicode(
        "notebooks",
        help="""The folder in which the notebooks API (`/_notebooks/notebooks`) makes notebooks, as a path of the server's
        contents manager; in it each user has a folder. Empty: the root.""",
    ).tag(config=True)

    time_zone = Unicode(
        help="""The time zone of the notebooks API's schedules, such as `Europe/Berlin`. Default: the server's own.""",
    ).tag(config=True)

    run_wait = Float(
        300.0,
        min=0.0,
        help="""Seconds that `/_notebooks/notebooks/_run` waits for the runs that it has begun. They go on after that, and are
        answered like those that have succeeded.""",
    ).tag(config=True)

    documented_status = Bool(
        False,
        help="""Answer requests of the notebooks API to run or unschedule that are wrong with 500, as its document has it. It is
        400 otherwise: 500 says that the server is at fault, and some clients try again.""",
    ).tag(config=True)

    @default("time_zone")
    def _default_time_zone(self) -> str:
        return local_zone()

    @validate("time_zone")
    def _check_time_zone(self, proposal: Bunch) -> Any:
        try:
            return zone_named(proposal["value"]).key
        except InvalidRequest as error:
            raise TraitError(f"NotebooksManager.{error.message}") from error

    @validate("folder")
    def _check_folder(self, proposal: Bunch) -> Any:
        try:
            return clean_path(proposal["value"])
        except InvalidRequest as error:
            raise TraitError(f"NotebooksManager.folder: {error.message}") from error

    def __init__(
        self,
        *,
        database: Database,
        schedules: SchedulesManager,
        kernel_manager: Any,
        kernel_spec_manager: Any,
        **options: Any,
    ) -> None:
        """The other options are traits."""
        super().__init__(**options)
        self._schedules = schedules
        self._kernels = kernel_manager
        self._specs = kernel_spec_manager
        self._commands = schedules.commands
        self._contents = self._commands.contents
        self._registry = self._commands.notebooks
        self._records = NotebookRecords(database)
        self._renaming = asyncio.Lock()
        self._waited: dict[int, set[asyncio.Event]] = {}
        self._is_stopping = False
        self._counting: set[asyncio.Task[None]] = set()
        self._commands.on_end(self._ended)
        # However a notebook goes: nothing else could end its schedule any more.
        self._registry.on_end(lambda session, ids: store.end(session, NOTEBOOKS, ids))

    async def start(self) -> None:
        """Counts what has run before."""
        with contextlib.suppress(DashboardsError):
            await self._records.count_all()

    async def stop(self) -> None:
        """Lets go of those who wait for runs, and waits until the runs that have just ended are counted."""
        self._is_stopping = True
        for event in [each for events in self._waited.values() for each in events]:
            event.set()
        if self._counting:
            await asyncio.wait(self._counting)

    # What there is

    async def all(self) -> list[RecordInfo]:
        """All notebooks that this API has made and that are there, the oldest first."""
        await self._registry.informed()
        return await self._there(await self._records.all())

    async def get(self, uuid: object) -> RecordInfo:
        """A notebook. Raises `NotFound`."""
        (record,) = await self._every((uuid,))
        return record

    async def _some(self, uuids: Sequence[object]) -> list[RecordInfo]:
        """Those of some ids that there are, each once."""
        wanted = [each.lower() for each in uuids if isinstance(each, str)]
        known = [each for each in dict.fromkeys(wanted) if _UUID.fullmatch(each)]
        await self._registry.informed()
        found = await self._records.some(known)
        return await self._there([found[uuid] for uuid in known if uuid in found])

    async def _every(self, uuids: Sequence[object]) -> list[RecordInfo]:
        """All of some ids. Raises `NotFound` if one of them is none."""
        found = await self._some(uuids)
        known = {each.uuid for each in found}
        for uuid in uuids:
            if not isinstance(uuid, str) or uuid.lower() not in known:
                raise NotFound(f"There is no notebook with the id {shown(uuid)}.")
        return found

    async def _there(self, records: Sequence[RecordInfo]) -> list[RecordInfo]:
        # On the disk: the registry forgets what went past the contents manager only after a while.
        looked = await self._registry.look(records)
        return [record for record in records if looked.is_there(record)]

    def is_scheduled(self, record: RecordInfo) -> bool:
        """Whether something is still to run: the schedule is not suspended, and has not come to its `until`."""
        if record.schedule is None or record.schedule.status != RUNNING:
            return False
        trigger = trigger_of(record.schedule.trigger)
        return trigger.end is None or exact_instant(trigger.end, trigger.zone) >= now()

    # Files

    async def create(self, user: str) -> RecordInfo:
        """A new, empty notebook of a user's. Raises `NotGiven`, and what keeps it from being made."""
        folder = join_path(self.folder, user_segment(user))
        is_new_folder = await self._contents.stat(folder) is None
        await self._contents.make_folders(folder)
        moment = now().replace(microsecond=0)
        for number in range(_MOST_OF_A_SECOND):
            path = join_path(folder, new_name(moment, user, number))
            if await self._contents.stat(path) is None:
                made = await self._registry.reserve(path)
                if made is not None:
                    break
        else:
            raise Conflict("Too many notebooks are made at once: try again in a second.")
        try:
            await self._records.add(made.id, moment, user)
            await self._contents.save_notebook(path, await self._empty())
            try:
                await self._give(user, [folder, path] if is_new_folder else [path])
            except BaseException:
                await self._contents.delete(path)
                raise
        except BaseException:
            await self._registry.deleted(path)
            raise
        self._registry.made(path)
        return (await self._records.some([made.uuid]))[made.uuid]

    async def _empty(self) -> Any:
        """An empty notebook for the server's default kernel."""
        name = str(self._kernels.default_kernel_name)
        kernelspec = {"name": name, "display_name": name}
        with contextlib.suppress(Exception):
            # It may not be installed: the first run says so.
            spec = await ensure_async(self._specs.get_kernel_spec(name))
            kernelspec["display_name"] = str(spec.display_name)
        return nbformat.v4.new_notebook(metadata={"kernelspec": kernelspec})

    async def _give(self, user: str, paths: Sequence[str]) -> None:
        """Gives what was made to the account that is called like the user, if there is one and this server may."""
        if os.geteuid() != 0:
            return
        try:
            account = await asyncio.to_thread(pwd.getpwnam, user)
        except (KeyError, ValueError):
            return
        if account.pw_uid == 0:
            return
        try:
            for path in paths:
                await self._contents.give(path, account.pw_uid, account.pw_gid)
        except DashboardsError as error:
            raise NotGiven(error.message) from error

    async def delete(self, uuids: Sequence[object]) -> tuple[list[str], DashboardsError | None]:
        """Deletes the notebooks of some ids, with their schedules. Unknown ids count for nothing.

        The paths of those that are gone, and what has kept another one from it.
        """
        gone: list[str] = []
        failure: DashboardsError | None = None
        for record in await self._some(uuids):
            try:
                await self._contents.delete(record.path)
            except DashboardsError as error:
                failure = failure or error
                continue
            gone.append(record.path)
            await self._registry.informed()
            if await self._registry.by_id(record.id) is not None:
                # A contents manager that tells nothing.
                await self._registry.deleted(record.path)
        return gone, failure

    async def rename(self, record: RecordInfo, name: object, user: str) -> str:
        """Gives a notebook another name in its folder, and overwrites nothing; its new path.

        Raises `InvalidRequest` for what is no name, `Conflict` where it is taken.
        """
        path = join_path(parent_path(record.path), renamed(name))
        # One after the other: a contents manager looks first and moves then, over what has come in between.
        async with self._renaming:
            if path != record.path:
                if await self._contents.stat(path) is not None:
                    raise Conflict("Something of this name is there already.")
                await self._contents.rename(record.path, path)
                await self._registry.informed()
        await self._records.touch(record.id, user)
        return path

    # Runs

    async def run(self, uuids: Sequence[object], user: str) -> None:
        """Runs notebooks, and waits for them up to `run_wait`. Raises `NotFound` before any runs, and `CellsFailed`."""
        records = await self._every(uuids)
        submissions = [await self._commands.intake.of_body(_body(each), user) for each in records]
        until = asyncio.get_running_loop().time() + self.run_wait
        begun = await self._commands.submit_all(submissions)
        ended = await asyncio.gather(*(self._wait(each.id, until) for each in begun))
        wrong = [_failure(each) for each in ended if each is not None and each.status != "done"]
        if wrong:
            raise CellsFailed(" ".join(wrong))

    async def _wait(self, command_id: int, until: float) -> CommandInfo | None:
        """A command once it has ended; None if it goes on at `until`, a time of the loop's."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._waited.setdefault(command_id, set()).add(event)
        try:
            while True:
                command = await self._commands.store.get(command_id)
                if command.is_final:
                    return command
                left = until - loop.time()
                if left <= 0 or self._is_stopping:
                    return None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), min(left, _ELSEWHERE))
                event.clear()
        finally:
            self._waited[command_id].discard(event)
            if not self._waited[command_id]:
                del self._waited[command_id]

    def _ended(self, command: CommandInfo) -> None:
        for event in self._waited.get(command.id, ()):
            event.set()
        if command.notebook_id is not None:
            task = asyncio.ensure_future(self._count(command.notebook_id))
            self._counting.add(task)
            task.add_done_callback(self._counting.discard)

    async def _count(self, notebook_id: int) -> None:
        # Whoever looks counts what has not been counted.
        with contextlib.suppress(DashboardsError):
            await self._records.count_runs(notebook_id)

    # Schedules

    async def schedule(
        self, uuids: Sequence[object], user: str, *, period: object, time: object, until: object
    ) -> None:
        """Schedules notebooks in place of what they have, all or none. Raises `NotFound` and `InvalidTrigger`."""
        moment = now()
        trigger = weekly(period=period, time=time, until=until, time_zone=self.time_zone)
        first_run(trigger, moment, "until")
        stored = trigger.as_dict()
        days = ", ".join(stored["days"]) if period not in (None, "") else None
        fields = {"period": days, "time": stored["time"], "until": until}
        records = await self._every(uuids)
        new = [
            _new_schedule(record, user, stored, fields, since=moment, body=_body(record))
            for record in records
        ]
        await self._schedules.create(new, replacing=True)

    async def unschedule(self, uuids: Sequence[object]) -> None:
        """Ends the schedules of notebooks, all or none. Raises `NotFound`."""
        records = await self._every(uuids)
        await self._schedules.store.end(NOTEBOOKS, [each.id for each in records])


def _body(record: RecordInfo) -> dict[str, Any]:
    """The command that runs a notebook, as the commands API takes it: its outputs are saved, however it ends."""
    return {
        "command_type": "JupyterNotebookCommand",
        "path": record.path,
        "upload_to_source": True,
        "upload_failures": True,
    }


def _new_schedule(
    record: RecordInfo,
    user: str,
    trigger: dict[str, Any],
    fields: dict[str, Any],
    *,
    since: datetime,
    body: dict[str, Any],
) -> NewSchedule:
    return NewSchedule(
        kind=NOTEBOOKS,
        owner=user,
        name=None,
        notebook_id=record.id,
        body=body,
        trigger=trigger,
        since=since,
        fields=fields,
        catch_up="last",
        concurrency=1,
    )


def _failure(command: CommandInfo) -> str:
    if command.status == "cancelled":
        return "The run was cancelled."
    return str((command.error or {}).get("message") or "The run has failed.")
