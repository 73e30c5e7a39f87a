"""Schedules as clients of the scheduler API write them, read and checked. Pure. API: §3 of `specs/commands.md`.

What was sent is kept as it is, so that a later edit says only what changes: the fields are merged, and read again whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ..commands.submission import CALLBACK_FIELDS, flag, name_of, number, text
from ..errors import Unreadable
from .dependencies import InvalidFiles, read_files
from .fields import InvalidTrigger
from .notices import notice_of, webhook_of
from .triggers import Every, Trigger, cron, every

MAX_CONCURRENCY = 100
MAX_DAYS = 36_500
DAY_MINUTES = 24 * 60

_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_JUST_NOW = timedelta(minutes=1)

FIELDS = frozenset(
    {
        "command_type",
        "command",
        "name",
        "label",
        "tags",
        "start_time",
        "end_time",
        "frequency",
        "time_unit",
        "cron_expression",
        "time_zone",
        "macros",
        "no_catch_up",
        "retry",
        "retry_delay",
        "concurrency",
        "execution_order",
        "time_out",
        "dependency_info",
        "notification",
        "webhook",
        "keep_last",
        "keep_days",
        "upload_to_source",
        "template",
        "pool",
    }
)
"""What is kept of a request; anything else that clients send is left aside."""

_OF_COMMAND = ("label", "tags", "macros", "retry", "retry_delay", "pool")


class InvalidSchedule(Unreadable):
    """The schedule can't be made as it is. 422."""


@dataclass(frozen=True)
class ScheduleRequest:
    """A schedule that is asked for. `body` is the command that it makes, as the commands API takes it.

    `fields` is what was sent, without secrets; `since` is the time before which no nominal time counts.
    """

    name: str | None
    body: Mapping[str, Any]
    trigger: Trigger
    since: datetime
    catch_up: str
    concurrency: int
    webhook: str | None
    webhook_secret: str | None = field(repr=False)
    keep_last: int | None
    keep_days: int | None
    fields: Mapping[str, Any]


def schedule_request(given: Mapping[str, Any], now: datetime) -> ScheduleRequest:
    """The request of a body. Raises `Unreadable` (422) with the name of the field that is at fault.

    Whether there is a nominal time at all is asked by `require_a_run`.
    """
    fields = {n: v for n, v in given.items() if n in FIELDS and v is not None and v != ""}
    try:
        json.dumps(fields, allow_nan=False)
    except ValueError:
        raise InvalidSchedule("NaN and infinities can't be stored.") from None
    trigger, since, catch_up = plan_request(fields, now)
    if isinstance(trigger, Every):
        # What counts from now on counts so after an edit too.
        fields.setdefault("start_time", f"{now:%Y-%m-%dT%H:%MZ}")
    command = fields.get("command", {})
    if not isinstance(command, Mapping):
        raise InvalidSchedule("command must be an object.")
    if any(each.get(name) for each in (given, command) for name in CALLBACK_FIELDS):
        raise InvalidSchedule("callback_url is for single commands: a schedule has webhook.")
    if not isinstance(fields.get("command_type"), str):
        raise InvalidSchedule("command_type is required.")
    webhook, secret = webhook_of(fields.get("webhook"))
    if webhook is not None:
        # The secret has a column of its own, and is never told again.
        fields["webhook"] = {"url": webhook}
    name = name_of(fields)
    for each in ("template", "execution_order"):
        text(fields, each)
    body = {**command, **{key: fields[key] for key in _OF_COMMAND if key in fields}}
    body["command_type"] = fields["command_type"]
    if name is not None:
        body.setdefault("name", name)
    if "upload_to_source" in fields:
        body.setdefault("upload_to_source", fields["upload_to_source"])
    # Read when they are needed, and looked at now, so that they can be.
    notice_of(fields.get("notification"))
    _check_files(fields)
    number(fields, "time_out", most=DAY_MINUTES * 31)
    return ScheduleRequest(
        name=name,
        body=body,
        trigger=trigger,
        since=since,
        catch_up=catch_up,
        concurrency=number(fields, "concurrency", least=1, most=MAX_CONCURRENCY) or 1,
        webhook=webhook,
        webhook_secret=secret,
        keep_last=number(fields, "keep_last", least=1),
        keep_days=number(fields, "keep_days", least=1, most=MAX_DAYS),
        fields=fields,
    )


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a schedule after an edit that says only what changes. A null takes a field away.

    A cron expression takes the place of a frequency, and the other way round; a command's own fields are merged too.
    """
    after = dict(before)
    changes = {name: value for name, value in changes.items() if name in FIELDS}
    if changes.get("cron_expression") is not None and changes.get("frequency") is None:
        for name in ("frequency", "time_unit"):
            after.pop(name, None)
    elif changes.get("frequency") is not None and changes.get("cron_expression") is None:
        after.pop("cron_expression", None)
    command = changes.get("command")
    if isinstance(command, Mapping) and isinstance(after.get("command"), Mapping):
        changes["command"] = {**after["command"], **command}
    return {**after, **changes}


def plan_request(fields: Mapping[str, Any], now: datetime) -> tuple[Trigger, datetime, str]:
    """When a schedule is due, the time before which no nominal time counts, and which of those that were missed still run.

    Raises `Unreadable`.
    """
    trigger, since = _trigger_request(fields, now)
    if flag(fields, "no_catch_up", default=False):
        return trigger, max(since, now - _JUST_NOW), "none"
    return trigger, since, "all"


def _trigger_request(fields: Mapping[str, Any], now: datetime) -> tuple[Trigger, datetime]:
    zone = fields.get("time_zone") or "UTC"
    expression = fields.get("cron_expression")
    try:
        if expression not in (None, ""):
            if fields.get("frequency") not in (None, ""):
                raise InvalidSchedule(
                    "frequency and cron_expression exclude each other: send one of them."
                )
            made: Trigger = cron(
                cron_expression=expression, end_time=fields.get("end_time"), time_zone=zone
            )
            # The API does not honour the start of a cron expression.
            return made, now
        start = fields.get("start_time") or now.strftime("%Y-%m-%dT%H:%MZ")
        frequency = fields.get("frequency")
        if frequency in (None, ""):
            raise InvalidSchedule("frequency or cron_expression is required.")
        steps = every(
            frequency=frequency,
            time_unit=fields.get("time_unit"),
            start_time=start,
            end_time=fields.get("end_time"),
            time_zone=zone,
        )
    except InvalidTrigger as error:
        raise InvalidSchedule(error.message) from error
    return steps, steps.first(_BEGINNING) or now


def require_a_run(trigger: Trigger, since: datetime) -> None:
    """Raises `InvalidSchedule` where no nominal time is left: such a schedule would silently do nothing."""
    if trigger.first(since) is not None:
        return
    if trigger.end is None:
        raise InvalidSchedule("cron_expression: there is no such time from now on.")
    raise InvalidSchedule("end_time: leaves no run; write a later date.")


def _check_files(fields: Mapping[str, Any]) -> None:
    try:
        read_files(fields.get("dependency_info"))
    except InvalidFiles as error:
        raise InvalidSchedule(error.message) from error
