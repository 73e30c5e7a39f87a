"""Which nominal times still run of those that were missed: the server was off, or a run took longer than its period.

Pure: what is remembered between two calls saves work, and changes no answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from .models import Bounds
from .triggers import Trigger, latest

_INSTANT = timedelta(microseconds=1)
_FIRST_STRETCH = timedelta(minutes=1)


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
    """The first of the last `most` nominal times of those from `first` to `until`. `first` is one.

    What is left to run is counted once, and not anew each time that one of them has run.
    """
    start, count = _counted_on(trigger, first, until, most) or _last(trigger, first, until, most)
    following = trigger.next_after(start)
    if following is not None:
        _counted(trigger, following)[:] = [(until, count - 1)]
    return start


@lru_cache(maxsize=10_000)
def _counted(trigger: Trigger, first: datetime) -> list[tuple[datetime, int]]:
    """Where it is noted, if it is, that there are so many nominal times from `first` up to a moment and with it."""
    return []


def _counted_on(
    trigger: Trigger, first: datetime, until: datetime, most: int
) -> tuple[datetime, int] | None:
    """What `_last` finds, by what is noted and what has come since; None where that does not help."""
    for moment, count in _counted(trigger, first):
        come = len(_some(trigger, moment + _INSTANT, until + _INSTANT, most))
        if moment <= until and come < most:
            for _ in range(count + come - most):
                following = trigger.next_after(first)
                assert following is not None
                first = following
            return first, min(count + come, most)
    return None


def _last(trigger: Trigger, first: datetime, until: datetime, most: int) -> tuple[datetime, int]:
    """The first of the last `most` nominal times of those from `first` to `until`, and how many they are. `first` is one.

    Goes back from the end by stretches, each twice as long; the one that has too many is halved. A stretch is counted no
    further than to the bound, and one that had not too many never again.
    """
    start, count, end = first, 0, until + _INSTANT
    stretch = _FIRST_STRETCH
    # From here to the end there are too many.
    crowded: datetime | None = None
    while count < most and end > first:
        since = max(first, end - stretch) if crowded is None else crowded + (end - crowded) / 2
        found = _some(trigger, since, end, most - count + 1)
        if len(found) > most - count:
            crowded = since
            continue
        start, count = min(found, default=start), count + len(found)
        end, stretch = since, 2 * stretch
    return start, count


def _some(trigger: Trigger, since: datetime, until: datetime, most: int) -> list[datetime]:
    """The nominal times from `since` on and before `until`, the first `most` of them."""
    found: list[datetime] = []
    following = trigger.first(since)
    while following is not None and following < until and len(found) < most:
        found.append(following)
        following = trigger.next_after(following)
    return found
