"""Cron expressions of five fields, and of six and seven as Quartz has them: what they mean, and what is refused and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest

from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.schedules.fields import InvalidTrigger
from jupyter_dashboards_api.schedules.triggers import Cron, cron, next_times


def rule(expression: object, end: str | None = None) -> Cron:
    return cron(cron_expression=expression, end_time=end, time_zone="UTC")


def runs(expression: str, count: int = 3, after: str = "2026-01-01") -> list[str]:
    """Runs in UTC, without `:00` seconds."""
    found = next_times(rule(expression), datetime.fromisoformat(f"{after}T00:00:00+00:00"), count)
    return [moment.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00") for moment in found]


# 1 January 2026 is a Thursday.
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 6 * * *", ["2026-01-01 06:30", "2026-01-02 06:30", "2026-01-03 06:30"]),
        ("  30   6 * *\t* ", ["2026-01-01 06:30", "2026-01-02 06:30", "2026-01-03 06:30"]),
        ("*/20 * * * *", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"]),
        ("5/25 0-1 * * *", ["2026-01-01 00:05", "2026-01-01 00:30", "2026-01-01 00:55"]),
        ("0 12 * * 0", ["2026-01-04 12:00", "2026-01-11 12:00", "2026-01-18 12:00"]),
        ("0 12 * * 7", ["2026-01-04 12:00", "2026-01-11 12:00", "2026-01-18 12:00"]),
        ("0 12 * * mon-wed", ["2026-01-05 12:00", "2026-01-06 12:00", "2026-01-07 12:00"]),
        ("0 12 * feb,Apr 1#1", ["2026-02-02 12:00", "2026-04-06 12:00", "2027-02-01 12:00"]),
        ("0 12 L * *", ["2026-01-31 12:00", "2026-02-28 12:00", "2026-03-31 12:00"]),
        ("0 12 LW * *", ["2026-01-30 12:00", "2026-02-27 12:00", "2026-03-31 12:00"]),
        ("0 12 * * 5L", ["2026-01-30 12:00", "2026-02-27 12:00", "2026-03-27 12:00"]),
        ("0 12 29 2 *", ["2028-02-29 12:00", "2032-02-29 12:00", "2036-02-29 12:00"]),
        # Either of the two days is enough; with a star in front both must hold.
        ("0 12 13 * 5", ["2026-01-02 12:00", "2026-01-09 12:00", "2026-01-13 12:00"]),
        ("0 12 */12 * 5", ["2026-02-13 12:00", "2026-03-13 12:00", "2026-05-01 12:00"]),
    ],
)
def test_five_fields_mean_what_every_cron_means(expression: str, expected: list[str]) -> None:
    assert runs(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 12 * * ?", ["2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 12:00"]),
        ("0 0 12 ? * *", ["2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 12:00"]),
        ("0 0 12 * * *", ["2026-01-01 12:00", "2026-01-02 12:00", "2026-01-03 12:00"]),
        ("30 0 12 * * ?", ["2026-01-01 12:00:30", "2026-01-02 12:00:30", "2026-01-03 12:00:30"]),
        ("0 0/20 0 * * ?", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-02 00:00"]),
        ("0 15 10 ? * 1", ["2026-01-04 10:15", "2026-01-11 10:15", "2026-01-18 10:15"]),
        ("0 15 10 ? * 7", ["2026-01-03 10:15", "2026-01-10 10:15", "2026-01-17 10:15"]),
        ("0 15 10 ? * SUN", ["2026-01-04 10:15", "2026-01-11 10:15", "2026-01-18 10:15"]),
        ("0 15 10 ? * 2-4", ["2026-01-05 10:15", "2026-01-06 10:15", "2026-01-07 10:15"]),
        ("0 15 10 ? * fri-mon", ["2026-01-02 10:15", "2026-01-03 10:15", "2026-01-04 10:15"]),
        ("0 15 10 ? * 2/3", ["2026-01-01 10:15", "2026-01-05 10:15", "2026-01-08 10:15"]),
        ("0 15 10 ? * 2,L", ["2026-01-03 10:15", "2026-01-05 10:15", "2026-01-10 10:15"]),
        ("0 15 10 ? * 6L", ["2026-01-30 10:15", "2026-02-27 10:15", "2026-03-27 10:15"]),
        ("0 15 10 ? * FRIL", ["2026-01-30 10:15", "2026-02-27 10:15", "2026-03-27 10:15"]),
        ("0 15 10 ? * 6#3", ["2026-01-16 10:15", "2026-02-20 10:15", "2026-03-20 10:15"]),
        ("0 15 10 ? * FRI#5", ["2026-01-30 10:15", "2026-05-29 10:15", "2026-07-31 10:15"]),
        ("0 0 22-1 * * ?", ["2026-01-01 01:00", "2026-01-01 22:00", "2026-01-01 23:00"]),
        ("0 0 9 1 NOV-JAN ?", ["2026-01-01 09:00", "2026-11-01 09:00", "2026-12-01 09:00"]),
        ("0 0 9 L * ?", ["2026-01-31 09:00", "2026-02-28 09:00", "2026-03-31 09:00"]),
        ("0 0 9 L-2 * ?", ["2026-01-29 09:00", "2026-02-26 09:00", "2026-03-29 09:00"]),
        ("0 0 9 L-30 * ?", ["2026-01-01 09:00", "2026-03-01 09:00", "2026-05-01 09:00"]),
        ("0 0 9 LW * ?", ["2026-01-30 09:00", "2026-02-27 09:00", "2026-03-31 09:00"]),
        # 25 January 2026 is a Sunday, 22 and 25 February: a Sunday and a Wednesday.
        ("0 0 9 25W * ?", ["2026-01-26 09:00", "2026-02-25 09:00", "2026-03-25 09:00"]),
        # A weekday never lies in another month: 1 February and 1 March are Sundays, 1 August is a Saturday.
        ("0 0 9 1W 2,3,8 ?", ["2026-02-02 09:00", "2026-03-02 09:00", "2026-08-03 09:00"]),
        ("0 0 9 31W * ?", ["2026-01-30 09:00", "2026-03-31 09:00", "2026-05-29 09:00"]),
        ("0 0 9 L-3W 1,2 ?", ["2026-01-28 09:00", "2026-02-25 09:00", "2027-01-28 09:00"]),
        ("0 0 9 1,15W 1 ?", ["2026-01-01 09:00", "2026-01-15 09:00", "2027-01-01 09:00"]),
        ("0 0 9 1 1 ? 2030", ["2030-01-01 09:00"]),
        ("0 0 9 1 1 ? 2028/2", ["2028-01-01 09:00", "2030-01-01 09:00", "2032-01-01 09:00"]),
        ("0 0 9 15W 8 ? 2026,2099", ["2026-08-14 09:00", "2099-08-14 09:00"]),
        ("0 0 9 1 1 ? 2026-2027", ["2026-01-01 09:00", "2027-01-01 09:00"]),
        ("0 0 9 1 1 ? *", ["2026-01-01 09:00", "2027-01-01 09:00", "2028-01-01 09:00"]),
        ("0 0 9 1 1 ? 2025", []),
    ],
)
def test_six_and_seven_fields_mean_what_quartz_means(expression: str, expected: list[str]) -> None:
    assert runs(expression) == expected


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "has 0 fields; write five"),
        ("12", "has 1 fields; write five"),
        ("@daily", "has 1 fields; write five"),
        ("0 0 0 0 0 0 0 0", "has 8 fields"),
        ("60 * * * *", "60 is out of the field minute; write 0 to 59"),
        ("0 24 * * *", "24 is out of the field hour; write 0 to 23"),
        ("0 0 0 * *", "0 is out of the field day of month; write 1 to 31"),
        ("0 0 * 13 *", "13 is out of the field month; write 1 to 12, or JAN to DEC"),
        ("0 0 * * 8", "8 is out of the field day of week; write 0 to 7, or SUN to SAT"),
        ("0 0 * * funday", "'FUNDAY' is not a value of the field day of week"),
        ("-5 * * * *", "'' is not a value of the field minute"),
        ("1, * * * *", "'' is not a value of the field minute"),
        ("٣ * * * *", "'٣' is not a value of the field minute"),
        ("1" + "0" * 100 + " * * * *", "is not a value of the field minute"),
        ("*/0 * * * *", "the step '0' of the field minute must be 1 or more"),
        ("*/x * * * *", "the step 'X' of the field minute"),
        ("*/90 * * * *", "give a frequency and a time_unit in place of cron_expression"),
        ("0 22-2 * * *", "runs backwards; write two, 22-23,0-2"),
        ("0 0 * * FRI-SUN", "runs backwards"),
        ("0 12 * * ?", "'?' belongs to the form of six fields"),
        ("0 12 15W * *", "'15W' belongs to the form of six fields; write for instance 0 0 6 15W * ?"),
        ("0 12 L-3 * *", "belongs to the form of six fields"),
        ("0 12 L/2 * *", "belongs to the form of six fields"),
        ("0 12 * * L", "write for instance 5L"),
        ("0 12 * * 8L", "write for instance 5L"),
        ("0 12 * * 1#6", "must be #1 to #5"),
        ("0 12 * * 1#2/3", "must be #1 to #5"),
        ("0 12 30 2 *", "never comes"),
        ("0 12 31 2,4,6,9,11 *", "never comes"),
        ("0 12 */29 2 1#5", "never comes"),
        ("* 0 12 * * ?", "once a minute at most, and '*' names more than one second; write 0"),
        ("0/30 * * * * ?", "once a minute at most"),
        ("0 0 12 ? * ?", "one of the two days only"),
        ("0 0 12 1 * 2", "can't both be given in this form; write ?"),
        ("0 0 12 * * 1", "write ? as the day of month"),
        ("0 0 12 * * MON", "In this form 1 is Sunday"),
        ("0 0 12 1 * *", "write ? as the day of week"),
        ("0 0 12 ? * 0", "0 is out of the field day of week; write 1 to 7, or SUN to SAT"),
        ("0 ? 12 * * ?", "'?' can only be the day of the month or the day of the week"),
        ("0 0 12 * ? *", "'?' can only be"),
        ("0 0 12 5C * ?", "a calendar of Quartz's"),
        ("0 0 12 LX * ?", "write L, LW, L-1 to L-30, or 15W"),
        ("0 0 12 L-31 * ?", "write L, LW, L-1 to L-30, or 15W"),
        ("0 0 12 32W * ?", "32 is out of the field day of month"),
        ("0 0 12 ? * 6#0", "must be #1 to #5"),
        ("0 0 12 ? * #2", "'' is not a value of the field day of week"),
        ("0 0 12 1 1 ? 1969", "1969 is out of the field year; write 1970 to 2099"),
        ("0 0 12 30 2 ?", "never comes"),
        ("0 0 12 31W 4 ?", "never comes"),
        ("0 0 12 L-30 2 ?", "never comes"),
        ("0 0 12 29 2 ? 2027", "never comes"),
        ("0 0 * * * x" + "1" * 300, "must be shorter"),
        (None, "must be a text"),
        (["0 12 * * *"], "must be a text"),
    ],
)  # fmt: skip
def test_what_cant_be_understood_is_refused_with_the_field_and_what_to_write(
    expression: object, says: str
) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        rule(expression)

    assert says in caught.value.reason
    assert caught.value.field == "cron_expression"
    assert caught.value.message == f"cron_expression: {caught.value.reason}"
    assert len(caught.value.message) < 300
    assert isinstance(caught.value, InvalidRequest)
    assert isinstance(caught.value, ValueError)


def test_the_end_is_included() -> None:
    trigger = rule("0 12 * * *", "2026-01-02 12:00")

    found = next_times(trigger, datetime(2026, 1, 1, tzinfo=UTC), 10)

    assert [moment.day for moment in found] == [1, 2]


def calls_of(work: Callable[[], object]) -> int:
    """How many Python functions a call enters: a bound that does not depend on the machine."""
    count = 0

    def entered(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(entered)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "expression",
    ["0 12 30 2 *", "0 12 31 2,4,6 *", "0 12 */29 2 1#5", "0 0 12 31W 4 ?", "0 0 12 L-30 2 ?", "0 0 0 29 2 ? 2027",
     "0 0 0 29 2 ? 1971/4", "0 0 0 30W 2 ? 2099"],
)  # fmt: skip
def test_a_day_that_never_comes_is_found_out_in_bounded_steps(expression: str) -> None:
    def refuse() -> None:
        with pytest.raises(InvalidTrigger, match="never comes"):
            rule(expression)

    assert calls_of(refuse) < 60_000


@pytest.mark.parametrize(
    "expression",
    ["0 12 29 2 *", "0 12 29 2 1", "0 0 12 31W 12 ?", "0 0 12 1 1 ? 2099", "0 0 12 1 1 ? 1971", "59 23 31 12 *"],
)  # fmt: skip
@pytest.mark.parametrize("year", [1970, 2026, 2999, 9899, 9990])
def test_the_next_run_is_found_in_bounded_steps_whatever_the_year(
    expression: str, year: int
) -> None:
    trigger = rule(expression)

    assert calls_of(lambda: trigger.next_after(datetime(year, 3, 1, tzinfo=UTC))) < 20_000
