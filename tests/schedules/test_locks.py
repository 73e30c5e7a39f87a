"""Who works on the same schedules at the same time waits for the other, and never both for each other. PostgreSQL only."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from jupyter_dashboards_api.commands.models import Limits, Outcome
from jupyter_dashboards_api.commands.removal import remove
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.schedules.models import NOTEBOOKS, Bounds
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.waiting import WaitingActions
from tests.postgres import Postgres

from .test_firing import NOON, hourly, made, notebook

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def _somebody_waits(database: Database) -> bool:
    with database.engine.connect() as connection:
        return bool(connection.scalar(_WAITING))


async def test_a_schedule_can_be_replaced_while_it_fires(postgres: Postgres) -> None:
    database = Database(url=postgres.new_database())
    schedules = ScheduleStore(database, Bounds())
    number = await notebook(database)
    (old,) = await schedules.create([hourly(number, kind=NOTEBOOKS)])
    is_firing = threading.Event()

    def hold(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO commands"):
            # The schedule is held. Its notebook is referred to when the other one has got that, and wants the schedule.
            is_firing.set()
            latest = time.monotonic() + 30
            while not _somebody_waits(database) and time.monotonic() < latest:
                time.sleep(0.01)

    event.listen(database.engine, "before_cursor_execute", hold)
    look = asyncio.ensure_future(schedules.look(NOON))
    assert await asyncio.to_thread(is_firing.wait, 30)
    later = hourly(number, kind=NOTEBOOKS, since=NOON + timedelta(days=90_000))
    (new,) = await schedules.create([later], replacing=True)
    await look
    assert await made(database) == [NOON]
    assert (await schedules.get(old.id)).status == "KILLED"
    assert (await schedules.get(new.id)).status == "RUNNING"
    database.close()


async def test_what_another_server_is_just_firing_is_not_asked_for_all_the_time(
    postgres: Postgres,
) -> None:
    database = Database(url=postgres.new_database())
    schedules = ScheduleStore(database, Bounds())
    await schedules.create([hourly(await notebook(database))])
    with database.engine.connect() as other:
        other.execute(text("SELECT id FROM schedules FOR UPDATE"))
        found = await schedules.look(NOON)
        assert found.command_ids == ()
        assert found.next_look == NOON + Bounds().elsewhere
    assert len((await schedules.look(NOON)).command_ids) == 1
    database.close()


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("act", ["kill", "delete"])
async def test_a_run_is_told_of_while_it_is_killed_or_deleted(
    postgres: Postgres, digest: bool, act: str
) -> None:
    database = Database(url=postgres.new_database())
    schedules, commands = ScheduleStore(database, Bounds()), CommandStore(database)
    notice = {"notification_email_list": "ann@example.org", "is_digest": digest}
    later = NOON + timedelta(days=90_000)
    new = hourly(await notebook(database), since=later, fields={"notification": notice})
    (schedule,) = await schedules.create([new])
    action = await schedules.run_now(schedule.id)
    (command,) = await commands.claim("test", 1, Limits(1))
    await commands.finish(command, Outcome("done"))

    async def is_there(path: str) -> bool:
        return True

    waiting = WaitingActions(database, is_there, timedelta(minutes=1))
    is_telling = threading.Event()

    def hold(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "collected_at=" in statement or statement.startswith("INSERT INTO notifications"):
            is_telling.set()
            latest = time.monotonic() + 30
            while not _somebody_waits(database) and time.monotonic() < latest:
                time.sleep(0.01)

    event.listen(database.engine, "before_cursor_execute", hold)
    look = asyncio.ensure_future(schedules.look(now()))
    assert await asyncio.to_thread(is_telling.wait, 30)
    if act == "kill":
        assert not await waiting.cancel(action.id)
    else:
        await remove(database, command.id)
    await look
    assert await schedules.get(schedule.id)
    database.close()
