"""Who is told of a schedule's runs, and in which words. Pure. API: `notification` of §3 of the specification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from ..commands.callbacks import mail_time
from ..commands.mail import parse_addresses
from ..commands.submission import flag, number, text
from ..commands.webhooks import MAX_SECRET, MAX_URL, BadWebhook, checked_webhook
from ..errors import DashboardsError, Unreadable
from .fields import zone_named
from .triggers import Weekly

_LISTED = 200
"""Runs that a digest lists; of the others it tells how many."""


class BadNotice(Unreadable):
    """What is to be told, or to whom, can't be understood. 422."""


@dataclass(frozen=True)
class Notice:
    """Addresses that are told of successes, of failures, or both: of each run, or of a day's at `digest` (hour, minute)."""

    addresses: tuple[str, ...] = ()
    success: bool = False
    failure: bool = False
    digest: tuple[int, int] | None = None


@dataclass(frozen=True)
class Run:
    """A run that has ended, or an action without one: `status` is that of its command, or the action's own."""

    schedule_id: int
    schedule_name: str
    action_id: int
    sequence_id: int
    nominal_time: datetime
    command_id: int | None
    status: str
    reason: str
    path: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def has_succeeded(self) -> bool:
        """Whether it is done."""
        return self.status == "done"

    @property
    def has_failed(self) -> bool:
        """Whether something went wrong; what somebody cancelled has not failed."""
        return self.status not in ("done", "cancelled")


def notice_of(given: Any) -> Notice:
    """The `notification` of a schedule. Raises `BadNotice`."""
    if given is None or given == "":
        return Notice()
    if not isinstance(given, Mapping):
        raise BadNotice("notification must be an object.")
    try:
        addresses = tuple(parse_addresses(given.get("notification_email_list")))
    except DashboardsError as error:
        raise BadNotice(f"notification_email_list: {error.message}") from error
    digest = None
    hour = number(given, "digest_time_hour", most=23) or 0
    minute = number(given, "digest_time_minute", most=59) or 0
    if flag(given, "is_digest", default=False):
        digest = (hour, minute)
    named = any(given.get(name) not in (None, "") for name in ("notify_success", "notify_failure"))
    success = flag(given, "notify_success", default=bool(addresses) and not named)
    failure = flag(given, "notify_failure", default=bool(addresses) and not named)
    # `can_notify` is what the view of a schedule has; false there means that nobody is told.
    if not flag(given, "can_notify", default=True):
        return Notice(addresses)
    if (success or failure or digest) and not addresses:
        raise BadNotice("notification_email_list is required: nobody would be told.")
    return Notice(addresses, success, failure, digest)


def webhook_of(given: Any) -> tuple[str | None, str | None]:
    """A webhook's URL and its secret, which is made up where none is given. Raises `BadNotice`."""
    if given is None or given == "":
        return None, None
    if isinstance(given, str):
        given = {"url": given}
    if not isinstance(given, Mapping):
        raise BadNotice("webhook must be a URL, or an object with url and secret.")
    try:
        return checked_webhook(text(given, "url", MAX_URL), text(given, "secret", MAX_SECRET))
    except BadWebhook as error:
        raise BadNotice(f"webhook: {error}") from error


def webhook_message(run: Run, moment: datetime) -> dict[str, Any]:
    """What a webhook is told of a run."""
    return {
        "type": f"run.{'succeeded' if run.has_succeeded else 'failed' if run.has_failed else 'cancelled'}",
        "timestamp": moment.isoformat(timespec="seconds"),
        "data": {
            "schedule_id": run.schedule_id,
            "schedule_name": run.schedule_name,
            "action_id": run.action_id,
            "sequence_id": run.sequence_id,
            "nominal_time": run.nominal_time.isoformat(timespec="seconds"),
            "command_id": run.command_id,
            "status": run.status,
            "reason": run.reason,
            "path": run.path,
            "start_time": run.started_at and int(run.started_at.timestamp()),
            "end_time": run.ended_at and int(run.ended_at.timestamp()),
        },
    }


def mail_of(run: Run) -> dict[str, str]:
    """Subject and text of the mail of one run."""
    word = "succeeded" if run.has_succeeded else "failed"
    lines = [
        f"Run {run.sequence_id} of the schedule {run.schedule_name} {word}.",
        "",
        f"Notebook: {run.path}",
        f"Due: {mail_time(run.nominal_time)}",
        f"Started: {mail_time(run.started_at)}",
        f"Ended: {mail_time(run.ended_at)}",
        f"Status: {run.status}",
        *([f"Reason: {run.reason}"] if run.reason else []),
        *([f"Command: {run.command_id}"] if run.command_id is not None else []),
    ]
    return {
        "subject": f"{run.schedule_name}: run {run.sequence_id} {word}",
        "text": "\n".join(lines),
    }


def digest_of(name: str, runs: Sequence[Run]) -> dict[str, str]:
    """Subject and text of the mail of several runs, the oldest first."""
    failed = sum(run.has_failed for run in runs)
    counts = f"{len(runs)} run{'s' if len(runs) != 1 else ''}, {failed} failed"
    lines = [f"Schedule {name}: {counts}.", ""]
    for run in runs[-_LISTED:]:
        reason = f": {run.reason}" if run.reason else ""
        lines.append(f"{mail_time(run.nominal_time)}  run {run.sequence_id}  {run.status}{reason}")
    if len(runs) > _LISTED:
        lines.insert(2, f"(The {len(runs) - _LISTED} before these are not listed.)")
    return {"subject": f"{name}: {counts}", "text": "\n".join(lines)}


def next_digest(notice: Notice, time_zone: str, after: datetime) -> datetime | None:
    """When the next digest is due; None for a notice without one."""
    if notice.digest is None:
        return None
    every_day = Weekly(frozenset(range(1, 8)), time(*notice.digest), None, zone_named(time_zone))
    return every_day.next_after(after)
