"""Actions and instances of the scheduler API: what has come of schedules, row by row of the API's documentation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.errors import Unavailable
from jupyter_dashboards_api.schedules import lost
from tests.conftest import Write

from .command_client import CommandClient, error_of

PYTHON: dict[str, Any] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}

Make = Callable[..., Awaitable[Any]]


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"SchedulesManager": {"max_reruns": 2, "dependency_poll": 0.1}}


@pytest.fixture
def make(commands: CommandClient, write_notebook: Write) -> Make:
    """Makes a schedule with three nominal times, all of them past."""
    write_notebook("a.ipynb", new_code_cell("print('seen')"), **PYTHON)

    async def post(**fields: Any) -> Any:
        body = {
            "command_type": "SparkCommand",
            "command": {"note_id": await commands.note_id("a.ipynb")},
            "start_time": "2012-07-01T02:00Z",
            "end_time": "2012-07-03T02:00Z",
            "frequency": 1,
            **fields,
        }
        response = await commands.ask("POST", "/scheduler", body)
        assert response.code == 200, response.body
        return json.loads(response.body)

    return post


@pytest.fixture
def fire(dashboards: Any) -> Callable[[], Awaitable[None]]:
    """Fires what is due, once: nothing does so by itself, since no extension is started here."""

    async def look() -> None:
        await dashboards.schedules.store.look(datetime.now(UTC))

    return look


async def polls(commands: CommandClient, path: str) -> AsyncIterator[Any]:
    while True:
        yield await commands.get(path)
        await asyncio.sleep(0.05)


async def actions_of(commands: CommandClient, schedule: Any, *, done: int) -> list[Any]:
    """A schedule's actions, once so many of them are done."""
    async for found in polls(commands, f"/scheduler/{schedule['id']}/actions"):
        actions = found["actions"]
        if sum(each["done"] for each in actions) >= done:
            return list(actions)
    raise AssertionError


async def ask(commands: CommandClient, method: str, path: str) -> Any:
    """The JSON of an answer to a request with an empty body, as clients send it."""
    response = await commands.ask(method, path)
    assert response.code == 200, response.body
    return json.loads(response.body)


async def test_an_action_is_the_documented_one_field_by_field(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    schedule = await make()
    await fire()
    (action,) = (await commands.get(f"/scheduler/{schedule['id']}/actions"))["actions"]
    command = await commands.get(f"/commands/{action['query_hist_id']}")
    documented = {
        "sequence_id": 1,
        "status": "submitted",
        "done": False,
        "nominal_time": "2012-07-01T02:00Z",
        "is_rerun_of": None,
        "rerun_number": 0,
        "query_hist_id": command["id"],
        "periodic_job_id": schedule["id"],
        "dependencies": {"found": [], "not_found": []},
        "command": {name: command[name] for name in command if name != "attempts"},
    }
    assert {name: action[name] for name in documented} == documented
    assert datetime.fromisoformat(action["created_at"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert await commands.get(f"/actions/{action['id']}") == action
    assert (await commands.get("/actions"))["actions"] == [action]
    seen = await commands.get(f"/scheduler/{schedule['id']}")
    assert seen["next_materialized_time"] == "2012-07-02T02:00Z"


async def test_a_scheduled_command_says_so_and_when_it_was_due(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    await make(name="nightly", label="default", tags=["t"])
    await fire()
    (command,) = (await commands.get("/commands?command_source=SCHEDULED"))["commands"]
    assert command["command_source"] == "SCHEDULED"
    assert (command["nominal_time"], command["sequence_id"]) == ("2012-07-01T02:00Z", 1)
    assert (command["name"], command["label"]) == ("nightly", "default")
    by_hand = await commands.submit(note_id=await commands.note_id("a.ipynb"))
    assert (by_hand["nominal_time"], by_hand["sequence_id"]) == (None, None)


async def test_missed_runs_are_made_up_for_and_then_the_schedule_is_done(
    make: Make, commands: CommandClient, fires: None
) -> None:
    schedule = await make()
    actions = await actions_of(commands, schedule, done=3)
    assert [each["nominal_time"] for each in actions] == [
        f"2012-07-0{day}T02:00Z" for day in (3, 2, 1)
    ]
    assert [each["sequence_id"] for each in actions] == [3, 2, 1]
    assert {each["status"] for each in actions} == {"done"}
    path = f"/scheduler/{schedule['id']}"
    seen = await commands.get(path)
    assert (seen["status"], seen["next_materialized_time"]) == ("DONE", None)
    # It may still be named otherwise, and goes on when it ends later.
    renamed = await commands.ask("PUT", path, {"name": "over"})
    assert (renamed.code, json.loads(renamed.body)["status"]) == (200, "DONE")
    clone = await commands.ask("POST", f"{path}/duplicate", {"name": "another"})
    assert error_of(clone, 422).startswith("end_time")
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    later = await commands.ask("PUT", path, {"end_time": "2999-01-01T00:00Z"})
    assert json.loads(later.body)["status"] == "RUNNING"
    following = datetime.fromisoformat(json.loads(later.body)["next_materialized_time"])
    assert following >= minute


async def test_no_catch_up_skips_what_was_missed(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    await make(no_catch_up=True, end_time=None)
    await fire()
    assert (await commands.get("/actions"))["actions"] == []


async def test_concurrency_is_how_many_actions_go_on_at_once(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    for most in (1, 2, 3):
        schedule = await make(concurrency=most)
        for _ in range(2):
            await fire()
        found = await commands.get(f"/scheduler/{schedule['id']}/actions")
        assert len(found["actions"]) == most


async def test_a_command_has_the_label_the_tags_and_the_retries_of_its_schedule(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    await make(label="default", tags="a,b", retry="2", retry_delay=5, pool="p")
    await fire()
    (action,) = (await commands.get("/actions"))["actions"]
    path = f"/commands/{action['query_hist_id']}?include_query_properties=true"
    command = await commands.get(path)
    assert (command["label"], command["pool"], command["tags"]) == ("default", "p", ["a", "b"])
    assert command["command"]["retry"] == 2


async def test_a_conversion_is_scheduled_as_a_run_is(
    make: Make, commands: CommandClient, fires: None
) -> None:
    note_id = await commands.note_id("a.ipynb")
    schedule = await make(
        command_type="NotebookConvertCommand",
        command={"resourceId": note_id, "resourceType": "Note", "fileFormat": "html"},
        end_time="2012-07-01T02:00Z",
    )
    (action,) = await actions_of(commands, schedule, done=1)
    assert action["status"] == "done"
    results = f"/scheduler/{schedule['id']}/instances/{action['query_hist_id']}/results"
    location = (await commands.get(results))["result_location"][0]
    page = await commands.ask("GET", f"/{location}")
    assert page.headers["Content-Type"].startswith("text/html")
    raw = await commands.ask("GET", f"{results}?raw=true")
    assert raw.body == page.body


async def test_instances_are_the_schedule_s_commands_with_logs_and_results(
    make: Make, commands: CommandClient, fires: None
) -> None:
    schedule, other = await make(end_time="2012-07-02T02:00Z"), await make()
    await actions_of(commands, schedule, done=2)
    path = f"/scheduler/{schedule['id']}/instances"
    found = await commands.get(path)
    assert [each["sequence_id"] for each in found["commands"]] == [2, 1]
    assert found["paging_info"]["next_page"] is None
    number = found["commands"][0]["id"]
    one = await commands.get(f"{path}/{number}")
    assert one == found["commands"][0]
    log = await commands.ask("GET", f"{path}/{number}/logs")
    assert "Attempt 1 on" in log.body.decode()
    assert log.headers["err_length"] == str(len(log.body))
    assert (await commands.get(f"{path}/{number}/results"))["results"] == "seen"
    for part in ("", "/logs", "/results"):
        foreign = f"/scheduler/{other['id']}/instances/{number}{part}"
        error_of(await commands.ask("GET", foreign), 404)
    by_hand = await commands.submit(note_id=await commands.note_id("a.ipynb"))
    error_of(await commands.ask("GET", f"{path}/{by_hand['id']}"), 404)


async def test_no_503_follows_what_was_made_for_clients_would_send_it_again(
    make: Make, commands: CommandClient, fire: Any, dashboards: Any, monkeypatch: Any
) -> None:
    async def away(*_: Any) -> Any:
        raise Unavailable("The database does not answer.")

    schedule = await make()
    await fire()
    (action,) = (await commands.get("/actions"))["actions"]
    await ask(commands, "PUT", f"/actions/{action['id']}/kill")
    monkeypatch.setattr(dashboards.commands.store, "some", away)
    again = await ask(commands, "POST", f"/actions/{action['id']}/rerun")
    assert (again["is_rerun_of"], again["status"]) == (action["id"], "submitted")
    by_hand = await ask(commands, "POST", f"/scheduler/{schedule['id']}/run")
    # Whoever only asks may ask again.
    error_of(await commands.ask("GET", f"/actions/{by_hand['id']}"), 503)
    monkeypatch.undo()
    found = (await commands.get("/actions"))["actions"]
    assert [each["id"] for each in found] == [by_hand["id"], again["id"], action["id"]]

    monkeypatch.setattr(dashboards.commands.notebooks, "by_id", away)
    made = await make(command_type="JupyterNotebookCommand", command={"path": "a.ipynb"})
    error_of(await commands.ask("GET", f"/scheduler/{made['id']}"), 503)


async def test_a_schedule_writes_its_outputs_back_where_that_is_asked_for(
    make: Make, commands: CommandClient, fires: None, jp_root_dir: Path
) -> None:
    file = jp_root_dir / "a.ipynb"
    once = {"end_time": "2012-07-01T02:00Z"}
    schedule = await make(**once)
    before = file.read_bytes()
    assert schedule["upload_to_source"] is None
    await actions_of(commands, schedule, done=1)
    assert file.read_bytes() == before
    schedule = await make(**once, upload_to_source=True)
    assert schedule["upload_to_source"] is True
    await actions_of(commands, schedule, done=1)
    assert "seen" in str(json.loads(file.read_text())["cells"][0]["outputs"])


async def test_a_rerun_is_another_action_of_the_same_time_and_there_is_a_limit(
    make: Make, commands: CommandClient, fires: None
) -> None:
    schedule = await make(end_time="2012-07-01T02:00Z")
    (first,) = await actions_of(commands, schedule, done=1)
    again = await ask(commands, "POST", f"/actions/{first['id']}/rerun")
    assert (again["is_rerun_of"], again["rerun_number"]) == (first["id"], 1)
    assert again["status"] == "submitted"
    same = ("sequence_id", "nominal_time", "periodic_job_id")
    assert [again[name] for name in same] == [first[name] for name in same]
    assert again["query_hist_id"] != first["query_hist_id"]
    instance = f"/scheduler/{schedule['id']}/instances/{first['query_hist_id']}"
    third = await ask(commands, "POST", f"{instance}/rerun")
    assert third["status"] == "submitted"
    assert third["rerun_number"] == 2
    await actions_of(commands, schedule, done=3)
    listed = (await commands.get(f"/scheduler/{schedule['id']}/actions/1"))["actions"]
    assert [each["rerun_number"] for each in listed] == [2, 1, 0]
    assert (await commands.get(f"/scheduler/{schedule['id']}/actions/2"))["actions"] == []
    for path in (f"/actions/{first['id']}", instance):
        message = error_of(await commands.ask("POST", f"{path}/rerun"), 422)
        assert "2 times" in message


async def test_an_action_that_has_not_ended_is_not_run_again(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    await make()
    await fire()
    (action,) = (await commands.get("/actions"))["actions"]
    error_of(await commands.ask("POST", f"/actions/{action['id']}/rerun"), 422)


async def test_an_action_is_killed_with_its_command_and_only_once(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    await make()
    await fire()
    (action,) = (await commands.get("/actions"))["actions"]
    path = f"/actions/{action['id']}"
    assert await ask(commands, "PUT", f"{path}/kill") == {"kill_succeeded": "true"}
    killed = await commands.get(path)
    assert (killed["status"], killed["done"]) == ("cancelled", True)
    assert killed["command"]["status"] == "cancelled"
    again = await ask(commands, "PUT", f"{path}/kill")
    assert again["kill_succeeded"] == "false"
    assert "cancelled" in again["result"]


async def test_a_run_now_is_an_action_besides_the_nominal_times(
    make: Make, commands: CommandClient
) -> None:
    schedule = await make(start_time="2999-01-01T00:00Z", end_time=None)
    action = await ask(commands, "POST", f"/scheduler/{schedule['id']}/run")
    assert (action["sequence_id"], action["status"]) == (1, "submitted")
    nominal = datetime.fromisoformat(action["nominal_time"])
    assert abs(datetime.now(UTC) - nominal) < timedelta(minutes=2)
    seen = await commands.get(f"/scheduler/{schedule['id']}")
    assert seen["next_materialized_time"] == "2999-01-01T00:00Z"


async def test_a_failure_and_a_notebook_that_is_gone_are_told_by_the_action(
    make: Make, commands: CommandClient, fires: None, write_notebook: Write, dashboards: Any
) -> None:
    write_notebook("failing.ipynb", new_code_cell("1 / 0"), **PYTHON)
    note_id = await commands.note_id("failing.ipynb")
    failing = await make(command={"note_id": note_id}, end_time="2012-07-01T02:00Z")
    (failed,) = await actions_of(commands, failing, done=1)
    assert failed["status"] == "error"
    assert failed["command"]["error"]["ename"] == "ZeroDivisionError"
    assert failed["reason"] == failed["command"]["error"]["message"]
    await dashboards.commands.contents.delete("failing.ipynb")
    # The registry is told of it by the contents manager.
    await dashboards.access.notebooks.informed()
    gone = await ask(commands, "POST", f"/actions/{failed['id']}/rerun")
    assert (gone["status"], gone["done"], gone["command"]) == ("not_found", True, None)
    assert gone["reason"]


async def test_a_notebook_whose_file_has_vanished_is_not_found_and_makes_no_command(
    make: Make,
    commands: CommandClient,
    dashboards: Any,
    jp_root_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lost, "PATIENCE", 60.0)
    once = {"end_time": "2012-07-01T02:00Z", "time_out": 5}
    by_id = await make(**once)
    await make(**once, command_type="JupyterNotebookCommand", command={"path": "a.ipynb"})
    (jp_root_dir / "there.csv").write_text("1")
    await make(**once, dependency_info={"files": ["there.csv"]})
    (jp_root_dir / "a.ipynb").unlink()
    # Due ones, one of which waits for its file first; by hand; and again.
    await dashboards.schedules._look(datetime.now(UTC))
    await dashboards.schedules._look_for_files(datetime.now(UTC))
    by_hand = await ask(commands, "POST", f"/scheduler/{by_id['id']}/run")
    await ask(commands, "POST", f"/actions/{by_hand['id']}/rerun")
    actions = (await commands.get("/actions"))["actions"]
    assert len(actions) == 5
    for each in actions:
        assert (each["status"], each["done"], each["command"]) == ("not_found", True, None)
        assert each["reason"] == "The schedule's notebook is not there any more."
    assert (await commands.get("/commands"))["commands"] == []


async def test_actions_come_in_pages(make: Make, commands: CommandClient, fires: None) -> None:
    schedule = await make()
    await actions_of(commands, schedule, done=3)
    for path in ("/actions", f"/scheduler/{schedule['id']}/actions"):
        found = await commands.get(f"{path}?page=2&per_page=2")
        assert [each["sequence_id"] for each in found["actions"]] == [1]
        assert found["paging_info"] == {"previous_page": 1, "next_page": None, "per_page": 2}
        error_of(await commands.ask("GET", f"{path}?page=x"), 400)
    found = await commands.get(f"/scheduler/{schedule['id']}/instances?per_page=1")
    assert [each["sequence_id"] for each in found["commands"]] == [3]
    assert found["paging_info"]["next_page"] == 2


async def test_what_is_not_there_is_404(commands: CommandClient) -> None:
    for number in ("999", "99999999999999999999"):
        for method, part in (("GET", ""), ("PUT", "/kill"), ("POST", "/rerun")):
            error_of(await commands.ask(method, f"/actions/{number}{part}"), 404)


async def test_a_run_waits_for_its_files_and_names_those_that_are_missing(
    make: Make, commands: CommandClient, fires: None, jp_root_dir: Path
) -> None:
    (jp_root_dir / "there.csv").write_text("1")
    schedule = await make(
        end_time="2012-07-01T02:00Z",
        dependency_info={"files": [{"path": "there.csv"}, "sales-%Y-%m-%d.csv"]},
    )
    path = f"/scheduler/{schedule['id']}/actions"
    action = None
    async for found in polls(commands, path):
        if found["actions"]:
            (action,) = found["actions"]
            break
    assert action is not None
    assert (action["status"], action["done"]) == ("waiting for dependencies", False)
    assert (action["command"], action["query_hist_id"]) == (None, None)
    assert action["dependencies"] == {
        "found": ["there.csv"],
        "not_found": ["sales-2012-07-01.csv"],
    }
    (jp_root_dir / "sales-2012-07-01.csv").write_text("1")
    (action,) = await actions_of(commands, schedule, done=1)
    assert action["status"] == "done"
    assert action["dependencies"]["not_found"] == []


async def test_an_action_that_waits_is_killed_without_a_command(
    make: Make, commands: CommandClient, fire: Any
) -> None:
    await make(dependency_info={"files": ["never.csv"]})
    await fire()
    (action,) = (await commands.get("/actions"))["actions"]
    assert await ask(commands, "PUT", f"/actions/{action['id']}/kill") == {"kill_succeeded": "true"}
    killed = await commands.get(f"/actions/{action['id']}")
    assert (killed["status"], killed["done"], killed["command"]) == ("cancelled", True, None)
    assert killed["dependencies"] == {"found": [], "not_found": []}
    again = await ask(commands, "PUT", f"/actions/{action['id']}/kill")
    assert again["kill_succeeded"] == "false"


async def test_an_action_whose_files_come_while_it_is_killed_is_killed_all_the_same(
    make: Make,
    commands: CommandClient,
    fire: Any,
    dashboards: Any,
    jp_root_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await make(dependency_info={"files": ["late.csv"]})
    await fire()
    (action,) = (await commands.get("/actions"))["actions"]
    waiting = dashboards.schedules.waiting
    cancel = waiting.cancel

    async def too_late(action_id: int) -> bool:
        (jp_root_dir / "late.csv").write_text("1")
        assert (await waiting.look(datetime.now(UTC))).command_ids
        return bool(await cancel(action_id))

    monkeypatch.setattr(waiting, "cancel", too_late)
    assert await ask(commands, "PUT", f"/actions/{action['id']}/kill") == {"kill_succeeded": "true"}
    killed = await commands.get(f"/actions/{action['id']}")
    assert killed["command"]["status"] == "cancelled"
