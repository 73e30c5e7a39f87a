"""What a client asks of the history of commands. Pure. API: `GET /commands`, §1.5 of the specification."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from ..errors import InvalidRequest
from .models import STATUSES, Filter
from .wire import MAX_NUMBER, read_flag, read_number, read_time

DEFAULT_PER_PAGE = 10
MAX_PER_PAGE = 100
DEFAULT_DAYS = 30

_OLD_WORDS = {"success": "done", "successful": "done", "failed": "error", "failure": "error"}
"""Statuses as the examples of a client's documentation call them."""


@dataclass(frozen=True)
class HistoryQuery:
    """One page of the history. `user_id` is the number of the users whose commands are asked for.

    `is_empty` is true of a question that no command answers, such as one for a session of the hosted product.
    """

    wanted: Filter
    page: int
    per_page: int
    with_properties: bool
    user_id: int | None
    is_empty: bool

    @property
    def offset(self) -> int:
        """How many commands come before the page."""
        return (self.page - 1) * self.per_page

    def paging_info(self, more: bool) -> dict[str, Any]:
        """The neighbouring pages, null at both ends."""
        return {
            "previous_page": self.page - 1 if self.page > 1 else None,
            "next_page": self.page + 1 if more else None,
            "per_page": self.per_page,
        }


def history_query(arguments: Mapping[str, str], owner: str, now: datetime) -> HistoryQuery:
    """What the query arguments ask for; empty ones don't count. Raises `InvalidRequest`."""
    given = {name: text for name, text in arguments.items() if text.strip()}
    for name, text in given.items():
        if "\0" in text or len(text) > 4096:
            raise InvalidRequest(f"{name[:40]} can't be looked for.")
    asked_user = _number(given, "qbol_user_id")
    everybody = asked_user is not None or read_flag(given.get("all_users", ""))
    since, until = _dates(given, now)
    return HistoryQuery(
        wanted=Filter(
            owners=None if everybody else (owner,),
            since=since,
            until=until,
            command_types=_words(given, "command_type"),
            statuses=_statuses(_words(given, "status")),
            source=given.get("command_source"),
            name=given.get("name"),
            label=given.get("cluster_label") or given.get("label"),
            tags=(*_words(given, "tags"), *_words(given, "tag")),
            command_id=_number(given, "command_id"),
            notebook_id=_number(given, "note_id"),
        ),
        page=_number(given, "page") or 1,
        per_page=min(_number(given, "per_page") or DEFAULT_PER_PAGE, MAX_PER_PAGE),
        with_properties=read_flag(given.get("include_query_properties", "")),
        user_id=asked_user,
        # No command here belongs to a session.
        is_empty="session_id" in given,
    )


def _dates(given: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Both inclusive: by default the end of today, and 30 days before the end."""
    until = _time(given, "end_date", time.max) or datetime.combine(now.date(), time.max, UTC)
    if not until.microsecond:
        # Times are told in whole seconds, and the last one counts.
        until = until.replace(microsecond=999_999)
    since = _time(given, "start_date", time.min)
    if since is None:
        first = datetime.min.replace(tzinfo=UTC)
        days = timedelta(days=DEFAULT_DAYS)
        since = until - days if until - first > days else first
    return since, until


def _time(given: Mapping[str, str], name: str, of_day: time) -> datetime | None:
    if name not in given:
        return None
    found = read_time(given[name], of_day)
    if found is None:
        raise InvalidRequest(f"{name} must be YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ.")
    return found


def _number(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    found = read_number(given[name], 1)
    if found is None:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {MAX_NUMBER}.")
    return found


def _words(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = given.get(name, "").split(",")
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def _statuses(words: Iterable[str]) -> tuple[str, ...]:
    statuses = tuple(_OLD_WORDS.get(word.lower(), word.lower()) for word in words)
    unknown = set(statuses) - STATUSES
    if unknown:
        known = ", ".join(sorted(STATUSES))
        raise InvalidRequest(f"status {min(unknown)[:40]!r} is unknown; there are {known}.")
    return statuses
