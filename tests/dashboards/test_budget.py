"""How much of large files is in memory at once."""

from __future__ import annotations

import pytest

from jupyter_dashboards_api.dashboards.budget import ByteBudget
from jupyter_dashboards_api.errors import Unavailable

MB = 1024 * 1024


def test_so_many_bytes_are_held_at_once_and_let_go_again() -> None:
    budget = ByteBudget(10 * MB)
    with budget.hold(6 * MB):
        with budget.hold(4 * MB):
            pass
        with pytest.raises(Unavailable), budget.hold(5 * MB):
            raise AssertionError("not held")
    with pytest.raises(OSError, match="client"), budget.hold(10 * MB):
        raise OSError("the client left")
    with budget.hold(10 * MB):
        pass


def test_a_file_above_the_limit_is_sent_alone() -> None:
    budget = ByteBudget(10 * MB)
    with budget.hold(50 * MB), pytest.raises(Unavailable), budget.hold(2 * MB):
        raise AssertionError("not held")


def test_small_files_are_sent_whatever_else_is() -> None:
    budget = ByteBudget(10 * MB)
    with budget.hold(50 * MB), budget.hold(MB):
        pass
