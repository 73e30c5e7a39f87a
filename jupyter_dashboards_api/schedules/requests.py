"""Schedules as clients of the scheduler API write them, read and checked. Pure. API: §3 of `specs/commands.md`.

What was sent is kept as it is, so that a later edit says only what changes: the fields are merged, and read again whole.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ..commands.mail import parse_addresses
from ..commands.submission import MAX_TEXT, flag, name_of, number, text
from ..errors import DashboardsError, Unreadable
from .dependencies import InvalidFiles, read_files
from .fields import InvalidTrigger
from .triggers import Every, Trigger, cron, every

MAX_CONCURRENCY = 100
MAX_WEBHOOK = 2000
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
class Notice:
    """Who is told of what: addresses that get a mail of each success or failure, or of a day's runs (`digest` HH, MM)."""

    addresses: tuple[str, ...] = ()
    success: bool = False
    failure: bool = False
    digest: tuple[int, int] | None = None


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
    notice: Notice
    webhook: str | None
    webhook_secret: str | None = field(repr=False)
    files: tuple[str, ...]
    time_out: int
    keep_last: int | None
    keep_days: int | None
    fields: Mapping[str, Any]


def schedule_request(given: Mapping[str, Any], now: datetime) -> ScheduleRequest:
    """The request of a body. Raises `Unreadable` (422) with the name of the field that is at fault."""
    fields = {n: v for n, v in given.items() if n in FIELDS and v is not None and v != ""}
    try:
        json.dumps(fields, allow_nan=False)
    except ValueError:
        raise InvalidSchedule("NaN and infinities can't be stored.") from None
    trigger, since = trigger_request(fields, now)
    no_catch_up = flag(fields, "no_catch_up", default=False)
    if no_catch_up:
        since = max(since, now - _JUST_NOW)
    _require_a_run(trigger, since)
    if isinstance(trigger, Every):
        # What counts from now on counts so after an edit too.
        fields.setdefault("start_time", f"{now:%Y-%m-%dT%H:%MZ}")
    command = fields.get("command", {})
    if not isinstance(command, Mapping):
        raise InvalidSchedule("command must be an object.")
    if not isinstance(fields.get("command_type"), str):
        raise InvalidSchedule("command_type is required.")
    webhook, secret = _webhook(fields.get("webhook"))
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
    return ScheduleRequest(
        name=name,
        body=body,
        trigger=trigger,
        since=since,
        catch_up="none" if no_catch_up else "all",
        concurrency=number(fields, "concurrency", least=1, most=MAX_CONCURRENCY) or 1,
        notice=_notice(fields.get("notification")),
        webhook=webhook,
        webhook_secret=secret,
        files=_files(fields),
        time_out=number(fields, "time_out", most=DAY_MINUTES * 31) or DAY_MINUTES,
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


def trigger_request(fields: Mapping[str, Any], now: datetime) -> tuple[Trigger, datetime]:
    """When a schedule is due, and the time before which no nominal time counts. Raises `InvalidSchedule`."""
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


def _require_a_run(trigger: Trigger, since: datetime) -> None:
    """A schedule without any nominal time would silently do nothing."""
    if trigger.first(since) is not None:
        return
    if trigger.end is None:
        raise InvalidSchedule("cron_expression: there is no such time from now on.")
    raise InvalidSchedule("end_time: leaves no run; write a later date.")


def _notice(given: Any) -> Notice:
    if given is None or given == "":
        return Notice()
    if not isinstance(given, Mapping):
        raise InvalidSchedule("notification must be an object.")
    try:
        addresses = tuple(parse_addresses(given.get("notification_email_list")))
    except DashboardsError as error:
        raise InvalidSchedule(f"notification_email_list: {error.message}") from error
    digest = None
    hour = number(given, "digest_time_hour", most=23) or 0
    minute = number(given, "digest_time_minute", most=59) or 0
    if flag(given, "is_digest", default=False):
        digest = (hour, minute)
    # A digest takes the place of single mails, unless those are asked for.
    each = bool(addresses) and digest is None
    success = flag(given, "notify_success", default=each and "notify_failure" not in given)
    failure = flag(given, "notify_failure", default=each)
    # `can_notify` is what the view of a schedule has; false there means: nobody is told.
    if not flag(given, "can_notify", default=True):
        return Notice(addresses)
    if (success or failure or digest) and not addresses:
        raise InvalidSchedule("notification_email_list is required: nobody would be told.")
    return Notice(addresses, success, failure, digest)


def _webhook(given: Any) -> tuple[str | None, str | None]:
    """The URL and the secret, which is made up where none is given."""
    if given is None or given == "":
        return None, None
    if isinstance(given, str):
        given = {"url": given}
    if not isinstance(given, Mapping):
        raise InvalidSchedule("webhook must be a URL, or an object with url and secret.")
    url = text(given, "url", MAX_WEBHOOK)
    try:
        parts = urlsplit(url or "")
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if url is None or not good or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidSchedule("webhook: url must be an address such as https://example.org/hook.")
    if parts.username is not None or parts.password is not None:
        raise InvalidSchedule("webhook: the url must hold no password; calls are signed.")
    secret = text(given, "secret", 128)
    if secret is not None and len(secret) < 16:
        raise InvalidSchedule("webhook: secret must have at least 16 characters.")
    return url, secret or secrets.token_urlsafe(32)


def _files(fields: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return read_files(fields.get("dependency_info"))
    except InvalidFiles as error:
        raise InvalidSchedule(error.message) from error


__all__ = [
    "MAX_TEXT",
    "InvalidSchedule",
    "Notice",
    "ScheduleRequest",
    "merged",
    "schedule_request",
    "trigger_request",
]
