"""How many failures there may be, against a model that keeps them all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.throttle import FailureLimit, network

names = st.sampled_from("abc")
steps = st.lists(
    st.tuples(st.sampled_from(["failed", "succeeded", "wait"]), names, st.integers(0, 7)),
    max_size=60,
)


@settings(deadline=None)
@given(steps, st.integers(1, 4), st.integers(1, 10))
def test_it_counts_the_failures_of_the_last_seconds(
    taken: list[tuple[str, str, int]], limit: int, seconds: int
) -> None:
    limited = FailureLimit(limit, seconds)
    failures: dict[str, list[int]] = {}
    now = 0
    for action, name, passed in taken:
        now += passed
        if action == "failed":
            limited.failed(name, now)
            failures.setdefault(name, []).append(now)
        elif action == "succeeded":
            limited.succeeded(name)
            failures.pop(name, None)
        recent = [time for time in failures.get(name, []) if time > now - seconds]
        # So many must have become too old that fewer than the limit are left.
        expected = recent[-limit] + seconds - now if len(recent) >= limit else 0
        assert limited.wait(name, now) == expected


def test_after_the_wait_it_may_be_tried_once_more() -> None:
    limited = FailureLimit(2, 60)
    limited.failed("ann", 0)
    limited.failed("ann", 10)
    assert limited.wait("ann", 10) == 50
    assert limited.wait("ann", 60) == 0
    limited.failed("ann", 60)
    assert limited.wait("ann", 60) == 10


def test_one_name_does_not_count_for_another() -> None:
    limited = FailureLimit(1, 60)
    limited.failed("ann", 0)
    assert limited.wait("bob", 0) == 0


@settings(deadline=None)
@given(st.lists(st.text(max_size=2), max_size=100), st.integers(1, 5))
def test_made_up_names_do_not_fill_the_memory(made_up: list[str], most: int) -> None:
    limited = FailureLimit(1, 1000, max_names=most)
    latest: dict[str, int] = {}
    for now, name in enumerate(made_up):
        limited.failed(name, now)
        latest[name] = now
    kept = sorted(latest, key=lambda name: latest[name], reverse=True)[:most]
    waiting = {name for name in latest if limited.wait(name, len(made_up)) > 0}
    assert waiting == set(kept)


@pytest.mark.parametrize("failures", [3, 1000])
def test_a_name_that_fails_for_ever_takes_no_more_room(failures: int) -> None:
    limited = FailureLimit(3, 10_000)
    for now in range(failures):
        limited.failed("ann", now)
    assert len(limited._failures["ann"]) == 3


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a unix socket", "a unix socket"),
    ],
)
def test_who_has_one_ipv6_address_has_all_of_its_network(address: str, counted: str) -> None:
    assert network(address) == counted
