from __future__ import annotations

from jupyter_dashboards_api.kernels.throttle import TokenBucket


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_bounded_by_the_capacity() -> None:
    bucket = TokenBucket(1, 5, Clock())
    assert [bucket.take() for _ in range(7)] == [True] * 5 + [False] * 2


def test_tokens_come_back_at_the_rate_up_to_the_capacity() -> None:
    clock = Clock()
    bucket = TokenBucket(2, 5, clock)
    assert bucket.take(5)
    clock.now = 1.0
    assert bucket.take(2)
    assert not bucket.take()
    clock.now = 100.0
    assert bucket.take(5)
    assert not bucket.take()


def test_a_refused_take_costs_nothing() -> None:
    bucket = TokenBucket(0, 3, Clock())
    assert bucket.take(2)
    assert not bucket.take(2)
    assert bucket.take(1)


def test_a_cost_above_the_capacity_needs_a_full_bucket() -> None:
    bucket = TokenBucket(0, 3, Clock())
    assert bucket.take(10)
    assert not bucket.take(1)
