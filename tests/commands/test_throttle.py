"""Which commands a limit holds back. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_dashboards_api.commands.models import CommandInfo
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
    assert Throttle(running, 4, most_of).holds(replace(WAITING, label=label), NOW) is held


def test_one_that_runs_or_waits_for_its_time_is_not() -> None:
    full = Throttle({"": 4}, 4, {})
    assert not full.holds(replace(WAITING, status="running"), NOW)
    assert not full.holds(replace(WAITING, not_before=NOW + timedelta(minutes=1)), NOW)
