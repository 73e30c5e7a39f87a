"""Steps of a calendar from a fixed start: minutes, hours, days, weeks, months. Pure, and without a loop.

Every step is counted from the start and never from the step before, so that none drifts.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import Literal

Unit = Literal["minutes", "hours", "days", "weeks", "months"]


def next_step(start: datetime, frequency: int, unit: Unit, after: datetime) -> datetime | None:
    """The first of `start`, `start` + `frequency` units, and so on, that is later than another; None beyond the calendar.

    Both datetimes are of one sort: instants, or wall times.
    """
    if after < start:
        return start
    try:
        if unit == "months":
            passed = (after.year - start.year) * 12 + after.month - start.month
            count = passed // frequency * frequency
            found = _months_later(start, count)
            return found if found > after else _months_later(start, count + frequency)
        step = timedelta(**{unit: frequency})
        return start + ((after - start) // step + 1) * step
    except (OverflowError, ValueError):
        return None


def _months_later(start: datetime, count: int) -> datetime:
    years, month = divmod(start.month - 1 + count, 12)
    year = start.year + years
    last = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))
