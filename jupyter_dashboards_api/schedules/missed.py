"""Which nominal times still run of those that were missed: the server was off, or a run took longer than its period. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from .models import Bounds
from .triggers import Trigger, latest

_INSTANT = timedelta(microseconds=1)


def first_to_run(
    trigger: Trigger, next_time: datetime, moment: datetime, catch_up: str, bounds: Bounds
) -> datetime | None:
    """The nominal time to go on with at `moment`, where `next_time` is the one that is due. None: there is none any more.

    Never an earlier one than `next_time`.
    """
    if next_time >= moment - bounds.grace:
        return next_time
    if catch_up == "none":
        return trigger.next_after(moment - bounds.grace - _INSTANT)
    if catch_up == "last":
        return latest(trigger, next_time - _INSTANT, moment)
    return _first_of_last(trigger, next_time, moment, bounds.most_missed)


def _first_of_last(trigger: Trigger, first: datetime, until: datetime, most: int) -> datetime:
    """The first of the last `most` nominal times of those from `first` to `until`. `first` is one."""
    if not _more_than(trigger, first, until, most):
        return first
    # There are too many from `low` on, and not too many from `high` on. Counting stops at the bound, however many they are.
    low, high = first, until
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if _more_than(trigger, middle, until, most):
            low = middle
        else:
            high = middle
    found = trigger.next_after(high - _INSTANT)
    assert found is not None
    return found


def _more_than(trigger: Trigger, since: datetime, until: datetime, most: int) -> bool:
    count = 0
    found = trigger.next_after(since - _INSTANT)
    while found is not None and found <= until:
        count += 1
        if count > most:
            return True
        found = trigger.next_after(found)
    return False
