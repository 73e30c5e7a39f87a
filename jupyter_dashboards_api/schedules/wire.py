"""Schedules, actions and pages as the scheduler API writes them. Pure. API: §3 of `specs/commands.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..commands.models import FINAL as ENDED
from ..commands.wire import MAX_NUMBER, nominal_time, read_flag, read_number, timestamp, user_id
from ..database.schedule_tables import MAIL
from ..errors import InvalidRequest, Unreadable
from .dependencies import missing_of, time_out
from .models import (
    DONE,
    KILLED,
    NOT_FOUND,
    RUNNING,
    SUSPENDED,
    ActionInfo,
    ScheduleInfo,
)
from .notifier import PENDING, NotificationInfo
from .triggers import Every, Trigger, next_times, trigger_of
from .walls import exact_instant

DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 100
DEFAULT_PREVIEW = 10
MAX_PREVIEW = 100

SUSPEND, RESUME, KILL = "suspend", "resume", "kill"
STATUS_OF = {SUSPEND: SUSPENDED, RESUME: RUNNING, KILL: KILLED}
"""What a client asks for → the status that comes of it."""

STATUSES = (RUNNING, SUSPENDED, KILLED, DONE)

_DELETED = "deleted"
_OF_COMMAND = {"waiting": "submitted", "cancelling": "running"}
"""Statuses of a command that actions have other words for."""


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many come before it."""
        return (self.number - 1) * self.size

    def info(self, more: bool) -> dict[str, Any]:
        """The neighbouring pages, null at both ends."""
        return {
            "previous_page": self.number - 1 if self.number > 1 else None,
            "next_page": self.number + 1 if more else None,
            "per_page": self.size,
        }


def read_page(given: Mapping[str, str]) -> Page:
    """The page that query arguments ask for. Raises `InvalidRequest`."""
    size = _number(given, "per_page") or DEFAULT_PER_PAGE
    number = _number(given, "page") or 1
    if number * MAX_PER_PAGE > MAX_NUMBER:
        raise InvalidRequest("page: there are not so many pages.")
    return Page(number, min(size, MAX_PER_PAGE))


def read_statuses(given: Mapping[str, str]) -> tuple[str, ...]:
    """The statuses that a list is asked for, in any case. Raises `InvalidRequest`."""
    words = [word.strip().upper() for word in given.get("status", "").split(",") if word.strip()]
    for word in words:
        if word not in STATUSES:
            raise InvalidRequest(
                f"status {word[:40]!r} is unknown; there are {', '.join(STATUSES)}."
            )
    return tuple(dict.fromkeys(words))


def read_name(given: Mapping[str, str], field: str = "name") -> str | None:
    """A name that is looked for; None for none. Raises `InvalidRequest`."""
    name = given.get(field, "")
    if "\0" in name or len(name) > 4096:
        raise InvalidRequest(f"{field} can't be looked for.")
    return name or None


def read_count(value: Any) -> int:
    """How many times of a preview are asked for. Raises `Unreadable`."""
    if value is None or value == "":
        return DEFAULT_PREVIEW
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str):
        number = read_number(value, 1)
    if number is None or not 1 <= number <= MAX_PREVIEW:
        raise Unreadable(f"count must be a whole number from 1 to {MAX_PREVIEW}.")
    return number


def _number(given: Mapping[str, str], name: str) -> int | None:
    if not given.get(name, "").strip():
        return None
    found = read_number(given[name], 1)
    if found is None:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {MAX_NUMBER}.")
    return found


def schedule_model(schedule: ScheduleInfo) -> dict[str, Any]:
    """A schedule, field by field as the API documents it, and what is ours after `user`."""
    fields = schedule.fields
    trigger = trigger_of(schedule.trigger)
    notice = notification_model(fields.get("notification"))
    command = fields.get("command")
    is_waiting = schedule.status == RUNNING
    return {
        "id": schedule.id,
        "name": schedule.name,
        "status": schedule.status,
        "user_id": user_id(schedule.owner),
        "command_type": schedule.body.get("command_type"),
        "command": {
            **(command if isinstance(command, Mapping) else {}),
            "note_id": schedule.notebook_id,
        },
        "label": schedule.body.get("label"),
        **_times(trigger),
        "next_materialized_time": nominal_time(schedule.next_time)
        if is_waiting and schedule.next_time is not None
        else None,
        "macros": schedule.body.get("macros") or [],
        "no_catch_up": schedule.catch_up == "none",
        "retry": _whole(schedule.body, "retry"),
        "retry_delay": _whole(schedule.body, "retry_delay"),
        "concurrency": schedule.concurrency,
        "execution_order": fields.get("execution_order"),
        "time_out": time_out(fields),
        "dependency_info": fields.get("dependency_info") or {},
        "notification": notice,
        **{
            name: notice[name]
            for name in ("can_notify", "is_digest", "digest_time_hour", "digest_time_minute")
        },
        "template": fields.get("template") or "generic",
        "incremental": {},
        "pool": schedule.body.get("pool"),
        "created_at": timestamp(schedule.created_at),
        "updated_at": timestamp(schedule.updated_at),
        "user": schedule.owner,
        "kind": schedule.kind,
        "trigger": dict(schedule.trigger),
        "last_nominal_time": nominal_time(schedule.last_time) if schedule.last_time else None,
        "runs": schedule.sequence,
        "tags": schedule.body.get("tags") or [],
        "keep_last": schedule.keep_last,
        "keep_days": schedule.keep_days,
        "webhook": fields.get("webhook"),
        "upload_to_source": schedule.body.get("upload_to_source"),
        "catch_up": schedule.catch_up,
    }


def notification_model(given: Any) -> dict[str, Any]:
    """Who is told of what."""
    sent = given if isinstance(given, Mapping) else {}
    return {
        "is_digest": read_flag(str(sent.get("is_digest", ""))),
        "can_notify": bool(sent.get("notification_email_list"))
        and (sent.get("can_notify") in (None, "") or read_flag(str(sent["can_notify"]))),
        "digest_time_hour": _whole(sent, "digest_time_hour"),
        "digest_time_minute": _whole(sent, "digest_time_minute"),
        **{
            name: sent[name]
            for name in ("notify_success", "notify_failure", "notification_email_list")
            if name in sent
        },
    }


def _times(trigger: Trigger) -> dict[str, Any]:
    end = trigger.end
    is_steps = isinstance(trigger, Every)
    return {
        "start_time": nominal_time(exact_instant(trigger.start, trigger.zone))
        if isinstance(trigger, Every)
        else None,
        "end_time": nominal_time(exact_instant(end, trigger.zone)) if end is not None else None,
        "frequency": trigger.frequency if isinstance(trigger, Every) else None,
        "time_unit": trigger.unit if isinstance(trigger, Every) else None,
        "cron_expression": None if is_steps else trigger.as_dict().get("cron_expression"),
        "time_zone": trigger.zone.key,
    }


def _whole(fields: Mapping[str, Any], name: str) -> int:
    """A number that was checked when it was sent, perhaps as a text."""
    return int(fields.get(name) or 0)


def action_status(action: ActionInfo) -> str:
    """The word for how an action stands."""
    if action.command_id is None:
        return action.status or _DELETED
    return _OF_COMMAND.get(action.status, action.status)


def action_model(
    action: ActionInfo,
    command: Mapping[str, Any] | None,
    files: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """An action, field by field as the API documents it, and its `reason`.

    `files` are what it depends on, `missing` those of them that it waits for now.
    """
    if action.status == NOT_FOUND:
        missing = missing_of(action.reason)
    return {
        "id": action.id,
        "sequence_id": action.sequence_id,
        "status": action_status(action),
        "done": action.status in ENDED if action.command_id is not None else action.is_final,
        "nominal_time": nominal_time(action.nominal_time),
        "created_at": timestamp(action.created_at),
        "is_rerun_of": action.rerun_of,
        "rerun_number": action.rerun_number,
        "query_hist_id": action.command_id,
        "periodic_job_id": action.schedule_id,
        "dependencies": {
            "found": [file for file in files if file not in missing],
            "not_found": list(missing),
        },
        "command": dict(command) if command is not None else None,
        "reason": action.reason,
    }


def told_model(told: NotificationInfo) -> dict[str, Any]:
    """What was told of a run or a command, or is to be. `state` is `pending`, `sent` or `dead`; `error` is what came of the last try."""
    target = json.loads(told.target) if told.kind == MAIL else told.target
    return {
        "id": told.id,
        "schedule_id": told.schedule_id,
        "command_id": told.command_id,
        "kind": told.kind,
        "target": target,
        "message": told.message,
        "state": told.state,
        "tries": told.tries,
        "next_try": timestamp(told.not_before) if told.state == PENDING else None,
        "error": told.last_error or None,
        "created_at": timestamp(told.created_at),
        "sent_at": timestamp(told.sent_at),
    }


def preview_model(trigger: Trigger, since: datetime | None, count: int) -> dict[str, Any]:
    """The nominal times from an instant on, in UTC and as the zone's clock shows them; none where it is None."""
    times = next_times(trigger, since - timedelta.resolution, count) if since is not None else []
    return {
        "time_zone": trigger.zone.key,
        "times": [nominal_time(each) for each in times],
        "local_times": [each.astimezone(trigger.zone).isoformat() for each in times],
    }
