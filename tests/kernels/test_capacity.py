"""How many kernels there may be: in all, of one viewer, of one address's visitors, and of all visitors together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.errors import Unavailable
from jupyter_dashboards_api.kernels.capacity import VISITORS, Capacity
from jupyter_dashboards_api.kernels.environment import KernelRequest

LIMITS = Capacity(total=5, per_viewer=2, visitors=3, retry_after=7)


def holders(viewers: dict[str, int], visitors: dict[str, int]) -> Counter[str]:
    """As bindings count them: a visitor's kernel under the address's name, and under that of all visitors."""
    return Counter({**viewers, **visitors, VISITORS: sum(visitors.values())})


def refusal(
    viewers: dict[str, int],
    visitors: dict[str, int],
    who: str,
    *,
    visitor: bool = False,
    ending: int = 0,
    limits: Capacity = LIMITS,
) -> str:
    """What is told to somebody who wants one kernel more; empty if they get it."""
    try:
        limits.check(holders(viewers, visitors), ending, who, visitor)
    except Unavailable as error:
        return error.message.partition(":")[0].partition(".")[0]
    return ""


FULL = "The server is at capacity"
OWN = "You have too many dashboards open"


@pytest.mark.parametrize(
    ("viewers", "visitors", "ending", "who", "told"),
    [
        ({}, {}, 0, "ann", ""),
        ({"ann": 1}, {}, 0, "ann", ""),
        ({"ann": 2}, {}, 0, "ann", OWN),
        ({"ann": 2}, {}, 0, "bob", ""),
        ({"ann": 2, "bob": 2}, {}, 0, "eve", ""),
        ({"ann": 2, "bob": 2, "eve": 1}, {}, 0, "zoe", FULL),
        # What ends still takes its memory.
        ({"ann": 2, "bob": 2}, {}, 1, "eve", FULL),
        ({}, {}, 5, "ann", FULL),
        ({"ann": 1}, {}, 3, "ann", ""),
        # Visitors' kernels take their place too, each once.
        ({"ann": 1}, {"x": 2, "y": 1}, 0, "ann", ""),
        ({"ann": 2}, {"x": 2, "y": 1}, 0, "bob", FULL),
    ],
)
def test_a_viewer_gets_a_kernel_while_there_is_room(
    viewers: dict[str, int], visitors: dict[str, int], ending: int, who: str, told: str
) -> None:
    assert refusal(viewers, visitors, who, ending=ending) == told


@pytest.mark.parametrize(
    ("viewers", "visitors", "who", "told"),
    [
        ({}, {}, "x", ""),
        ({}, {"x": 1}, "x", ""),
        ({}, {"x": 2}, "x", OWN),
        ({}, {"x": 2}, "y", ""),
        ({}, {"x": 2, "y": 1}, "z", FULL),
        ({"ann": 2, "bob": 2}, {}, "x", ""),
        ({"ann": 2, "bob": 2, "eve": 1}, {}, "x", FULL),
        ({"ann": 2, "bob": 1}, {"x": 1, "y": 1}, "z", FULL),
    ],
)
def test_a_visitor_gets_one_while_there_is_room_for_visitors(
    viewers: dict[str, int], visitors: dict[str, int], who: str, told: str
) -> None:
    assert refusal(viewers, visitors, who, visitor=True) == told


def test_a_refusal_says_when_to_try_again() -> None:
    for limits in (LIMITS, Capacity(total=0, per_viewer=0, visitors=0, retry_after=3)):
        with pytest.raises(Unavailable) as refused:
            limits.check(holders({"ann": 2}, {}), 3, "ann", False)
        assert refused.value.retry_after == limits.retry_after


def test_visitors_can_be_kept_from_kernels_altogether() -> None:
    limits = Capacity(total=5, per_viewer=2, visitors=0, retry_after=1)
    assert refusal({}, {}, "x", visitor=True, limits=limits) == FULL
    assert refusal({}, {}, "ann", limits=limits) == ""


def test_visitors_leave_room_for_viewers() -> None:
    visitors = {"x": 2, "y": 1}
    assert refusal({}, visitors, "z", visitor=True) == FULL
    assert refusal({}, visitors, "ann") == ""


def test_a_request_counts_as_its_owner_s_unless_it_says_otherwise() -> None:
    viewer = KernelRequest(path="a.ipynb", owner="viewer:ann:1")
    assert list(viewer.holders) == ["viewer:ann:1"]
    visitor = KernelRequest(
        path="a.ipynb", owner="visitor:1", counted_as="visitors of 192.0.2.1", visitor=True
    )
    assert list(visitor.holders) == ["visitors of 192.0.2.1", VISITORS]


@dataclass(frozen=True)
class Wish:
    """Somebody who wants a kernel, or gives one back."""

    who: str
    visitor: bool
    starts: bool


wishes = st.lists(
    st.builds(Wish, st.sampled_from("abcdef"), st.booleans(), st.booleans()), max_size=40
)


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 6), wishes)
@settings(max_examples=100, deadline=None)
def test_no_order_of_wishes_passes_a_limit(
    total: int, per_viewer: int, most_visitors: int, wished: list[Wish]
) -> None:
    limits = Capacity(total, per_viewer, most_visitors, 1)
    running: Counter[tuple[str, bool]] = Counter()
    for wish in wished:
        name = (f"{'visitors of ' if wish.visitor else ''}{wish.who}", wish.visitor)
        if not wish.starts:
            running[name] = max(0, running[name] - 1)
            continue
        viewers = {who: count for (who, visitor), count in running.items() if not visitor}
        visitors = {who: count for (who, visitor), count in running.items() if visitor}
        told = refusal(viewers, visitors, name[0], visitor=wish.visitor, limits=limits)
        has_room = (
            running.total() < total
            and running[name] < per_viewer
            and (not wish.visitor or sum(visitors.values()) < most_visitors)
        )
        # Refused exactly when one of the limits would be passed.
        assert (told == "") is has_room
        if not told:
            running[name] += 1
    assert running.total() <= total
