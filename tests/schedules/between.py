"""The runs of a trigger in a stretch of time, as tests count them."""

from __future__ import annotations

from datetime import datetime

from jupyter_dashboards_api.schedules.triggers import Trigger, next_times


def runs_between(trigger: Trigger, since: datetime, until: datetime, limit: int) -> list[datetime]:
    """The runs after `since`, up to `until` and with it, the oldest first; at most `limit`."""
    return [due for due in next_times(trigger, since, limit) if due <= until]
