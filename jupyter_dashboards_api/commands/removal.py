"""Commands that are deleted, with their attempts, log and results."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..database.command_tables import Command
from ..database.engine import Database
from ..database.schedule_tables import NotebookRecord, ScheduleAction
from ..errors import Conflict, NotFound
from .convert_submission import CONVERT
from .models import FINAL


async def remove(database: Database, command_id: int) -> None:
    """Deletes a command that has ended. Raises `NotFound`, or `Conflict` for one that has not."""

    def work(session: Session) -> None:
        run = ScheduleAction.command_id == command_id
        # The run of a schedule first, as everywhere: nobody then waits for each other.
        session.execute(select(ScheduleAction.id).where(run).with_for_update()).all()
        command = session.get(Command, command_id, with_for_update=True)
        if command is None:
            raise NotFound("There is no such command.")
        if command.status not in FINAL:
            raise Conflict(
                f"The command is {command.status}; cancel it first, with PUT, and delete it then."
            )
        # The run of a schedule stays, and may still have to be told of.
        reason = str((command.error or {}).get("message", ""))
        session.execute(
            update(ScheduleAction).where(run).values(status=command.status, reason=reason)
        )
        _count(session, command)
        session.execute(delete(Command).where(Command.id == command_id))

    await database.write(work)


def _count(session: Session, command: Command) -> None:
    """Counts a run of a notebook of the notebooks API, if it was not counted yet: after this it can't be."""
    if command.notebook_id is None or not (command.started_at and command.command_type != CONVERT):
        return
    record = session.get(NotebookRecord, command.notebook_id, with_for_update=True)
    if record is not None and command.id > record.counted_to:
        record.runs += 1
        times = (record.last_run, command.ended_at)
        record.last_run = max((each for each in times if each is not None), default=None)
