"""How much one owner may have waiting: beyond it, nothing is made."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write

from .command_client import CommandClient, error_of
from .notebooks_client import NotebooksClient, later
from .scheduler_client import Make

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


@pytest.fixture
def extension_config(database_url: str) -> dict[str, Any]:
    return {
        "Database": {"url": database_url},
        "AccessManager": {"token_user": "admin"},
        "CommandsManager": {"max_waiting_commands": 2},
        "SchedulesManager": {"max_schedules": 2},
    }


async def count(commands: CommandClient) -> int:
    return len((await commands.get("/commands"))["commands"])


async def test_a_command_too_many_is_429_until_there_is_room(
    commands: CommandClient, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_code_cell("1"), **PYTHON)
    body = {"command_type": "SparkCommand", "note_id": await commands.note_id("a.ipynb")}
    first = await commands.submit(**body, key="a key")
    await commands.submit(**body)
    response = await commands.ask("POST", "/commands", body)
    assert "2 of your commands wait already" in error_of(response, 429)
    assert int(response.headers["Retry-After"]) > 0
    assert await count(commands) == 2
    # What is there already takes no room.
    assert (await commands.submit(**body, key="a key"))["id"] == first["id"]
    await commands.ask("PUT", f"/commands/{first['id']}", {"status": "kill"})
    await commands.submit(**body)
    again = await commands.ask("POST", f"/commands/{first['id']}/rerun")
    assert "wait already" in error_of(again, 429)
    assert await count(commands) == 3


async def test_of_notebooks_that_are_too_many_none_runs(
    commands: CommandClient, notebooks: NotebooksClient
) -> None:
    made = [await notebooks.create() for _ in range(3)]
    message = await notebooks.bad(429, "POST", "_run", {"nbkIds": made})
    assert "wait already" in message
    assert await count(commands) == 0


async def test_a_schedule_too_many_is_refused_until_one_has_ended(
    commands: CommandClient, make_schedule: Make
) -> None:
    first = await make_schedule()
    ended = await make_schedule()
    await commands.ask("PUT", f"/scheduler/{ended['id']}", {"status": "kill"})
    await make_schedule()
    assert "more than 2 schedules" in await make_schedule(422)
    await commands.ask("PUT", f"/scheduler/{first['id']}", {"status": "suspend"})
    assert "more than 2 schedules" in await make_schedule(422)
    await commands.ask("PUT", f"/scheduler/{first['id']}", {"status": "kill"})
    await make_schedule()


async def test_of_scheduled_notebooks_that_are_too_many_none_is_scheduled(
    notebooks: NotebooksClient,
) -> None:
    made = [await notebooks.create() for _ in range(3)]
    plan = {"period": "Monday", "time": "06:50", "until": later(days=30)}
    message = await notebooks.bad(400, "POST", "_schedule", {"nbkIds": made, **plan})
    assert "more than 2 schedules" in message
    assert {each["status"] for each in await notebooks.good("GET", "_all")} == {"Not Scheduled"}
