"""What was told of a schedule's runs, as the scheduler API shows it: a real receiver that fails, and is well again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.conftest import Write
from tests.schedules.receivers import receiver

from .command_client import CommandClient, error_of
from .test_scheduler_actions import PYTHON, new_code_cell


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"SchedulesManager": {"notification_tries": 1}}


async def test_a_webhook_that_failed_is_seen_and_tried_again(
    commands: CommandClient, write_notebook: Write, fires: None
) -> None:
    write_notebook("a.ipynb", new_code_cell("1 / 0"), **PYTHON)
    async with receiver() as hook:
        hook.answers = [500]
        response = await commands.ask(
            "POST",
            "/scheduler",
            {
                "command_type": "SparkCommand",
                "command": {"note_id": await commands.note_id("a.ipynb")},
                "start_time": "2012-07-01T02:00Z",
                "end_time": "2012-07-01T02:00Z",
                "frequency": 1,
                "webhook": hook.url,
            },
        )
        schedule = json.loads(response.body)
        path = f"/scheduler/{schedule['id']}/notifications"
        dead = await _told(commands, path, "dead")
        assert dead["kind"] == "webhook"
        assert dead["target"] == hook.url
        assert dead["message"]["type"] == "run.failed"
        assert "ZeroDivisionError" in dead["message"]["data"]["reason"]
        assert (dead["tries"], dead["error"]) == (1, "The receiver answered 500.")
        assert (dead["next_try"], dead["sent_at"]) == (None, None)
        # The secret was told once.
        assert schedule["webhook_secret"] not in json.dumps(dead)
        again = await commands.ask("POST", f"/notifications/{dead['id']}/retry")
        assert json.loads(again.body)["state"] == "pending"
        sent = await _told(commands, path, "sent")
        assert sent["id"] == dead["id"]
        assert sent["error"] is None
        assert len(hook.calls) == 2
    refused = await commands.ask("POST", f"/notifications/{dead['id']}/retry")
    assert error_of(refused, 422) == "The notification is sent; only a dead one is tried again."


async def test_what_is_not_there_is_not_found(commands: CommandClient) -> None:
    error_of(await commands.ask("GET", "/scheduler/77/notifications"), 404)
    error_of(await commands.ask("POST", "/notifications/77/retry"), 404)
    error_of(await commands.ask("POST", f"/notifications/{2**40}/retry"), 404)


async def _told(commands: CommandClient, path: str, state: str) -> Any:
    """The only notification, once it is in a state."""
    async with asyncio.timeout(60):
        while True:
            found = (await commands.get(path))["notifications"]
            if found and found[0]["state"] == state:
                (told,) = found
                return told
            await asyncio.sleep(0.05)
