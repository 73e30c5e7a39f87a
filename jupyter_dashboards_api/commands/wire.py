"""Bodies, times and numbers as clients of the commands API send and read them. Pure. API: its specification §1.0."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time
from typing import Any
from zlib import crc32

from ..errors import InvalidRequest, TooLarge

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 100
"""Of what a body nests; more can be read by some functions of Python, but not by others."""

MAX_NUMBER = 2**31 - 1
"""The largest id that the database holds."""

_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:\.\d{1,9})?(?:Z| UTC)?)?", re.ASCII
)


def json_object(data: bytes | bytearray, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object of a body of at most so many bytes; `{}` for an empty one. Raises `InvalidRequest` or `TooLarge`."""
    if len(data) > most:
        raise TooLarge(f"The body is larger than {most} bytes.")
    if not data.strip():
        return {}
    try:
        value = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.") from error
    except ValueError as error:
        # Python reads no longer ones: it would take too long.
        raise InvalidRequest("A number of the body has too many digits.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body is not a JSON object.")
    if is_deep(value, MAX_DEPTH):
        raise InvalidRequest(f"The body is nested more than {MAX_DEPTH} levels deep.")
    return value


def is_deep(value: Any, levels: int) -> bool:
    """Whether a JSON value nests more than this many lists and objects."""
    inner = [value]
    for _ in range(levels):
        inner = [
            item
            for each in inner
            if isinstance(each, (dict, list))
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        if not inner:
            return False
    return any(isinstance(each, (dict, list)) for each in inner)


def read_time(text: str, of_day: time) -> datetime | None:
    """A time as any of the API's formats writes it, in UTC; of a date alone, this time of that day. None: no time."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    date, minutes, second = match.groups()
    try:
        if minutes is None:
            return datetime.combine(datetime.fromisoformat(date).date(), of_day, UTC)
        return datetime.fromisoformat(f"{date}T{minutes}{second or ':00'}+00:00")
    except ValueError:
        return None


def read_number(text: str, least: int = 0) -> int | None:
    """A whole number that the database can hold, not below `least`; None for any other text."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        return None
    number = int(text)
    return number if least <= number <= MAX_NUMBER else None


def read_flag(text: str) -> bool:
    """Whether a query argument says yes, in any client's spelling: `true`, Python's `True`, `1`."""
    return text.strip().lower() in ("true", "1", "yes")


def timestamp(moment: datetime | None) -> str | None:
    """`2016-10-03T07:14:39Z`, as the API's samples write `created_at`."""
    return _utc(moment, "seconds") if moment is not None else None


def schedule_time(moment: datetime | None) -> str | None:
    """`2012-07-01T00:00Z`, as times of schedules are written."""
    return _utc(moment, "minutes") if moment is not None else None


def nominal_time(moment: datetime) -> str | None:
    """The same, with its seconds where it has some, as runs of a Quartz expression may."""
    return timestamp(moment) if moment.second else schedule_time(moment)


def seconds(moment: datetime | None) -> int | None:
    """Unix seconds, as `submit_time`, `start_time` and `end_time` are."""
    return int(moment.timestamp()) if moment is not None else None


def _utc(moment: datetime, precision: str) -> str:
    # Not strftime: its %Y leaves out leading zeros on some systems.
    return moment.astimezone(UTC).isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def user_id(name: str) -> int:
    """A number for a user's name: clients of this API know users by numbers."""
    return crc32(name.encode(errors="replace")) % 1_000_000 + 1
