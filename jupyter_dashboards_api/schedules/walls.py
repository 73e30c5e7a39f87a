"""Wall times of a zone and instants, over both daylight-saving nights. Pure.

- A wall time that comes twice means its first occurrence; its second one only where a caller asks for it.
- A wall time that clocks skip means the instant at which they skip: 02:30 becomes 03:00, not 03:30.

Both keep the order: a later wall time never means an earlier instant. So the next run after an instant is one step on the
zone's clock and one translation, without a search.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

NextWall = Callable[[datetime], datetime | None]
"""The first wall time of a rule that is later than the given one."""


def instant_of(wall: datetime, zone: ZoneInfo, *, second: bool = False) -> datetime:
    """The instant of a wall time's first occurrence, or of its second one if it has two."""
    first, again = _occurrences(wall, zone)
    if first > again:
        # Skipped by the clocks: each offset puts it on the wrong side of the change.
        return _change(zone, again, first)
    return again if second else first


def exact_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant of the occurrence that the wall time's `fold` names."""
    return instant_of(wall, zone, second=bool(wall.fold))


def wall_at(instant: datetime, zone: ZoneInfo, *, second: bool = False) -> datetime:
    """The last wall time whose first (or second) occurrence is not later than an instant: what `instant_of` undoes."""
    local = instant.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    first, again = _occurrences(wall, zone)
    if first == again or second == bool(local.fold):
        return wall
    change = _change(zone, first, again)
    if second:
        # The hour that comes twice has not come twice yet: none of it counts.
        edge = change.astimezone(zone).replace(tzinfo=None, fold=0)
    else:
        # It comes for the second time: all of it has been.
        edge = wall + (change - first)
    return edge - timedelta.resolution


def next_instant(next_wall: NextWall, after: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after another that a rule of wall times means, in UTC: each wall time once."""
    wall = next_wall(wall_at(after, zone))
    return None if wall is None else instant_of(wall, zone)


def next_shown(next_wall: NextWall, after: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after another at which the zone's clock shows a wall time of a rule, in UTC.

    What comes twice counts twice, and what is skipped doesn't count.
    """
    found = []
    for second in (False, True):
        wall = next_wall(wall_at(after, zone, second=second))
        if wall is not None and _is_skipped(wall, zone):
            end = instant_of(wall, zone).astimezone(zone).replace(tzinfo=None, fold=0)
            wall = next_wall(end - timedelta.resolution)
        if wall is not None:
            found.append(instant_of(wall, zone, second=second))
    return min(found, default=None)


def _is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    first, again = _occurrences(wall, zone)
    return first > again


def _occurrences(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    local = wall.replace(tzinfo=zone, fold=0)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The instant after `before`, up to `after`, from which on the zone's offset is another. Whole seconds."""
    offset = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
