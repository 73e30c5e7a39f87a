"""What schedules make when their time has come, on both databases. The clock is an argument here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.models import Filter, Limits, Outcome
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Schedule, ScheduleAction
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.schedules.models import Bounds, NewSchedule, ScheduleInfo
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.triggers import cron, every

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def schedules(database: Database) -> ScheduleStore:
    return ScheduleStore(database, Bounds(most_missed=30, longest=HOUR))


async def notebook(database: Database, path: str = "a.ipynb") -> int:
    def work(session: Session) -> int:
        row = Notebook(path=path, uuid=path, short_id=path[:12])
        session.add(row)
        session.flush()
        return row.id

    return await database.write(work)


def hourly(notebook_id: int, **fields: Any) -> NewSchedule:
    """Each hour from noon on."""
    trigger = every(
        frequency=1,
        time_unit="hours",
        start_time="2026-03-02T12:00",
        end_time=None,
        time_zone="UTC",
    )
    return NewSchedule(
        **{
            "kind": "scheduler",
            "owner": "ann",
            "name": None,
            "notebook_id": notebook_id,
            "body": {"command_type": "SparkCommand", "note_id": notebook_id},
            "trigger": trigger.as_dict(),
            "since": NOON,
            **fields,
        }
    )


async def made(database: Database) -> list[datetime]:
    """The nominal times of all commands that schedules have made, in their order."""

    def look(session: Session) -> list[datetime]:
        rows = session.scalars(select(Command).order_by(Command.id))
        return [datetime.fromisoformat(row.payload["schedule"]["nominal_time"]) for row in rows]

    return await database.read(look)


async def end_all(commands: CommandStore, schedules: ScheduleStore) -> int:
    """Runs what waits, at once; how many that were."""
    taken = await commands.claim("test", 1000, Limits(1000))
    for command in taken:
        await commands.finish(command, Outcome("done"))
        await schedules.freed(command.id)
    return len(taken)


async def test_a_nominal_time_makes_one_command_however_often_one_looks(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    (schedule,) = await schedules.create([hourly(number)])
    assert schedule.name == str(schedule.id)
    for _ in range(3):
        found = await schedules.look(NOON + timedelta(seconds=1))
    assert await made(database) == [NOON]
    assert found.next_look == NOON + HOUR
    (command,), _ = await commands.history(Filter(), 100, 0)
    assert command.source == "SCHEDULED"
    assert command.owner == "ann"
    assert command.payload["schedule"]["sequence_id"] == 1
    (action,), _ = await schedules.actions(10, 0, schedule_id=schedule.id)
    assert (action.command_id, action.sequence_id, action.status) == (command.id, 1, "waiting")


async def test_macros_start_from_the_nominal_time(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    body = {
        "command_type": "SparkCommand",
        "note_id": number,
        "macros": [{"day": "Qubole_nominal_time.strftime('%Y-%m-%d %H')"}],
        "arguments": {"when": "at $day$"},
    }
    await schedules.create([hourly(number, body=body, concurrency=2)])
    await schedules.look(NOON + HOUR)
    found, _ = await commands.history(Filter(), 100, 0)
    assert [each.payload["argument_values"] for each in found] == [
        {"when": "at 2026-03-02 13"},
        {"when": "at 2026-03-02 12"},
    ]
    assert found[0].payload["resolved_macros"] == {"day": "2026-03-02 13"}


async def test_nothing_comes_before_its_time(database: Database, schedules: ScheduleStore) -> None:
    await schedules.create([hourly(await notebook(database))])
    assert (await schedules.look(NOON - timedelta(seconds=1))).next_look == NOON
    assert await made(database) == []


async def test_a_week_off_runs_each_missed_time_one_after_another(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    await schedules.create([hourly(await notebook(database))])
    later = NOON + 10 * HOUR
    rounds = 0
    while True:
        await schedules.look(later)
        # Never more at once than `concurrency` says.
        ended = await end_all(commands, schedules)
        if not ended:
            break
        assert ended == 1
        rounds += 1
    assert rounds == 11
    assert await made(database) == [NOON + step * HOUR for step in range(11)]


async def test_as_many_at_once_as_concurrency_says(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    await schedules.create([hourly(await notebook(database), concurrency=3)])
    await schedules.look(NOON + 10 * HOUR)
    await schedules.look(NOON + 10 * HOUR)
    assert await end_all(commands, schedules) == 3


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("last", [NOON + 100 * HOUR]),
        ("none", []),
        # The latest ones, as many as the bound says.
        ("all", [NOON + step * HOUR for step in range(71, 101)]),
    ],
)
async def test_what_was_missed_runs_as_the_schedule_says(
    database: Database,
    schedules: ScheduleStore,
    commands: CommandStore,
    catch_up: str,
    expected: list[datetime],
) -> None:
    (schedule,) = await schedules.create(
        [hourly(await notebook(database), catch_up=catch_up, concurrency=100)]
    )
    moment = NOON + 100 * HOUR + timedelta(minutes=20)
    for _ in range(3):
        await schedules.look(moment)
    assert await made(database) == expected
    assert (await schedules.get(schedule.id)).next_time == NOON + 101 * HOUR


async def test_a_clock_that_is_set_back_runs_nothing_again(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    await schedules.create([hourly(await notebook(database))])
    await schedules.look(NOON + 2 * HOUR)
    await end_all(commands, schedules)
    await schedules.look(NOON + 2 * HOUR)
    await end_all(commands, schedules)
    before = await made(database)
    await schedules.look(NOON + HOUR)
    assert await made(database) == before


async def test_two_servers_that_look_at_once_make_each_command_once(
    database: Database, schedules: ScheduleStore
) -> None:
    number = await notebook(database)
    await schedules.create([hourly(number) for _ in range(120)])
    other = ScheduleStore(database, Bounds(longest=HOUR))
    for _ in range(3):
        await asyncio.gather(*(each.look(NOON) for each in (schedules, other, schedules, other)))
    assert await made(database) == [NOON] * 120


async def test_a_look_that_takes_long_leaves_the_others_to_the_next_one_at_once(
    database: Database,
) -> None:
    schedules = ScheduleStore(database, Bounds(longest=timedelta(0)))
    number = await notebook(database)
    await schedules.create([hourly(number) for _ in range(3)])
    looks = [await schedules.look(NOON) for _ in range(3)]
    assert [len(look.command_ids) for look in looks] == [1, 1, 1]
    assert [look.next_look for look in looks] == [NOON, NOON, NOON + HOUR]


@pytest.mark.parametrize(
    "values",
    [
        {"trigger": {"kind": "of old"}},
        {"fields": {"dependency_info": {"hive_tables": ["of old"]}}},
    ],
    ids=["trigger", "files"],
)
async def test_a_schedule_that_can_not_be_fired_does_not_hold_up_the_others(
    database: Database, schedules: ScheduleStore, values: dict[str, Any]
) -> None:
    number = await notebook(database)
    broken, _ = await schedules.create([hourly(number), hourly(number)])
    await database.execute(update(Schedule).where(Schedule.id == broken.id).values(**values))
    await schedules.look(NOON)
    assert len(await made(database)) == 1


async def test_a_notebook_that_is_gone_is_said_by_the_action(
    database: Database, schedules: ScheduleStore
) -> None:
    number = await notebook(database)
    (schedule,) = await schedules.create([hourly(number)])
    await database.execute(update(Notebook).where(Notebook.id == number).values(deleted_at=now()))
    await schedules.look(NOON)
    assert await made(database) == []
    (action,), _ = await schedules.actions(10, 0, schedule_id=schedule.id)
    assert action.status == "not_found"
    assert action.reason


async def test_an_end_makes_it_done(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    trigger = every(
        frequency=1,
        time_unit="hours",
        start_time="2026-03-02T12:00",
        end_time="2026-03-02T13:00",
        time_zone="UTC",
    )
    (schedule,) = await schedules.create(
        [hourly(await notebook(database), trigger=trigger.as_dict())]
    )
    for _ in range(3):
        await schedules.look(NOON + 5 * HOUR)
        await end_all(commands, schedules)
    assert await made(database) == [NOON, NOON + HOUR]
    assert (await schedules.get(schedule.id)).status == "DONE"


async def test_suspended_and_killed_ones_make_nothing(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    suspended, killed = await schedules.create([hourly(number), hourly(number)])
    await schedules.set_status(suspended.id, "SUSPENDED")
    await schedules.set_status(killed.id, "KILLED")
    await schedules.look(NOON)
    assert await made(database) == []
    with pytest.raises(InvalidRequest):
        await schedules.set_status(killed.id, "RUNNING")
    resumed = await schedules.set_status(suspended.id, "RUNNING")
    assert resumed.next_time == NOON
    await schedules.look(NOON)
    assert await made(database) == [NOON]


async def test_resuming_may_leave_out_what_was_missed(
    database: Database, schedules: ScheduleStore
) -> None:
    (schedule,) = await schedules.create([hourly(await notebook(database))])
    await schedules.set_status(schedule.id, "SUSPENDED")
    at = now()
    resumed = await schedules.set_status(schedule.id, "RUNNING", skip_missed=True)
    assert resumed.next_time is not None
    assert resumed.next_time > at


async def test_a_new_trigger_counts_from_then_on_and_runs_no_time_again(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    (schedule,) = await schedules.create([hourly(await notebook(database))])
    await schedules.look(NOON)
    daily = cron(cron_expression="0 12 * * *", end_time=None, time_zone="UTC").as_dict()

    def change(found: ScheduleInfo) -> dict[str, Any]:
        return {"trigger": daily}

    changed = await schedules.change(schedule.id, change)
    assert changed.next_time == NOON + 24 * HOUR


async def test_a_rerun_is_of_the_same_time_and_number_and_bounded(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    (schedule,) = await schedules.create([hourly(await notebook(database))])
    await schedules.look(NOON)
    (action,), _ = await schedules.actions(10, 0, schedule_id=schedule.id)
    with pytest.raises(InvalidRequest):
        await schedules.rerun(action.id, 2)
    await end_all(commands, schedules)
    first = await schedules.rerun(action.id, 2)
    assert (first.nominal_time, first.sequence_id) == (NOON, 1)
    assert (first.rerun_number, first.rerun_of) == (1, action.id)
    await schedules.rerun(action.id, 2)
    with pytest.raises(InvalidRequest):
        await schedules.rerun(action.id, 2)
    assert await made(database) == [NOON] * 3


async def test_new_schedules_are_all_made_or_none(
    database: Database, schedules: ScheduleStore
) -> None:
    number = await notebook(database)
    with pytest.raises(ValueError, match="kind"):
        await schedules.create([hourly(number), hourly(number, trigger={"kind": "of old"})])
    found = await database.read(lambda session: session.scalars(select(Schedule)).all())
    assert not found
    assert not await database.read(lambda session: session.scalars(select(ScheduleAction)).all())


async def test_one_that_has_ended_or_was_somebody_elses_counts_again(database: Database) -> None:
    schedules = ScheduleStore(database, Bounds(most_schedules=1))
    number = await notebook(database)
    once = {**hourly(number).trigger, "end_time": "2026-03-02T12:00:00+00:00"}
    (first,) = await schedules.create([hourly(number, trigger=once, catch_up="none")])
    await schedules.look(NOON + 5 * HOUR)
    assert (await schedules.get(first.id)).status == "DONE"
    await schedules.create([hourly(number)])
    (other,) = await schedules.create([hourly(number, owner="bob")])
    with pytest.raises(InvalidRequest, match="more than 1"):
        await schedules.create([hourly(number)])
    with pytest.raises(InvalidRequest, match="more than 1"):
        await schedules.change(first.id, lambda found: {"trigger": hourly(number).trigger})
    with pytest.raises(InvalidRequest, match="more than 1"):
        await schedules.change(other.id, lambda found: {"owner": "ann"})
    assert (await schedules.get(first.id)).status == "DONE"
    assert (await schedules.get(other.id)).owner == "bob"
    await schedules.change(other.id, lambda found: {"concurrency": 2})


async def test_more_concurrency_counts_at_once(
    database: Database, schedules: ScheduleStore
) -> None:
    (schedule,) = await schedules.create([hourly(await notebook(database))])
    await schedules.look(now())
    assert len(await made(database)) == 1
    await schedules.change(schedule.id, lambda found: {"concurrency": 3, "fields": {}})
    await schedules.look(now())
    assert len(await made(database)) == 3
