"""Triggers: when a schedule is due. Pure; instants are in UTC, and what happens at a change of clocks is `walls.py`'s.

A trigger answers one question, `next_after`: the first run strictly later than an instant. Everything else (previews,
missed runs, the last run of an outage) is asked through it, so that no two answers can differ. Ends are inclusive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Literal, cast, get_args
from zoneinfo import ZoneInfo

from .cron import MAX_LENGTH, CronPlan, five_fields, refused
from .fields import (
    WEEKDAYS,
    InvalidTrigger,
    clock_time,
    parsed_wall,
    shown,
    wall_text,
    weekdays,
    whole_number,
    zone_named,
)
from .quartz import quartz_fields
from .steps import Unit, next_step
from .walls import exact_instant, next_instant, next_shown

MAX_PREVIEW = 1000
"""Runs that `next_times` answers at most."""

MAX_FREQUENCY = 100_000

# What the arithmetic of every zone can hold, with room to spare.
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_LAST = datetime(9900, 1, 1, tzinfo=UTC)


class Trigger(ABC):
    """When a schedule is due. Triggers are immutable and compare by what they say.

    `end` is a wall time of `zone`; a run at it still happens. None: there is no end.
    """

    zone: ZoneInfo
    end: datetime | None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first run strictly later than an aware datetime, in UTC; None after the last one."""
        if instant.tzinfo is None:
            raise ValueError("An instant needs a time zone.")
        if instant >= _LAST:
            return None
        found = self._next(max(instant, _FIRST).astimezone(UTC))
        if found is None or (self.end is not None and found > exact_instant(self.end, self.zone)):
            return None
        return found

    @abstractmethod
    def _next(self, after: datetime) -> datetime | None:
        """The first run strictly later than an instant, whether there is an end or not."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """A JSON value that `trigger_of` reads back."""

    def first(self, not_before: datetime) -> datetime | None:
        """The first run at an aware datetime or after it, in UTC."""
        return self.next_after(max(not_before, _FIRST) - timedelta.resolution)


@dataclass(frozen=True)
class Weekly(Trigger):
    """On weekdays (ISO numbers, 1 = Monday) at a time of day."""

    days: frozenset[int]
    at: time
    end: datetime | None
    zone: ZoneInfo

    def _next(self, after: datetime) -> datetime | None:
        # 7 is Sunday in cron too.
        days = ",".join(str(day) for day in sorted(self.days))
        plan = CronPlan(f"{self.at.minute} {self.at.hour} * * {days}")
        return next_instant(plan.next_wall, after, self.zone)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "weekly",
            "days": [WEEKDAYS[day - 1] for day in sorted(self.days)],
            "time": self.at.strftime("%H:%M"),
            "until": self.end and wall_text(self.end, self.zone),
            "time_zone": self.zone.key,
        }


@dataclass(frozen=True)
class Every(Trigger):
    """Each so many units from `start` on, a wall time that is the first run.

    Minutes and hours are time that passes; days, weeks and months keep the time of day of `start` over changes of clocks,
    and months its day, or the month's last one where it has fewer (31 January, 28 February, 31 March).
    """

    frequency: int
    unit: Unit
    start: datetime
    end: datetime | None
    zone: ZoneInfo

    def _next(self, after: datetime) -> datetime | None:
        first = exact_instant(self.start, self.zone)
        if after < first:
            return first
        if self.unit in ("minutes", "hours"):
            return next_step(first, self.frequency, self.unit, after)
        return next_instant(
            lambda wall: next_step(self.start, self.frequency, self.unit, wall), after, self.zone
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "every",
            "frequency": self.frequency,
            "time_unit": self.unit,
            "start_time": wall_text(self.start, self.zone),
            "end_time": self.end and wall_text(self.end, self.zone),
            "time_zone": self.zone.key,
        }


@dataclass(frozen=True)
class Cron(Trigger):
    """At the wall times of a cron expression of five fields, or of six or seven as Quartz has them, until `end`.

    An expression that names hours is about the clock: each of its times happens once a day, changes of clocks or not. One
    with every hour is about time that passes: it runs in both of two hours of one name, and an hour that is skipped took no
    time.
    """

    expression: str
    end: datetime | None
    zone: ZoneInfo

    def _next(self, after: datetime) -> datetime | None:
        plan = plan_of(self.expression)
        step = next_shown if plan.every_hour else next_instant
        return step(plan.next_wall, after, self.zone)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "cron",
            "cron_expression": self.expression,
            "end_time": self.end and wall_text(self.end, self.zone),
            "time_zone": self.zone.key,
        }


@lru_cache(maxsize=1024)
def plan_of(expression: str) -> CronPlan:
    """What a cron expression means. Raises `InvalidTrigger`."""
    if len(expression) > MAX_LENGTH:
        raise refused(f"must be shorter than {MAX_LENGTH} characters.")
    parts = expression.upper().split()
    if len(parts) == 5:
        return five_fields(parts)
    if len(parts) in (6, 7):
        return quartz_fields(parts)
    raise refused(
        f"{shown(expression)} has {len(parts)} fields; write five (minute hour day month weekday) or "
        "six or seven as Quartz has them (second minute hour day month weekday year)."
    )


def weekly(*, period: object, time: object, until: object, time_zone: object) -> Weekly:
    """The trigger of the notebooks API's fields, all on the zone's clock. Raises `InvalidTrigger`.

    An English weekday (none: every day), `HH:MM` (none: 00:00), and a date `YYYY-MM-DD HH:MM`.
    """
    zone = zone_named(time_zone)
    return Weekly(
        weekdays(WEEKDAYS if period in (None, "") else period),
        clock_time("00:00" if time in (None, "") else time),
        parsed_wall(until, zone, "until"),
        zone,
    )


def every(
    *, frequency: object, time_unit: object, start_time: object, end_time: object, time_zone: object
) -> Every:
    """The trigger of the scheduler API's fields; no unit means days, no `end_time` no end. Raises `InvalidTrigger`."""
    zone = zone_named(time_zone)
    unit = "days" if time_unit in (None, "") else str(time_unit).strip().lower()
    unit = unit if unit.endswith("s") else f"{unit}s"
    units = get_args(Unit)
    if unit not in units:
        raise InvalidTrigger(
            "time_unit", f"{shown(time_unit)} is not a unit; write {', '.join(units)}."
        )
    return Every(
        whole_number(frequency, "frequency", 1, MAX_FREQUENCY),
        cast(Unit, unit),
        parsed_wall(start_time, zone, "start_time"),
        _end(end_time, zone),
        zone,
    )


def cron(*, cron_expression: object, end_time: object, time_zone: object) -> Cron:
    """The trigger of a cron expression; no `end_time` means no end. Raises `InvalidTrigger`."""
    zone = zone_named(time_zone)
    if not isinstance(cron_expression, str):
        raise refused("must be a text, for instance 0 0 12 * * ? for noon.")
    expression = " ".join(cron_expression.split())
    plan_of(expression)
    return Cron(expression, _end(end_time, zone), zone)


def trigger_of(stored: Mapping[str, Any]) -> Trigger:
    """The trigger that `as_dict` wrote. Raises `InvalidTrigger` for what it can't have written."""
    kind, time_zone = stored.get("kind"), stored.get("time_zone")
    if kind == "weekly":
        zone, until = zone_named(time_zone), stored.get("until")
        return Weekly(
            weekdays(stored.get("days"), "days"),
            clock_time(stored.get("time")),
            None if until is None else parsed_wall(until, zone, "until"),
            zone,
        )
    if kind == "every":
        return every(
            frequency=stored.get("frequency"),
            time_unit=stored.get("time_unit"),
            start_time=stored.get("start_time"),
            end_time=stored.get("end_time"),
            time_zone=time_zone,
        )
    if kind == "cron":
        return cron(
            cron_expression=stored.get("cron_expression"),
            end_time=stored.get("end_time"),
            time_zone=time_zone,
        )
    raise InvalidTrigger("kind", f"{shown(kind)} is not a kind of trigger.")


def next_times(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """The next runs after an instant, at most `count` and at most `MAX_PREVIEW`; fewer if it ends before."""
    found: list[datetime] = []
    following = trigger.next_after(after)
    while following is not None and len(found) < min(count, MAX_PREVIEW):
        found.append(following)
        following = trigger.next_after(following)
    return found


def latest(trigger: Trigger, since: datetime, until: datetime) -> datetime | None:
    """The last run after `since`, up to `until` and with it, however many there were: about 35 questions at most."""
    found = trigger.next_after(since)
    if found is None or found > until:
        return None
    # Runs are on whole seconds: the last second after which one is still to come has just that one in it.
    low, high = 0, int((until - since).total_seconds()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        later = trigger.next_after(since + timedelta(seconds=middle))
        if later is not None and later <= until:
            low, found = middle, later
        else:
            high = middle
    return found


def first_run(trigger: Trigger, now: datetime, field: Literal["until", "end_time"]) -> datetime:
    """The first run after now. Raises `InvalidTrigger` if there is none: such a schedule would silently do nothing."""
    found = trigger.next_after(now)
    if found is None:
        raise InvalidTrigger(field, "leaves no run after now; write a later date.")
    return found


def _end(value: object, zone: ZoneInfo) -> datetime | None:
    return None if value in (None, "") else parsed_wall(value, zone, "end_time")
