"""Which commands of the history are asked for, as a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, func, select

from ..database.command_tables import Command
from .models import Filter


def filtered(wanted: Filter) -> Select[Command]:
    """The commands that are asked for, in no order."""
    query = select(Command)
    if wanted.owners is not None:
        query = query.where(Command.owner.in_(wanted.owners))
    equal: Sequence[tuple[Any, Any]] = (
        (Command.source, wanted.source),
        (Command.label, wanted.label),
        (Command.name, wanted.name),
        (Command.id, wanted.command_id),
        (Command.notebook_id, wanted.notebook_id),
    )
    for column, value in equal:
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(Command.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Command.created_at <= wanted.until)
    if wanted.command_types:
        query = query.where(Command.command_type.in_(wanted.command_types))
    if wanted.statuses:
        query = query.where(Command.status.in_(wanted.statuses))
    for tag in wanted.tags:
        # Tags are JSON texts: one in quotes is one whole tag, whatever else it has.
        # Not LIKE: for SQLite, that takes `Notes` for `notes`.
        query = query.where(func.replace(Command.tag_text, _quoted(tag), "") != Command.tag_text)
    return query


def _quoted(tag: str) -> str:
    return f"\n{tag}\n"


def tag_text(tags: Iterable[str]) -> str:
    """What `Command.tag_text` has: each tag between two line ends."""
    return "".join(map(_quoted, tags))
