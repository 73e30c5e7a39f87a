"""What may take long where much is sent is not done in the event loop's thread."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.commands import parameters, submission
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

Calls = dict[str, list[int]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """In which threads macros are resolved, declarations are read and arguments are written."""
    found: Calls = defaultdict(list)

    def note(module: Any, name: str) -> None:
        function = getattr(module, name)

        def noting(*args: Any) -> Any:
            found[name].append(threading.get_ident())
            return function(*args)

        monkeypatch.setattr(module, name, noting)

    note(submission, "resolved")
    note(parameters, "declared_in")
    note(parameters, "assignments")
    return found


@pytest.fixture
def fields(write_notebook: Write) -> dict[str, Any]:
    """A command with arguments and macros, of a notebook that declares parameters."""
    cell = new_code_cell("x = 1", metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3"}
    write_notebook("a.ipynb", cell, new_code_cell("x"), kernelspec=kernel)
    return {
        "command_type": "JupyterNotebookCommand",
        "path": "a.ipynb",
        "arguments": {"x": "$m$"},
        "macros": [{"m": "1"}],
    }


async def test_a_command_is_read_checked_and_prepared_in_threads(
    client: CommandClient, fields: dict[str, Any], calls: Calls
) -> None:
    command = await client.submit(**fields)
    assert (await client.ended(command["id"]))["status"] == "done"
    # Once when it is submitted, once when it runs.
    assert {name: len(threads) for name, threads in calls.items()} == {
        "resolved": 1,
        "declared_in": 2,
        "assignments": 1,
    }
    assert all(threading.get_ident() not in threads for threads in calls.values())


async def test_the_command_of_a_schedule_is_read_in_a_thread(
    client: CommandClient, fields: dict[str, Any], calls: Calls
) -> None:
    schedule = {
        "name": "daily",
        "command_type": fields.pop("command_type"),
        "command": fields,
        "macros": fields.pop("macros"),
        "start_time": "2099-01-01T00:00Z",
        "end_time": "2099-02-01T00:00Z",
        "frequency": 1,
        "time_unit": "days",
    }
    answer = await client.ask("POST", "/scheduler", schedule)
    assert answer.code == 200, answer.body
    assert calls["resolved"]
    assert threading.get_ident() not in calls["resolved"]


async def test_the_parameters_of_a_notebook_are_read_in_a_thread(
    client: CommandClient, fields: dict[str, Any], calls: Calls
) -> None:
    number = await client.note_id("a.ipynb")
    assert len((await client.get(f"/notebooks/{number}/parameters"))["parameters"]) == 1
    assert len(calls["declared_in"]) == 1
    assert threading.get_ident() not in calls["declared_in"]
