"""What a nominal time that has come makes: an action and its command, in the transaction that moves the schedule on.

For one database session. Several servers may look at once: each takes schedules that no other one holds, and an action's
schedule and nominal time are unique.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from ..commands.adding import add_command
from ..commands.intake import request_of
from ..commands.models import FINAL as ENDED
from ..commands.models import Submission
from ..commands.submission import Refused
from ..database.command_tables import Command
from ..database.schedule_tables import Schedule, ScheduleAction
from ..database.tables import Notebook, now
from ..errors import InvalidRequest
from .dependencies import read_files
from .missed import first_to_run
from .models import DONE, FAILED, NOT_FOUND, RUNNING, WAITING_FOR_DEPENDENCIES, Bounds
from .triggers import Trigger, trigger_of

SOURCE = "SCHEDULED"
"""`command_source` of commands that a schedule has made."""

_AT_ONCE = 50

_BROKEN = (
    ValueError,
    TypeError,
    KeyError,
    ArithmeticError,
    LookupError,
    AssertionError,
    InvalidRequest,
)
_BROKEN_AGAIN = timedelta(hours=1)
_log = logging.getLogger(__name__)


def due_schedules(moment: datetime) -> Select[Schedule]:
    """Those that one look takes up."""
    return (
        select(Schedule)
        .where(Schedule.look_at <= moment, Schedule.status == RUNNING)
        .order_by(Schedule.look_at)
        .limit(_AT_ONCE)
    )


def look(
    session: Session, moment: datetime, bounds: Bounds, lost: Collection[int] = ()
) -> tuple[list[int], bool]:
    """Fires what is due of the schedules that are due, as many as there is time for.

    `lost` are the ids of notebooks whose files have vanished (`lost.py`). The ids of the new commands, and whether any
    schedule was taken up: another server may have them all just now.
    """
    due = session.scalars(
        due_schedules(moment).with_for_update(skip_locked=True, key_share=True)
    ).all()
    made: list[int] = []
    enough = time.monotonic() + bounds.longest.total_seconds()
    for schedule in due:
        try:
            with session.begin_nested():
                made += fire(session, schedule, moment, bounds, lost)
                session.flush()
        except _BROKEN:
            # One that can't be fired must not keep the others from it.
            _log.exception("Schedule %d", schedule.id)
            session.refresh(schedule)
            schedule.look_at = moment + _BROKEN_AGAIN
        if time.monotonic() >= enough:
            # The others are still due: the next look is worth it at once.
            break
    return made, bool(due)


def next_look(session: Session) -> datetime | None:
    """When the next look is worth it; None when no schedule waits."""
    return session.scalar(select(func.min(Schedule.look_at)).where(Schedule.look_at.is_not(None)))


def fire(
    session: Session,
    schedule: Schedule,
    moment: datetime,
    bounds: Bounds,
    lost: Collection[int] = (),
) -> list[int]:
    """Makes an action of each nominal time of a schedule that has come and has a place; the ids of their commands."""
    trigger = trigger_of(schedule.trigger)
    free = schedule.concurrency - active(session, schedule.id)
    made: list[int] = []
    for _ in range(bounds.batch):
        if free <= 0 or schedule.next_time is None or schedule.next_time > moment:
            break
        nominal = first_to_run(trigger, schedule.next_time, moment, schedule.catch_up, bounds)
        if nominal is None or nominal > moment:
            schedule.next_time = nominal
            break
        action = act(session, schedule, nominal, lost=lost)
        if action.command_id is not None:
            made.append(action.command_id)
        if action.status != FAILED and action.status != NOT_FOUND:
            free -= 1
        move_on(schedule, trigger, nominal)
    settle(schedule, moment, bounds, is_full=free <= 0)
    return made


def active(session: Session, schedule_id: int) -> int:
    """How many actions of a schedule are under way."""
    return (
        session.scalar(
            select(func.count())
            .select_from(ScheduleAction)
            .outerjoin(Command, Command.id == ScheduleAction.command_id)
            .where(
                ScheduleAction.schedule_id == schedule_id,
                # By the index: what has ended is told of soon.
                ScheduleAction.told_at.is_(None),
                or_(
                    Command.status.not_in(ENDED),
                    ScheduleAction.status == WAITING_FOR_DEPENDENCIES,
                ),
            )
        )
        or 0
    )


def move_on(schedule: Schedule, trigger: Trigger, nominal: datetime) -> None:
    """Takes a nominal time as done with."""
    schedule.last_time = nominal
    schedule.next_time = trigger.next_after(nominal)


def settle(schedule: Schedule, moment: datetime, bounds: Bounds, *, is_full: bool = False) -> None:
    """Says when a schedule is looked at again, and ends it if it has no nominal time any more."""
    if schedule.status != RUNNING:
        schedule.look_at = None
    elif schedule.next_time is None:
        schedule.status, schedule.look_at, schedule.updated_at = DONE, None, now()
    elif schedule.next_time > moment or not is_full:
        schedule.look_at = schedule.next_time
    else:
        schedule.look_at = moment + bounds.busy


def act(
    session: Session,
    schedule: Schedule,
    nominal: datetime,
    again: ScheduleAction | None = None,
    lost: Collection[int] = (),
    *,
    by_hand: bool = False,
) -> ScheduleAction:
    """An action of a nominal time, with its command, or waiting for its files; of an action that is run `again`, a rerun of it."""
    if again is None:
        schedule.sequence += 1
    action = ScheduleAction(
        schedule_id=schedule.id,
        sequence_id=schedule.sequence if again is None else again.sequence_id,
        nominal_time=nominal,
        rerun_number=_next_rerun(session, schedule.id, nominal) if again is not None else 0,
        rerun_of=again.id if again is not None else None,
        is_asked_for=by_hand or again is not None,
    )
    session.add(action)
    session.flush()
    if read_files(schedule.fields.get("dependency_info")):
        action.status = WAITING_FOR_DEPENDENCIES
    else:
        command(session, schedule, action, lost)
    return action


def command(
    session: Session, schedule: Schedule, action: ScheduleAction, lost: Collection[int] = ()
) -> None:
    """Makes an action's command; where that can't be done, the action says why."""
    notebook = session.get(Notebook, schedule.notebook_id) if schedule.notebook_id else None
    if notebook is None or notebook.deleted_at is not None or notebook.id in lost:
        action.status, action.reason = NOT_FOUND, "The schedule's notebook is not there any more."
        return
    try:
        submission = submission_of(
            schedule.body, schedule.owner, notebook.path, notebook.id, action.nominal_time
        )
    except Refused as error:
        action.status, action.reason = FAILED, error.message
        return
    about = {
        "id": schedule.id,
        "action_id": action.id,
        "sequence_id": action.sequence_id,
        "nominal_time": action.nominal_time.isoformat(),
    }
    made = add_command(
        session, replace(submission, payload={**submission.payload, "schedule": about})
    )
    action.command_id, action.status = made.id, ""


def submission_of(
    body: Mapping[str, Any], owner: str, path: str, notebook_id: int, nominal: datetime
) -> Submission:
    """The command that a schedule makes at a nominal time. Raises `Refused`."""
    # Where the notebook lies now: it may have moved since the schedule was made.
    there = {**body, "path": path} if body.get("path") else body
    made = request_of(there, None, nominal=nominal).submission(path, notebook_id, owner)
    return replace(made, source=SOURCE, idempotency_key=None)


def _next_rerun(session: Session, schedule_id: int, nominal: datetime) -> int:
    last = session.scalar(
        select(func.max(ScheduleAction.rerun_number)).where(
            ScheduleAction.schedule_id == schedule_id, ScheduleAction.nominal_time == nominal
        )
    )
    return (last or 0) + 1
