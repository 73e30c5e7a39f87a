"""The records of the notebooks API on both databases: runs are counted once, whoever ran them and whatever is forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from jupyter_dashboards_api.commands.convert_submission import CONVERT
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome, Submission
from jupyter_dashboards_api.commands.removal import remove
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.notebooks.registry import NotebookId, NotebookRegistry
from jupyter_dashboards_api.schedules.janitor import Janitor
from jupyter_dashboards_api.schedules.models import NOTEBOOKS, Bounds, NewSchedule
from jupyter_dashboards_api.schedules.notebook_records import NotebookRecords, RecordInfo
from jupyter_dashboards_api.schedules.store import ScheduleFilter, ScheduleStore
from jupyter_dashboards_api.schedules.triggers import weekly

from .test_firing import HOUR, NOON, hourly

MADE = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def registry(database: Database) -> NotebookRegistry:
    return NotebookRegistry(database)


@pytest.fixture
def records(database: Database) -> NotebookRecords:
    return NotebookRecords(database)


async def make(
    registry: NotebookRegistry, records: NotebookRecords, path: str = "a.ipynb"
) -> NotebookId:
    made = await registry.reserve(path)
    assert made is not None
    await records.add(made.id, MADE, "ann")
    return made


async def one(records: NotebookRecords, notebook: NotebookId) -> RecordInfo:
    return (await records.some([notebook.uuid]))[notebook.uuid]


async def submit(commands: CommandStore, notebook: NotebookId, kind: str = "SparkCommand") -> Any:
    submission = Submission(kind, "ann", notebook.path, notebook.id, {}, "hash")
    return (await commands.submit(submission))[0]


async def run(commands: CommandStore, status: str = "done", places: int = 1) -> list[int]:
    """Takes commands that wait, and ends them."""
    taken = await commands.claim("worker", places, Limits(places))
    for command in taken:
        await commands.finish(command, Outcome(status, retryable=False))
    return [each.id for each in taken]


async def one_goes_on(commands: CommandStore, notebook: NotebookId, *, ended: int) -> CommandInfo:
    """A command that goes on while so many later ones have ended."""
    for _ in range(ended + 1):
        await submit(commands, notebook)
    (going_on,) = await commands.claim("worker", 1, Limits(2))
    for _ in range(ended):
        await run(commands, places=1)
    return going_on


async def test_a_new_record_says_who_made_it_and_when(
    registry: NotebookRegistry, records: NotebookRecords
) -> None:
    record = await one(records, await make(registry, records))
    assert (record.created_at, record.created_by, record.path) == (MADE, "ann", "a.ipynb")
    assert (record.updated_at, record.updated_by) == (MADE, "ann")
    assert (record.runs, record.last_run, record.schedule) == (0, None, None)
    await records.touch(record.id, "bob")
    (changed,) = await records.all()
    assert changed.updated_by == "bob"
    assert changed.updated_at > MADE
    assert changed.created_by == "ann"


async def test_runs_count_that_ended_well_or_not_and_no_others(
    registry: NotebookRegistry, records: NotebookRecords, commands: CommandStore
) -> None:
    notebook = await make(registry, records)
    other = await make(registry, records, "b.ipynb")
    for status in ("done", "error", "cancelled"):
        await submit(commands, notebook)
        await run(commands, status)
    # Cancelled before it began; a conversion; one that goes on.
    await commands.cancel((await submit(commands, notebook)).id)
    await submit(commands, notebook, CONVERT)
    await run(commands)
    await submit(commands, notebook)
    await commands.claim("worker", 1, Limits(1))
    for _ in range(2):
        assert (await one(records, notebook)).runs == 3
        assert (await one(records, other)).runs == 0
        # Counting is for good, and once.
        await records.count_runs(notebook.id)


async def test_what_has_been_counted_stays_when_its_commands_are_forgotten(
    registry: NotebookRegistry, records: NotebookRecords, commands: CommandStore, database: Database
) -> None:
    notebook = await make(registry, records)
    first, second, third = [await submit(commands, notebook) for _ in range(3)]
    assert await run(commands) == [first.id]
    await records.count_runs(notebook.id)
    # The second goes on while the third ends: both count, each when it has ended.
    (going_on,) = await commands.claim("worker", 1, Limits(2))
    assert going_on.id == second.id
    assert await run(commands, places=1) == [third.id]
    await records.count_runs(notebook.id)
    assert (await one(records, notebook)).runs == 2
    await commands.finish(going_on, Outcome("error", retryable=False))
    await records.count_runs(notebook.id)
    before = await one(records, notebook)
    assert before.runs == 3
    assert before.last_run == (await commands.get(second.id)).ended_at
    await database.execute(delete(Command))
    assert await one(records, notebook) == before
    await submit(commands, notebook)
    await run(commands)
    assert (await one(records, notebook)).runs == 4


@pytest.mark.parametrize("kept", [{"keep_commands": 1}, {"keep_command_days": 1}])
async def test_runs_are_not_forgotten_before_they_are_counted(
    registry: NotebookRegistry,
    records: NotebookRecords,
    commands: CommandStore,
    database: Database,
    kept: dict[str, int],
) -> None:
    notebook = await make(registry, records)
    going_on = await one_goes_on(commands, notebook, ended=3)
    janitor, later = Janitor(database=database, **kept), now() + timedelta(days=3)
    assert await janitor.clean(later) == 0
    assert (await one(records, notebook)).runs == 3
    await commands.finish(going_on, Outcome("done", retryable=False))
    # By its server, or for one that has died.
    assert await janitor.clean(later) >= 3
    assert (await one(records, notebook)).runs == 4


async def test_a_run_that_is_deleted_before_it_is_counted_is_counted_once(
    registry: NotebookRegistry, records: NotebookRecords, commands: CommandStore, database: Database
) -> None:
    notebook = await make(registry, records)
    going_on = await one_goes_on(commands, notebook, ended=2)
    assert (await one(records, notebook)).runs == 2
    await remove(database, going_on.id + 1)
    assert (await one(records, notebook)).runs == 2
    await commands.finish(going_on, Outcome("done", retryable=False))
    await records.count_runs(notebook.id)
    assert (await one(records, notebook)).runs == 3
    await remove(database, going_on.id)
    assert (await one(records, notebook)).runs == 3
    waiting = (await submit(commands, notebook)).id
    await commands.cancel(waiting)
    await remove(database, waiting)
    assert (await one(records, notebook)).runs == 3


async def test_a_schedules_runs_are_not_forgotten_before_they_are_counted(
    registry: NotebookRegistry, records: NotebookRecords, commands: CommandStore, database: Database
) -> None:
    notebook = await make(registry, records)
    schedules = ScheduleStore(database, Bounds())
    await schedules.create([hourly(notebook.id, concurrency=9, keep_last=1)])
    await schedules.look(NOON + 3 * HOUR)
    (going_on,) = await commands.claim("worker", 1, Limits(2))
    for _ in range(3):
        await run(commands, places=1)
    await schedules.look(NOON + 3 * HOUR)
    janitor = Janitor(database=database)
    assert await janitor.clean(now()) == 0
    await commands.finish(going_on, Outcome("done", retryable=False))
    await schedules.look(NOON + 3 * HOUR)
    assert await janitor.clean(now()) == 3
    assert (await one(records, notebook)).runs == 4


async def test_servers_that_count_at_the_same_time_count_once(
    registry: NotebookRegistry,
    records: NotebookRecords,
    commands: CommandStore,
    database: Database,
) -> None:
    notebook = await make(registry, records)
    for _ in range(5):
        await submit(commands, notebook)
    await run(commands, places=5)
    other = Database(url=database.url)
    both = (records, NotebookRecords(other))
    await asyncio.gather(*(each.count_runs(notebook.id) for each in both * 4))
    other.close()
    assert (await one(records, notebook)).runs == 5


async def test_what_a_server_ran_that_died_is_counted_before_it_is_forgotten(
    registry: NotebookRegistry, records: NotebookRecords, commands: CommandStore, database: Database
) -> None:
    notebooks = [await make(registry, records, path) for path in ("a.ipynb", "b.ipynb", "c.ipynb")]
    for notebook in notebooks[:2]:
        await submit(commands, notebook)
        await run(commands)
    await submit(commands, notebooks[2])
    await records.count_all()
    await database.execute(delete(Command))
    assert [each.runs for each in await records.all()] == [1, 1, 0]


async def test_a_path_is_reserved_once_however_many_servers_ask(
    registry: NotebookRegistry, database: Database
) -> None:
    other = Database(url=database.url)
    both = (registry, NotebookRegistry(other))
    found = await asyncio.gather(*(each.reserve("new.ipynb") for each in both * 4))
    other.close()
    assert len([each for each in found if each is not None]) == 1


async def test_a_notebook_has_one_live_schedule_however_many_servers_replace_it(
    registry: NotebookRegistry, records: NotebookRecords, database: Database
) -> None:
    notebooks = [await make(registry, records, path) for path in ("a.ipynb", "b.ipynb")]
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d %H:%M")
    trigger = weekly(period=None, time="06:50", until=until, time_zone="UTC").as_dict()
    other = Database(url=database.url)
    both = [ScheduleStore(each, Bounds()) for each in (database, other)]

    def new(ids: list[NotebookId]) -> list[NewSchedule]:
        since = datetime.now(UTC)
        return [NewSchedule(NOTEBOOKS, "ann", None, each.id, {}, trigger, since) for each in ids]

    # In one order and in the other.
    await asyncio.gather(
        *(
            store.create(new(ids), replacing=True)
            for store in both
            for ids in (notebooks, notebooks[::-1]) * 3
        )
    )
    other.close()
    live, _ = await both[0].page(ScheduleFilter(statuses=("RUNNING",)), 10, 0)
    assert sorted(each.notebook_id or 0 for each in live) == [each.id for each in notebooks]
    assert [each.schedule for each in await records.all()] == sorted(
        live, key=lambda each: each.notebook_id or 0
    )


async def test_more_ids_than_a_statement_takes_can_be_asked_for(
    registry: NotebookRegistry, records: NotebookRecords
) -> None:
    notebook = await make(registry, records)
    await registry.deleted((await make(registry, records, "gone.ipynb")).path)
    asked = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(1200)]
    assert list(await records.some([*asked, notebook.uuid])) == [notebook.uuid]
    assert [each.uuid for each in await records.all()] == [notebook.uuid]
