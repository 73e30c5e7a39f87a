"""From a request to a schedule, and what an edit or a clone changes. Pure. API: §3 of `specs/commands.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from .models import SCHEDULER, NewSchedule, ScheduleInfo
from .requests import (
    InvalidSchedule,
    ScheduleRequest,
    merged,
    require_a_run,
    schedule_request,
)
from .triggers import Every, Trigger, trigger_of
from .walls import exact_instant

_ENDS = ("end_time", "until")


def asked(given: Mapping[str, Any], now: datetime) -> ScheduleRequest:
    """What the body of a new schedule asks for. Raises `InvalidSchedule`."""
    request = schedule_request(given, now)
    require_a_run(request.trigger, request.since)
    return request


def new_schedule(request: ScheduleRequest, owner: str, notebook_id: int | None) -> NewSchedule:
    """The schedule to store."""
    return NewSchedule(
        kind=SCHEDULER,
        owner=owner,
        name=request.name,
        notebook_id=notebook_id,
        body=request.body,
        trigger=request.trigger.as_dict(),
        since=request.since,
        fields=request.fields,
        catch_up=request.catch_up,
        concurrency=request.concurrency,
        keep_last=request.keep_last,
        keep_days=request.keep_days,
        webhook_secret=request.webhook_secret,
    )


def edited(schedule: ScheduleInfo, changes: Mapping[str, Any], now: datetime) -> ScheduleRequest:
    """What a schedule asks for after an edit that says only what changes. Raises `InvalidSchedule`."""
    request = schedule_request(merged(schedule.fields, changes), now)
    if changes.get("start_time") is not None and _is_same_start(schedule, request.trigger):
        # As the view writes a start that clocks skip, it would be another time of day ever after.
        changes = {name: value for name, value in changes.items() if name != "start_time"}
        request = schedule_request(merged(schedule.fields, changes), now)
    trigger = request.trigger.as_dict()
    if trigger != schedule.trigger:
        require_a_run(request.trigger, _since(schedule, trigger, now))
    if changes.get("start_time") is not None:
        _check_start(schedule, request.trigger, now)
    return request


def cloned(schedule: ScheduleInfo, changes: Mapping[str, Any], now: datetime) -> ScheduleRequest:
    """What a clone asks for. Its times count from now on: the past has run already. Raises `InvalidSchedule`."""
    request = schedule_request(merged(schedule.fields, changes), now)
    if request.name is None or request.name == schedule.name or changes.get("name") is None:
        raise InvalidSchedule("name is required: a clone needs one of its own.")
    if not changes.get("start_time"):
        request = replace(request, since=max(request.since, now))
    require_a_run(request.trigger, request.since)
    return request


def changed_columns(
    schedule: ScheduleInfo,
    request: ScheduleRequest,
    changes: Mapping[str, Any],
    notebook_id: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Column → value of what an edit changes."""
    values: dict[str, Any] = {
        "name": request.name or str(schedule.id),
        "notebook_id": notebook_id,
        "body": dict(request.body),
        "fields": dict(request.fields),
        "catch_up": request.catch_up,
        "concurrency": request.concurrency,
        "keep_last": request.keep_last,
        "keep_days": request.keep_days,
    }
    trigger = request.trigger.as_dict()
    if trigger != schedule.trigger:
        values |= {"trigger": trigger, "since": _since(schedule, trigger, now)}
    if "webhook" in changes and tells_secret(schedule, request, changes):
        values["webhook_secret"] = request.webhook_secret
    elif request.webhook is None:
        values["webhook_secret"] = None
    return values


def tells_secret(
    schedule: ScheduleInfo, request: ScheduleRequest, changes: Mapping[str, Any]
) -> bool:
    """Whether an edit gives the webhook a new secret: it names one, or another address."""
    if request.webhook is None:
        return False
    given = changes.get("webhook")
    if isinstance(given, Mapping) and given.get("secret"):
        return True
    before = schedule.fields.get("webhook")
    return given is not None and not (
        isinstance(before, Mapping) and before.get("url") == request.webhook
    )


def _since(schedule: ScheduleInfo, trigger: Mapping[str, Any], now: datetime) -> datetime:
    """No time of a new trigger counts that lies before the edit; one that ends otherwise goes on where it is."""
    if schedule.next_time is not None and _endless(trigger) == _endless(schedule.trigger):
        return schedule.next_time
    # Starts are written in minutes.
    return now.replace(second=0, microsecond=0)


def _endless(trigger: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in trigger.items() if name not in _ENDS}


def _is_same_start(schedule: ScheduleInfo, trigger: Trigger) -> bool:
    """Whether an edit's start is the instant and on the clock of the present one."""
    before = trigger_of(schedule.trigger)
    if not isinstance(trigger, Every) or not isinstance(before, Every):
        return False
    starts = [exact_instant(each.start, each.zone) for each in (trigger, before)]
    return starts[0] == starts[1] and trigger.zone.key == before.zone.key


def _check_start(schedule: ScheduleInfo, trigger: Trigger, now: datetime) -> None:
    """A start may only be moved to between now and the next run."""
    before = trigger_of(schedule.trigger)
    if not isinstance(trigger, Every) or not isinstance(before, Every):
        return
    start = exact_instant(trigger.start, trigger.zone)
    if start == exact_instant(before.start, before.zone):
        return
    following = schedule.next_time
    is_late = following is not None and following > now and start > following
    if start < now.replace(second=0, microsecond=0) or is_late:
        raise InvalidSchedule("start_time: may only be moved to between now and the next run.")
