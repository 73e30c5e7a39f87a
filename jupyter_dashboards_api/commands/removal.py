"""Commands that are deleted, with their attempts, log and results."""

from __future__ import annotations

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from ..database.command_tables import Command
from ..database.engine import Database
from ..database.schedule_tables import ScheduleAction
from ..errors import Conflict, NotFound
from .models import FINAL


async def remove(database: Database, command_id: int) -> None:
    """Deletes a command that has ended. Raises `NotFound`, or `Conflict` for one that has not."""

    def work(session: Session) -> None:
        command = session.get(Command, command_id, with_for_update=True)
        if command is None:
            raise NotFound("There is no such command.")
        if command.status not in FINAL:
            raise Conflict(
                f"The command is {command.status}; cancel it first, with PUT, and delete it then."
            )
        # The run of a schedule stays, and may still have to be told of.
        run = ScheduleAction.command_id == command_id
        reason = str((command.error or {}).get("message", ""))
        session.execute(
            update(ScheduleAction).where(run).values(status=command.status, reason=reason)
        )
        session.execute(delete(Command).where(Command.id == command_id))

    await database.write(work)
