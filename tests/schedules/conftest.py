"""Schedules and commands in a database, without a server."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.store import ScheduleStore


@pytest.fixture
def schedules(database: Database) -> ScheduleStore:
    return ScheduleStore(database, Bounds(longest=timedelta(hours=1)))


@pytest.fixture
def commands(database: Database) -> CommandStore:
    return CommandStore(database)
