"""How much of what a run has put out is held, as a sum that is kept up: measuring all of it anew takes seconds. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

Place = tuple[Hashable, Hashable]
"""An owner, such as a cell or a widget, and a name in it."""


class Held:
    """Sizes by place, together at most so many bytes. For one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = 0
        self._sizes: dict[Hashable, dict[Hashable, int]] = {}

    def put(self, sizes: Mapping[Place, int], spare: int = 0) -> bool:
        """Counts these bytes in place of what was there; False, and nothing is changed, if there is no room for all.

        `spare`: bytes that may be taken beyond the limit. What makes it less always has room.
        """
        grown = sum(
            size - self._sizes.get(owner, {}).get(name, 0) for (owner, name), size in sizes.items()
        )
        if grown > 0 and self._total + grown > self._most + spare:
            return False
        self._total += grown
        for (owner, name), size in sizes.items():
            self._sizes.setdefault(owner, {})[name] = size
        return True

    def __contains__(self, place: Place) -> bool:
        owner, name = place
        return name in self._sizes.get(owner, ())

    def of(self, owner: Hashable) -> int:
        """How much an owner holds."""
        return sum(self._sizes.get(owner, {}).values())

    def clear(self, owner: Hashable) -> None:
        """Forgets all of an owner."""
        self._total -= self.of(owner)
        self._sizes.pop(owner, None)
