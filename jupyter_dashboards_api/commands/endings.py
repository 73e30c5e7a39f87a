"""How an attempt ends, in its rows. For one database session, whose command is locked."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..database.command_tables import Command, CommandAttempt, CommandLog
from ..database.tables import now
from .callbacks import note_end
from .logs import line_of

_OF_STAGE = {
    "sending": " Its mail may have been sent, so it is not sent again.",
    "sent": " Its mail had been sent.",
}


def settle(session: Session, row: Command, status: str, retryable: bool) -> None:
    """What becomes of a command: it waits again if it failed and has retries left, and has ended otherwise."""
    row.updated_at = now()
    if status == "error" and retryable and row.attempt <= row.retry:
        row.status = "waiting"
        row.not_before = now() + timedelta(minutes=row.retry_delay)
        return
    row.status = status
    row.ended_at = now()
    note_end(session, row)


def withdraw(session: Session, row: Command) -> None:
    """Cancels a command that waits."""
    # Not the error of a try before, which its log tells.
    row.error = None
    if row.attempt:
        _log(session, row, "Cancelled.")
    settle(session, row, "cancelled", retryable=False)


def lose(session: Session, row: Command, reason: str) -> CommandAttempt | None:
    """Ends the attempt of a server that was stopped or died, and settles its command."""
    attempt = _attempt(session, row)
    stage = attempt.stage if attempt is not None else ""
    status = "cancelled" if row.status == "cancelling" else "error"
    why = reason + _OF_STAGE.get(stage, "")
    end_attempt(session, row, "lost", why)
    _log(session, row, why)
    row.error = {"message": why} if status == "error" else None
    settle(session, row, status, retryable=not stage)
    return attempt


def end_attempt(session: Session, row: Command, outcome: str, reason: str) -> None:
    """Notes how the present attempt of a command ended."""
    attempt = _attempt(session, row)
    if attempt is not None:
        attempt.outcome, attempt.reason, attempt.ended_at = outcome, reason, now()


def _log(session: Session, row: Command, reason: str) -> None:
    """Says it in the log too, in a line of its own."""
    last = select(CommandLog.text.endswith("\n")).where(CommandLog.command_id == row.id)
    is_open = session.scalar(last.order_by(CommandLog.id.desc()).limit(1)) is False
    text = ("\n" if is_open else "") + line_of(reason)
    session.add(CommandLog(command_id=row.id, attempt=row.attempt, text=text))


def _attempt(session: Session, row: Command) -> CommandAttempt | None:
    return session.scalar(
        select(CommandAttempt).where(
            CommandAttempt.command_id == row.id, CommandAttempt.number == row.attempt
        )
    )
