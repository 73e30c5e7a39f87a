"""New commands, in a transaction that may have more to do."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..database.command_tables import Command
from ..errors import Conflict, QueueFull
from .filtering import tag_text
from .models import Submission

_FULL = 30
"""Seconds after which somebody whose commands all wait may try again."""


def submit(
    session: Session, submission: Submission, most_waiting: int | None
) -> tuple[Command, bool]:
    """A new command, and True; or the one that the same idempotency key has made before, and False.

    Raises `Conflict` when that one was another request, `QueueFull` when `most_waiting` of its owner wait already.
    """
    key, owner = submission.idempotency_key, submission.owner
    known = by_key(session, owner, key, submission.request_hash) if key is not None else None
    if known is not None:
        return known, False
    if most_waiting is not None:
        waiting = select(Command.id).where(Command.status == "waiting", Command.owner == owner)
        if session.scalar(waiting.offset(most_waiting - 1).limit(1)) is not None:
            raise QueueFull(
                f"{most_waiting} of your commands wait already: cancel some, or wait until some have run.",
                _FULL,
            )
    return add_command(session, submission), True


def by_key(session: Session, owner: str, key: str, request_hash: str) -> Command | None:
    """The command that an idempotency key has made. Raises `Conflict` when that was another request."""
    known = session.scalar(
        select(Command).where(Command.owner == owner, Command.idempotency_key == key)
    )
    if known is not None and known.request_hash != request_hash:
        raise Conflict("This idempotency key belongs to another command.")
    return known


def add_command(session: Session, submission: Submission) -> Command:
    """A new command that waits."""
    command = Command(**_columns(submission))
    session.add(command)
    session.flush()
    return command


def _columns(submission: Submission) -> dict[str, Any]:
    return {
        "command_type": submission.command_type,
        "owner": submission.owner,
        "path": submission.path,
        "notebook_id": submission.notebook_id,
        "payload": dict(submission.payload),
        "request_hash": submission.request_hash,
        "name": submission.name,
        "tags": list(submission.tags),
        "tag_text": tag_text(submission.tags),
        "label": submission.label,
        "source": submission.source,
        "priority": submission.priority,
        "timeout": submission.timeout,
        "retry": submission.retry,
        "retry_delay": submission.retry_delay,
        "idempotency_key": submission.idempotency_key,
        "callback_url": submission.callback_url,
        "callback_secret": submission.callback_secret,
        "mail_to": submission.mail_to,
    }
