"""Two servers on one SQLite: the one that runs commands fires, the other says that it can't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.models import CommandInfo, Filter
from jupyter_dashboards_api.database.command_tables import CommandAttempt
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.errors import Unavailable
from jupyter_dashboards_api.schedules.manager import SchedulesManager
from tests.commands.replicas import row
from tests.commands.submissions import SECONDS, wanted

from .soak_server import QuickCommands, managers
from .test_firing import hourly, notebook


class Server(NamedTuple):
    database: Database
    commands: QuickCommands
    schedules: SchedulesManager


@asynccontextmanager
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    """The one that runs commands, and the other one."""
    url = f"sqlite:///{tmp_path / 'a.sqlite'}"
    both = [Server(*managers(url, tmp_path, name)) for name in ("first", "second")]
    for each in both:
        each.database.open()
        await each.commands.start()
        await each.schedules.start()
    yield both[0], both[1]
    for each in both:
        await each.schedules.stop()
        await each.commands.stop()
        each.database.close()


async def ended(server: Server) -> CommandInfo:
    """The only command, once it has ended."""
    async with asyncio.timeout(SECONDS):
        while True:
            found, _ = await server.commands.store.history(Filter(), 10, 0)
            if found and found[0].is_final:
                assert len(found) == 1
                return found[0]
            await asyncio.sleep(0.02)


async def stored(database: Database, **columns: object) -> int:
    """A command in its first attempt, or after it; its id."""

    def work(session: Session) -> int:
        command = row(attempt=1, **columns)
        session.add(command)
        session.flush()
        session.add(CommandAttempt(command_id=command.id, number=1, worker="first:1"))
        return command.id

    return await database.write(work)


async def test_a_schedule_that_the_other_one_has_made_runs_once(
    tmp_path: Path,
) -> None:
    async with servers(tmp_path) as (runs, other):
        number = await notebook(runs.database)
        at = now()
        trigger = {**hourly(number).trigger, "start_time": f"{at:%Y-%m-%dT%H:%M}"}
        await other.schedules.create(
            [hourly(number, trigger=trigger, since=at - timedelta(minutes=1))]
        )
        assert (await ended(runs)).source == "SCHEDULED"


async def test_what_the_other_one_can_not_have_run_it_does_not_take(
    tmp_path: Path,
) -> None:
    async with servers(tmp_path) as (runs, other):
        number = await notebook(runs.database)
        (schedule,) = await other.schedules.create(
            [hourly(number, since=now() + timedelta(days=9))]
        )
        with pytest.raises(Unavailable, match="send it there"):
            await other.schedules.run_now(schedule.id)
        with pytest.raises(Unavailable, match="send it there"):
            await other.commands.submit(wanted())
        assert not (await runs.commands.store.history(Filter(), 10, 0))[0]
        action = await runs.schedules.run_now(schedule.id)
        assert (await ended(runs)).id == action.command_id
        with pytest.raises(Unavailable, match="send it there"):
            await other.schedules.rerun(action.id)


async def test_the_other_one_cancels_what_waits_and_says_that_it_can_not_what_runs(
    tmp_path: Path,
) -> None:
    async with servers(tmp_path) as (runs, other):
        # Written as rows: the first one would run at once what is submitted.
        waits = await stored(runs.database, not_before=now() + timedelta(hours=1))
        assert (await other.commands.cancel(waits))[1].status == "cancelled"
        taken = await stored(runs.database, status="running")
        with pytest.raises(Unavailable, match="send it there"):
            await other.commands.cancel(taken)
        assert (await runs.commands.store.get(taken)).status == "running"
