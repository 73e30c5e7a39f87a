"""Runs that have ended, and who is to be told of them: noted in one transaction, delivered by `notifier.py`.

For one database session. Each action is told of once, whichever server ended it and however often one looks. What a digest
tells is put by with the action: by times alone, one that another server is just telling of could be in none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from ..commands.models import FINAL as ENDED
from ..database.command_tables import Command
from ..database.schedule_tables import MAIL, WEBHOOK, Notification, Schedule, ScheduleAction
from ..database.tables import Notebook
from ..errors import DashboardsError
from .models import WAITING_FOR_DEPENDENCIES
from .notices import Notice, Run, digest_of, mail_of, next_digest, notice_of, webhook_message

_log = logging.getLogger(__name__)

_AT_ONCE = 200
_DIGESTS = 20
_MOST_OF_A_DIGEST = 10_000

_COLLECTED = select(ScheduleAction.schedule_id).where(ScheduleAction.collected_at.is_not(None))
_FORGOTTEN = (Schedule.digest_at.is_(None), Schedule.id.in_(_COLLECTED))


def tell(session: Session, moment: datetime) -> tuple[int, bool]:
    """Notes who is to be told of what has ended; how much is to be told, and whether there may be more."""
    noted = 0
    found = session.execute(
        _runs()
        .where(
            ScheduleAction.told_at.is_(None),
            or_(
                Command.status.in_(ENDED),
                and_(
                    ScheduleAction.command_id.is_(None),
                    ScheduleAction.status != WAITING_FOR_DEPENDENCIES,
                ),
            ),
        )
        # As the index has them: by their ids alone SQLite would rather read all runs that there have been.
        .order_by(ScheduleAction.schedule_id, ScheduleAction.id)
        .limit(_AT_ONCE)
        .with_for_update(of=ScheduleAction, skip_locked=True)
    ).all()
    for action, schedule, command, notebook in found:
        action.told_at = moment
        with _apart(session, schedule):
            run = _run(action, schedule, command, notebook)
            noted += _tell_one(session, schedule, action, run, moment)
    return noted, len(found) == _AT_ONCE


def digest(session: Session, moment: datetime) -> int:
    """Notes the mails of a day's runs that are due; how many schedules that were."""
    due = session.scalars(
        select(Schedule)
        .where(Schedule.digest_at <= moment)
        .order_by(Schedule.digest_at)
        .limit(_DIGESTS)
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    for schedule in due:
        # Not again at once, if this goes wrong.
        schedule.digest_at = moment + timedelta(days=1)
        with _apart(session, schedule):
            is_more = _tell_collected(session, schedule)
            schedule.digest_at = moment if is_more else _next_digest(schedule, moment)
    return len(due)


def has_forgotten(session: Session) -> bool:
    """Whether something was collected for a digest that is not to come.

    One server may collect a run while another one switches the digest off.
    """
    return session.scalar(select(Schedule.id).where(*_FORGOTTEN).limit(1)) is not None


def recall(session: Session, moment: datetime) -> None:
    """Has such a digest come all the same."""
    session.execute(
        update(Schedule).where(*_FORGOTTEN).values(digest_at=moment),
        execution_options={"synchronize_session": False},
    )


@contextmanager
def _apart(session: Session, schedule: Schedule) -> Iterator[None]:
    """What is stored of one schedule and can't be read keeps nobody from being told of the others."""
    session.flush()
    try:
        with session.begin_nested():
            yield
            session.flush()
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, DashboardsError):
        _log.exception("Schedule %d", schedule.id)


def _tell_one(
    session: Session,
    schedule: Schedule,
    action: ScheduleAction,
    run: Run,
    moment: datetime,
) -> int:
    notice, noted = _notice(schedule), 0
    if _concerns(notice, run):
        if notice.digest is not None:
            action.collected_at = moment
        else:
            _note(session, schedule, MAIL, json.dumps(notice.addresses), mail_of(run))
            noted += 1
    url = (schedule.fields.get("webhook") or {}).get("url")
    if url and schedule.webhook_secret:
        _note(session, schedule, WEBHOOK, url, webhook_message(run, moment))
        noted += 1
    return noted


def _tell_collected(session: Session, schedule: Schedule) -> bool:
    """Notes the mail of what has been put by; whether there may be more of it than one mail holds."""
    notice = _notice(schedule)
    rows = session.execute(
        _runs()
        .where(ScheduleAction.schedule_id == schedule.id, ScheduleAction.collected_at.is_not(None))
        .order_by(ScheduleAction.id)
        .limit(_MOST_OF_A_DIGEST)
    ).all()
    for action, *_ in rows:
        action.collected_at = None
    # By what is asked for now: since then it may have been edited.
    wanted = [run for run in (_run(*row) for row in rows) if _concerns(notice, run)]
    if wanted:
        text = digest_of(schedule.name, wanted)
        _note(session, schedule, MAIL, json.dumps(notice.addresses), text)
    return len(rows) == _MOST_OF_A_DIGEST


def set_digest(schedule: Schedule, moment: datetime) -> None:
    """Says when a schedule's next digest is due, after its `fields` have changed. For one whose `fields` have been read.

    One that is switched off is due now: what has been put by for it is not kept for the day on which it is switched on.
    """
    last = moment if schedule.digest_at is not None else None
    schedule.digest_at = _next_digest(schedule, moment) or last


def _next_digest(schedule: Schedule, moment: datetime) -> datetime | None:
    zone = str(schedule.fields.get("time_zone") or "UTC")
    return next_digest(_notice(schedule), zone, moment)


def next_digest_at(session: Session) -> datetime | None:
    """When the first digest is due."""
    return session.scalar(
        select(func.min(Schedule.digest_at)).where(Schedule.digest_at.is_not(None))
    )


def _concerns(notice: Notice, run: Run) -> bool:
    return (run.has_succeeded and notice.success) or (run.has_failed and notice.failure)


def _notice(schedule: Schedule) -> Notice:
    return notice_of(schedule.fields.get("notification"))


def _runs() -> Select[ScheduleAction, Schedule, Command, Notebook]:
    return (
        select(ScheduleAction, Schedule, Command, Notebook)
        .join(Schedule, Schedule.id == ScheduleAction.schedule_id)
        .outerjoin(Command, Command.id == ScheduleAction.command_id)
        .outerjoin(Notebook, Notebook.id == Schedule.notebook_id)
    )


def _run(
    action: ScheduleAction,
    schedule: Schedule,
    command: Command | None,
    notebook: Notebook | None,
) -> Run:
    # Where there is no command, the notebook where it lies, or was when it vanished.
    source = command or notebook
    error: Mapping[str, Any] = (command.error if command is not None else None) or {}
    return Run(
        schedule_id=schedule.id,
        schedule_name=schedule.name,
        action_id=action.id,
        sequence_id=action.sequence_id,
        nominal_time=action.nominal_time,
        command_id=action.command_id,
        status=action.status or (command.status if command is not None else ""),
        reason=action.reason or str(error.get("message", "")),
        path=source.path if source is not None else "",
        started_at=command.started_at if command is not None else None,
        ended_at=command.ended_at if command is not None else None,
    )


def _note(
    session: Session, schedule: Schedule, kind: str, target: str, message: Mapping[str, Any]
) -> None:
    session.add(
        Notification(schedule_id=schedule.id, kind=kind, target=target, message=dict(message))
    )
