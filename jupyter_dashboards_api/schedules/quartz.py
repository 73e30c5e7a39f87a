"""Cron expressions of six and seven fields, as the Quartz scheduler has them, put into cronsim's words. Pure.

`second minute hour day-of-month month day-of-week [year]`. Weekdays count from 1 = Sunday; `?` stands for the day that
does not matter; ranges may pass the end (`FRI-MON`, `22-2`). More than a second a minute and calendars are refused.
"""

from __future__ import annotations

from .cron import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    CronField,
    CronPlan,
    MonthDays,
    nth_place,
    refused,
)
from .fields import shown

WEEKDAY = CronField("day of week", 1, 7, tuple("SUN MON TUE WED THU FRI SAT".split()))
YEAR = CronField("year", 1970, 2099)


def quartz_fields(parts: list[str]) -> CronPlan:
    """The plan of six or seven fields, in capitals. Raises `InvalidTrigger`."""
    second, minute, hour, day, month, weekday = parts[:6]
    year = parts[6] if len(parts) > 6 else "*"
    if "?" in (second, minute, hour, month, year):
        raise refused("'?' can only be the day of the month or the day of the week; write *.")
    _check_days(day, weekday)
    seconds = SECOND.values(second)
    if len(seconds) > 1:
        raise refused(
            f"a schedule runs once a minute at most, and {shown(second)} names more than one second;"
            " write 0 as the second."
        )
    hours = HOUR.values(hour, wraps=True)
    month_days, days = _month_days(day)
    text = " ".join(
        (
            str(min(seconds)),
            _listed(MINUTE, MINUTE.values(minute, wraps=True)),
            _listed(HOUR, hours),
            days,
            _listed(MONTH, MONTH.values(month, wraps=True)),
            _weekdays(weekday),
        )
    )
    years = None if year == "*" else YEAR.values(year)
    return CronPlan(text, len(hours) == 24, month_days, years).check()


def _check_days(day: str, weekday: str) -> None:
    for part in (day, weekday):
        if "C" in part:
            raise refused(f"{shown(part)} names a calendar of Quartz's, which is not known here.")
    if day == "?" and weekday == "?":
        raise refused("'?' can stand for one of the two days only; write * for the other.")
    free = [part in ("?", "*") for part in (day, weekday)]
    if not any(free):
        raise refused(
            "day of month and day of week can't both be given in this form; write ? for the one "
            "that does not matter, or make two schedules."
        )
    if "?" not in (day, weekday) and not all(free):
        # Other schedulers count Monday as 1 here. Whoever writes the ? knows which form this is.
        where = "day of month" if free[0] else "day of week"
        raise refused(
            f"write ? as the {where}, which does not matter. In this form 1 is Sunday and 7 is "
            "Saturday; names (MON) are clearer."
        )


def _listed(field: CronField, values: frozenset[int]) -> str:
    if len(values) == field.high - field.low + 1:
        return "*"
    return ",".join(str(value) for value in sorted(values))


def _month_days(text: str) -> tuple[MonthDays | None, str]:
    """Days of the month: as a rule of ours if cronsim can't say it, and in cronsim's words."""
    if text in ("?", "*"):
        return None, "*"
    plain: set[int] = set()
    nearest: set[int] = set()
    ends: set[tuple[int, bool]] = set()
    for term in text.split(","):
        number = term.removesuffix("W")
        if term.startswith("L"):
            back = number.removeprefix("L-")
            ends.add((0 if number == "L" else _days_back(back, term), number != term))
        elif number != term:
            nearest.add(DAY.number(number))
        else:
            plain.update(DAY.values(term, wraps=True))
    if nearest or any(back for back, _ in ends):
        return MonthDays(frozenset(plain), frozenset(nearest), frozenset(ends)), "*"
    words = ["LW" if moved else "L" for _, moved in sorted(ends)]
    if len(plain) == 31:
        return None, "*"
    return None, ",".join([*(str(day) for day in sorted(plain)), *words])


def _days_back(text: str, term: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 2 and int(text) <= 30):
        raise refused(f"{shown(term)} is not a day of the month; write L, LW, L-1 to L-30, or 15W.")
    return int(text)


def _weekdays(text: str) -> str:
    if text in ("?", "*"):
        return "*"
    words: list[str] = []
    plain: set[int] = set()
    for term in text.split(","):
        name, hash_sign, place = term.partition("#")
        if term == "L":
            plain.add(6)
        elif hash_sign:
            words.append(f"{WEEKDAY.number(name) - 1}#{nth_place(place)}")
        elif term.endswith("L"):
            words.append(f"{WEEKDAY.number(term[:-1]) - 1}L")
        else:
            plain.update(number - 1 for number in WEEKDAY.values(term, wraps=True))
    if len(plain) == 7:
        return "*"
    return ",".join([*(str(number) for number in sorted(plain)), *words])
