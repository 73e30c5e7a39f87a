"""How many kernels there may be: in all, of one viewer, and of visitors who are not logged in. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..errors import Unavailable


@dataclass(frozen=True)
class Capacity:
    """The limits. Visitors are strangers, so all of them together get no more than a part."""

    total: int
    per_viewer: int
    visitors: int
    retry_after: int

    def check(self, holders: Counter[str], ending: int, viewer: str, is_visitor: bool) -> None:
        """Raises `Unavailable` if one more kernel of `viewer` would be too many.

        `holders` counts the kernels that run or start by viewer, with those of visitors under the name `VISITORS` as
        well; `ending` are those that still take the memory that the limit is there to bound.
        """
        if holders.total() - holders[VISITORS] + ending >= self.total or (
            is_visitor and holders[VISITORS] >= self.visitors
        ):
            raise Unavailable(
                "The server is at capacity: too many dashboards are open. Try again soon.",
                self.retry_after,
            )
        if holders[viewer] >= self.per_viewer:
            raise Unavailable(
                "You have too many dashboards open. Close one, or try again soon.",
                self.retry_after,
            )


VISITORS = "visitors"
"""The name under which all visitors are counted; no viewer has it."""
