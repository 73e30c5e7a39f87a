"""`/api/v1.2/scheduler`: making, seeing, changing and ending schedules, row by row of the API's documentation."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_dashboards_api.schedules.models import NOTEBOOKS, NewSchedule
from jupyter_dashboards_api.schedules.triggers import weekly

from .command_client import CommandClient, error_of
from .scheduler_client import Make, put

START = "Command type could not be created. Errors: "


async def test_the_view_is_the_documented_one_field_by_field(
    make_schedule: Make, commands: CommandClient
) -> None:
    sent = {
        "end_time": "2999-08-01T12:00Z",
        "frequency": "1",
        "time_unit": "weeks",
        "time_zone": "Europe/Berlin",
        "name": "weekly",
        "label": "default",
        "macros": [{"day": "Qubole_nominal_time.format('YYYY-MM-DD')"}],
        "no_catch_up": "true",
        "retry": "2",
        "retry_delay": 5,
        "time_out": "10",
        "concurrency": 2,
        "notification": {
            "is_digest": True,
            "digest_time_hour": 7,
            "digest_time_minute": 30,
            "notify_success": False,
            "notify_failure": True,
            "notification_email_list": ["ann@example.org"],
        },
    }
    made = await make_schedule(**sent)
    note_id = await commands.note_id("folder/a%20note.ipynb")
    documented = {
        "status": "RUNNING",
        "command_type": "SparkCommand",
        "command": {"note_id": note_id, "language": "notebook"},
        "start_time": "2999-07-01T12:00Z",
        "end_time": "2999-08-01T12:00Z",
        "frequency": 1,
        "time_unit": "weeks",
        "cron_expression": None,
        "time_zone": "Europe/Berlin",
        "name": "weekly",
        "label": "default",
        "macros": [{"day": "Qubole_nominal_time.format('YYYY-MM-DD')"}],
        "no_catch_up": True,
        "retry": 2,
        "retry_delay": 5,
        "concurrency": 2,
        "time_out": 10,
        "dependency_info": {},
        "can_notify": True,
        "is_digest": True,
        "digest_time_hour": 7,
        "digest_time_minute": 30,
        "next_materialized_time": "2999-07-01T12:00Z",
        "template": "generic",
        "incremental": {},
    }
    assert {name: made[name] for name in documented} == documented
    assert made["notification"]["notification_email_list"] == ["ann@example.org"]
    assert type(made["id"]) is type(made["user_id"]) is int
    assert await commands.get(f"/scheduler/{made['id']}") == made
    assert await commands.get(f"/scheduler/{made['id']}/") == made


async def test_the_unit_is_days_the_zone_utc_and_the_name_the_id_unless_they_are_said(
    make_schedule: Make,
) -> None:
    made = await make_schedule()
    assert (made["time_unit"], made["time_zone"]) == ("days", "UTC")
    assert made["name"] == str(made["id"])
    assert (made["concurrency"], made["no_catch_up"], made["time_out"]) == (1, False, 1440)
    assert (await make_schedule(time_out=0))["time_out"] == 0
    assert made["can_notify"] is False


async def test_each_unit_is_taken(make_schedule: Make) -> None:
    for unit in ("minutes", "hours", "days", "weeks", "months"):
        assert (await make_schedule(time_unit=unit, frequency=2))["time_unit"] == unit


async def test_times_without_an_offset_are_those_of_the_zone_s_clock(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule(
        start_time="2999-07-01 02:00", end_time="2999-12-31 02:00", time_zone="Europe/Berlin"
    )
    assert made["start_time"] == made["next_materialized_time"] == "2999-07-01T00:00Z"
    assert made["end_time"] == "2999-12-31T01:00Z"


async def test_a_cron_expression_is_quartz_s_and_does_not_honour_the_start(
    make_schedule: Make,
) -> None:
    made = await make_schedule(frequency=None, cron_expression="0 0 12 * * ?")
    assert made["cron_expression"] == "0 0 12 * * ?"
    assert (made["start_time"], made["frequency"], made["time_unit"]) == (None, None, None)
    following = datetime.fromisoformat(made["next_materialized_time"])
    assert timedelta() < following - datetime.now(UTC) <= timedelta(days=1)


async def test_a_cron_expression_and_a_frequency_exclude_each_other(make_schedule: Make) -> None:
    assert "exclude each other" in await make_schedule(422, cron_expression="0 0 12 * * ?")
    assert "frequency" in await make_schedule(422, frequency=None)


async def test_the_command_is_checked_as_when_it_is_submitted(make_schedule: Make) -> None:
    assert (
        await make_schedule(422, command={"note_id": 12321})
        == f"{START}There is no spark notebook for account 1 with Id: 12321"
    )
    assert (
        await make_schedule(
            422, command_type="JupyterNotebookCommand", command={"path": "no.ipynb"}
        )
        == f"{START}There is no notebook at this path."
    )
    missing = await make_schedule(
        422,
        command_type="NotebookConvertCommand",
        command={"resourceId": 12321, "resourceType": "Note", "fileFormat": "html"},
    )
    assert missing == f"{START}There is no notebook for account 1 with resourceId: 12321"
    assert "HiveCommand" in await make_schedule(422, command_type="HiveCommand")


async def test_a_notebook_named_by_its_path_is_followed_when_it_moves(
    make_schedule: Make, commands: CommandClient, dashboards: Any
) -> None:
    note_id = await commands.note_id("folder/a%20note.ipynb")
    made = await make_schedule(
        command_type="JupyterNotebookCommand", command={"path": "/folder/a note.ipynb"}
    )
    assert made["command"]["note_id"] == note_id
    await dashboards.commands.contents.rename("folder/a note.ipynb", "folder/b.ipynb")
    seen = await commands.get(f"/scheduler/{made['id']}")
    assert seen["command"] == {"path": "folder/b.ipynb", "note_id": note_id}
    edited = await put(commands, f"/scheduler/{made['id']}", {"name": "after"})
    assert edited["command"]["path"] == "folder/b.ipynb"
    response = await commands.ask("POST", f"/scheduler/{made['id']}/run")
    command = json.loads(response.body)["command"]
    assert command["command"]["path"] == "folder/b.ipynb"


async def test_the_list_has_the_newest_first_in_pages_and_is_filtered_by_name_and_status(
    make_schedule: Make, commands: CommandClient
) -> None:
    ids = [(await make_schedule(name=f"s{number}"))["id"] for number in range(3)]
    found = await commands.get("/scheduler?per_page=2")
    assert [each["id"] for each in found["schedules"]] == ids[:0:-1]
    assert found["paging_info"] == {"previous_page": None, "next_page": 2, "per_page": 2}
    found = await commands.get("/scheduler/?page=2&per_page=2")
    assert [each["id"] for each in found["schedules"]] == ids[:1]
    assert found["paging_info"] == {"previous_page": 1, "next_page": None, "per_page": 2}
    found = await commands.get("/scheduler?name=s1")
    assert [each["name"] for each in found["schedules"]] == ["s1"]
    assert (await commands.get("/scheduler?name=nothing"))["schedules"] == []
    await put(commands, f"/scheduler/{ids[0]}", {"status": "suspend"})
    for status, expected in (("SUSPENDED", ids[:1]), ("running", ids[:0:-1]), ("killed,done", [])):
        found = await commands.get(f"/scheduler?status={status}")
        assert [each["id"] for each in found["schedules"]] == expected
    for query in ("page=0", "page=x", "per_page=-1", "status=WELL", "page=99999999999"):
        error_of(await commands.ask("GET", f"/scheduler?{query}"), 400)


async def test_a_schedule_is_found_by_its_name_too(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule(name="every ä day/night")
    seen = await commands.get("/scheduler/every%20%C3%A4%20day%2Fnight")
    assert seen["id"] == made["id"]
    for name in ("nothing", "0", "%00", "%FF", "..", "x" * 5000, "preview/"):
        code = (await commands.ask("GET", f"/scheduler/{name}")).code
        assert code in (400, 404, 422), name


async def test_suspend_resume_and_kill_answer_as_documented_and_kill_is_final(
    make_schedule: Make, commands: CommandClient
) -> None:
    path = f"/scheduler/{(await make_schedule())['id']}"
    for word, status in (("suspend", "SUSPENDED"), ("resume", "RUNNING"), ("kill", "KILLED")):
        answer = await put(commands, path, {"status": word})
        assert answer == {"succeeded": "true", "status": status}
        assert (await commands.get(path))["status"] == status
    for word in ("suspend", "resume", "kill"):
        assert "KILLED" in await put(commands, path, {"status": word}, 422)
    assert "killed" in await put(commands, path, {"name": "x"}, 409)
    assert "KILLED" in error_of(await commands.ask("POST", f"{path}/run"), 422)
    assert (await commands.get(path))["next_materialized_time"] is None
    assert (await commands.get(f"{path}/preview"))["times"] == []


async def test_a_status_is_one_of_the_three_words_and_sent_alone(
    make_schedule: Make, commands: CommandClient
) -> None:
    path = f"/scheduler/{(await make_schedule())['id']}"
    for body in (
        {"status": "stop"},
        {"status": 7},
        {"status": None},
        {"status": "suspend", "name": "x"},
        {"status": "resume", "no_catch_up": "perhaps"},
        {"status": "resume", "no_catch_up": [1]},
        {},
        {"unknown": 1},
    ):
        await put(commands, path, body, 422)


@pytest.mark.parametrize("skip", [True, False])
async def test_resume_with_no_catch_up_leaves_out_what_was_missed(
    make_schedule: Make, commands: CommandClient, skip: bool
) -> None:
    made = await make_schedule(start_time="2012-07-01T12:00Z")
    path = f"/scheduler/{made['id']}"
    assert made["next_materialized_time"] == "2012-07-01T12:00Z"
    await put(commands, path, {"status": "suspend"})
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    await put(commands, path, {"status": "resume", "no_catch_up": skip})
    following = datetime.fromisoformat((await commands.get(path))["next_materialized_time"])
    assert (following >= minute) is skip


async def test_an_edit_changes_only_what_it_says(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule(name="before", concurrency=3, macros=[{"a": "1"}])
    path = f"/scheduler/{made['id']}"
    changed = await put(commands, path, {"name": "after", "concurrency": "4"})
    same = {name for name in made if made[name] == changed[name]}
    assert made.keys() - same == {"name", "concurrency"} | (made.keys() & {"updated_at"}) - same
    assert (changed["name"], changed["concurrency"]) == ("after", 4)
    assert (await put(commands, path, {"name": None}))["name"] == str(made["id"])


async def test_a_view_that_is_sent_back_changes_nothing(
    make_schedule: Make, commands: CommandClient
) -> None:
    for fields in ({}, {"frequency": None, "cron_expression": "0 0 12 * * ?"}):
        made = await make_schedule(**fields)
        sent = await put(commands, f"/scheduler/{made['id']}/", made)
        assert {**sent, "updated_at": ""} == {**made, "updated_at": ""}


async def test_a_start_that_clocks_skip_keeps_its_time_of_day_when_the_view_is_sent_back(
    make_schedule: Make, commands: CommandClient
) -> None:
    gap = {"start_time": "2997-03-26T02:30", "time_zone": "Europe/Berlin"}
    made = await make_schedule(**gap)
    path = f"/scheduler/{made['id']}"
    # The clocks go from 02:00 to 03:00.
    assert made["start_time"] == "2997-03-26T01:00Z"
    changed = await put(commands, path, {**made, "name": "x"})
    assert changed["trigger"] == made["trigger"]
    times = (await commands.get(f"{path}/preview?count=2"))["local_times"]
    assert times == ["2997-03-26T03:00:00+02:00", "2997-03-27T02:30:00+02:00"]
    # On another clock it is what was sent.
    changed = await put(commands, path, {"start_time": made["start_time"], "time_zone": "UTC"})
    assert changed["trigger"]["start_time"] == "2997-03-26T01:00:00"


async def test_a_frequency_takes_the_place_of_a_cron_expression_and_back(
    make_schedule: Make, commands: CommandClient
) -> None:
    path = f"/scheduler/{(await make_schedule())['id']}"
    changed = await put(commands, path, {"cron_expression": "0 0 12 * * ?"})
    assert (changed["frequency"], changed["cron_expression"]) == (None, "0 0 12 * * ?")
    changed = await put(commands, path, {"frequency": 2, "time_unit": "weeks"})
    assert (changed["frequency"], changed["cron_expression"]) == (2, None)


async def test_a_start_moves_only_to_between_now_and_the_next_run(
    make_schedule: Make, commands: CommandClient
) -> None:
    path = f"/scheduler/{(await make_schedule())['id']}"
    for start in ("2012-07-01T12:00Z", "2999-07-01T12:01Z"):
        message = await put(commands, path, {"start_time": start}, 422)
        assert message.startswith("start_time")
    for start in (
        "2998-01-01T00:00Z",
        f"{datetime.now(UTC) + timedelta(minutes=3):%Y-%m-%dT%H:%MZ}",
    ):
        changed = await put(commands, path, {"start_time": start})
        assert changed["next_materialized_time"] == start


async def test_what_counts_from_when_it_was_made_counts_so_after_an_edit(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule(start_time=None, frequency=7)
    changed = await put(commands, f"/scheduler/{made['id']}", {"name": "x"})
    assert changed["start_time"] == made["start_time"]
    assert changed["trigger"] == made["trigger"]


async def test_a_later_end_loses_none_of_what_is_due(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule(start_time="2012-07-01T12:00Z", end_time="2999-01-01T00:00Z")
    changed = await put(commands, f"/scheduler/{made['id']}", {"end_time": "2999-02-01T00:00Z"})
    assert changed["next_materialized_time"] == made["next_materialized_time"]
    # Starts are written in minutes: at noon itself, that of today still counts.
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    changed = await put(commands, f"/scheduler/{made['id']}", {"frequency": 2})
    assert datetime.fromisoformat(changed["next_materialized_time"]) >= minute


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_clone_needs_a_name_of_its_own_and_counts_from_now_on(
    make_schedule: Make, commands: CommandClient, method: str
) -> None:
    made = await make_schedule(name="one", start_time="2012-07-01T12:00Z", concurrency=2)
    path = f"/scheduler/{made['id']}/duplicate"
    for body in (None, {}, {"name": ""}, {"name": "one"}, {"name": "a<b"}, {"name": 7}):
        error_of(await commands.ask(method, path, body), 422)
    before = datetime.now(UTC)
    response = await commands.ask(method, path, {"name": "two", "frequency": 3})
    assert response.code == 200, response.body
    clone = json.loads(response.body)
    assert clone["id"] != made["id"]
    assert (clone["name"], clone["frequency"], clone["concurrency"]) == ("two", 3, 2)
    assert clone["start_time"] == made["start_time"]
    assert datetime.fromisoformat(clone["next_materialized_time"]) > before
    assert (await commands.get(f"/scheduler/{made['id']}"))["frequency"] == 1


async def test_a_schedule_is_given_to_somebody_who_is_known(
    make_schedule: Make, commands: CommandClient, callers: Any
) -> None:
    made = await make_schedule()
    path = f"/scheduler/{made['id']}/owner"
    for body in ({}, {"new_owner_email": ""}, {"new_owner_email": 7}, {"new_owner_email": "?"}):
        await put(commands, path, body, 422)
    await callers.viewer("ann")
    changed = await put(commands, path, {"new_owner_email": "ann"})
    assert changed["user"] == "ann"
    assert changed["user_id"] != made["user_id"]


async def test_a_preview_has_the_next_times_in_utc_and_on_the_zone_s_clock(
    commands: CommandClient, make_schedule: Make
) -> None:
    body = {"cron_expression": "0 30 9 ? * MON", "time_zone": "Europe/Berlin", "count": 3}
    response = await commands.ask("POST", "/scheduler/preview", body)
    found = json.loads(response.body)
    assert found["time_zone"] == "Europe/Berlin"
    assert len(found["times"]) == 3
    assert all("T09:30:00+0" in each for each in found["local_times"])
    assert all(each.endswith("Z") for each in found["times"])
    query = "frequency=2&time_unit=weeks&start_time=2999-07-01T00:00Z&count=2"
    found = await commands.get(f"/scheduler/preview?{query}")
    assert found["times"] == ["2999-07-01T00:00Z", "2999-07-15T00:00Z"]
    made = await make_schedule()
    found = await commands.get(f"/scheduler/{made['id']}/preview?count=2")
    assert found["times"] == ["2999-07-01T12:00Z", "2999-07-02T12:00Z"]
    for count in (0, 101, -1, "x", 1.5, True, [1]):
        error_of(
            await commands.ask("POST", "/scheduler/preview", {"frequency": 1, "count": count}), 422
        )
    error_of(await commands.ask("GET", "/scheduler/preview"), 422)
    error_of(await commands.ask("GET", "/scheduler/preview?frequency=x"), 422)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"no_catch_up": True},
        {"start_time": "2012-07-01T12:00Z", "end_time": "2013-07-01T12:00Z"},
        {"start_time": "2012-07-01T12:00Z", "no_catch_up": True},
        {"start_time": "2999-07-01T12:00Z"},
        {"frequency": None, "cron_expression": "0 0 12 * * ?"},
    ],
)
async def test_a_preview_begins_with_what_a_schedule_of_its_fields_runs_first(
    commands: CommandClient, make_schedule: Make, fields: dict[str, Any]
) -> None:
    fields = {"frequency": 1, "start_time": None, **fields}
    while True:
        before = f"{datetime.now(UTC):%H:%M}"
        made = await make_schedule(**fields)
        response = await commands.ask("POST", "/scheduler/preview", {**fields, "count": 1})
        # Starts are in minutes, and one may have begun meanwhile.
        if f"{datetime.now(UTC):%H:%M}" == before:
            break
    assert json.loads(response.body)["times"] == [made["next_materialized_time"]]


async def test_a_preview_leaves_out_what_is_not_made_up_for(
    commands: CommandClient, dashboards: Any
) -> None:
    start = datetime.now(UTC) - timedelta(days=5000, minutes=-10)
    query = f"frequency=1&start_time={start:%Y-%m-%dT%H:%MZ}&count=1"
    found = await commands.get(f"/scheduler/preview?{query}")
    first = datetime.fromisoformat(found["times"][0])
    most = dashboards.schedules.max_missed_runs
    assert first == (start + timedelta(days=5000 - most)).replace(second=0, microsecond=0)


async def test_the_secret_of_a_webhook_is_told_once(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule(webhook="https://example.org/hook")
    path = f"/scheduler/{made['id']}"
    assert len(made["webhook_secret"]) >= 32
    assert made["webhook"] == {"url": "https://example.org/hook"}
    assert "webhook_secret" not in await commands.get(path)
    same = await put(commands, path, {"name": "x", "webhook": made["webhook"]})
    assert "webhook_secret" not in same
    other = await put(commands, path, {"webhook": "https://example.org/other"})
    assert other["webhook_secret"] != made["webhook_secret"]


async def test_edits_at_the_same_time_are_each_done_whole_or_refused(
    make_schedule: Make, commands: CommandClient
) -> None:
    path = f"/scheduler/{(await make_schedule())['id']}"
    answers = await asyncio.gather(
        *(
            commands.ask("PUT", path, {"name": f"n{each}", "concurrency": each})
            for each in range(1, 9)
        )
    )
    assert {each.code for each in answers} <= {200, 409}
    done = [json.loads(each.body)["name"] for each in answers if each.code == 200]
    seen = await commands.get(path)
    assert seen["name"] in done
    assert seen["name"] == f"n{seen['concurrency']}"


async def test_schedules_of_the_notebooks_api_are_seen_and_ended_but_not_edited(
    make_schedule: Make, commands: CommandClient, dashboards: Any
) -> None:
    own = await make_schedule()
    trigger = weekly(
        period="Monday", time="06:50", until="2999-01-01 00:00", time_zone="Europe/Berlin"
    )
    note_id = own["command"]["note_id"]
    (other,) = await dashboards.schedules.create(
        [
            NewSchedule(
                kind=NOTEBOOKS,
                owner="ann",
                name="weekly",
                notebook_id=note_id,
                body={"command_type": "SparkCommand", "note_id": note_id},
                trigger=trigger.as_dict(),
                since=datetime.now(UTC),
            )
        ]
    )
    listed = await commands.get("/scheduler?kind=notebooks")
    assert [each["id"] for each in listed["schedules"]] == [other.id]
    assert len((await commands.get("/scheduler"))["schedules"]) == 2
    path = f"/scheduler/{other.id}"
    seen = await commands.get(path)
    assert (seen["kind"], seen["trigger"]["time"], seen["frequency"]) == (
        "notebooks",
        "06:50",
        None,
    )
    assert "notebooks API" in await put(commands, path, {"name": "x"}, 409)
    error_of(await commands.ask("POST", f"{path}/duplicate", {"name": "x"}), 409)
    assert (await put(commands, path, {"status": "kill"}))["status"] == "KILLED"
