"""Which commands a limit holds back. Pure. API: `throttled` of the command object, §1.4 of its specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .models import CommandInfo


@dataclass(frozen=True)
class Throttle:
    """The limits, and how many commands run now: `running` by label, those without one under the empty text."""

    running: Mapping[str, int]
    places: int
    most_of: Mapping[str, int]

    def holds(self, command: CommandInfo, now: datetime) -> bool:
        """Whether a command waits for others to end, and not for its time."""
        if command.status != "waiting" or command.not_before > now:
            return False
        label = command.label or ""
        full = label in self.most_of and self.running.get(label, 0) >= self.most_of[label]
        return full or sum(self.running.values()) >= self.places
