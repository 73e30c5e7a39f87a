"""Fields of a schedule as clients write them: zones, dates, times of day, weekdays, whole numbers. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from ..errors import InvalidRequest

EARLIEST_YEAR, LATEST_YEAR = 1970, 2999
"""Years that dates of a schedule may have: within them no zone's arithmetic leaves what a datetime can hold."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.0+)? ?(Z|[+-]\d\d:\d\d)?",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


class InvalidTrigger(InvalidRequest, ValueError):
    """A field of a trigger can't be understood. `field` is its name in the request, `reason` says what to write."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def shown(value: object) -> str:
    """What a client wrote, short enough to be repeated in an error."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def zone_named(name: object, field: str = "time_zone") -> ZoneInfo:
    """The time zone of a name like `Europe/Berlin`. Raises `InvalidTrigger`."""
    if isinstance(name, str) and 0 < len(name) <= 100:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            # An unknown name; one that leaves the zones' folder; one that is a folder, like `Europe`.
            pass
    raise InvalidTrigger(
        field, f"{shown(name)} is not a time zone; write a name like UTC or Europe/Berlin."
    )


def parsed_wall(value: object, zone: ZoneInfo, field: str) -> datetime:
    """The wall time in a zone of `2026-03-28 02:30`, `2026-03-28T02:30Z` or `2026-03-28T02:30:00+01:00`.

    Without an offset the zone's own clock is meant. Of a wall time that comes twice `fold` tells which it is.
    Raises `InvalidTrigger`.
    """
    match = _DATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise InvalidTrigger(field, f"{shown(value)} is not a date; write YYYY-MM-DD HH:MM.")
    date, clock, offset = match.groups()
    try:
        parsed = datetime.fromisoformat(f"{date}T{clock}{(offset or '').upper()}")
    except ValueError:
        raise InvalidTrigger(field, f"there is no such date or time as {shown(value)}.") from None
    if not EARLIEST_YEAR <= parsed.year <= LATEST_YEAR:
        raise InvalidTrigger(field, f"the year must be from {EARLIEST_YEAR} to {LATEST_YEAR}.")
    return (parsed.astimezone(zone) if offset else parsed).replace(tzinfo=None)


def wall_text(wall: datetime, zone: ZoneInfo) -> str:
    """A wall time so that `parsed_wall` reads it back, with an offset only where it is a second occurrence."""
    local = wall.replace(tzinfo=zone)
    if wall.fold and local.astimezone(UTC) > local.replace(fold=0).astimezone(UTC):
        return local.isoformat(timespec="seconds")
    return wall.isoformat(timespec="seconds")


def clock_time(value: object, field: str = "time") -> time:
    """The time of day of `06:50`, on 24 hours. Raises `InvalidTrigger`."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    hour, minute = (int(part) for part in match.groups()) if match else (24, 60)
    if hour > 23 or minute > 59:
        raise InvalidTrigger(
            field, f"{shown(value)} is not a time of day; write HH:MM, from 00:00 to 23:59."
        )
    return time(hour, minute)


def weekdays(value: object, field: str = "period") -> frozenset[int]:
    """Weekdays as ISO numbers them (1 = Monday), of an English name, a list of them, or a text with commas.

    Numbers are refused: which day 1 is depends on who counts. Raises `InvalidTrigger`.
    """
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not 0 < len(names) <= 100:
        raise InvalidTrigger(field, f"{shown(value)} is not a weekday; write one like Monday.")
    return frozenset(_weekday(name, field) for name in names)


def _weekday(name: object, field: str) -> int:
    wanted = name.strip().lower() if isinstance(name, str) else ""
    for number, known in enumerate(WEEKDAYS, start=1):
        if wanted in (known.lower(), known[:3].lower()):
            return number
    raise InvalidTrigger(field, f"{shown(name)} is not a weekday; write one like Monday.")


def whole_number(value: object, field: str, lowest: int, highest: int) -> int:
    """A whole number, or the same as text, within bounds. Raises `InvalidTrigger`."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise InvalidTrigger(
            field, f"{shown(value)} is not a whole number from {lowest} to {highest}."
        )
    return value
