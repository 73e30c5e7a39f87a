"""Who is told that a command has ended: noted in the transaction that ends it, delivered by `schedules/notifier.py`.

For one database session. Nothing is lost by a server that is killed, and each command is told of once.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from ..database.command_tables import Command
from ..database.schedule_tables import MAIL, WEBHOOK, Notification
from ..database.tables import now
from ..errors import Unreadable
from .mail import parse_addresses

_WORDS = {"done": "succeeded", "error": "failed", "cancelled": "cancelled"}


def note_end(session: Session, command: Command) -> None:
    """Notes who is to be told of a command, whose `status` and `ended_at` are its last ones."""
    if command.callback_url and command.callback_secret:
        session.add(
            Notification(
                command_id=command.id,
                kind=WEBHOOK,
                target=command.callback_url,
                secret=command.callback_secret,
                message=callback_message(command, now()),
            )
        )
        # It is not needed here any more.
        command.callback_secret = None
    if command.mail_to:
        session.add(
            Notification(
                command_id=command.id,
                kind=MAIL,
                target=json.dumps([command.mail_to]),
                message=_mail(command),
            )
        )


def callback_message(command: Command, moment: datetime) -> dict[str, Any]:
    """What a program is told of a command that has ended."""
    return {
        "type": f"command.{_WORDS[command.status]}",
        "timestamp": moment.isoformat(timespec="seconds"),
        "data": {
            "command_id": command.id,
            "command_type": command.command_type,
            "status": command.status,
            "error": command.error,
            "name": command.name,
            "path": command.path,
            "started_at": _written(command.started_at),
            "ended_at": _written(command.ended_at),
        },
    }


def own_address(owner: str) -> str | None:
    """The mail address that an owner's name is; None where it is none."""
    try:
        (address,) = parse_addresses([owner])
    except Unreadable:
        return None
    return address


def _mail(command: Command) -> dict[str, str]:
    word = _WORDS[command.status]
    reason = str((command.error or {}).get("message", ""))
    lines = [
        f"Command {command.id} {'was ' if word == 'cancelled' else ''}{word}.",
        "",
        *([f"Name: {command.name}"] if command.name else []),
        f"Notebook: {command.path}",
        f"Started: {mail_time(command.started_at)}",
        f"Ended: {mail_time(command.ended_at)}",
        f"Status: {command.status}",
        *([f"Reason: {reason}"] if reason else []),
    ]
    return {
        "subject": f"{command.name or command.path}: command {command.id} {word}",
        "text": "\n".join(lines),
    }


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None


def mail_time(moment: datetime | None) -> str:
    """A time as mails have it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment is not None else "-"
