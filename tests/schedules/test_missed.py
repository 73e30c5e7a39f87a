"""How much is asked of a trigger to find which missed runs still run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_dashboards_api.schedules.missed import first_to_run
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.triggers import Trigger, cron

MOST = 1000
MINUTE = timedelta(minutes=1)
MOMENT = datetime(2026, 3, 9, 12, 0, 30, tzinfo=UTC)
LAST_OF_JANUARY = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


@dataclass(eq=False)
class Asked(Trigger):
    """A trigger that counts how often it is asked."""

    trigger: Trigger
    times: int = 0

    def next_after(self, instant: datetime) -> datetime | None:
        self.times += 1
        return self.trigger.next_after(instant)

    def _next(self, after: datetime) -> datetime | None:
        return self.trigger.next_after(after)

    def as_dict(self) -> dict[str, Any]:
        return self.trigger.as_dict()


def asked(expression: str) -> Asked:
    return Asked(cron(cron_expression=expression, end_time=None, time_zone="UTC"))


@pytest.mark.parametrize(
    ("expression", "off", "expected", "bound"),
    [
        ("* * * * *", timedelta(days=7), MOMENT - MINUTE * 999.5, 2),
        ("* * * * *", timedelta(days=3650), MOMENT - MINUTE * 999.5, 2),
        # Fewer than the bound.
        ("*/2 * * * *", timedelta(hours=33), MOMENT - MINUTE * 1978.5, 2),
        # Many at once, and none for a long time: still no more than to the bound each time that a stretch is halved.
        ("* * * 1 *", timedelta(days=3650), LAST_OF_JANUARY - MINUTE * 999, 20),
    ],
)
def test_no_more_is_asked_than_the_bound_needs_however_long_it_was_off(
    expression: str, off: timedelta, expected: datetime, bound: int
) -> None:
    trigger = asked(expression)
    due = trigger.trigger.next_after(MOMENT - off)
    assert due is not None
    found = first_to_run(trigger, due, MOMENT, "all", Bounds(most_missed=MOST))
    assert found == expected
    assert trigger.times < bound * MOST


def test_what_is_left_is_not_counted_again_with_each_run() -> None:
    trigger = asked("* * * * *")
    bounds = Bounds(most_missed=MOST)
    due, moment, runs = trigger.next_after(MOMENT - timedelta(days=7)), MOMENT, []
    while due is not None and due < moment - bounds.grace:
        found = first_to_run(trigger, due, moment, "all", bounds)
        assert found is not None
        runs.append(found)
        due = trigger.next_after(found)
        moment += timedelta(seconds=20)
    # While a thousand run, each in twenty seconds, half as many come.
    assert runs == [MOMENT - MINUTE * 999.5 + MINUTE * step for step in range(len(runs))]
    assert len(runs) > MOST
    assert trigger.times < 8 * len(runs)
