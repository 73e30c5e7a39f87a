"""Commands that are deleted, with their attempts, log and results."""

from __future__ import annotations

from sqlalchemy import delete, select

from ..database.command_tables import Command
from ..database.engine import Database
from ..errors import Conflict, NotFound
from .models import FINAL


async def remove(database: Database, command_id: int) -> None:
    """Deletes a command that has ended. Raises `NotFound`, or `Conflict` for one that has not."""
    wanted = delete(Command).where(Command.id == command_id, Command.status.in_(FINAL))
    if await database.execute(wanted):
        return
    status = await database.read(
        lambda session: session.scalar(select(Command.status).where(Command.id == command_id))
    )
    if status is None:
        raise NotFound("There is no such command.")
    raise Conflict(f"The command is {status}; cancel it first, with PUT, and delete it then.")
