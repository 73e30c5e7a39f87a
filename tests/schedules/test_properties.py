"""What holds for every trigger, zone and instant, against clocks that are read minute by minute."""

from __future__ import annotations

import calendar
import json
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.schedules.missed import first_to_run
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.steps import Unit
from jupyter_dashboards_api.schedules.triggers import (
    Cron,
    Every,
    Trigger,
    Weekly,
    latest,
    next_times,
    trigger_of,
)
from jupyter_dashboards_api.schedules.walls import instant_of, wall_at

from .between import runs_between

# Changes of an hour, half an hour, two hours and a whole day; at midnight; in winter; and none.
NAMES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "America/Havana",
    "Europe/Dublin", "Africa/Casablanca", "Asia/Beirut", "Asia/Kathmandu", "UTC",
)  # fmt: skip
ZONES = st.sampled_from([ZoneInfo(name) for name in NAMES])
EARLY, LATE = datetime.fromisoformat("2005-01-01"), datetime.fromisoformat("2035-01-01")
WALLS = st.datetimes(EARLY, LATE).map(lambda wall: wall.replace(microsecond=0))
MINUTE = timedelta(minutes=1)


def changes_of(zone: ZoneInfo) -> list[datetime]:
    """Days of the years 2009 to 2027 on which a zone's clock changes, as instants."""
    days = [datetime(2009, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(19 * 365)]
    offsets = [day.astimezone(zone).utcoffset() for day in days]
    return [days[i] for i in range(len(days) - 1) if offsets[i] != offsets[i + 1]] or days[:1]


CHANGES = {name: changes_of(ZoneInfo(name)) for name in NAMES}


@st.composite
def zoned_instants(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """A zone, and an instant that is likely to be near a change of its clock."""
    zone = draw(ZONES)
    anywhere = WALLS.map(lambda wall: wall.replace(tzinfo=UTC))
    near = st.builds(
        lambda day, seconds: day + timedelta(seconds=seconds),
        st.sampled_from(CHANGES[zone.key]),
        st.integers(-86_400, 2 * 86_400),
    )
    return zone, draw(near | near | anywhere)


EXPRESSIONS = st.sampled_from(
    ["30 2 * * *", "*/15 1-3 * * *", "0 */2 * * *", "15 * * * *", "*/7 * * * *", "0 0 * * 1#2", "0 30 1 ? * 1-3",
     "0 0 0 L-1 * ?", "59 59 23 15W * ?", "0 0 2 29 2 ?", "0 0 12 1 1 ? 2010/3", "30 2 13 * 5"]
)  # fmt: skip


@st.composite
def triggers(draw: st.DrawFn, zone: ZoneInfo, near: datetime) -> Trigger:
    end = draw(st.none() | st.integers(0, 400).map(lambda days: near + timedelta(days=days)))
    wall = None if end is None else end.astimezone(zone).replace(tzinfo=None)
    weekdays = st.frozensets(st.integers(1, 7), min_size=1)
    clock = st.builds(time, st.integers(0, 23), st.integers(0, 59))
    start = near + timedelta(minutes=draw(st.integers(-500_000, 3000)))
    units: list[Unit] = ["minutes", "hours", "days", "weeks", "months"]
    return draw(
        st.one_of(
            st.builds(Weekly, weekdays, clock, st.just(wall), st.just(zone)),
            st.builds(Cron, EXPRESSIONS, st.just(wall), st.just(zone)),
            st.builds(
                Every,
                st.integers(1, 40),
                st.sampled_from(units),
                st.just(start.astimezone(zone).replace(tzinfo=None)),
                st.just(wall),
                st.just(zone),
            ),
        )
    )


@settings(max_examples=75, deadline=None)
@given(st.data())
def test_the_next_run_is_later_and_the_same_from_every_moment_before_it(
    data: st.DataObject,
) -> None:
    zone, instant = data.draw(zoned_instants())
    trigger = data.draw(triggers(zone, instant))

    found = trigger.next_after(instant)

    if found is None:
        assert trigger.next_after(instant + timedelta(days=1)) is None
        return
    assert found > instant
    assert found.utcoffset() == timedelta()
    assert found.microsecond == 0
    share = data.draw(st.floats(0, 1, exclude_max=True))
    assert trigger.next_after(instant + (found - instant) * share) in (
        found,
        # The product may be rounded up to the run itself.
        trigger.next_after(found),
    )
    assert trigger.next_after(found - timedelta.resolution) == found
    assert trigger.first(found) == found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_stored_runs_at_the_same_times(data: st.DataObject) -> None:
    zone, instant = data.draw(zoned_instants())
    trigger = data.draw(triggers(zone, instant))

    read = trigger_of(json.loads(json.dumps(trigger.as_dict())))

    assert read == trigger
    assert read.as_dict() == trigger.as_dict()
    assert next_times(read, instant, 5) == next_times(trigger, instant, 5)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_latest_missed_run_is_the_last_of_all_missed_runs(data: st.DataObject) -> None:
    zone, instant = data.draw(zoned_instants())
    trigger = data.draw(triggers(zone, instant))
    until = instant + timedelta(seconds=data.draw(st.integers(0, 86_400)))

    found = runs_between(trigger, instant, until, 1000)

    assert all(instant < moment <= until for moment in found)
    assert sorted(set(found)) == found
    if len(found) < 1000:
        assert latest(trigger, instant, until) == (found[-1] if found else None)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_last_missed_runs_run_each_once_and_in_their_order(data: st.DataObject) -> None:
    zone, instant = data.draw(zoned_instants())
    trigger = data.draw(triggers(zone, instant))
    bounds = Bounds(grace=MINUTE, most_missed=data.draw(st.integers(1, 30)))
    due = trigger.next_after(instant)
    moment = instant + timedelta(seconds=data.draw(st.integers(0, 2 * 86_400)))
    # Where the last one that ran is followed by another before much time has passed, and where not.
    passes = st.integers(0, 600) | st.integers(0, 86_400)

    for _ in range(5):
        if due is None or due > moment:
            break
        missed = [due]
        while (later := trigger.next_after(missed[-1])) is not None and later <= moment:
            missed.append(later)
        expected = due if due >= moment - bounds.grace else missed[-bounds.most_missed :][0]
        assert first_to_run(trigger, due, moment, "all", bounds) == expected
        due = trigger.next_after(expected)
        moment += timedelta(seconds=data.draw(passes))


def minutes(first: datetime, count: int) -> list[datetime]:
    return [first + MINUTE * i for i in range(count)]


@settings(max_examples=75, deadline=None)
@given(zoned_instants(), st.integers(0, 23), st.integers(0, 59), st.data())
def test_each_time_of_day_runs_once_when_the_clock_first_reaches_it(
    place: tuple[ZoneInfo, datetime], hour: int, minute: int, data: st.DataObject
) -> None:
    zone, instant = place
    trigger: Trigger = data.draw(
        st.sampled_from(
            [
                Cron(f"{minute} {hour} * * *", None, zone),
                Cron(f"0 {minute} {hour} ? * *", None, zone),
                Weekly(frozenset(range(1, 8)), time(hour, minute), None, zone),
                Every(1, "days", datetime.combine(EARLY, time(hour, minute)), None, zone),
            ]
        )
    )
    first = instant.replace(second=0)
    # From before it on: it may be in an hour that comes for the second time.
    begin = first - timedelta(hours=6)
    clock = [(m, m.astimezone(zone).replace(tzinfo=None)) for m in minutes(begin, 2 * 1440 + 360)]
    expected = []
    for days in range(-1, 4):
        day = clock[0][1].date() + timedelta(days=days)
        wall = datetime.combine(day, time(hour, minute))
        # The first minute at which the clock shows this time or, if it skips it, a later one.
        reached = next((m for m, shown in clock if shown >= wall), None)
        if reached is not None and reached > first:
            expected.append(reached)

    found = runs_between(trigger, first, clock[-1][0], 100)

    # Two times of day that are skipped together are one run.
    assert found == sorted(set(expected))


@settings(max_examples=60, deadline=None)
@given(zoned_instants(), st.sampled_from([1, 5, 15, 30]), st.integers(0, 29))
def test_a_rule_of_every_hour_runs_whenever_the_clock_shows_one_of_its_minutes(
    place: tuple[ZoneInfo, datetime], step: int, start: int
) -> None:
    zone, instant = place
    first = instant.replace(second=0)
    wanted = set(range(start, 60, step))
    expected = [m for m in minutes(first, 360)[1:] if m.astimezone(zone).minute in wanted]

    found = runs_between(Cron(f"{start}/{step} * * * *", None, zone), first, expected[-1], 1000)

    assert found == expected


@settings(max_examples=60, deadline=None)
@given(WALLS, st.integers(1, 30), st.integers(0, 100), ZONES)
def test_months_never_drift(start: datetime, frequency: int, skipped: int, zone: ZoneInfo) -> None:
    trigger = Every(frequency, "months", start, None, zone)
    index = start.year * 12 + start.month - 1 + frequency * skipped
    year, month = divmod(index, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    wall = start.replace(year=year, month=month + 1, day=day)

    expected = instant_of(wall, zone)

    assert trigger.first(expected) == expected


@settings(max_examples=300, deadline=None)
@given(zoned_instants(), st.booleans())
def test_clocks_keep_the_order_of_wall_times(
    place: tuple[ZoneInfo, datetime], second: bool
) -> None:
    zone, instant = place

    wall = wall_at(instant, zone, second=second)

    assert instant_of(wall, zone, second=second) <= instant
    assert instant_of(wall + timedelta.resolution, zone, second=second) > instant
