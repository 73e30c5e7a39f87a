"""Triggers: the fields of both APIs, ends, previews, missed runs, and the database's form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest

from jupyter_dashboards_api.schedules.fields import InvalidTrigger
from jupyter_dashboards_api.schedules.triggers import (
    MAX_PREVIEW,
    Cron,
    Every,
    Trigger,
    Weekly,
    cron,
    every,
    first_run,
    latest,
    next_times,
    trigger_of,
    weekly,
)

from .between import runs_between

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
WEEKLY = {"period": "Monday", "time": "06:50", "until": "2026-12-14 06:50", "time_zone": "UTC"}
EVERY = {
    "frequency": 1,
    "time_unit": "days",
    "start_time": "2026-01-01T02:00Z",
    "end_time": None,
    "time_zone": "UTC",
}


def texts(moments: list[datetime]) -> list[str]:
    return [moment.strftime("%Y-%m-%d %H:%M") for moment in moments]


def test_a_notebook_runs_on_its_weekday_until_the_date_and_on_it() -> None:
    # 14 December 2026 is a Monday.
    trigger = weekly(**WEEKLY)

    assert texts(next_times(trigger, NEW_YEAR, 2)) == ["2026-01-05 06:50", "2026-01-12 06:50"]
    assert texts(next_times(trigger, NEW_YEAR, 100))[-1] == "2026-12-14 06:50"
    assert len(next_times(weekly(**{**WEEKLY, "until": "2026-12-14 06:49"}), NEW_YEAR, 100)) == 49


@pytest.mark.parametrize("period", [None, ""])
def test_a_notebook_without_a_weekday_and_a_time_runs_at_midnight_of_every_day(
    period: str | None,
) -> None:
    trigger = weekly(**{**WEEKLY, "period": period, "time": None})

    assert texts(next_times(trigger, NEW_YEAR, 2)) == ["2026-01-02 00:00", "2026-01-03 00:00"]


@pytest.mark.parametrize(
    ("period", "days"),
    [("monday", {1}), (" SUNDAY ", {7}), ("Sat", {6}), ("Monday, Friday", {1, 5}), (["Tuesday"], {2})],
)  # fmt: skip
def test_weekdays_are_english_names_in_any_case(period: object, days: set[int]) -> None:
    assert weekly(**{**WEEKLY, "period": period}).days == days


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("period", "Montag"), ("period", "1"), ("period", 1), ("period", []), ("period", "Monday,,Friday"),
        ("period", [1]), ("time", "24:00"), ("time", "12:60"), ("time", "noon"), ("time", "6.50"), ("time", 650),
        ("until", None), ("until", ""), ("until", "2026-13-01 00:00"), ("until", "2026-02-30 00:00"),
        ("until", "2026-12-14"), ("until", "14.12.2026 06:50"), ("until", "2026-W50-1 06:50"), ("until", 20261214),
        ("until", "1969-12-31 00:00"), ("until", "9999-12-31 00:00"), ("time_zone", "Europe"), ("time_zone", "Mars/Base"),
        ("time_zone", "../UTC"), ("time_zone", "/UTC"), ("time_zone", ""), ("time_zone", None), ("time_zone", "U\0TC"),
        ("time_zone", "europe/" + "x" * 500),
    ],
)  # fmt: skip
def test_a_field_of_the_notebooks_api_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        weekly(**{**WEEKLY, field: value})

    assert caught.value.field == field
    assert caught.value.message.startswith(f"{field}: ")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequency", 0), ("frequency", -1), ("frequency", "x"), ("frequency", None), ("frequency", True),
        ("frequency", 1.5), ("frequency", 10**9), ("frequency", "9" * 5000), ("time_unit", "years"), ("time_unit", 5),
        ("time_unit", "seconds"), ("start_time", None), ("start_time", "tomorrow"), ("start_time", "2026-01-01T25:00Z"),
        ("end_time", "later"), ("time_zone", "CEST+2"),
    ],
)  # fmt: skip
def test_a_field_of_the_scheduler_api_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        every(**{**EVERY, field: value})

    assert caught.value.field == field


def test_a_frequency_may_be_text_and_its_unit_days_by_default() -> None:
    trigger = every(**{**EVERY, "frequency": "2", "time_unit": None})

    assert (trigger.frequency, trigger.unit) == (2, "days")
    assert every(**{**EVERY, "time_unit": "Hour"}).unit == "hours"


def test_the_start_is_the_first_run_and_the_end_may_be_the_last() -> None:
    trigger = every(**{**EVERY, "end_time": "2026-01-03T02:00Z"})

    assert texts(next_times(trigger, datetime(2020, 1, 1, tzinfo=UTC), 9)) == [
        "2026-01-01 02:00", "2026-01-02 02:00", "2026-01-03 02:00"
    ]  # fmt: skip
    assert trigger.first(datetime(2026, 1, 2, 2, tzinfo=UTC)) == datetime(2026, 1, 2, 2, tzinfo=UTC)
    assert trigger.next_after(datetime(2026, 1, 3, 2, tzinfo=UTC)) is None


def test_a_start_with_an_offset_is_put_on_the_clock_of_the_zone() -> None:
    trigger = every(**{**EVERY, "start_time": "2026-03-01T02:00Z", "time_zone": "America/New_York"})

    assert trigger.start.isoformat() == "2026-02-28T21:00:00"
    assert texts(next_times(trigger, datetime(2026, 3, 7, 12, tzinfo=UTC), 2)) == [
        "2026-03-08 02:00", "2026-03-09 01:00"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frequency", "unit", "start", "expected"),
    [
        (1, "months", "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        (1, "months", "2028-01-30", ["2028-01-30", "2028-02-29", "2028-03-30", "2028-04-30", "2028-05-30"]),
        (3, "months", "2026-11-30", ["2026-11-30", "2027-02-28", "2027-05-30", "2027-08-30", "2027-11-30"]),
        (12, "months", "2028-02-29", ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        (2, "weeks", "2026-12-21", ["2026-12-21", "2027-01-04", "2027-01-18", "2027-02-01", "2027-02-15"]),
        (10, "days", "2026-02-20", ["2026-02-20", "2026-03-02", "2026-03-12", "2026-03-22", "2026-04-01"]),
    ],
)  # fmt: skip
def test_months_keep_their_day_and_never_drift(
    frequency: int, unit: str, start: str, expected: list[str]
) -> None:
    trigger = every(
        frequency=frequency, time_unit=unit, start_time=f"{start} 08:00", end_time=None, time_zone="Asia/Tokyo"
    )  # fmt: skip

    found = next_times(trigger, NEW_YEAR, 5)

    assert [moment.astimezone(trigger.zone).strftime("%Y-%m-%d") for moment in found] == expected


def test_steps_beyond_the_calendar_are_none() -> None:
    trigger = every(**{**EVERY, "frequency": 100_000, "time_unit": "months"})

    assert trigger.next_after(NEW_YEAR + timedelta(days=1)) is None
    assert trigger.next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert (
        trigger.next_after(datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))) is not None
    )


def test_the_first_run_of_all_is_that_from_the_beginning_of_time() -> None:
    found = every(**EVERY).first(datetime.min.replace(tzinfo=UTC))

    assert found == datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert every(**EVERY).first(datetime.max.replace(tzinfo=UTC)) is None


def test_an_instant_without_a_zone_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        weekly(**WEEKLY).next_after(NEW_YEAR.replace(tzinfo=None))


def test_previews_and_missed_runs_are_bounded() -> None:
    trigger = every(**{**EVERY, "time_unit": "minutes"})
    week = NEW_YEAR + timedelta(days=7)

    assert len(next_times(trigger, NEW_YEAR, 10**9)) == MAX_PREVIEW
    assert next_times(trigger, NEW_YEAR, 0) == []
    assert len(runs_between(trigger, NEW_YEAR, week, 50)) == 50
    assert runs_between(trigger, NEW_YEAR, NEW_YEAR + timedelta(minutes=1), 50) == []


def test_missed_runs_are_those_after_the_one_and_up_to_the_other_moment() -> None:
    trigger = cron(cron_expression="0 * * * *", end_time="2026-01-01 05:00", time_zone="UTC")

    found = runs_between(trigger, NEW_YEAR, NEW_YEAR + timedelta(hours=3), 10)

    assert [moment.hour for moment in found] == [1, 2, 3]
    assert [m.hour for m in runs_between(trigger, NEW_YEAR, NEW_YEAR + timedelta(days=3), 10)][
        -1
    ] == 5


def test_the_latest_missed_run_is_found_without_going_through_all() -> None:
    asked: list[datetime] = []

    class Counted(Cron):
        def _next(self, after: datetime) -> datetime | None:
            asked.append(after)
            return super()._next(after)

    plain = cron(cron_expression="*/5 * * * *", end_time=None, time_zone="UTC")
    trigger = Counted(plain.expression, None, plain.zone)

    found = latest(trigger, datetime(2006, 1, 1, tzinfo=UTC), NEW_YEAR + timedelta(seconds=61))

    assert found == NEW_YEAR
    assert len(asked) < 40
    assert latest(trigger, NEW_YEAR, NEW_YEAR + timedelta(seconds=299)) is None
    for count in (1, 2, 7):
        run = NEW_YEAR + count * timedelta(minutes=5)
        assert latest(trigger, NEW_YEAR, run) == run


def test_a_schedule_that_would_never_run_is_refused() -> None:
    trigger = weekly(**WEEKLY)

    assert first_run(trigger, NEW_YEAR, "until").isoformat() == "2026-01-05T06:50:00+00:00"
    with pytest.raises(InvalidTrigger, match="until: leaves no run after now"):
        first_run(trigger, datetime(2026, 12, 14, 6, 50, tzinfo=UTC), "until")
    with pytest.raises(InvalidTrigger, match="end_time: leaves no run after now"):
        first_run(every(**{**EVERY, "end_time": "2025-12-31 00:00"}), NEW_YEAR, "end_time")


@pytest.mark.parametrize(
    ("trigger", "stored"),
    [
        (
            weekly(**{**WEEKLY, "period": "Sunday,Monday", "time_zone": "Europe/Berlin"}),
            {"kind": "weekly", "days": ["Monday", "Sunday"], "time": "06:50", "until": "2026-12-14T06:50:00",
             "time_zone": "Europe/Berlin"},
        ),
        (Weekly(frozenset({1}), time(6), None, weekly(**WEEKLY).zone),
         {"kind": "weekly", "days": ["Monday"], "time": "06:00", "until": None, "time_zone": "UTC"}),
        (
            every(**{**EVERY, "end_time": "2027-01-01 00:00:30"}),
            {"kind": "every", "frequency": 1, "time_unit": "days", "start_time": "2026-01-01T02:00:00",
             "end_time": "2027-01-01T00:00:30", "time_zone": "UTC"},
        ),
        (
            cron(cron_expression="0 0  12 ? * mon", end_time=None, time_zone="Europe/Berlin"),
            {"kind": "cron", "cron_expression": "0 0 12 ? * mon", "end_time": None, "time_zone": "Europe/Berlin"},
        ),
    ],
)  # fmt: skip
def test_a_trigger_is_stored_as_json_and_read_back(
    trigger: Trigger, stored: dict[str, Any]
) -> None:
    assert trigger.as_dict() == stored
    assert trigger_of(json.loads(json.dumps(stored))) == trigger


@pytest.mark.parametrize(
    "stored",
    [{}, {"kind": "hourly"}, {"kind": "weekly"}, {"kind": "every", "frequency": 1}, {"kind": "cron"}, {"kind": ["cron"]}],
)  # fmt: skip
def test_what_no_trigger_has_stored_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(InvalidTrigger):
        trigger_of(stored)


def test_triggers_cant_be_changed() -> None:
    trigger = every(**EVERY)

    with pytest.raises(AttributeError):
        trigger.frequency = 2  # type: ignore[misc]
    assert len({trigger, every(**EVERY)}) == 1
    assert isinstance(trigger, Every)
