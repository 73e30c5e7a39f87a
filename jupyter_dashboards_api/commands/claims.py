"""Which command is next: priority first, then the owner whose turn it is, then the older one. For one database session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session

from ..database.command_tables import Command, CommandAttempt
from ..database.tables import now
from .endings import settle
from .models import Limits

ACTIVE = ("running", "cancelling")

# Any number below 2³¹ will do, as long as no other program locks by it; migrations have another.
_ADVISORY_LOCK = 1_139_140_554


@dataclass(frozen=True)
class Running:
    """How many commands run now: by label (without one: the empty text), by notebook, and by owner."""

    labels: Counter[str] = field(default_factory=Counter)
    notebooks: Counter[int] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)

    def add(self, label: str | None, notebook_id: int | None, owner: str, count: int = 1) -> None:
        """So many more."""
        self.labels[label or ""] += count
        self.owners[owner] += count
        if notebook_id is not None:
            self.notebooks[notebook_id] += count

    def full_labels(self, limits: Limits) -> list[str]:
        """Labels of which no more may run."""
        return [label for label, most in limits.labels.items() if self.labels[label] >= most]

    def full_notebooks(self, limits: Limits) -> list[int]:
        """Notebooks of which no more may run."""
        most = limits.notebook
        return [each for each, count in self.notebooks.items() if 0 < most <= count]


def running_now(session: Session) -> Running:
    """What runs now."""
    running = Running()
    counts = (
        select(Command.label, Command.notebook_id, Command.owner, func.count())
        .where(Command.status.in_(ACTIVE))
        .group_by(Command.label, Command.notebook_id, Command.owner)
    )
    for label, notebook_id, owner, count in session.execute(counts):
        running.add(label, notebook_id, owner, count)
    return running


def take(
    session: Session, worker: str, places: int, limits: Limits, served: Sequence[str]
) -> tuple[list[Command], bool]:
    """Up to `places` commands that are due, each `running` now in a new attempt of `worker`; whether there are more.

    Those that a full label or notebook holds back are passed over. `served` are owners, the one served last at the end.
    """
    if session.get_bind().dialect.name == "postgresql":
        # What others take at the same time would not be counted. SQLite has one writer at a time as it is.
        session.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    running = running_now(session)
    turns = list(served)
    taken: list[Command] = []
    while len(taken) < places:
        command = _next(session, running, limits, turns)
        if command is None:
            return taken, False
        running.add(command.label, command.notebook_id, command.owner)
        turns.append(command.owner)
        command.status = "running"
        command.attempt += 1
        command.cells_done, command.cell_index, command.error = 0, None, None
        command.started_at = command.started_at or now()
        command.updated_at = now()
        session.add(CommandAttempt(command_id=command.id, number=command.attempt, worker=worker))
        session.flush()
        taken.append(command)
    return taken, session.scalar(_due(running, limits).limit(1)) is not None


def put_back(session: Session, worker: str, begun: Collection[tuple[int, int]]) -> None:
    """Lets those wait again that `worker` has taken and has not begun: they have not run, so no attempt is counted.

    `begun` has ids of commands and numbers of attempts.
    """
    wanted = (
        select(Command, CommandAttempt)
        .join(
            CommandAttempt,
            (CommandAttempt.command_id == Command.id) & (CommandAttempt.number == Command.attempt),
        )
        .where(Command.status.in_(ACTIVE), CommandAttempt.worker == worker)
        .with_for_update(of=Command)
    )
    for command, attempt in session.execute(wanted).all():
        if (command.id, command.attempt) in begun:
            continue
        session.delete(attempt)
        command.attempt -= 1
        command.updated_at = now()
        command.started_at = command.started_at if command.attempt else None
        if command.status == "cancelling":
            settle(session, command, "cancelled", retryable=False)
        else:
            command.status = "waiting"


def is_due(at: datetime) -> ColumnElement[bool]:
    """Whether a command that waits may run at a time. Only retries wait for one: the clock may have been set back since."""
    return or_(Command.attempt == 0, Command.not_before <= at)


def next_due(session: Session, after: datetime) -> datetime | None:
    """When the first of those is due that were not due at a time."""
    return session.scalar(
        select(func.min(Command.not_before)).where(
            Command.status == "waiting", Command.not_before > after
        )
    )


def _due(running: Running, limits: Limits) -> Select[int]:
    """Those that may be taken."""
    due = select(Command.id).where(Command.status == "waiting", is_due(now()))
    if labels := running.full_labels(limits):
        due = due.where(func.coalesce(Command.label, "").not_in(labels))
    if notebooks := running.full_notebooks(limits):
        due = due.where(func.coalesce(Command.notebook_id, 0).not_in(notebooks))
    return due


def _next(
    session: Session, running: Running, limits: Limits, turns: Sequence[str]
) -> Command | None:
    due = _due(running, limits)
    last = {owner: turn for turn, owner in enumerate(turns, 1)}
    known = sorted(
        {*last, *running.owners}, key=lambda each: (running.owners[each], last.get(each, 0))
    )
    # Of the others nothing runs, and they were not served lately: they come first.
    rank = {owner: turn for turn, owner in enumerate(known, 1)}
    turn = [case(rank, value=Command.owner, else_=0)] if rank else []
    best = session.scalar(
        due.order_by(Command.priority.desc(), *turn, Command.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.get(Command, best, populate_existing=True) if best is not None else None
