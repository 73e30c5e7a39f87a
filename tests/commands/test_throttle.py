"""Which commands a limit holds back. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_dashboards_api.commands.claims import Running
from jupyter_dashboards_api.commands.models import CommandInfo, Limits
from jupyter_dashboards_api.commands.throttle import Throttle

NOW = datetime(2026, 11, 26, tzinfo=UTC)
WAITING = CommandInfo(
    id=1,
    command_type="SparkCommand",
    owner="ann",
    status="waiting",
    path="a.ipynb",
    notebook_id=None,
    payload={},
    name=None,
    tags=(),
    label=None,
    source="API",
    priority=0,
    timeout=None,
    retry=0,
    retry_delay=0,
    attempt=0,
    cells=0,
    cells_done=0,
    cell_index=None,
    error=None,
    created_at=NOW,
    updated_at=NOW,
    not_before=NOW,
    started_at=None,
    ended_at=None,
)


def running_by(labels: dict[str, int]) -> Running:
    running = Running()
    for label, count in labels.items():
        running.add(label, None, "ann", count)
    return running


@pytest.mark.parametrize(
    ("running", "most_of", "label", "held"),
    [
        ({}, {}, None, False),
        ({"": 3}, {}, None, False),
        ({"": 4}, {}, None, True),
        ({"": 2, "a": 2}, {}, None, True),
        ({"a": 1}, {"a": 1}, "a", True),
        ({"a": 1}, {"a": 1}, "b", False),
        ({"a": 1}, {"a": 2}, "a", False),
        ({"": 1}, {"": 1}, None, True),
    ],
)
def test_a_command_is_held_back_by_the_limit_of_all_or_of_its_label(
    running: dict[str, int], most_of: dict[str, int], label: str | None, held: bool
) -> None:
    throttle = Throttle(running_by(running), Limits(4, most_of))
    assert throttle.holds(replace(WAITING, label=label), NOW) is held


def test_a_command_is_held_back_by_the_limit_of_its_notebook() -> None:
    running = Running()
    running.add(None, 7, "ann")
    one_each = Throttle(running, Limits(4, {}, 1))
    assert one_each.holds(replace(WAITING, notebook_id=7), NOW)
    assert not one_each.holds(replace(WAITING, notebook_id=8), NOW)
    assert not one_each.holds(WAITING, NOW)
    assert not Throttle(running, Limits(4)).holds(replace(WAITING, notebook_id=7), NOW)


def test_one_that_runs_or_waits_for_its_time_is_not() -> None:
    full = Throttle(running_by({"": 4}), Limits(4))
    assert not full.holds(replace(WAITING, status="running"), NOW)
    assert not full.holds(replace(WAITING, not_before=NOW + timedelta(minutes=1)), NOW)
