"""Commands in the database. Every change of a running command names its attempt: a late one of an older attempt is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ..database.command_tables import Command, CommandAttempt, CommandLog, CommandResult
from ..database.engine import Database
from ..database.tables import now
from ..errors import NotFound
from . import claims
from .adding import by_key, submit
from .claims import ACTIVE
from .endings import end_attempt, lose, settle, withdraw
from .filtering import filtered
from .models import AttemptInfo, CommandInfo, Filter, Limits, Outcome, ResultFile, Submission
from .orphans import Orphan
from .peers import Sight, look, take_over


class CommandStore:
    """Stores commands, hands out those that wait, notes what becomes of them."""

    def __init__(
        self,
        database: Database,
        changed: Callable[[int], None] = lambda command_id: None,
        ended: Callable[[CommandInfo], None] = lambda command: None,
    ) -> None:
        """Both are called in the event loop, after a command's rows have changed, and after this server has ended it."""
        self._database = database
        self._changed = changed
        self._ended = ended
        self._refused: list[Callable[[CommandInfo], object]] = []
        self._orphaned: list[Callable[[list[Orphan]], Awaitable[None]]] = []

    def tell_refused(self, heard: Callable[[CommandInfo], object]) -> None:
        """Calls back with a command whose attempt could not write any more, because another one has taken its place."""
        self._refused.append(heard)

    def tell_orphaned(self, heard: Callable[[list[Orphan]], Awaitable[None]]) -> None:
        """Calls back with what servers that have died have left.

        Whoever looks for it on this server waits until `heard` is done; another one may take what waits again already.
        """
        self._orphaned.append(heard)

    def _refuse(self, command: CommandInfo) -> None:
        for heard in self._refused:
            heard(command)

    async def submit(self, submission: Submission) -> tuple[CommandInfo, bool]:
        """As `submit_all` does, one."""
        return (await self.submit_all([submission]))[0]

    async def submit_all(
        self, submissions: Sequence[Submission], most_waiting: int | None = None
    ) -> list[tuple[CommandInfo, bool]]:
        """New commands, all or none, and True; or the one that the same idempotency key has made before, and False.

        Only a new one comes with its `callback_secret`. Raises `Conflict` when that one was another request, `QueueFull` when
        `most_waiting` of its owner wait already.
        """

        def work(session: Session) -> list[tuple[CommandInfo, bool]]:
            added = [submit(session, each, most_waiting) for each in submissions]
            return [
                (
                    replace(_info(row), callback_secret=row.callback_secret if is_new else None),
                    is_new,
                )
                for row, is_new in added
            ]

        try:
            return await self._database.write(work)
        except IntegrityError:
            # Another server was first with this key.
            return await self._database.write(work)

    async def known(self, owner: str, key: str | None, request_hash: str) -> CommandInfo | None:
        """The command that an idempotency key has made before. Raises `Conflict` when that was another request."""
        if key is None:
            return None

        def look(session: Session) -> CommandInfo | None:
            found = by_key(session, owner, key, request_hash)
            return _info(found) if found is not None else None

        return await self._database.read(look)

    async def owners(self) -> list[str]:
        """Everybody who has ever submitted a command."""
        wanted = select(Command.owner).distinct().order_by(Command.owner)
        return await self._database.read(lambda session: list(session.scalars(wanted)))

    async def get(self, command_id: int) -> CommandInfo:
        """A command. Raises `NotFound`."""
        return await self._database.read(lambda session: _info(_found(session, command_id)))

    async def some(self, command_ids: Collection[int]) -> list[CommandInfo]:
        """The commands of these ids that there are."""
        wanted = select(Command).where(Command.id.in_(command_ids))
        return await self._database.read(lambda session: list(map(_info, session.scalars(wanted))))

    async def attempts(self, command_id: int) -> list[AttemptInfo]:
        """All tries of a command, the first one first."""
        wanted = (
            select(CommandAttempt)
            .where(CommandAttempt.command_id == command_id)
            .order_by(CommandAttempt.number)
        )
        return await self._database.read(
            lambda session: [
                AttemptInfo(
                    row.number,
                    row.outcome,
                    row.reason,
                    row.kernel_id,
                    row.started_at,
                    row.ended_at,
                )
                for row in session.scalars(wanted)
            ]
        )

    async def history(
        self, wanted: Filter, limit: int, offset: int
    ) -> tuple[list[CommandInfo], bool]:
        """A page of the history, newest first, and whether there is more."""
        query = filtered(wanted).order_by(Command.id.desc()).limit(limit + 1).offset(offset)

        def look(session: Session) -> tuple[list[CommandInfo], bool]:
            rows = [_info(row) for row in session.scalars(query)]
            return rows[:limit], len(rows) > limit

        return await self._database.read(look)

    async def claim(
        self, worker: str, places: int, limits: Limits, served: Sequence[str] = ()
    ) -> list[CommandInfo]:
        """Takes up to `places` commands that are due; each is `running` then, in a new attempt of `worker`.

        Those that a full label or notebook holds back are passed over. `served` are owners, the one served last at the end.
        """
        taken, _ = await self._claim(worker, places, limits, served)
        return taken

    async def claim_next(
        self, worker: str, limits: Limits, served: Sequence[str] = ()
    ) -> tuple[CommandInfo | None, bool]:
        """Takes one as `claim` does; and whether there is more to take."""
        taken, more = await self._claim(worker, 1, limits, served)
        return (taken[0] if taken else None), more

    async def _claim(
        self, worker: str, places: int, limits: Limits, served: Sequence[str]
    ) -> tuple[list[CommandInfo], bool]:
        def work(session: Session) -> tuple[list[CommandInfo], bool]:
            taken, more = claims.take(session, worker, places, limits, served)
            return [_info(command) for command in taken], more

        taken, more = await self._database.write(work)
        for command in taken:
            self._changed(command.id)
        return taken, more

    async def put_back(self, worker: str, begun: Collection[tuple[int, int]]) -> None:
        """Lets those wait again that `worker` has taken and has not begun; no attempt is counted."""
        await self._database.write(lambda session: claims.put_back(session, worker, begun))

    async def _tell_all(self, orphans: list[Orphan]) -> list[Orphan]:
        for orphan in orphans:
            self._tell(orphan.command.id, orphan.command)
        for heard in self._orphaned:
            await heard(orphans)
        return orphans

    async def running(self, waited: Collection[int]) -> tuple[claims.Running, frozenset[int]]:
        """How many commands run now; and which of these, that waited a moment ago, are not among them."""
        waiting = select(Command.id).where(Command.id.in_(waited), Command.status == "waiting")

        def look(session: Session) -> tuple[claims.Running, frozenset[int]]:
            # In this order: on PostgreSQL each statement sees what others have done by then.
            return claims.running_now(session), frozenset(session.scalars(waiting))

        return await self._database.read(look)

    async def next_due(self, after: datetime) -> float | None:
        """Seconds until the first of those is due that were not due at a time; None when there is none."""
        due = await self._database.read(lambda session: claims.next_due(session, after))
        return max((due - now()).total_seconds(), 0.0) if due is not None else None

    async def progress(
        self, command: CommandInfo, cells: int, cells_done: int, cell_index: int | None
    ) -> bool:
        """Notes how far an attempt is; False when it is not the command's attempt any more."""
        changed = await self._database.execute(
            _of_attempt(command).values(
                cells=cells, cells_done=cells_done, cell_index=cell_index, updated_at=now()
            )
        )
        self._changed(command.id)
        if not changed:
            self._refuse(command)
        return changed == 1

    async def kernel(self, command: CommandInfo, kernel_id: str, pid: int | None) -> None:
        """Notes the kernel of an attempt, so that whoever finds it orphaned can end it."""
        await self._database.execute(
            update(CommandAttempt)
            .where(
                CommandAttempt.command_id == command.id,
                CommandAttempt.number == command.attempt,
                CommandAttempt.outcome == "",
            )
            .values(kernel_id=kernel_id, kernel_pid=pid)
        )

    async def jobs(self, command: CommandInfo, jobs: Sequence[Mapping[str, Any]]) -> None:
        """Notes the jobs of a cluster that an attempt has run: `url`, `job_stats`, `job_id` of each."""
        await self.tell(command, {"jobs": [dict(job) for job in jobs]})

    async def tell(self, command: CommandInfo, facts: Mapping[str, Any]) -> None:
        """Notes in the payload what an attempt has found out."""

        def work(session: Session) -> None:
            row = session.get(Command, command.id, with_for_update=True)
            if row is not None and row.attempt == command.attempt and row.status in ACTIVE:
                row.payload = {**row.payload, **facts}

        await self._database.write(work)

    async def moved(self, command: CommandInfo, path: str) -> None:
        """Notes where an attempt has found its notebook."""
        await self._database.execute(_of_attempt(command).values(path=path))

    async def stage(self, command: CommandInfo, stage: str) -> bool:
        """Notes how far an attempt's mail is; False when it is not the command's attempt any more."""
        changed = await self._database.execute(
            update(CommandAttempt)
            .where(
                CommandAttempt.command_id == command.id,
                CommandAttempt.number == command.attempt,
                CommandAttempt.outcome == "",
            )
            .values(stage=stage)
        )
        return changed == 1

    async def log(self, command: CommandInfo, text: str) -> None:
        """Adds to a command's log, while it is the command's attempt."""

        def work(session: Session) -> bool:
            current = select(Command.id).where(
                Command.id == command.id,
                Command.attempt == command.attempt,
                Command.status.in_(ACTIVE),
            )
            is_current = session.scalar(current) is not None
            if is_current:
                session.add(CommandLog(command_id=command.id, attempt=command.attempt, text=text))
            return is_current

        if await self._database.write(work):
            self._changed(command.id)
        else:
            self._refuse(command)

    async def log_after(self, command_id: int, row: int, limit: int) -> list[tuple[int, str]]:
        """The first pieces of a command's log whose rows come after one, with their rows' ids."""
        wanted = (
            select(CommandLog.id, CommandLog.text)
            .where(CommandLog.command_id == command_id, CommandLog.id > row)
            .order_by(CommandLog.id)
            .limit(limit)
        )
        return await self._database.read(
            lambda session: [(found.id, found.text) for found in session.execute(wanted)]
        )

    async def log_of(self, command_id: int) -> str:
        """A command's whole log."""
        wanted = (
            select(CommandLog.text)
            .where(CommandLog.command_id == command_id)
            .order_by(CommandLog.id)
        )
        return await self._database.read(lambda session: "".join(session.scalars(wanted)))

    async def result_of(self, command_id: int) -> tuple[str, bytes] | None:
        """The outputs as text and the executed notebook (JSON, deflated) of the last attempt; None when it left none."""

        def look(session: Session) -> tuple[str, bytes] | None:
            row = session.get(CommandResult, command_id)
            return (row.text, row.notebook) if row is not None else None

        return await self._database.read(look)

    async def file_of(self, command_id: int) -> ResultFile | None:
        """The file that a conversion has made; None when there is none."""

        def look(session: Session) -> ResultFile | None:
            row = session.get(CommandResult, command_id)
            if row is None or row.file is None:
                return None
            return ResultFile(row.file_name, row.file_type, row.file)

        return await self._database.read(look)

    async def finish(self, command: CommandInfo, outcome: Outcome) -> CommandInfo | None:
        """Notes how an attempt ended, with what it left; None when it is not the command's attempt any more.

        A command that failed and has retries left waits again, for its `retry_delay`.
        """

        def work(session: Session) -> CommandInfo | None:
            row = session.get(Command, command.id, with_for_update=True)
            if row is None or row.attempt != command.attempt or row.status not in ACTIVE:
                return None
            if outcome.notebook or outcome.file is not None:
                session.merge(
                    CommandResult(
                        command_id=row.id,
                        attempt=row.attempt,
                        text=outcome.text,
                        notebook=outcome.notebook,
                        file_name=outcome.file.name if outcome.file else "",
                        file_type=outcome.file.mime if outcome.file else "",
                        file=outcome.file.data if outcome.file else None,
                    )
                )
            status = "cancelled" if row.status == "cancelling" else outcome.status
            end_attempt(session, row, status, str((outcome.error or {}).get("message", "")))
            row.error = dict(outcome.error) if outcome.error else None
            settle(session, row, status, outcome.retryable)
            session.flush()
            return _info(row)

        finished = await self._database.write(work)
        self._tell(command.id, finished)
        return finished

    async def cancel(self, command_id: int) -> tuple[bool, CommandInfo]:
        """Cancels a command that waits at once, and asks for it where it runs. Raises `NotFound`.

        False when it has ended, or somebody has asked before.
        """

        def work(session: Session) -> tuple[bool, CommandInfo]:
            row = session.get(Command, command_id, with_for_update=True)
            if row is None:
                raise NotFound("There is no such command.")
            before = row.status
            if before == "waiting":
                withdraw(session, row)
            elif before == "running":
                row.status, row.updated_at = "cancelling", now()
            session.flush()
            return row.status != before, _info(row)

        cancelled = await self._database.write(work)
        self._tell(command_id, cancelled[1] if cancelled[0] else None)
        return cancelled

    async def orphans(self, reason: str) -> list[Orphan]:
        """Ends all attempts that are under way: their server has died.

        Their commands wait again if they have retries left, and have failed otherwise.
        """

        def work(session: Session) -> list[Orphan]:
            rows = session.scalars(
                select(Command).where(Command.status.in_(ACTIVE)).with_for_update()
            ).all()
            return [_lose(session, row, reason) for row in rows]

        return await self._tell_all(await self._database.write(work))

    async def look(self) -> Sight:
        """What runs on all servers of a PostgreSQL, which of them are there, and whether anything waits for its turn."""
        return await self._database.read(look)

    async def take_over(self, reason: str, dead: Mapping[int, datetime | None]) -> list[Orphan]:
        """Ends, as `orphans` does, the attempts of those servers of a PostgreSQL that have not shown themselves since."""

        def work(session: Session) -> list[Orphan]:
            return [_lose(session, row, reason) for row in take_over(session, dead)]

        return await self._tell_all(await self._database.write(work))

    async def rename(self, worker: str, name: str) -> None:
        """A server goes by another name: the attempts that are under way there go on by it."""
        await self._database.execute(
            update(CommandAttempt)
            .where(CommandAttempt.worker == worker, CommandAttempt.outcome == "")
            .values(worker=name)
        )

    async def hand_back(self, command: CommandInfo, reason: str) -> None:
        """Ends an attempt as `orphans` does, if it still is the command's attempt."""

        def work(session: Session) -> CommandInfo | None:
            row = session.get(Command, command.id, with_for_update=True)
            if row is not None and row.attempt == command.attempt and row.status in ACTIVE:
                lose(session, row, reason)
                session.flush()
                return _info(row)
            return None

        self._tell(command.id, await self._database.write(work))

    def _tell(self, command_id: int, command: CommandInfo | None) -> None:
        self._changed(command_id)
        if command is not None and command.is_final:
            self._ended(command)


def _lose(session: Session, row: Command, reason: str) -> Orphan:
    attempt = lose(session, row, reason)
    session.flush()
    return Orphan(
        _info(row),
        attempt.worker if attempt is not None else "",
        attempt.kernel_id if attempt is not None else None,
        attempt.kernel_pid if attempt is not None else None,
    )


def _of_attempt(command: CommandInfo) -> Any:
    return update(Command).where(
        Command.id == command.id,
        Command.attempt == command.attempt,
        Command.status.in_(ACTIVE),
    )


def _found(session: Session, command_id: int) -> Command:
    row = session.get(Command, command_id)
    if row is None:
        raise NotFound("There is no such command.")
    return row


def _info(row: Command) -> CommandInfo:
    return CommandInfo(
        id=row.id,
        command_type=row.command_type,
        owner=row.owner,
        status=row.status,
        path=row.path,
        notebook_id=row.notebook_id,
        payload=row.payload,
        name=row.name,
        tags=tuple(row.tags),
        label=row.label,
        source=row.source,
        priority=row.priority,
        timeout=row.timeout,
        retry=row.retry,
        retry_delay=row.retry_delay,
        attempt=row.attempt,
        cells=row.cells,
        cells_done=row.cells_done,
        cell_index=row.cell_index,
        error=row.error,
        callback_url=row.callback_url,
        mail_to=row.mail_to,
        created_at=row.created_at,
        updated_at=row.updated_at,
        not_before=row.not_before,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
