"""Cron expressions of five fields, and the walk over their wall times. Pure; the arithmetic is cronsim's.

Where day of month and day of week are both given, either is enough, as in every cron; where one begins with `*`, both must
hold, as in Debian's.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time, timedelta

from cronsim import CronSim, CronSimError

from .fields import InvalidTrigger, shown

FIELD = "cron_expression"
"""Its name in a request."""

MAX_LENGTH = 250
MAX_STEPS = 300
"""Dates that a walk looks at before it gives up; each is one search of cronsim's, which gives up after 50 years."""

_MONTHS = tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())
_DAYS = tuple("SUN MON TUE WED THU FRI SAT".split())


def refused(reason: str) -> InvalidTrigger:
    """The error for an expression."""
    return InvalidTrigger(FIELD, reason)


@dataclass(frozen=True)
class CronField:
    """One field of an expression: its bounds, and the names that its values have from `low` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def values(self, text: str, *, wraps: bool = False) -> frozenset[int]:
        """The values of `*`, `a`, `a-b`, each with `/step`, and lists of them. `wraps`: a range may pass the end.

        Raises `InvalidTrigger`.
        """
        found: set[int] = set()
        for term in text.split(","):
            base, slash, step = term.partition("/")
            values = self._range(base, bool(slash), wraps)
            found.update(values[:: self._step(step) if slash else 1])
        return frozenset(found)

    def number(self, text: str) -> int:
        """One value, by number or name. Raises `InvalidTrigger`."""
        if text in self.names:
            return self.low + self.names.index(text)
        if not (text.isascii() and text.isdigit() and len(text) <= 4):
            raise refused(f"{shown(text)} is not a value of the field {self.name}; {self._bounds}.")
        if not self.low <= int(text) <= self.high:
            raise refused(f"{text} is out of the field {self.name}; {self._bounds}.")
        return int(text)

    @property
    def _bounds(self) -> str:
        names = f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"write {self.low} to {self.high}{names}"

    def _range(self, base: str, open_end: bool, wraps: bool) -> list[int]:
        if base == "*":
            return list(range(self.low, self.high + 1))
        first, dash, last = base.partition("-")
        start = self.number(first)
        if not dash:
            return list(range(start, self.high + 1)) if open_end else [start]
        end = self.number(last)
        if end >= start:
            return list(range(start, end + 1))
        if not wraps:
            raise refused(
                f"the range {base} of the field {self.name} runs backwards; write two, "
                f"{first}-{self.high},{self.low}-{last}."
            )
        return [*range(start, self.high + 1), *range(self.low, end + 1)]

    def _step(self, text: str) -> int:
        step = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
        if not step:
            raise refused(f"the step {shown(text)} of the field {self.name} must be 1 or more.")
        if step > self.high - self.low + 1:
            # It would silently mean the first value only, and not every 90 minutes.
            raise refused(
                f"the step {step} is larger than the field {self.name}; give a frequency and a "
                "time_unit in place of cron_expression."
            )
        return step


SECOND = CronField("second", 0, 59)
MINUTE = CronField("minute", 0, 59)
HOUR = CronField("hour", 0, 23)
DAY = CronField("day of month", 1, 31)
MONTH = CronField("month", 1, 12, _MONTHS)
WEEKDAY = CronField("day of week", 0, 7, _DAYS)
WEEKDAY_NUMBERS = tuple("01234567")


@dataclass(frozen=True)
class MonthDays:
    """Days of a month that cronsim has no words for.

    `nearest`: the weekday nearest to a day, never in another month. `ends`: so many days before the month's last one,
    moved to the nearest weekday or not.
    """

    days: frozenset[int] = frozenset()
    nearest: frozenset[int] = frozenset()
    ends: frozenset[tuple[int, bool]] = frozenset()

    def of(self, year: int, month: int) -> set[int]:
        """The days of this month."""
        last = calendar.monthrange(year, month)[1]
        found = {day for day in self.days if day <= last}
        found.update(_nearest(year, month, day, last) for day in self.nearest if day <= last)
        for back, moved in self.ends:
            day = last - back
            if day >= 1:
                found.add(_nearest(year, month, day, last) if moved else day)
        return found


def _nearest(year: int, month: int, day: int, last: int) -> int:
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < last else day - 2
    return day


@dataclass(frozen=True)
class CronPlan:
    """An expression that is understood: cronsim's text of it, and what cronsim can't say.

    `every_hour`: it names no hours, so it means time that passes and not a time of day.
    """

    text: str
    every_hour: bool = False
    month_days: MonthDays | None = None
    years: frozenset[int] | None = None

    def next_wall(self, after: datetime) -> datetime | None:
        """The first wall time later than another, to the second. Looks at `MAX_STEPS` dates at most."""
        for _ in range(MAX_STEPS):
            try:
                wall = next(CronSim(self.text, after), None)
            except OverflowError:
                return None
            if wall is None:
                return None
            admitted = self._admitted_from(wall)
            if admitted is None or admitted == wall:
                return admitted
            after = admitted - timedelta(seconds=1)
        return None

    def check(self) -> CronPlan:
        """Itself, unless it never comes: then `InvalidTrigger` is raised."""
        # Fifty years on from here hold every length of February with every weekday.
        start = _midnight(min(self.years) if self.years else 2001) - timedelta(seconds=1)
        try:
            comes = self.next_wall(start) is not None
        except CronSimError:
            comes = False
        if not comes:
            raise refused("such a day never comes (as 30 February); change day, month or year.")
        return self

    def _admitted_from(self, wall: datetime) -> datetime | None:
        """The wall time if it counts, else the next midnight worth looking at; None if there is none."""
        if self.years is not None and wall.year not in self.years:
            year = min((year for year in self.years if year > wall.year), default=None)
            return None if year is None else _midnight(year)
        if self.month_days is None:
            return wall
        days = self.month_days.of(wall.year, wall.month)
        if wall.day in days:
            return wall
        day = min((day for day in days if day > wall.day), default=None)
        if day is not None:
            return _midnight(wall.year, wall.month, day)
        if wall.month < 12:
            return _midnight(wall.year, wall.month + 1)
        return _midnight(wall.year + 1) if wall.year < MAXYEAR else None


def _midnight(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime.combine(date(year, month, day), time.min)


def five_fields(parts: list[str]) -> CronPlan:
    """The plan of `minute hour day-of-month month day-of-week`. Raises `InvalidTrigger`."""
    minute, hour, day, month, weekday = parts
    if "?" in parts:
        raise refused(
            "'?' belongs to the form of six fields, which begins with the second; write * in "
            "its place, or put 0 in front."
        )
    MINUTE.values(minute)
    MONTH.values(month)
    for term in day.split(","):
        if term not in ("L", "LW"):
            if "W" in term or "L" in term:
                raise refused(
                    f"{shown(term)} belongs to the form of six fields; write for instance "
                    "0 0 6 15W * ?."
                )
            DAY.values(term)
    for term in weekday.split(","):
        _check_weekday(term)
    return CronPlan(" ".join(parts), len(HOUR.values(hour)) == 24).check()


def _check_weekday(term: str) -> None:
    name, hash_sign, place = term.partition("#")
    if hash_sign:
        WEEKDAY.number(name)
        nth_place(place)
    elif term.endswith("L"):
        if term[:-1] not in WEEKDAY_NUMBERS:
            raise refused(
                f"{shown(term)} is not a last weekday; write for instance 5L for the last Friday."
            )
    else:
        WEEKDAY.values(term)


def nth_place(text: str) -> int:
    """Which of a month's weekdays `#` names. Raises `InvalidTrigger`."""
    if text not in ("1", "2", "3", "4", "5"):
        raise refused(f"'#{text}' must be #1 to #5: the first to the fifth such day of a month.")
    return int(text)
