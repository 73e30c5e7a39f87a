"""What is kept of runs, and what is forgotten, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, update
from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.models import Limits, Outcome, Submission
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.backends import READ_ONLY
from jupyter_dashboards_api.database.command_tables import Command, CommandLog, CommandResult
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Notification, ScheduleAction
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.schedules.janitor import Janitor
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.store import ScheduleStore

from .test_firing import HOUR, NOON, hourly, notebook

SOON = timedelta(days=1)


@pytest.fixture
def schedules(database: Database) -> ScheduleStore:
    return ScheduleStore(database, Bounds())


async def run(
    schedules: ScheduleStore, commands: CommandStore, number: int, runs: int, **fields: Any
) -> int:
    """A schedule that has run as often, with logs and outputs; its id."""
    (schedule,) = await schedules.create([hourly(number, concurrency=100, **fields)])
    await schedules.look(NOON + (runs - 1) * HOUR)
    await end(commands)
    await schedules.look(NOON + (runs - 1) * HOUR)
    return schedule.id


async def end(commands: CommandStore) -> None:
    for command in await commands.claim("test", 100, Limits(100)):
        await commands.log(command, "a line")
        await commands.finish(command, Outcome("done", text="1", notebook=b"x"))


async def count(database: Database, table: Any) -> int:
    def look(session: Session) -> int:
        return session.scalar(select(func.count()).select_from(table)) or 0

    return await database.read(look)


async def sequences(schedules: ScheduleStore, schedule_id: int) -> list[int]:
    found, _ = await schedules.actions(100, 0, schedule_id=schedule_id)
    return sorted(action.sequence_id for action in found)


async def test_by_default_all_runs_are_kept(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    await run(schedules, commands, await notebook(database), 5)
    assert await Janitor(database=database).clean(now() + timedelta(days=3650)) == 0
    assert await count(database, Command) == 5


async def test_a_schedules_own_number_goes_before_the_servers(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    own = await run(schedules, commands, number, 6, keep_last=2)
    other = await run(schedules, commands, number, 6)
    assert await Janitor(database=database, keep_last=4).clean(now()) == 4 + 2
    assert await sequences(schedules, own) == [5, 6]
    assert await sequences(schedules, other) == [3, 4, 5, 6]
    # With their commands, logs and outputs.
    for table in (Command, CommandLog, CommandResult):
        assert await count(database, table) == 6


async def test_a_schedules_own_days_go_before_the_servers(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    own = await run(schedules, commands, number, 2, keep_days=3)
    other = await run(schedules, commands, number, 2)
    janitor = Janitor(database=database, keep_days=10)
    await janitor.clean(now() + timedelta(days=4))
    assert await sequences(schedules, own) == []
    assert await sequences(schedules, other) == [1, 2]
    await janitor.clean(now() + timedelta(days=11))
    assert await sequences(schedules, other) == []


async def test_what_goes_on_or_is_not_told_yet_is_never_forgotten(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    await schedules.create([hourly(number, concurrency=100)])
    await schedules.look(NOON + 2 * HOUR)
    (running, *_) = await commands.claim("test", 1, Limits(1))
    janitor = Janitor(
        database=database, keep_last=1, keep_days=1, keep_commands=1, keep_command_days=1
    )
    assert await janitor.clean(now() + timedelta(days=9)) == 0
    await commands.finish(running, Outcome("done"))
    assert await janitor.clean(now() + timedelta(days=9)) == 0
    # Now it is told.
    await schedules.look(NOON + 2 * HOUR)
    assert await janitor.clean(now() + timedelta(days=9)) == 1


async def test_commands_that_no_schedule_made_go_by_number_and_age(
    database: Database, commands: CommandStore
) -> None:
    for _ in range(5):
        await commands.submit(Submission("SparkCommand", "ann", "a.ipynb", None, {}, "x"))
    await end(commands)
    await commands.submit(Submission("SparkCommand", "ann", "a.ipynb", None, {}, "x"))
    assert await Janitor(database=database, keep_commands=3).clean(now()) == 2
    assert await Janitor(database=database, keep_command_days=2).clean(now() + SOON) == 0
    assert await Janitor(database=database, keep_command_days=2).clean(now() + 3 * SOON) == 3
    # One waits.
    assert await count(database, Command) == 1


async def test_outputs_and_logs_may_go_before_the_command(
    database: Database, commands: CommandStore
) -> None:
    await commands.submit(Submission("SparkCommand", "ann", "a.ipynb", None, {}, "x"))
    await end(commands)
    janitor = Janitor(database=database, keep_output_days=2, keep_log_days=5)
    await janitor.clean(now() + 3 * SOON)
    assert await count(database, CommandResult) == 0
    assert await count(database, CommandLog) == 1
    await janitor.clean(now() + 6 * SOON)
    assert await count(database, CommandLog) == 0
    assert await count(database, Command) == 1


async def test_much_is_forgotten_in_small_steps(database: Database, commands: CommandStore) -> None:
    def work(session: Session) -> None:
        session.add_all(
            Command(
                command_type="SparkCommand",
                owner="ann",
                path="a.ipynb",
                payload={},
                request_hash="x",
                tags=[],
                status="done",
                ended_at=now(),
            )
            for _ in range(450)
        )

    await database.write(work)
    assert await Janitor(database=database, keep_commands=7).clean(now()) == 443
    assert await count(database, Command) == 7


async def asked(janitor: Janitor, database: Database) -> tuple[list[str], list[str]]:
    """What is asked of the database to forget: while others may write, and while they wait."""
    beside: list[str] = []
    alone: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        only_reads = READ_ONLY.items() <= connection.get_execution_options().items()
        (beside if only_reads else alone).append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    await janitor.clean(now())
    event.remove(database.engine, "before_cursor_execute", note)
    return beside, alone


async def test_nobody_waits_while_runs_are_ranked_and_they_are_ranked_once(
    database: Database, schedules: ScheduleStore
) -> None:
    (schedule,) = await schedules.create([hourly(await notebook(database))])
    moment = now()
    run = {"schedule_id": schedule.id, "status": "error", "told_at": moment}
    runs = [{**run, "sequence_id": step, "nominal_time": NOON + step * HOUR} for step in range(450)]
    with database.transaction() as session:
        session.execute(insert(ScheduleAction), runs)
    beside, alone = await asked(Janitor(database=database), database)
    # Without a number that is kept there is nothing to rank, nor anything to write.
    assert not [each for each in beside if "row_number" in each]
    assert alone == []
    beside, alone = await asked(Janitor(database=database, keep_last=3), database)
    assert await count(database, ScheduleAction) == 3
    assert len([each for each in beside if "row_number" in each]) == 1
    assert not [each for each in alone if "row_number" in each]


async def test_notifications_go_when_they_are_old(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    notice = {"notification_email_list": "ann@example.org"}
    await run(schedules, commands, await notebook(database), 2, fields={"notification": notice})
    janitor = Janitor(database=database, keep_notification_days=7)
    await janitor.clean(now() + 8 * SOON)
    assert await count(database, Notification) == 2
    await database.execute(update(Notification).values(state="sent"))
    await janitor.clean(now() + 8 * SOON)
    assert await count(database, Notification) == 0
    assert await count(database, ScheduleAction) == 2
