"""Points in time as macros reckon with them: the part of Moment.js that the API's examples use. Pure.

As there, `add`, `subtract`, `startOf` and `endOf` change the moment itself, so that who wants both asks `clone()` first; days
and longer units follow the calendar of the moment's zone, hours and shorter ones the clock. API: https://momentjs.com/docs,
and `strftime` as the library Moment-tokens adds it. Names of days and months are English.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..errors import InvalidRequest

_UNITS: Mapping[str, tuple[str, ...]] = {
    "year": ("years", "y"),
    "quarter": ("quarters", "Q"),
    "month": ("months", "M"),
    "week": ("weeks", "w"),
    "isoweek": ("isoWeek", "isoweeks", "W"),
    "day": ("days", "d"),
    "hour": ("hours", "h"),
    "minute": ("minutes", "m"),
    "second": ("seconds", "s"),
    "millisecond": ("milliseconds", "ms"),
}
_OF_NAME = {name: unit for unit, names in _UNITS.items() for name in (unit, *names)}
_MONTHS = {"year": 12, "quarter": 3, "month": 1}
_DAYS = {"week": 7, "isoweek": 7, "day": 1}
_SECONDS = {"hour": 3600.0, "minute": 60.0, "second": 1.0, "millisecond": 0.001}
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", re.ASCII)
_MAX_FORMAT = 1000

_TOKEN = re.compile(
    r"\[([^\[\]]*)\]|\\(.)|(Mo|M{1,4}|DDDo|Do|D{1,4}|do|d{1,4}|w[ow]?|W[oW]?|Q|Y{2,6}|g{2,5}|G{2,5}|e|E|a|A|hh?|HH?|"
    r"mm?|ss?|S{1,4}|X|zz?|ZZ?|LT|L{1,4}|l{1,4}|.)",
    re.DOTALL,
)
_ONLY_LETTERS = re.compile(r"[A-Za-z]+", re.ASCII)
_LITERAL = frozenset("TBCFIJKNOPRUVbcfijknopqrtuvxy")
"""Letters that Moment.js leaves as they are."""

_STRFTIME = {
    "a": "ddd", "A": "dddd", "b": "MMM", "B": "MMMM", "d": "DD", "e": "D", "F": "YYYY-MM-DD", "f": "SSS", "H": "HH",
    "I": "hh", "j": "DDDD", "k": "H", "l": "h", "m": "MM", "M": "mm", "p": "A", "P": "a", "R": "HH:mm", "s": "X",
    "S": "ss", "T": "HH:mm:ss", "u": "E", "w": "d", "W": "WW", "y": "YY", "Y": "YYYY", "z": "ZZ", "Z": "z",
    "-d": "D", "-H": "H", "-I": "h", "-j": "DDD", "-m": "M", "-M": "m", "-S": "s",
}  # fmt: skip


class Moment:
    """A point in time in a zone, which its methods change."""

    def __init__(self, at: datetime) -> None:
        """`at` has a zone."""
        self.at = at

    def clone(self) -> Moment:
        """Another one of the same time."""
        return Moment(self.at)

    def add(self, amount: Any, unit: Any) -> Moment:
        """So much later; both orders of the arguments are taken, as Moment.js does. Raises `InvalidRequest`."""
        return self._moved(amount, unit, 1)

    def subtract(self, amount: Any, unit: Any) -> Moment:
        """So much earlier."""
        return self._moved(amount, unit, -1)

    def start_of(self, unit: Any) -> Moment:
        """The first millisecond of the unit that it is in; weeks begin on Sunday, those of ISO on Monday."""
        self.at = _start(self.at, _unit(unit))
        return self

    def end_of(self, unit: Any) -> Moment:
        """The last millisecond of the unit that it is in."""
        name = _unit(unit)
        self.at = _after(_after(_start(self.at, name), 1, name), -1, "millisecond")
        return self

    def utc(self) -> Moment:
        """The same time in UTC."""
        self.at = self.at.astimezone(UTC)
        return self

    def tz(self, name: Any) -> Moment:
        """The same time in another zone."""
        self.at = self.at.astimezone(_zone(name))
        return self

    def strftime(self, form: Any) -> str:
        """As a text, by signs such as `%Y`."""
        parts = re.split(r"%(-?.)", _text(form), flags=re.DOTALL)
        found: list[str] = []
        for index, part in enumerate(parts):
            if index % 2 == 0:
                if "%" in part:
                    raise InvalidRequest("A % of strftime must be followed by a sign.")
                found.append(part)
            elif part == "%":
                found.append("%")
            elif part in _STRFTIME:
                found.append(self.format(_STRFTIME[part]))
            else:
                raise InvalidRequest(f"strftime has no %{part[:5]} here.")
        return "".join(found)

    def format(self, form: Any = "YYYY-MM-DDTHH:mm:ssZ") -> str:
        """As a text, by words such as `YYYY`; `[text]` stays as it is."""
        return _TOKEN.sub(self._written, _text(form))

    def _written(self, match: re.Match[str]) -> str:
        if match[1] is not None or match[2] is not None:
            return str(match[1] if match[2] is None else match[2])
        word = match[3]
        if word in _WORDS:
            return _WORDS[word](self.at)
        if _ONLY_LETTERS.fullmatch(word) and word not in _LITERAL:
            raise InvalidRequest(f"format has no {word} here; letters that stay stand in [ ].")
        return word

    def iso(self) -> str:
        """As ISO 8601, with the zone's offset."""
        return self.format()

    def unix(self) -> int:
        """Seconds since 1970."""
        return int(self.at.timestamp() // 1)

    def _moved(self, amount: Any, unit: Any, sign: int) -> Moment:
        if isinstance(amount, str):
            amount, unit = unit, amount
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or abs(amount) > 10**12:
            raise InvalidRequest("A time is changed by a number and a unit, such as 7 and 'days'.")
        self.at = _after(self.at, sign * amount, _unit(unit))
        return self


def moment_of(text: str, zone: Any = UTC) -> Moment:
    """The moment of a text in ISO 8601; without an offset it is a time of `zone`. Raises `InvalidRequest`."""
    try:
        found = datetime.fromisoformat(text.strip()[:64])
    except ValueError:
        raise InvalidRequest("moment takes a time such as '2026-01-31T12:00:00Z'.") from None
    return Moment(_real(found if found.tzinfo else found.replace(tzinfo=zone)))


def _unit(name: Any) -> str:
    found = _OF_NAME.get(name) if isinstance(name, str) else None
    if found is None and isinstance(name, str):
        found = _OF_NAME.get(name.lower())
    if found is None:
        raise InvalidRequest(f"A unit of time is one of {', '.join(_UNITS)}.")
    return found


def _zone(name: Any) -> ZoneInfo:
    if isinstance(name, str) and _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            # Unknown, or a folder of the zones.
            pass
    raise InvalidRequest("A time zone has a name such as 'Europe/Berlin'.")


def _text(form: Any) -> str:
    if not isinstance(form, str) or len(form) > _MAX_FORMAT:
        raise InvalidRequest(f"A format is a text of at most {_MAX_FORMAT} characters.")
    return form


def _after(at: datetime, amount: float, unit: str) -> datetime:
    try:
        if unit in _SECONDS:
            exact = at.astimezone(UTC) + timedelta(seconds=amount * _SECONDS[unit])
            return exact.astimezone(at.tzinfo)
        if amount != int(amount):
            raise InvalidRequest(f"A {unit} can't be parted: use hours.")
        whole = int(amount)
        if unit in _DAYS:
            return _real(at + timedelta(days=whole * _DAYS[unit]))
        months = at.year * 12 + at.month - 1 + whole * _MONTHS[unit]
        year, month = divmod(months, 12)
        if not 1 <= year <= 9999:
            raise OverflowError
        day = min(at.day, calendar.monthrange(year, month + 1)[1])
        return _real(at.replace(year=year, month=month + 1, day=day))
    except (OverflowError, ValueError):
        raise InvalidRequest("A time must be in the years 1 to 9999.") from None


def _real(at: datetime) -> datetime:
    """The time that a clock of the zone shows: those that a change to summer time leaves out are an hour later."""
    return at.astimezone(UTC).astimezone(at.tzinfo)


def _start(at: datetime, unit: str) -> datetime:
    if unit == "millisecond":
        return at.replace(microsecond=at.microsecond // 1000 * 1000)
    if unit in _SECONDS:
        kept = {"second": (at.minute, at.second), "minute": (at.minute, 0), "hour": (0, 0)}[unit]
        return at.replace(minute=kept[0], second=kept[1], microsecond=0)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit == "week":
        return _after(day, -(at.isoweekday() % 7), "day")
    if unit == "isoweek":
        return _after(day, -at.weekday(), "day")
    if unit in _MONTHS:
        month = at.month if unit == "month" else (at.month - 1) // 3 * 3 + 1
        day = day.replace(day=1, month=1 if unit == "year" else month)
    return _real(day)


def _offset(at: datetime, between: str) -> str:
    minutes = round((at.utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{between}{rest:02}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 % 10 != 1 else 0, "th")
    return f"{number}{ending}"


# Not the names of the C library, which the server's locale changes.
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

_WORDS: Mapping[str, Callable[[datetime], str]] = {
    "YYYY": lambda at: f"{at.year:04}",
    "YY": lambda at: f"{at.year % 100:02}",
    "Q": lambda at: f"{(at.month + 2) // 3}",
    "MMMM": lambda at: _MONTH_NAMES[at.month - 1],
    "MMM": lambda at: _MONTH_NAMES[at.month - 1][:3],
    "MM": lambda at: f"{at.month:02}",
    "M": lambda at: f"{at.month}",
    "DDDD": lambda at: f"{at.timetuple().tm_yday:03}",
    "DDD": lambda at: f"{at.timetuple().tm_yday}",
    "DD": lambda at: f"{at.day:02}",
    "Do": lambda at: _ordinal(at.day),
    "D": lambda at: f"{at.day}",
    "dddd": lambda at: _DAY_NAMES[at.weekday()],
    "ddd": lambda at: _DAY_NAMES[at.weekday()][:3],
    "dd": lambda at: _DAY_NAMES[at.weekday()][:2],
    "d": lambda at: f"{at.isoweekday() % 7}",
    "E": lambda at: f"{at.isoweekday()}",
    "GGGG": lambda at: f"{at.isocalendar().year:04}",
    "WW": lambda at: f"{at.isocalendar().week:02}",
    "W": lambda at: f"{at.isocalendar().week}",
    "HH": lambda at: f"{at.hour:02}",
    "H": lambda at: f"{at.hour}",
    "hh": lambda at: f"{(at.hour + 11) % 12 + 1:02}",
    "h": lambda at: f"{(at.hour + 11) % 12 + 1}",
    "mm": lambda at: f"{at.minute:02}",
    "m": lambda at: f"{at.minute}",
    "ss": lambda at: f"{at.second:02}",
    "s": lambda at: f"{at.second}",
    "SSS": lambda at: f"{at.microsecond // 1000:03}",
    "SS": lambda at: f"{at.microsecond // 10000:02}",
    "S": lambda at: f"{at.microsecond // 100000}",
    "A": lambda at: "AM" if at.hour < 12 else "PM",
    "a": lambda at: "am" if at.hour < 12 else "pm",
    "ZZ": lambda at: _offset(at, ""),
    "Z": lambda at: _offset(at, ":"),
    "z": lambda at: at.tzname() or "",
    "X": lambda at: f"{int(at.timestamp() // 1)}",
}
