"""Callbacks of commands, their notifications, and labels over HTTP: a real receiver that fails, and is well again."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.commands.intake import rerun_request
from jupyter_dashboards_api.schedules.ticker import LONGEST_WAIT
from tests.conftest import Write
from tests.schedules.receivers import Receiver, receiver

from .callers import Callers
from .command_client import API, CommandClient, error_of
from .scheduler_client import Make

PYTHON: dict[str, Any] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
HOOK = "https://example.org/hook"


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {
        "SchedulesManager": {"notification_tries": 1},
        "Mailer": {"host": "127.0.0.1", "from_address": "dashboards@example.org"},
        "CommandsManager": {
            "clusters": {
                "far": {
                    "gateway": {"url": "https://gateway.example.org", "token_variable": "G_TOKEN"},
                    "environment": {"PASSWORD": "hidden"},
                }
            }
        },
    }


@pytest.fixture
def note_id(commands: CommandClient, write_notebook: Write, jp_asyncio_loop: Any) -> int:
    write_notebook("a.ipynb", new_code_cell("1 / 0"), **PYTHON)
    return int(jp_asyncio_loop.run_until_complete(commands.note_id("a.ipynb")))


@pytest.fixture
def tells(dashboards: Any, jp_asyncio_loop: Any) -> Iterator[None]:
    """The server delivers what is to be told."""
    jp_asyncio_loop.run_until_complete(dashboards.schedules.start())
    yield
    jp_asyncio_loop.run_until_complete(dashboards.schedules.stop())


async def reaches(commands: CommandClient, number: int, state: str) -> Any:
    """The only notification of a command, once it is in a state."""
    async with asyncio.timeout(60):
        while True:
            found = (await commands.get(f"/commands/{number}/notifications"))["notifications"]
            if found and found[0]["state"] == state:
                (told,) = found
                return told
            await asyncio.sleep(0.05)


async def calls(hook: Receiver, count: int) -> None:
    async with asyncio.timeout(60):
        while len(hook.calls) < count:
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("runs", "tells")
async def test_a_call_that_failed_is_seen_and_tried_again(
    commands: CommandClient, note_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiver() as hook:
        hook.answers = [500]
        made = await commands.submit(note_id=note_id, callback_url=hook.url, key="k")
        number, secret = made["id"], made["callback_secret"]
        assert made["callback_url"] == hook.url
        assert secret.startswith("whsec_")
        repeated = await commands.submit(note_id=note_id, callback_url=hook.url, key="k")
        assert repeated["id"] == number
        assert "callback_secret" not in repeated
        dead = await reaches(commands, number, "dead")
        assert (dead["kind"], dead["target"]) == ("webhook", hook.url)
        assert (dead["command_id"], dead["schedule_id"]) == (number, None)
        assert dead["message"]["type"] == "command.failed"
        assert dead["message"]["data"]["error"]["ename"] == "ZeroDivisionError"
        assert (dead["tries"], dead["error"]) == (1, "The receiver answered 500.")
        again = await commands.ask("POST", f"/commands/{number}/notifications/{dead['id']}/retry")
        assert json.loads(again.body)["state"] == "pending"
        await reaches(commands, number, "sent")
        assert len(hook.calls) == 2
    refused = await commands.ask("POST", f"/commands/{number}/notifications/{dead['id']}/retry")
    assert error_of(refused, 422) == "The notification is sent; only a dead one is tried again."
    # The secret was told once.
    one = f"/commands/{number}"
    answers = [
        await commands.ask("GET", path)
        for path in (
            one,
            f"{one}?include_query_properties=true",
            f"{one}/notifications",
            f"{one}/logs",
            f"{one}/status_with_results",
            "/commands",
        )
    ]
    # Nor does a rerun, which may be somebody else's, call or tell it.
    rerun = await commands.ask("POST", f"{one}/rerun")
    assert json.loads(rerun.body)["callback_url"] is None
    for answer in (*answers, rerun, again):
        assert answer.code == 200
        assert secret.encode() not in answer.body
        assert b"callback_secret" not in answer.body
    assert f"Notification {dead['id']} of command {number}" in caplog.text
    assert secret not in caplog.text


@pytest.mark.usefixtures("runs", "tells")
async def test_the_retry_of_schedules_works_for_commands_and_only_its_own_for_each(
    commands: CommandClient, note_id: int
) -> None:
    async with receiver() as hook:
        hook.answers = [500]
        made = await commands.submit(note_id=note_id, callback_url=hook.url)
        other = await commands.submit(note_id=note_id)
        dead = await reaches(commands, made["id"], "dead")
        path = f"/commands/{other['id']}/notifications"
        assert (await commands.get(path))["notifications"] == []
        error_of(await commands.ask("POST", f"{path}/{dead['id']}/retry"), 404)
        again = await commands.ask("POST", f"/notifications/{dead['id']}/retry")
        assert json.loads(again.body)["state"] == "pending"
        await calls(hook, 2)


@pytest.mark.usefixtures("tells")
async def test_the_call_is_made_when_the_command_ends_and_not_when_the_server_looks_anyway(
    commands: CommandClient, note_id: int
) -> None:
    async with receiver() as hook:
        made = await commands.submit(note_id=note_id, callback_url=hook.url)
        async with asyncio.timeout(LONGEST_WAIT / 2):
            await commands.ask("PUT", f"/commands/{made['id']}", {"status": "kill"})
            await calls(hook, 1)
    ((_, body),) = hook.calls
    assert json.loads(body)["type"] == "command.cancelled"


async def test_all_types_take_a_callback_and_a_wrong_one_is_refused(
    commands: CommandClient, note_id: int
) -> None:
    secret = "a secret of sixteen bytes or more"
    kinds: tuple[dict[str, Any], ...] = (
        {"command_type": "SparkCommand", "note_id": note_id},
        {"command_type": "JupyterNotebookCommand", "path": "a.ipynb"},
        {
            "command_type": "NotebookConvertCommand",
            "resourceId": note_id,
            "resourceType": "Note",
            "fileFormat": "html",
        },
    )
    for kind in kinds:
        made = await commands.submit(**kind, callback_url=HOOK, callback_secret=secret)
        assert (made["callback_url"], made["callback_secret"]) == (HOOK, secret)
        shown = await commands.get(f"/commands/{made['id']}")
        assert shown["callback_url"] == HOOK
        assert secret not in json.dumps(shown)
        without = await commands.submit(**kind)
        assert without["callback_url"] is None
        assert "callback_secret" not in without
        message = await commands.refused(**kind, callback_url="ftp://example.org")
        assert "callback_url must be an address" in message


async def test_a_schedule_has_a_webhook_in_its_place(make_schedule: Make) -> None:
    for fields in (
        {"callback_url": HOOK},
        {"command": {"note_id": 1, "callback_url": HOOK}},
        {"command": {"note_id": 1, "callback_secret": "x" * 20}},
    ):
        message = await make_schedule(422, **fields)
        assert message == "callback_url is for single commands: a schedule has webhook."


async def test_the_owner_gets_a_mail_if_it_can_be_sent_and_who_reruns_it_gets_that(
    commands: CommandClient, dashboards: Any, note_id: int
) -> None:
    intake, body = dashboards.commands.intake, {"command_type": "SparkCommand", "note_id": note_id}
    asks = {**body, "can_notify": True}
    ann, ben = "ann@example.org", "ben@example.org"
    assert (await intake.of_body(asks, ann)).mail_to == ann
    assert (await intake.of_body(asks, "ann")).mail_to is None
    assert (await intake.of_body(body, ann)).mail_to is None
    made = await dashboards.commands.submit(await intake.of_body(asks, ann))
    _, ended = await dashboards.commands.cancel(made.id)
    assert (await intake.again(rerun_request(ended, ben, None))).mail_to == ben
    assert (await intake.again(rerun_request(ended, "ben", None))).mail_to is None
    (told,) = (await commands.get(f"/commands/{made.id}/notifications"))["notifications"]
    assert (told["kind"], told["target"]) == ("mail", [ann])
    dashboards.commands.mailer.host = ""
    assert (await intake.of_body(asks, ann)).mail_to is None


async def test_notifications_and_labels_need_the_scope_of_commands(
    commands: CommandClient, callers: Callers, note_id: int
) -> None:
    made = await commands.submit(note_id=note_id, callback_url=HOOK)
    await commands.ask("PUT", f"/commands/{made['id']}", {"status": "kill"})
    path = f"{API}/commands/{made['id']}/notifications"
    (told,) = (await commands.get(f"/commands/{made['id']}/notifications"))["notifications"]
    retry = f"{path}/{told['id']}/retry"
    reader, runner = await callers.key("command:read"), await callers.key("command:write")
    schedules = await callers.key("schedule:read", "notebook:write", "dashboard:write")
    for client in (await callers.viewer("ann"), schedules):
        for method, asked in (("GET", path), ("POST", retry), ("GET", f"{API}/labels")):
            assert (await client.send(method, asked)).code == 403
    for asked in (path, f"{API}/labels"):
        assert (await callers.nobody().send("GET", asked)).code == 401
        assert (await reader.send("GET", asked)).code == 200
    assert (await reader.send("POST", retry)).code == 403
    # It is past the permission: the call waits as yet.
    assert (await runner.send("POST", retry)).code == 422
    # Who may only run commands does not reach those of schedules.
    assert (await runner.send("POST", f"{API}/notifications/{told['id']}/retry")).code == 403


async def test_labels_tell_nothing_of_addresses_tokens_and_environments(
    commands: CommandClient,
) -> None:
    found = await commands.get("/labels")
    assert [each["label"] for each in found["labels"]] == ["default", "far"]
    assert found["labels"][1] == {
        "label": "far",
        "kernelspec": None,
        "gateway": True,
        "spark": False,
        "limits": {},
        "max_running": None,
    }
    assert await commands.get("/labels/") == found


async def test_what_is_not_there_is_not_found(commands: CommandClient) -> None:
    for number in (77, 2**40):
        error_of(await commands.ask("GET", f"/commands/{number}/notifications"), 404)
        error_of(await commands.ask("POST", f"/commands/{number}/notifications/1/retry"), 404)
