"""A token bucket: so many at once, so many per second afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Starts full with `capacity` tokens and regains `rate` tokens per second.

    `clock` returns seconds and never runs backwards.
    """

    __slots__ = ("_clock", "_tokens", "_updated", "capacity", "rate")

    def __init__(
        self, rate: float, capacity: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self.capacity = capacity
        self._clock = clock
        self._tokens = capacity
        self._updated = clock()

    def take(self, cost: float = 1.0) -> bool:
        """Take `cost` tokens; False, and nothing taken, when there are too few.

        A cost above the capacity is charged as the capacity: it needs a full bucket.
        """
        now = self._clock()
        self._tokens = min(self.capacity, self._tokens + (now - self._updated) * self.rate)
        self._updated = now
        cost = min(cost, self.capacity)
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True
