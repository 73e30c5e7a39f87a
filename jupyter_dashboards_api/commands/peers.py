"""Which of the servers that share a PostgreSQL are there, what they run, and which of them has died.

A server is there as long as its row among Procrastinate's workers is kept fresh (`carrier.py`). All times are the database's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, cast, column, delete, func, select, table, text
from sqlalchemy.orm import Session

from ..database.command_tables import Command, CommandAttempt
from ..database.queue_schema import SCHEMA
from ..database.tables import now
from .claims import ACTIVE, is_due, next_due

_WORKERS = table("procrastinate_workers", column("id"), column("last_heartbeat"), schema=SCHEMA)
_JOBS = table("procrastinate_jobs", column("status"), column("worker_id"), schema=SCHEMA)


@dataclass(frozen=True)
class UnderWay:
    """An attempt that is under way somewhere."""

    command_id: int
    number: int
    status: str
    worker: str


@dataclass(frozen=True)
class Sight:
    """What one look has shown.

    `heartbeats` are the latest of each server, and its age in seconds, by its id; `is_due` says whether anything waits for a
    place, `next_due` in how many seconds something will.
    """

    under_way: tuple[UnderWay, ...]
    heartbeats: Mapping[int, tuple[datetime, float]]
    is_due: bool
    next_due: float | None

    def alive(self, stalled: float) -> int:
        """How many servers are there."""
        return sum(age <= stalled for _, age in self.heartbeats.values())


def look(session: Session) -> Sight:
    """What there is to see now."""
    at = now()
    running = _active(Command.id, Command.attempt, Command.status, CommandAttempt.worker)
    age = func.date_part("epoch", func.clock_timestamp() - _WORKERS.c.last_heartbeat)
    workers = select(_WORKERS.c.id, _WORKERS.c.last_heartbeat, age)
    due = select(Command.id).where(Command.status == "waiting", is_due(at)).limit(1)
    following = next_due(session, at)
    return Sight(
        tuple(UnderWay(*row) for row in session.execute(running)),
        {number: (beat, float(old)) for number, beat, old in session.execute(workers)},
        session.scalar(due) is not None,
        max((following - at).total_seconds(), 0.0) if following is not None else None,
    )


class Watch:
    """Tells which servers have died. It takes two looks, some time apart, in which a server has not shown itself.

    After a time without a database all heartbeats are old, and the fastest server must not take the others' work.
    """

    def __init__(self, heartbeat: float, stalled: float) -> None:
        """A heartbeat comes every so many seconds, and is missed after `stalled`."""
        self._apart = 1.5 * heartbeat
        self._longest = 3 * heartbeat
        self._stalled = stalled
        self._latest = float("-inf")
        self._missed: dict[int, tuple[datetime | None, float]] = {}

    def forget(self) -> None:
        """What was seen before counts no more: the database was away, or we were."""
        self._missed.clear()

    def dead(self, sight: Sight, own: int, at: float) -> dict[int, datetime | None]:
        """The ids of servers that are dead, each with its last heartbeat; `own` is ours, `at` our clock in seconds."""
        if at - self._latest > self._longest:
            self.forget()
        self._latest = at
        missed: dict[int, datetime | None] = {
            each: beat for each, (beat, age) in sight.heartbeats.items() if age > self._stalled
        }
        for attempt in sight.under_way:
            number = id_of(attempt.worker)
            if number not in sight.heartbeats:
                missed[number] = None
        missed.pop(own, None)
        before = self._missed
        self._missed = {
            each: before[each] if each in before and before[each][0] == beat else (beat, at)
            for each, beat in missed.items()
        }
        # One that lives, and has lost its row, needs a while to take another one.
        return {
            each: beat
            for each, (beat, since) in self._missed.items()
            if at - since >= (self._stalled if beat is None else self._apart)
        }


def take_over(session: Session, dead: Mapping[int, datetime | None]) -> list[Command]:
    """The commands of those servers that are dead, locked; from now on those servers are none.

    One that has shown itself since is left alone: either its next heartbeat comes first, or it finds that it is gone.
    """
    gone = {each for each, beat in dead.items() if _strike(session, each, beat)}
    # Procrastinate's jobs only say that there is something to do: that they did is enough.
    is_doing = cast(_JOBS.c.status, Text) == "doing"
    # Its triggers name its tables without their schema.
    session.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
    session.execute(delete(_JOBS).where(is_doing, _JOBS.c.worker_id.is_(None)))
    session.execute(text("SET LOCAL search_path TO DEFAULT"))
    names = [
        name for name in session.scalars(_active(CommandAttempt.worker)) if id_of(name) in gone
    ]
    theirs = _active(Command).where(CommandAttempt.worker.in_(names)).order_by(Command.id)
    return list(session.scalars(theirs.with_for_update(of=Command)))


def name_of(worker: str, number: int) -> str:
    """What a server is called in the rows of attempts: `host:pid:id`."""
    return f"{worker}:{number}"


def id_of(name: str) -> int:
    """The id of a server by that name; -1 when it has none."""
    last = name.rpartition(":")[2]
    return int(last) if name.count(":") >= 2 and last.isdecimal() else -1


def _active(*wanted: Any) -> Select[Any]:
    present = (CommandAttempt.command_id == Command.id) & (CommandAttempt.number == Command.attempt)
    return (
        select(*wanted)
        .select_from(Command)
        .join(CommandAttempt, present)
        .where(Command.status.in_(ACTIVE))
    )


def _strike(session: Session, number: int, beat: datetime | None) -> bool:
    if beat is not None:
        same = (_WORKERS.c.id == number, _WORKERS.c.last_heartbeat == beat)
        session.execute(delete(_WORKERS).where(*same))
    left = select(_WORKERS.c.id).where(_WORKERS.c.id == number)
    return session.scalar(left) is None
