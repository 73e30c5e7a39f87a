"""Runs that wait for files, on both databases. The clock and what is there are arguments here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.errors import InvalidRequest, StorageFailed
from jupyter_dashboards_api.schedules.dependencies import InvalidFiles, files_at, read_files, until
from jupyter_dashboards_api.schedules.models import Bounds, ScheduleInfo
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.waiting import WaitingActions

from .test_firing import NOON, hourly, made, notebook

MINUTE = timedelta(minutes=1)


@pytest.fixture
def schedules(database: Database) -> ScheduleStore:
    return ScheduleStore(database, Bounds())


@pytest.fixture
def there() -> set[str]:
    """The files that are there."""
    return set()


@pytest.fixture
def waiting(database: Database, there: set[str]) -> WaitingActions:
    async def is_there(path: str) -> bool:
        if path == "broken.csv":
            raise StorageFailed("The storage does not work.")
        return path in there

    return WaitingActions(database, is_there, MINUTE)


async def one(
    database: Database, schedules: ScheduleStore, *files: str, time_out: Any = 10
) -> ScheduleInfo:
    """A schedule of which an action waits for files, ten minutes at most."""
    waits = {"dependency_info": {"files": list(files)}, "time_out": time_out}
    number = await notebook(database, f"{'-'.join(files)}.ipynb")
    (schedule,) = await schedules.create([hourly(number, fields=waits)])
    found = await schedules.look(NOON)
    assert found.waits_for_files
    assert found.command_ids == ()
    return schedule


async def statuses(schedules: ScheduleStore) -> list[tuple[str, str]]:
    return [(each.status, each.reason) for each in (await schedules.actions(10, 0))[0]]


async def test_a_command_is_made_when_all_files_are_there_and_only_one(
    database: Database, schedules: ScheduleStore, waiting: WaitingActions, there: set[str]
) -> None:
    await one(database, schedules, "a.csv", "b-%H.csv")
    there.add("a.csv")
    moment = now()
    found = await waiting.look(moment)
    assert (found.command_ids, found.next_look) == ((), moment + MINUTE)
    there.add("b-12.csv")
    looks = await asyncio.gather(*(waiting.look(now()) for _ in range(4)))
    assert sum(len(each.command_ids) for each in looks) == 1
    assert await made(database) == [NOON]
    assert (await waiting.look(now())).next_look is None


async def test_what_does_not_come_in_time_is_not_found_and_leaves_its_place(
    database: Database, schedules: ScheduleStore, waiting: WaitingActions
) -> None:
    schedule = await one(database, schedules, "a.csv", "broken.csv")
    # A second nominal time has no place while the first one waits.
    found = await schedules.look(NOON + timedelta(hours=1))
    assert found.next_look == NOON + timedelta(hours=1) + MINUTE
    assert (await waiting.look(now() + 9 * MINUTE)).next_look is not None
    ended = await waiting.look(now() + 11 * MINUTE)
    assert (ended.has_ended, ended.next_look) == (True, None)
    assert await statuses(schedules) == [("not_found", "Not there in time:\na.csv\nbroken.csv")]
    assert await made(database) == []
    assert (await schedules.look(NOON)).next_look == NOON + timedelta(hours=1)
    assert (await schedules.get(schedule.id)).status == "RUNNING"


async def test_the_run_of_a_killed_schedule_waits_no_more(
    database: Database, schedules: ScheduleStore, waiting: WaitingActions, there: set[str]
) -> None:
    schedule = await one(database, schedules, "a.csv")
    await schedules.set_status(schedule.id, "KILLED")
    there.add("a.csv")
    await waiting.look(now())
    assert await statuses(schedules) == [("cancelled", "The schedule was killed.")]
    assert await made(database) == []


async def test_the_run_of_a_suspended_schedule_waits_on_and_its_time_out_counts(
    database: Database, schedules: ScheduleStore, waiting: WaitingActions, there: set[str]
) -> None:
    number = (await one(database, schedules, "a.csv")).id
    late = (await one(database, schedules, "b.csv")).id
    for each in (number, late):
        await schedules.set_status(each, "SUSPENDED")
    there.add("a.csv")
    moment = now() + 11 * MINUTE
    looked = await waiting.look(moment)
    assert (looked.command_ids, looked.next_look) == ((), moment + MINUTE)
    assert await statuses(schedules) == [
        ("not_found", "Not there in time:\nb.csv"),
        ("waiting for dependencies", ""),
    ]
    # What somebody asks for runs, as it does without files.
    by_hand = await schedules.run_now(number)
    assert by_hand.status == "waiting for dependencies"
    assert len((await waiting.look(now())).command_ids) == 1
    assert (await schedules.action(by_hand.id)).command_id is not None
    await schedules.set_status(number, "RUNNING")
    assert len((await waiting.look(now())).command_ids) == 1
    assert (await waiting.look(now())).next_look is None


async def test_a_run_whose_schedule_is_suspended_when_its_files_have_come_waits_on(
    database: Database, schedules: ScheduleStore
) -> None:
    schedule = await one(database, schedules, "a.csv")

    async def is_there(path: str) -> bool:
        await schedules.set_status(schedule.id, "SUSPENDED")
        return True

    looked = await WaitingActions(database, is_there, MINUTE).look(now())
    assert looked.command_ids == ()
    assert await statuses(schedules) == [("waiting for dependencies", "")]


@pytest.mark.parametrize("minutes", [None, "", "1440"])
def test_a_time_out_of_nothing_is_that_of_a_day(minutes: Any) -> None:
    assert until(NOON, {"time_out": minutes}) == NOON + timedelta(days=1)


@pytest.mark.parametrize("minutes", ["0", 0])
async def test_with_a_time_out_of_0_the_files_must_be_there_at_the_first_look(
    database: Database,
    schedules: ScheduleStore,
    waiting: WaitingActions,
    there: set[str],
    minutes: Any,
) -> None:
    there.add("b.csv")
    for file in ("a.csv", "b.csv"):
        await one(database, schedules, file, time_out=minutes)
    looked = await waiting.look(now())
    assert (len(looked.command_ids), looked.next_look) == (1, None)
    assert await statuses(schedules) == [
        ("waiting", ""),
        ("not_found", "Not there in time:\na.csv"),
    ]


async def test_a_rerun_waits_too(
    database: Database,
    schedules: ScheduleStore,
    waiting: WaitingActions,
    there: set[str],
) -> None:
    await one(database, schedules, "a.csv")
    (action,), _ = await schedules.actions(10, 0)
    with pytest.raises(InvalidRequest):
        await schedules.rerun(action.id, 5)
    assert await waiting.cancel(action.id)
    assert not await waiting.cancel(action.id)
    again = await schedules.rerun(action.id, 5)
    assert again.status == "waiting for dependencies"
    there.add("a.csv")
    (command_id,) = (await waiting.look(now())).command_ids
    command = await CommandStore(database).get(command_id)
    assert command.payload["schedule"]["nominal_time"] == NOON.isoformat()


async def test_a_rerun_of_a_killed_schedules_run_waits_and_runs_as_one_without_files(
    database: Database, schedules: ScheduleStore, waiting: WaitingActions, there: set[str]
) -> None:
    schedule = await one(database, schedules, "a.csv")
    (action,), _ = await schedules.actions(10, 0)
    await waiting.cancel(action.id)
    await schedules.set_status(schedule.id, "KILLED")
    await schedules.rerun(action.id, 5)
    assert (await waiting.look(now())).command_ids == ()
    there.add("a.csv")
    (command_id,) = (await waiting.look(now())).command_ids
    command = await CommandStore(database).get(command_id)
    assert command.payload["schedule"]["nominal_time"] == NOON.isoformat()


def test_dates_in_names_are_the_nominal_time_on_the_zone_s_clock() -> None:
    from zoneinfo import ZoneInfo

    nominal = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    found = files_at(["%Y/%m/%d/%H%M 100%.csv"], nominal, ZoneInfo("Europe/Berlin"))
    assert found == ("2027/01/01/0030 100%.csv",)


def test_files_are_paths_of_this_server_and_windows_and_tables_are_refused() -> None:
    assert read_files({"files": ["/a/b.csv", {"path": "c.csv", "window_end": "0"}, "a/b.csv"]}) == (
        "a/b.csv",
        "c.csv",
    )
    for given in (
        {"files": ["s3://bucket/x"]},
        {"files": [{"path": "a", "window_start": "-1"}]},
        {"files": ["../a"]},
        {"hive_tables": ["t"]},
        7,
    ):
        with pytest.raises(InvalidFiles):
            read_files(given)
