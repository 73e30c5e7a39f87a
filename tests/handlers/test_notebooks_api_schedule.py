"""The notebooks API: schedule and unschedule. Each row of §4.1 and §4.2 of its specification that is about them is a test."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_notebook

from jupyter_dashboards_api.schedules.models import NOTEBOOKS, ScheduleInfo
from jupyter_dashboards_api.schedules.store import ScheduleFilter
from tests.conftest import Write

from .callers import Callers
from .notebooks_client import API, NO_ID, NONE, NotebooksClient, later, message_of, path_of

SUCCESS = {"Success": True}
PREFIX = "Error occurred during request processing: "


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"AccessManager": {"token_user": "admin"}, "NotebooksManager": {"time_zone": "UTC"}}


def weekly(*ids: str, **fields: Any) -> dict[str, Any]:
    """The body of the documented sample, with a date that is to come."""
    body = {"nbk_ids": list(ids), "period": "Monday", "time": "06:50", "until": later(days=30)}
    return {name: value for name, value in {**body, **fields}.items() if value is not ...}


async def live(dashboards: Any) -> list[ScheduleInfo]:
    wanted = ScheduleFilter(kind=NOTEBOOKS, statuses=("RUNNING", "SUSPENDED"))
    return (await dashboards.schedules.store.page(wanted, 100, 0))[0]


async def test_one_that_the_scheduler_api_has_suspended_is_not_scheduled_until_it_is_resumed(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made))
    (schedule,) = await live(dashboards)
    for status, shown in (("SUSPENDED", "Not Scheduled"), ("RUNNING", "Scheduled")):
        await dashboards.schedules.set_status(schedule.id, status)
        assert (await notebooks.record(made))["status"] == shown


@pytest.mark.parametrize("field", ["nbk_ids", "nbkIds"])
async def test_schedule_says_so_in_the_record_the_list_and_the_count(
    notebooks: NotebooksClient, dashboards: Any, field: str
) -> None:
    made = [await notebooks.create() for _ in range(3)]
    body = weekly()
    body.pop("nbk_ids")
    assert await notebooks.good("POST", "_schedule", {field: made[:2], **body}) == SUCCESS
    record = await notebooks.record(made[0])
    assert record["status"] == "Scheduled"
    # `until` as it was given.
    assert record["schedule"] == {"period": "Monday", "until": body["until"], "time": "06:50"}
    statuses = [each["status"] for each in await notebooks.good("GET", "_all")]
    assert statuses == ["Scheduled", "Scheduled", "Not Scheduled"]
    count = await notebooks.good("GET", "_count")
    assert count == {"Total Notebooks": 3, "Not Scheduled": 1, "Scheduled": 2}
    for schedule in await live(dashboards):
        assert schedule.owner == "admin"
        assert (schedule.catch_up, schedule.concurrency) == ("last", 1)
        assert schedule.next_time is not None
        assert schedule.next_time.strftime("%A %H:%M") == "Monday 06:50"


async def test_period_is_an_english_weekday_in_any_case(notebooks: NotebooksClient) -> None:
    made = await notebooks.create()
    for period in ("friday", "FRIDAY", "Friday "):
        await notebooks.good("POST", "_schedule", weekly(made, period=period))
        assert (await notebooks.record(made))["schedule"]["period"] == "Friday"


async def test_no_period_is_every_day_and_no_time_is_midnight(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    for absent in (..., None, ""):
        body = weekly(made, period=absent, time=absent, until=later(days=5))
        assert await notebooks.good("POST", "_schedule", body) == SUCCESS
        record = await notebooks.record(made)
        assert record["schedule"] == {"period": None, "until": body["until"], "time": "00:00"}
        (schedule,) = await live(dashboards)
        assert schedule.next_time is not None
        assert timedelta(0) < schedule.next_time - datetime.now(UTC) <= timedelta(days=1)


async def test_what_can_not_be_a_schedule_is_400_and_changes_nothing(
    notebooks: NotebooksClient,
) -> None:
    made = await notebooks.create()
    wrong: dict[str, tuple[Any, ...]] = {
        "until": (..., None, "2024-12-13 06:50", "tomorrow", "2099-13-01 00:00", 7),
        "time": ("24:00", "6.50", 650),
        "period": ("Moonday", 1, ["Monday", {}]),
        "nbk_ids": (..., [], {}),
    }
    for name, values in wrong.items():
        for value in values:
            body = weekly(made, **{name: value})
            message = await notebooks.bad(400, "POST", "_schedule", body)
            assert message.startswith(PREFIX)
            assert len(message) > len(PREFIX)
    assert (await notebooks.record(made))["status"] == "Not Scheduled"


async def test_an_until_before_the_first_run_is_400_never_a_silent_scheduled(
    notebooks: NotebooksClient,
) -> None:
    made = await notebooks.create()
    soon = datetime.now(UTC) + timedelta(hours=1)
    far = (soon + timedelta(days=2)).strftime("%A")
    body = weekly(made, period=far, until=soon.strftime("%Y-%m-%d %H:%M"))
    assert "until" in await notebooks.bad(400, "POST", "_schedule", body)


async def test_several_ids_one_of_them_bad_are_refused_as_a_whole(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = [await notebooks.create() for _ in range(2)]
    for bad in (NO_ID, "no id", 7, None):
        message = await notebooks.bad(400, "POST", "_schedule", weekly(made[0], bad, made[1]))  # type: ignore[arg-type]
        assert message.startswith(PREFIX)
    assert await live(dashboards) == []
    # Nor does what was scheduled before change.
    await notebooks.good("POST", "_schedule", weekly(*made))
    before = await live(dashboards)
    await notebooks.bad(400, "POST", "_schedule", weekly(*made, NO_ID, time="07:00"))
    await notebooks.bad(400, "POST", "_unschedule", {"nbk_ids": [*made, NO_ID]})
    assert await live(dashboards) == before


async def test_scheduling_again_replaces_and_one_schedule_is_live_however_many_ask_at_once(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    await asyncio.gather(
        *(
            notebooks.good("POST", "_schedule", weekly(made, made, time=f"0{n}:00"))
            for n in range(6)
        )
    )
    assert len(await live(dashboards)) == 1
    await notebooks.good("POST", "_schedule", weekly(made, time="23:59"))
    assert (await notebooks.record(made))["schedule"]["time"] == "23:59"
    assert len(await live(dashboards)) == 1


async def test_after_until_it_is_not_scheduled_and_until_itself_still_runs(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    until = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=3)
    clock = until.strftime("%H:%M")
    body = weekly(made, period=until.strftime("%A"), time=clock, until=f"{until:%Y-%m-%d %H:%M}")
    await notebooks.good("POST", "_schedule", body)
    (schedule,) = await live(dashboards)
    assert schedule.next_time == until
    look = await dashboards.schedules.store.look(until)
    assert len(look.command_ids) == 1
    record = await notebooks.record(made)
    assert (record["status"], record["schedule"]) == ("Not Scheduled", NONE)


async def test_of_the_runs_that_were_missed_one_runs_late_and_never_a_burst(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made, period=None, until=later(days=60)))
    (schedule,) = await live(dashboards)
    assert schedule.next_time is not None
    # The server was off for three weeks.
    moment = schedule.next_time + timedelta(days=21, hours=5)
    looks = [await dashboards.schedules.store.look(moment + timedelta(seconds=n)) for n in range(3)]
    assert [len(each.command_ids) for each in looks] == [1, 0, 0]


@pytest.mark.parametrize("field", ["nbk_ids", "nbkIds"])
async def test_unschedule_ends_it_and_may_be_said_twice(
    notebooks: NotebooksClient, dashboards: Any, field: str
) -> None:
    made = [await notebooks.create() for _ in range(2)]
    await notebooks.good("POST", "_schedule", weekly(*made))
    assert await notebooks.good("POST", "_unschedule", {field: made[:1]}) == SUCCESS
    record = await notebooks.record(made[0])
    assert (record["status"], record["schedule"]) == ("Not Scheduled", NONE)
    assert (await notebooks.record(made[1]))["status"] == "Scheduled"
    assert await notebooks.good("POST", "_unschedule", {field: made[:1]}) == SUCCESS
    assert len(await live(dashboards)) == 1


BAD_UNSCHEDULES = [None, {}, {"nbk_ids": []}, {"nbk_ids": [NO_ID]}, "{", {"nbk_ids": 7}]


async def test_unschedule_of_bad_input_is_400(notebooks: NotebooksClient) -> None:
    for body in BAD_UNSCHEDULES:
        assert (await notebooks.bad(400, "POST", "_unschedule", body)).startswith(PREFIX)


@pytest.mark.parametrize("extension_config", [{"NotebooksManager": {"documented_status": True}}])
async def test_unschedule_of_bad_input_is_the_documented_500_behind_a_switch(
    notebooks: NotebooksClient,
) -> None:
    for body in BAD_UNSCHEDULES:
        assert (await notebooks.bad(500, "POST", "_unschedule", body)).startswith(PREFIX)


async def test_a_get_with_a_json_body_works_as_the_samples_have_it(
    notebooks: NotebooksClient,
) -> None:
    made = await notebooks.create()
    assert await notebooks.good("GET", "_schedule", weekly(made)) == SUCCESS
    assert (await notebooks.record(made))["status"] == "Scheduled"
    assert await notebooks.good("GET", "_unschedule/", {"nbk_ids": [made]}) == SUCCESS
    assert (await notebooks.record(made))["status"] == "Not Scheduled"


async def test_a_get_without_a_body_or_without_the_header_is_405(
    notebooks: NotebooksClient, callers: Callers
) -> None:
    made = await notebooks.create()
    for path in ("_schedule", "_unschedule"):
        await notebooks.bad(405, "GET", f"{path}?nbk_ids={made}&until=2090-01-01%2000:00")
        # A browser's cookie goes with what another site asks for.
        browser = await callers.owner_cookie()
        response = await browser.send(
            "GET", f"{API}{path}", json.dumps(weekly(made)), allow_nonstandard_methods=True
        )
        message_of(response, 405)
    assert (await notebooks.record(made))["status"] == "Not Scheduled"


async def test_a_body_without_quotes_keeps_its_times(notebooks: NotebooksClient) -> None:
    made = await notebooks.create()
    until = later(days=40)
    body = f"{{nbk_ids: [{made}], time: 12:30, period: monday, until: {until}}}"
    await notebooks.good("POST", "_schedule", body)
    record = await notebooks.record(made)
    assert record["schedule"] == {"period": "Monday", "until": until, "time": "12:30"}
    # What it means is not read as a number, a date or nothing by chance.
    body = f"{{nbk_ids: [{made}], period: null, time: 01:10:00, until: {until}}}"
    assert "01:10:00" in await notebooks.bad(400, "POST", "_schedule", body)


async def test_delete_ends_the_schedule(notebooks: NotebooksClient, dashboards: Any) -> None:
    made = await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made))
    await notebooks.good("DELETE", "", {"nbk_ids": [made]})
    assert await live(dashboards) == []


@pytest.mark.parametrize("how", ["seen", "saved"])
async def test_a_notebook_that_vanishes_ends_its_schedule_and_leaves_nothing_to_a_new_file(
    notebooks: NotebooksClient, dashboards: Any, jp_root_dir: Path, write_notebook: Write, how: str
) -> None:
    made, kept = await notebooks.create(), await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made, kept))
    path = await path_of(notebooks, made)
    (jp_root_dir / path).unlink()
    if how == "seen":
        dashboards.sweeper.grace = 0.0
        await dashboards.sweeper.look()
        write_notebook(path)
    else:
        # By the commands API: nobody has looked since.
        sent = {"type": "notebook", "content": new_notebook()}
        at = f"contents/{path}"
        saved = await notebooks.good("PUT", at, sent, api="/api/v1.2/jupyter_notebooks/")
        assert saved["uuid"] != made
    await notebooks.bad(400, "GET", made)
    assert await notebooks.ids() == [kept]
    assert [
        (await dashboards.access.notebooks.by_id(each.notebook_id)).uuid
        for each in await live(dashboards)
    ] == [kept]


async def test_a_schedule_goes_with_its_notebook_when_that_is_renamed(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made, period=None))
    await notebooks.good("PUT", made, {"new_name": "other"})
    assert (await notebooks.record(made))["status"] == "Scheduled"
    (schedule,) = await live(dashboards)
    look = await dashboards.schedules.store.look(schedule.next_time)
    command = await dashboards.commands.store.get(look.command_ids[0])
    assert command.path == "notebooks/admin/other.ipynb"


@pytest.mark.parametrize(
    "extension_config", [{"NotebooksManager": {"time_zone": "Pacific/Kiritimati"}}]
)
async def test_times_are_those_of_the_configured_zone(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made))
    (schedule,) = await live(dashboards)
    assert schedule.next_time is not None
    # Monday 06:50 there, 14 hours ahead.
    assert schedule.next_time.strftime("%A %H:%M") == "Sunday 16:50"


async def test_a_schedule_of_another_api_does_not_count(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    made = await notebooks.create()
    await notebooks.good("POST", "_schedule", weekly(made))
    (schedule,) = await live(dashboards)
    await dashboards.schedules.store.end("scheduler", [schedule.notebook_id])
    assert (await notebooks.record(made))["status"] == "Scheduled"
