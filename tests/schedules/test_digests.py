"""Mails of a day's runs: each run is in one of them, whoever tells of it and whatever is edited. On both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.models import Limits, Outcome
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.migrations import downgrade, upgrade
from jupyter_dashboards_api.database.schedule_tables import Notification, Schedule, ScheduleAction
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.schedules.janitor import Janitor
from jupyter_dashboards_api.schedules.store import ScheduleStore

from .test_firing import NOON, hourly, notebook

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
SINGLE = {"notification_email_list": "ann@example.org"}
DIGEST = SINGLE | {"is_digest": True, "digest_time_hour": 9}


async def make(
    database: Database, schedules: ScheduleStore, notice: dict[str, Any], **fields: Any
) -> int:
    """A schedule that runs only when it is told to; its id."""
    number = await notebook(database)
    new = hourly(
        number, name="Sales", since=now() + 365 * DAY, fields={"notification": notice}, **fields
    )
    return (await schedules.create([new]))[0].id


async def run(schedules: ScheduleStore, commands: CommandStore, schedule_id: int) -> None:
    """One run, which has ended."""
    await schedules.run_now(schedule_id)
    (command,) = await commands.claim("test", 1, Limits(1))
    await commands.finish(command, Outcome("done"))


async def change(schedules: ScheduleStore, schedule_id: int, notice: dict[str, Any]) -> None:
    await schedules.change(schedule_id, lambda found: {"fields": {"notification": notice}})


async def due(database: Database) -> datetime:
    """When the digest is."""
    found = await database.read(lambda session: session.scalar(select(Schedule.digest_at)))
    assert found is not None
    return found


async def subjects(database: Database) -> list[str]:
    def look(session: Session) -> list[str]:
        rows = session.scalars(select(Notification).order_by(Notification.id))
        return [row.message["subject"] for row in rows]

    return await database.read(look)


async def test_a_run_that_a_server_with_another_clock_tells_of_is_in_the_next_digest(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await make(database, schedules, DIGEST)
    await run(schedules, commands, number)
    await schedules.look(now())
    at = await due(database)
    await schedules.run_now(number)
    (command,) = await commands.claim("test", 1, Limits(1))
    await schedules.look(at + SECOND)
    await commands.finish(command, Outcome("error", {"message": "x"}))
    # It began its look, or believes that it did, before that digest.
    await schedules.look(at + SECOND / 2)
    for days in (1, 2):
        await schedules.look(at + days * DAY + SECOND)
    assert await subjects(database) == ["Sales: 1 run, 0 failed", "Sales: 1 run, 1 failed"]


async def test_a_digest_that_is_switched_on_repeats_no_run_that_was_told_alone(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await make(database, schedules, SINGLE)
    await run(schedules, commands, number)
    await schedules.look(now())
    await change(schedules, number, DIGEST)
    await run(schedules, commands, number)
    await schedules.look(now())
    await schedules.look(await due(database))
    assert await subjects(database) == ["Sales: run 1 succeeded", "Sales: 1 run, 0 failed"]


async def test_what_a_digest_has_that_is_switched_off_is_told_at_once(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await make(database, schedules, DIGEST)
    for _ in range(2):
        await run(schedules, commands, number)
    await schedules.look(now())
    await change(schedules, number, SINGLE)
    await run(schedules, commands, number)
    look = await schedules.look(now())
    assert await subjects(database) == ["Sales: run 3 succeeded", "Sales: 2 runs, 0 failed"]
    # There is no digest any more.
    assert look.next_look is not None
    assert look.next_look > now() + 30 * DAY


async def test_a_run_that_the_next_digest_tells_of_is_not_forgotten_before(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await make(database, schedules, DIGEST, keep_last=1)
    for _ in range(3):
        await run(schedules, commands, number)
    await schedules.look(now())
    janitor = Janitor(database=database, keep_command_days=1)
    assert await janitor.clean(now() + 30 * DAY) == 0
    await schedules.look(await due(database))
    assert await subjects(database) == ["Sales: 3 runs, 0 failed"]
    assert await janitor.clean(now()) == 2


async def test_more_runs_than_one_mail_holds_are_told_by_another(
    database: Database, schedules: ScheduleStore
) -> None:
    number = await make(database, schedules, DIGEST)
    at, count = await due(database), 10_001

    def add(session: Session) -> None:
        run = {"schedule_id": number, "status": "error", "told_at": at, "collected_at": at}
        rows = [
            {**run, "sequence_id": step, "nominal_time": NOON + step * SECOND}
            for step in range(count)
        ]
        session.execute(insert(ScheduleAction), rows)

    await database.write(add)
    while (await schedules.look(at)).next_look == at:
        pass
    assert await subjects(database) == [
        "Sales: 10000 runs, 10000 failed",
        "Sales: 1 run, 1 failed",
    ]


async def test_what_was_to_be_told_is_told_after_the_migration(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await make(database, schedules, DIGEST)
    for _ in range(2):
        await run(schedules, commands, number)
        await schedules.look(now())
    downgrade(database.engine, "0004")
    with database.engine.begin() as connection:
        times = connection.scalars(text("SELECT told_at FROM schedule_actions ORDER BY id")).all()
        connection.execute(text("UPDATE schedules SET digested_at = :at"), {"at": times[0]})
    upgrade(database.engine)
    await schedules.look(await due(database))
    assert await subjects(database) == ["Sales: 1 run, 0 failed"]


async def test_what_is_collected_while_another_server_switches_the_digest_off_is_told_too(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await make(database, schedules, DIGEST)
    await run(schedules, commands, number)
    await schedules.look(now())
    # As the other server has left it, which saw nothing collected yet.
    await database.execute(update(Schedule).values(digest_at=None))
    await schedules.look(now() + 9 * DAY)
    assert await subjects(database) == []
    await Janitor(database=database).clean(now())
    await schedules.look(now())
    assert await subjects(database) == ["Sales: 1 run, 0 failed"]
