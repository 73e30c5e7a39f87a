"""What is told of a command beside its fields: macros, names that are unknown; rerun, and deletion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.errors import Unavailable
from tests.conftest import Write

from .command_client import CommandClient, error_of

PYTHON: dict[str, Any] = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
}
START = "Command type could not be created. Errors: "


@pytest.fixture
def note(write_notebook: Write) -> str:
    """The contents path of a notebook with two parameters."""
    parameters = new_code_cell("day = ''\ntimes = 1", metadata={"tags": ["parameters"]})
    write_notebook("folder/a.ipynb", parameters, new_code_cell("print(day * times)"), **PYTHON)
    return "folder/a.ipynb"


@pytest.fixture
def note_id(commands: CommandClient, note: str, jp_asyncio_loop: Any) -> int:
    """Its id."""
    return int(jp_asyncio_loop.run_until_complete(commands.note_id(note)))


async def rerun(client: CommandClient, command: Any, status: int = 200, **headers: str) -> Any:
    response = await client.ask("POST", f"/commands/{command['id']}/rerun", **headers)
    assert response.code == status, response.body
    return json.loads(response.body)


async def cancelled(client: CommandClient, command: Any) -> None:
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})


async def test_no_503_follows_a_command_that_was_made_for_clients_would_send_it_again(
    commands: CommandClient, note_id: int, dashboards: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(waited: Any) -> Any:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(dashboards.commands.store, "running", away)
    made = await commands.submit(note_id=note_id)
    assert (made["status"], made["throttled"]) == ("waiting", False)
    # Whoever only asks may ask again.
    error_of(await commands.ask("GET", f"/commands/{made['id']}"), 503)
    await cancelled(commands, made)
    again = await rerun(commands, made)
    assert (again["is_rerun_of"], again["throttled"]) == (made["id"], False)


async def test_macros_are_resolved_when_the_command_is_made_and_shown_in_it(
    commands: CommandClient, note_id: int
) -> None:
    macros = [
        {"day": "moment('2026-03-31').subtract('days', 7).strftime('%Y-%m-%d')"},
        {"text": "'of ' + day"},
    ]
    for kind in ({}, {"command_type": "JupyterNotebookCommand", "path": "folder/a.ipynb"}):
        command = await commands.submit(
            **{"note_id": note_id, **kind}, macros=macros, arguments={"day": "$text$"}
        )
        assert command["resolved_macros"] == {"day": "2026-03-24", "text": "of 2026-03-24"}
        assert command["command"]["arguments"] == {"day": "$text$"}
    message = await commands.refused(
        command_type="SparkCommand", note_id=note_id, macros=[{"x": "eval('1')"}]
    )
    assert message.startswith(f"{START}macros: x: eval is not known there. Supported are")


@pytest.mark.usefixtures("runs")
async def test_the_notebook_runs_with_the_values_of_the_macros(
    commands: CommandClient, note_id: int
) -> None:
    command = await commands.submit(
        note_id=note_id, macros=[{"a": "'x' + 1"}], arguments={"day": "$a$ '$b$ ", "times": 2}
    )
    assert (await commands.ended(command["id"]))["status"] == "done"
    found = await commands.get(f"/commands/{command['id']}/results")
    assert found["results"] == "x1 '$b$ x1 '$b$ "
    again = await rerun(commands, command)
    assert (await commands.ended(again["id"]))["status"] == "done"
    assert (await commands.get(f"/commands/{again['id']}/results")) == found


async def test_arguments_that_the_notebook_does_not_declare_are_told_in_the_command(
    commands: CommandClient, note_id: int
) -> None:
    command = await commands.submit(note_id=note_id, arguments={"day": "1", "dya": 2, "z": 3})
    assert command["unknown_arguments"] == ["dya", "z"]
    assert (await commands.get(f"/commands/{command['id']}"))["unknown_arguments"] == ["dya", "z"]
    command = await commands.submit(note_id=note_id, arguments={"day": "1"})
    assert command["unknown_arguments"] == []


@pytest.mark.usefixtures("runs")
class TestLanguages:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"CommandsManager": {"clusters": {"here": {"kernelspec": "python3"}}}}

    async def test_the_run_looks_again_in_the_language_of_its_kernel(
        self, commands: CommandClient, write_notebook: Write
    ) -> None:
        parameters = new_code_cell("a = 1", metadata={"tags": ["parameters"]})
        for name, unknown in (("python3", ["b"]), ("not-there", [])):
            path = f"{name}.ipynb"
            write_notebook(path, parameters, kernelspec={"name": name, "display_name": "x"})
            note = await commands.note_id(path)
            command = await commands.submit(note_id=note, label="here", arguments={"b": 1})
            assert command["unknown_arguments"] == unknown
            assert (await commands.ended(command["id"]))["unknown_arguments"] == ["b"]


async def test_a_rerun_is_the_same_command_as_a_new_one(
    commands: CommandClient, note_id: int
) -> None:
    first = await commands.submit(
        command_type="JupyterNotebookCommand",
        path="folder/a.ipynb",
        name="n",
        tags=["a", "b"],
        arguments={"day": "$t$"},
        macros=[{"t": "moment().format('HH:mm:ss.SSS')"}],
        timeout=60,
        retry=1,
        retry_delay=2,
        upload_to_source=False,
    )
    refused = await rerun(commands, first, 422)
    assert "waiting" in refused["error"]["error_message"]
    await cancelled(commands, first)
    again = await rerun(commands, first)
    assert again["id"] > first["id"]
    assert (again["status"], again["is_rerun_of"], first["is_rerun_of"]) == (
        "waiting",
        first["id"],
        None,
    )
    # Also the values of its macros: what is run again is what was run.
    for field in ("name", "label", "timeout", "command", "command_type", "resolved_macros"):
        assert again[field] == first[field]
    shown = await commands.get(f"/commands/{again['id']}?include_query_properties=true")
    assert shown["tags"] == ["a", "b"]


async def test_a_rerun_has_an_idempotency_key_of_its_own(
    commands: CommandClient, note_id: int
) -> None:
    first = await commands.submit(note_id=note_id, key="k")
    await cancelled(commands, first)
    one = await rerun(commands, first, Idempotency_Key="again")
    assert (await rerun(commands, first, Idempotency_Key="again"))["id"] == one["id"]
    assert (await rerun(commands, first))["id"] > one["id"]
    refused = await rerun(commands, first, 422, Idempotency_Key="k")
    assert refused["error"]["error_message"].startswith(START)
    refused = await rerun(commands, first, 422, Idempotency_Key="k" * 129)
    assert "idempotency_key" in refused["error"]["error_message"]


async def test_a_rerun_is_of_the_notebook_where_it_lies_now(
    commands: CommandClient, note_id: int, dashboards: Any, jp_root_dir: Any
) -> None:
    first = await commands.submit(command_type="JupyterNotebookCommand", path="folder/a.ipynb")
    await cancelled(commands, first)
    (jp_root_dir / "folder" / "a.ipynb").rename(jp_root_dir / "b.ipynb")
    await dashboards.commands.notebooks.moved("folder/a.ipynb", "b.ipynb")
    assert (await rerun(commands, first))["command"]["path"] == "b.ipynb"
    (jp_root_dir / "b.ipynb").unlink()
    refused = await rerun(commands, first, 422)
    assert refused["error"]["error_message"].startswith(f"{START}The notebook of this command")


async def test_a_command_that_has_ended_is_deleted_with_all_that_it_left(
    commands: CommandClient, note_id: int
) -> None:
    command = await commands.submit(note_id=note_id, key="k")
    path = f"/commands/{command['id']}"
    message = error_of(await commands.ask("DELETE", path), 409)
    assert "waiting" in message
    await cancelled(commands, command)
    response = await commands.ask("DELETE", path + "/")
    assert (response.code, json.loads(response.body)) == (
        200,
        {"id": command["id"], "deleted": True},
    )
    for each in (path, f"{path}/results", f"{path}/logs"):
        error_of(await commands.ask("GET", each), 404)
    error_of(await commands.ask("DELETE", path), 404)
    error_of(await commands.ask("POST", f"{path}/rerun"), 404)
    assert (await commands.get("/commands"))["commands"] == []
    # Its id is never another's, and its key is free.
    assert (await commands.submit(note_id=note_id, key="k"))["id"] > command["id"]


@pytest.mark.usefixtures("runs")
class TestOnBothDatabases:
    @pytest.fixture
    def extension_config(self, database_url: str) -> dict[str, Any]:
        return {"Database": {"url": database_url}}

    async def test_log_results_and_attempts_go_with_the_command(
        self, commands: CommandClient, note_id: int, dashboards: Any
    ) -> None:
        command = await commands.submit(note_id=note_id, arguments={"day": "x"})
        assert (await commands.ended(command["id"]))["status"] == "done"
        await commands.ask("DELETE", f"/commands/{command['id']}")
        store = dashboards.commands.store
        assert await store.result_of(command["id"]) is None
        assert await store.log_of(command["id"]) == ""
        assert await store.attempts(command["id"]) == []

    async def test_whatever_a_macro_becomes_can_be_stored_and_shown(
        self, commands: CommandClient, note_id: int
    ) -> None:
        values = {"nul": "\0", "line": "\u2028\x85", "face": "🙂", "number": 1e300, "yes": True}
        macros = [{name: json.dumps(value)} for name, value in values.items()]
        command = await commands.submit(
            note_id=note_id, macros=macros, arguments={"day": "$nul$ $line$ $face$ $number$ $yes$"}
        )
        assert command["resolved_macros"] == values
        ended = await commands.ended(command["id"])
        assert (ended["status"], ended["resolved_macros"]) == ("done", values)


class TestLabels:
    @pytest.fixture(params=[{}, {"other": {}}, {"default": {"kernelspec": "python3"}}], ids=str)
    def extension_config(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return {"CommandsManager": {"clusters": request.param}}

    async def test_a_run_by_path_has_the_label_default_with_or_without_such_a_cluster(
        self,
        commands: CommandClient,
        note_id: int,
        jp_root_dir: Any,
        extension_config: dict[str, Any],
    ) -> None:
        by_path = {"command_type": "JupyterNotebookCommand"}
        for label in ({}, {"label": None}, {"label": ""}, {"label": "default"}):
            command = await commands.submit(path="folder/a.ipynb", **by_path, **label)
            assert command["label"] == "default"
        assert (await commands.submit(note_id=note_id))["label"] is None
        bare = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (jp_root_dir / "bare.ipynb").write_text(json.dumps(bare))
        if "default" in extension_config["CommandsManager"]["clusters"]:
            await commands.submit(path="bare.ipynb", **by_path)
        else:
            message = await commands.refused(path="bare.ipynb", **by_path)
            number = await commands.note_id("bare.ipynb")
            assert message == (
                f"{START}There is no cluster associated with notebook with Id: {number}"
            )
