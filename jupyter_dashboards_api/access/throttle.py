"""How often somebody may be wrong. Pure: the caller says what time it is, in seconds of a clock that never goes back."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque


def network(address: str) -> str:
    """What failures from an address are counted for: who has one IPv6 address has all of its /64, and IPv4 is itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


class FailureLimit:
    """Counts failures per name over a sliding time.

    Remembers `max_names` names at most and then forgets the one that failed longest ago, so that made-up names can't
    fill the memory.
    """

    def __init__(self, limit: int, seconds: float, max_names: int = 100_000) -> None:
        self.limit = limit
        self.seconds = seconds
        self._max_names = max_names
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, now: float) -> float:
        """Seconds until the name may be tried again; 0 when it may now."""
        times = self._recent(name, now)
        if times is None or len(times) < self.limit:
            return 0.0
        return times[0] + self.seconds - now

    def failed(self, name: str, now: float) -> None:
        """Remembers a failure."""
        times = self._recent(name, now)
        if times is None:
            times = self._failures[name] = deque(maxlen=self.limit)
        times.append(now)
        self._failures.move_to_end(name)
        while len(self._failures) > self._max_names:
            self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """Forgets the name's failures."""
        self._failures.pop(name, None)

    def _recent(self, name: str, now: float) -> deque[float] | None:
        times = self._failures.get(name)
        if times is None:
            return None
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if not times:
            del self._failures[name]
            return None
        return times
