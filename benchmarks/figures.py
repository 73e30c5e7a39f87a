"""What repeated measurements come to: median, percentile, range."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` per cent of the values do not exceed."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


@dataclass(frozen=True, slots=True)
class Figure:
    """Repeated measurements of one thing, in one unit, in the order in which they were made."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        return percentile(self.values, 95)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def text(self, digits: int = 0, scale: float = 1.0) -> str:
        """`median (low-high)`."""
        if not self.values:
            return "none"
        one = f"{self.median * scale:.{digits}f}"
        if len(self.values) == 1:
            return one
        return f"{one} ({self.low * scale:.{digits}f}–{self.high * scale:.{digits}f})"  # noqa: RUF001

    def summary(self) -> dict[str, float]:
        """For the JSON file, where single values are too many."""
        if not self.values:
            return {"n": 0}
        return {
            "n": len(self.values),
            "median": self.median,
            "p95": self.p95,
            "low": self.low,
            "high": self.high,
        }


def figure(values: Sequence[float]) -> Figure:
    """A figure of these values."""
    return Figure(tuple(values))
