"""Both nights on which clocks change, in three zones, for every kind of trigger: what runs when, written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from jupyter_dashboards_api.schedules.triggers import Trigger, cron, every, next_times, weekly

# Zone; a time of day that is skipped (spring) or comes twice (autumn) on the day of the change; starts on the zone's clock
# and, in UTC, the runs from them on.
CHANGES: dict[str, dict[str, Any]] = {
    "Berlin, spring: 02:00 becomes 03:00": {
        "zone": "Europe/Berlin",
        "clock": "02:30",
        "days": ("2026-03-28", ["03-28 01:30", "03-29 01:00", "03-30 00:30", "03-31 00:30"]),
        "weeks": ("2026-03-22", ["03-22 01:30", "03-29 01:00", "04-05 00:30", "04-12 00:30"]),
        "months": ("2026-01-29", ["01-29 01:30", "02-28 01:30", "03-29 01:00", "04-29 00:30"]),
        "from": "2026-03-29 00:30",
        "hours": ["03-28 23:30", "03-29 00:30", "03-29 01:30", "03-29 02:30"],
        "minutes": ["03-28 23:30", "03-29 00:15", "03-29 01:00", "03-29 01:45"],
        "hourly": ["03-28 23:30", "03-29 00:30", "03-29 01:30", "03-29 02:30"],
    },
    "Berlin, autumn: 03:00 becomes 02:00": {
        "zone": "Europe/Berlin",
        "clock": "02:30",
        "days": ("2026-10-24", ["10-24 00:30", "10-25 00:30", "10-26 01:30", "10-27 01:30"]),
        "weeks": ("2026-10-18", ["10-18 00:30", "10-25 00:30", "11-01 01:30", "11-08 01:30"]),
        "months": ("2026-09-25", ["09-25 00:30", "10-25 00:30", "11-25 01:30", "12-25 01:30"]),
        "from": "2026-10-25 01:30",
        "hours": ["10-24 23:30", "10-25 00:30", "10-25 01:30", "10-25 02:30"],
        "minutes": ["10-24 23:30", "10-25 00:15", "10-25 01:00", "10-25 01:45"],
        "hourly": ["10-24 23:30", "10-25 00:30", "10-25 01:30", "10-25 02:30"],
    },
    "New York, spring: 02:00 becomes 03:00": {
        "zone": "America/New_York",
        "clock": "02:30",
        "days": ("2026-03-07", ["03-07 07:30", "03-08 07:00", "03-09 06:30", "03-10 06:30"]),
        "weeks": ("2026-03-01", ["03-01 07:30", "03-08 07:00", "03-15 06:30", "03-22 06:30"]),
        "months": ("2026-02-08", ["02-08 07:30", "03-08 07:00", "04-08 06:30", "05-08 06:30"]),
        "from": "2026-03-08 00:30",
        "hours": ["03-08 05:30", "03-08 06:30", "03-08 07:30", "03-08 08:30"],
        "minutes": ["03-08 05:30", "03-08 06:15", "03-08 07:00", "03-08 07:45"],
        "hourly": ["03-08 05:30", "03-08 06:30", "03-08 07:30", "03-08 08:30"],
    },
    "New York, autumn: 02:00 becomes 01:00": {
        "zone": "America/New_York",
        "clock": "01:30",
        "days": ("2026-10-31", ["10-31 05:30", "11-01 05:30", "11-02 06:30", "11-03 06:30"]),
        "weeks": ("2026-10-25", ["10-25 05:30", "11-01 05:30", "11-08 06:30", "11-15 06:30"]),
        "months": ("2026-10-01", ["10-01 05:30", "11-01 05:30", "12-01 06:30", "01-01 06:30"]),
        "from": "2026-11-01 00:30",
        "hours": ["11-01 04:30", "11-01 05:30", "11-01 06:30", "11-01 07:30"],
        "minutes": ["11-01 04:30", "11-01 05:15", "11-01 06:00", "11-01 06:45"],
        "hourly": ["11-01 04:30", "11-01 05:30", "11-01 06:30", "11-01 07:30"],
    },
    "Lord Howe, spring: 02:00 becomes 02:30": {
        "zone": "Australia/Lord_Howe",
        "clock": "02:15",
        "days": ("2026-10-03", ["10-02 15:45", "10-03 15:30", "10-04 15:15", "10-05 15:15"]),
        "weeks": ("2026-09-27", ["09-26 15:45", "10-03 15:30", "10-10 15:15", "10-17 15:15"]),
        "months": ("2026-09-04", ["09-03 15:45", "10-03 15:30", "11-03 15:15", "12-03 15:15"]),
        "from": "2026-10-04 01:15",
        "hours": ["10-03 14:45", "10-03 15:45", "10-03 16:45", "10-03 17:45"],
        "minutes": ["10-03 14:45", "10-03 15:30", "10-03 16:15", "10-03 17:00"],
        "hourly": ["10-03 14:45", "10-03 16:15", "10-03 17:15", "10-03 18:15"],
    },
    "Lord Howe, autumn: 02:00 becomes 01:30": {
        "zone": "Australia/Lord_Howe",
        "clock": "01:45",
        "days": ("2026-04-04", ["04-03 14:45", "04-04 14:45", "04-05 15:15", "04-06 15:15"]),
        "weeks": ("2026-03-29", ["03-28 14:45", "04-04 14:45", "04-11 15:15", "04-18 15:15"]),
        "months": ("2026-03-05", ["03-04 14:45", "04-04 14:45", "05-04 15:15", "06-04 15:15"]),
        "from": "2026-04-05 00:45",
        "hours": ["04-04 13:45", "04-04 14:45", "04-04 15:45", "04-04 16:45"],
        "minutes": ["04-04 13:45", "04-04 14:30", "04-04 15:15", "04-04 16:00"],
        "hourly": ["04-04 13:45", "04-04 14:45", "04-04 15:15", "04-04 16:15"],
    },
}  # fmt: skip

KINDS = (
    "weekly on every day", "weekly on Sundays", "days", "weeks", "months", "hours", "minutes",
    "cron", "cron on Sundays", "Quartz", "Quartz on Sundays", "cron of every hour", "Quartz of every hour",
)  # fmt: skip


def of_kind(kind: str, change: dict[str, Any]) -> tuple[Trigger, list[str]]:
    zone, clock = change["zone"], change["clock"]
    hour, minute = clock.split(":")
    days, weeks = change["days"][1], change["weeks"][1]
    if kind.startswith("weekly"):
        period, expected = ("Sunday", weeks) if "Sundays" in kind else (None, days)
        return weekly(period=period, time=clock, until="2027-12-31 00:00", time_zone=zone), expected
    if kind in ("days", "weeks", "months"):
        day, expected = change[kind]
        return steps(1, kind, f"{day} {clock}", zone), expected
    if kind in ("hours", "minutes"):
        return steps(1 if kind == "hours" else 45, kind, change["from"], zone), change[kind]
    expression, expected = {
        "cron": (f"{minute} {hour} * * *", days),
        "cron on Sundays": (f"{minute} {hour} * * SUN", weeks),
        "Quartz": (f"0 {minute} {hour} * * ?", days),
        "Quartz on Sundays": (f"0 {minute} {hour} ? * 1", weeks),
        "cron of every hour": (f"{minute} * * * *", change["hourly"]),
        "Quartz of every hour": (f"0 {minute} * * * ?", change["hourly"]),
    }[kind]
    return cron(cron_expression=expression, end_time=None, time_zone=zone), expected


def steps(frequency: int, unit: str, start: str, zone: str) -> Trigger:
    return every(
        frequency=frequency, time_unit=unit, start_time=start, end_time=None, time_zone=zone
    )


def instants(expected: list[str]) -> list[datetime]:
    found: list[datetime] = []
    for text in expected:
        instant = datetime.fromisoformat(f"2026-{text}:00+00:00")
        if found and instant < found[-1]:
            instant = instant.replace(year=2027)
        found.append(instant)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHANGES)
def test_runs_come_when_they_should_on_the_day_of_a_change(name: str, kind: str) -> None:
    trigger, expected = of_kind(kind, CHANGES[name])
    wanted = instants(expected)

    assert next_times(trigger, wanted[0] - timedelta(seconds=1), len(wanted)) == wanted
    assert all(instant.tzinfo is UTC for instant in next_times(trigger, wanted[0], 3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHANGES)
def test_from_any_minute_of_the_night_the_next_run_is_the_same(name: str, kind: str) -> None:
    trigger, expected = of_kind(kind, CHANGES[name])
    wanted = instants(expected)

    for before, after in pairwise(wanted[:3]):
        minutes = max(1, int((after - before).total_seconds()) // 60)
        moments = [before + timedelta(minutes=m) for m in range(0, minutes, max(1, minutes // 60))]
        assert {trigger.next_after(moment) for moment in moments} == {after}


def test_several_skipped_times_of_one_rule_are_one_run() -> None:
    trigger = cron(cron_expression="*/20 2 * * *", end_time=None, time_zone="Europe/Berlin")

    found = next_times(trigger, datetime(2026, 3, 28, 12, tzinfo=UTC), 4)

    assert found == instants(["03-29 01:00", "03-30 00:00", "03-30 00:20", "03-30 00:40"])


def test_a_rule_of_minutes_in_named_hours_runs_once_each_in_the_hour_that_comes_twice() -> None:
    trigger = cron(cron_expression="*/20 2-3 * * *", end_time=None, time_zone="Europe/Berlin")

    found = next_times(trigger, datetime(2026, 10, 24, 12, tzinfo=UTC), 7)

    assert found == instants(
        ["10-25 00:00", "10-25 00:20", "10-25 00:40", "10-25 02:00", "10-25 02:20", "10-25 02:40", "10-26 01:00"]
    )  # fmt: skip


def test_a_whole_day_that_a_zone_skips_is_one_run_at_its_end() -> None:
    # Samoa went from 29 to 31 December 2011, over the date line.
    trigger = steps(1, "days", "2011-12-29 10:00", "Pacific/Apia")

    found = next_times(trigger, datetime(2011, 12, 29, tzinfo=UTC), 3)

    assert [moment.isoformat()[:16] for moment in found] == [
        "2011-12-29T20:00", "2011-12-30T10:00", "2011-12-30T20:00"
    ]  # fmt: skip


def test_a_start_in_the_second_of_two_hours_is_where_it_starts() -> None:
    trigger = steps(1, "days", "2026-10-25T02:30+01:00", "Europe/Berlin")

    found = next_times(trigger, datetime(2026, 10, 1, tzinfo=UTC), 2)

    assert found == instants(["10-25 01:30", "10-26 01:30"])
    assert trigger.as_dict()["start_time"] == "2026-10-25T02:30:00+01:00"


def test_a_start_at_a_skipped_time_keeps_its_time_of_day_afterwards() -> None:
    trigger = steps(1, "days", "2026-03-29 02:30", "Europe/Berlin")

    found = next_times(trigger, datetime(2026, 3, 1, tzinfo=UTC), 2)

    assert found == instants(["03-29 01:00", "03-30 00:30"])
