"""`POST /api/v1.2/commands`: what is taken, what its answer is, and what is refused in which words."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write

from .command_client import CommandClient, error_of

PYTHON: dict[str, Any] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
START = "Command type could not be created. Errors: "


@pytest.fixture
def note(write_notebook: Write) -> str:
    """The contents path of a notebook that can run."""
    write_notebook("folder/a note.ipynb", new_code_cell("1 + 1"), **PYTHON)
    return "folder/a%20note.ipynb"


async def test_the_answer_is_the_command_object_field_by_field(
    commands: CommandClient, note: str
) -> None:
    note_id = await commands.note_id(note)
    command = await commands.submit(
        name="note_command",
        language="notebook",
        note_id=str(note_id),
        tag="notes",
        label="spark1",
    )
    number = command["id"]
    day = command["created_at"][:10]
    # The field of a documented answer, one after the other.
    documented = {
        "id": number,
        "path": f"/tmp/{day}/1/{number}",
        "status": "waiting",
        "created_at": command["created_at"],
        "command_type": "SparkCommand",
        "progress": 0,
        "qbol_session_id": None,
        "qlog": None,
        "resolved_macros": None,
        "pid": None,
        "template": "generic",
        "submit_time": command["submit_time"],
        "start_time": None,
        "end_time": None,
        "can_notify": False,
        "num_result_dir": 0,
        "pool": None,
        "timeout": None,
        "name": "note_command",
        "command_source": "API",
        "account_id": 1,
        "saved_query_mutable_id": None,
        "user_id": command["user_id"],
        "label": "spark1",
        "meta_data": {
            "results_resource": f"commands/{number}/results",
            "logs_resource": f"commands/{number}/logs",
        },
        "uid": command["user_id"],
        "perms": None,
        "command": {
            "cmdline": None,
            "language": "notebook",
            "note_id": note_id,
            "program": None,
            "arguments": "",
            "user_program_arguments": None,
            "sql": None,
            "md_cmd": True,
            "app_id": None,
            "retry": 0,
        },
        "instance": None,
    }
    assert {name: command[name] for name in documented} == documented
    assert type(command["id"]) is type(command["user_id"]) is type(command["submit_time"]) is int


async def test_created_at_is_a_text_in_utc_and_the_other_times_are_unix_seconds(
    commands: CommandClient, note: str
) -> None:
    command = await commands.submit(note_id=await commands.note_id(note))
    for field in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", command[field])
    created = datetime.fromisoformat(command["created_at"])
    assert int(created.timestamp()) == command["submit_time"]


@pytest.mark.parametrize("path", ["/commands", "/commands/"])
@pytest.mark.parametrize("api", ["/api/v1.2", "/api/latest"])
async def test_both_spellings_of_the_version_and_a_slash_at_the_end_are_the_same_route(
    commands: CommandClient, note: str, api: str, path: str
) -> None:
    note_id = await commands.note_id(note)
    body = {"command_type": "SparkCommand", "note_id": note_id}
    response = await commands.ask("POST", path, body, api=api)
    assert response.code == 200
    number = json.loads(response.body)["id"]
    for each in (path, f"/commands/{number}", f"/commands/{number}/", f"/commands/{number}/logs/"):
        assert (await commands.ask("GET", each, api=api)).code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_is_json_whatever_the_client_calls_it(
    commands: CommandClient, note: str, kind: str
) -> None:
    body = {"command_type": "SparkCommand", "note_id": await commands.note_id(note)}
    assert (await commands.ask("POST", "/commands", body, Content_Type=kind)).code == 200


@pytest.mark.parametrize("arguments", [{"Name": "AssetNote", "Year": "2017"}, '{"a": [1, null]}'])
async def test_arguments_are_echoed_as_they_were_sent(
    commands: CommandClient, note: str, arguments: Any
) -> None:
    command = await commands.submit(note_id=await commands.note_id(note), arguments=arguments)
    assert command["command"]["arguments"] == arguments


async def test_the_names_of_arguments_are_those_of_the_notebook_s_language(
    commands: CommandClient, note: str, write_notebook: Write
) -> None:
    number = await commands.note_id(note)
    for name in ("class", "lambda", "my.var"):
        refusal = await commands.refused(
            command_type="SparkCommand", note_id=number, arguments={name: 1}
        )
        assert f"'{name}' can't be the name of an argument of this kernel's language" in refusal
    await commands.submit(note_id=number, arguments={"größe": 1})
    write_notebook("r.ipynb", new_code_cell("1"), language_info={"name": "R"}, **PYTHON)
    in_r = await commands.note_id("r.ipynb")
    await commands.submit(note_id=in_r, arguments={"lambda": 1, "class": 2, "my.var": 3})


async def test_a_notebook_is_run_by_its_path_too(commands: CommandClient, note: str) -> None:
    note_id = await commands.note_id(note)
    for path in ("folder/a note.ipynb", "/folder/a note.ipynb"):
        command = await commands.submit(
            command_type="JupyterNotebookCommand",
            path=path,
            arguments='{"x": 1}',
            label=None,
            retry="2",
            retry_delay=5,
            timeout="60",
            upload_to_source=False,
        )
        assert command["command_type"] == "JupyterNotebookCommand"
        assert command["timeout"] == 60
        assert command["command"]["path"] == path
        assert command["command"]["note_id"] == note_id
        assert command["command"]["retry"] == 2
        assert command["command"]["upload_to_source"] is False


async def test_an_unknown_note_is_422_in_the_documented_words(
    commands: CommandClient, note: str
) -> None:
    for note_id in (12321, "12321", 0):
        message = await commands.refused(
            command_type="SparkCommand", note_id=note_id, label="spark1"
        )
        assert message == (
            f"{START}There is no spark notebook for account 1 with Id: {int(note_id)}"
        )


async def test_a_deleted_note_is_an_unknown_note(
    commands: CommandClient, note: str, jp_root_dir: Any
) -> None:
    note_id = await commands.note_id(note)
    (jp_root_dir / "folder" / "a note.ipynb").unlink()
    message = await commands.refused(command_type="SparkCommand", note_id=note_id)
    assert message == f"{START}There is no spark notebook for account 1 with Id: {note_id}"


@pytest.mark.parametrize("metadata", [{}, {"kernelspec": {"name": "", "display_name": ""}}])
async def test_a_note_with_neither_kernelspec_nor_label_is_422_in_the_documented_words(
    commands: CommandClient, jp_root_dir: Any, metadata: dict[str, Any]
) -> None:
    notebook = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (jp_root_dir / "bare.ipynb").write_text(json.dumps(notebook))
    note_id = await commands.note_id("bare.ipynb")
    message = await commands.refused(
        command_type="SparkCommand", language="notebook", note_id=str(note_id), tag="notes"
    )
    assert message == f"{START}There is no cluster associated with notebook with Id: {note_id}"


@pytest.mark.parametrize(
    "path",
    [
        "missing.ipynb",
        "../a.ipynb",
        "folder/../folder/a.ipynb",
        ".hidden.ipynb",
        "folder\\a.ipynb",
        "a\x01.ipynb",
        f"{'x' * 300}.ipynb",
        "x/" * 500 + "a.ipynb",
        "folder.ipynb",
    ],
)
async def test_bad_paths_are_422(
    commands: CommandClient, jp_root_dir: Any, note: str, path: str
) -> None:
    (jp_root_dir / "folder.ipynb").mkdir()
    message = await commands.refused(command_type="JupyterNotebookCommand", path=path)
    assert message.startswith(START)


async def test_a_file_that_is_no_notebook_is_422(commands: CommandClient, jp_root_dir: Any) -> None:
    (jp_root_dir / "broken.ipynb").write_text("{")
    message = await commands.refused(command_type="JupyterNotebookCommand", path="broken.ipynb")
    assert message.startswith(START)


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"name": "a&b"}, "name"),
        ({"tags": ["x" * 256]}, "tag"),
        ({"arguments": "no json"}, "Arguments"),
        ({"arguments": {"a b": 1}}, "argument"),
        ({"retry": 4}, "retry"),
        ({"timeout": "soon"}, "timeout"),
        ({"note_id": None}, "note_id"),
        ({"command_type": "HiveCommand"}, "command_type"),
    ],
)
async def test_a_bad_field_is_422_with_the_field_s_name(
    commands: CommandClient, fields: dict[str, Any], part: str
) -> None:
    message = await commands.refused(**{"command_type": "SparkCommand", "note_id": 1, **fields})
    assert message.startswith(START)
    assert part in message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b'{"a":' * 90_000, 400),
        (b'{"command_type": ' + b"[" * 300 + b"]" * 300 + b"}", 400),
        (b'{"note_id": ' + b"9" * 5000 + b"}", 400),
        (b" " * (3 * 1024 * 1024), 413),
        (b"", 422),
        (b"{}", 422),
    ],
)
async def test_bodies_that_are_no_command_are_the_caller_s_fault(
    commands: CommandClient, body: bytes, status: int
) -> None:
    error_of(await commands.ask("POST", "/commands", body), status)


async def test_the_same_idempotency_key_and_body_is_the_same_command(
    commands: CommandClient, note: str, jp_root_dir: Any
) -> None:
    note_id = await commands.note_id(note)
    first = await commands.submit(note_id=note_id, name="n", key="k1")
    again = await commands.submit(note_id=note_id, name="n", key="k1")
    field = await commands.submit(note_id=note_id, name="n", idempotency_key="k1")
    other = await commands.submit(note_id=note_id, name="n", key="k2")
    assert first["id"] == again["id"] == field["id"] != other["id"]
    answer = await commands.submit(422, note_id=note_id, name="other", key="k1")
    assert answer["error"]["error_code"] == 422
    assert answer["error"]["error_message"].startswith(START)
    assert "key" in answer["error"]["error_message"]
    # What has been taken stays taken, also when its notebook is gone.
    (jp_root_dir / "folder" / "a note.ipynb").unlink()
    assert (await commands.submit(note_id=note_id, name="n", key="k1"))["id"] == first["id"]


async def test_a_key_that_is_too_long_is_422(commands: CommandClient, note: str) -> None:
    note_id = await commands.note_id(note)
    answer = await commands.submit(422, note_id=note_id, key="k" * 129)
    assert "idempotency_key" in answer["error"]["error_message"]


class TestOnBothDatabases:
    @pytest.fixture
    def extension_config(self, database_url: str) -> dict[str, Any]:
        return {"Database": {"url": database_url}}

    async def test_one_key_sent_many_times_at_once_is_one_command(
        self, commands: CommandClient, note: str
    ) -> None:
        note_id = await commands.note_id(note)
        found = await asyncio.gather(*(commands.submit(note_id=note_id, key="k") for _ in range(8)))
        assert len({command["id"] for command in found}) == 1
