"""Which commands a limit holds back. Pure. API: `throttled` of the command object, §1.4 of its specification."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .claims import Running
from .models import CommandInfo, Limits


@dataclass(frozen=True)
class Throttle:
    """The limits, and how many commands run now."""

    running: Running
    limits: Limits

    def holds(self, command: CommandInfo, now: datetime) -> bool:
        """Whether a command waits for others to end, and not for its time."""
        if command.status != "waiting" or command.not_before > now:
            return False
        return (
            self.running.owners.total() >= self.limits.places
            or (command.label or "") in self.running.full_labels(self.limits)
            or command.notebook_id in self.running.full_notebooks(self.limits)
        )
