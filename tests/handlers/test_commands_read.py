"""What becomes of a command, as clients read it: status, results, logs, jobs, and cancelling."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write

from .command_client import CommandClient, error_of

PYTHON: dict[str, Any] = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
NOT_DONE = "Command is not done. Results are unavailable."


async def ask_json(commands: CommandClient, method: str, path: str, body: Any = None) -> Any:
    response = await commands.ask(method, path, body)
    assert response.code == 200, response.body
    return json.loads(response.body)


async def log_since(commands: CommandClient, number: int, err: int, tmp: int) -> tuple[str, int]:
    """The body, and how many bytes the headers say it is, after checking that the client of ten years prints all of it."""
    response = await commands.ask(
        "GET", f"/commands/{number}/logs?err_file_processed={err}&tmp_file_processed={tmp}"
    )
    assert response.code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    length = int(response.headers["err_length"]) + int(response.headers["tmp_length"])
    text = response.body.decode()
    # The Python client prints `log[-new_bytes:]`.
    assert text[-length:] == text
    assert length == len(response.body)
    return text, length


@pytest.mark.usefixtures("runs")
async def test_a_command_that_is_done(commands: CommandClient, write_notebook: Write) -> None:
    write_notebook(
        "a.ipynb",
        new_code_cell("x = 'none'", metadata={"tags": ["parameters"]}),
        new_code_cell("print('1\\t240'); print('2\\x01300')"),
        new_code_cell("import sys; print('größer 日本', file=sys.stderr)\nx"),
        **PYTHON,
    )
    note = await commands.note_id("a.ipynb")
    number = (await commands.submit(note_id=str(note), arguments='{"x": "Größe"}', tags="a"))["id"]

    seen, offset, statuses = "", 0, []
    async for command in commands.polls(number):
        statuses.append(command["status"])
        text, length = await log_since(commands, number, offset, 0)
        seen, offset = seen + text, offset + length
    assert set(statuses) <= {"waiting", "running", "done"}
    assert statuses[-1] == "done"

    assert command["progress"] == 100
    assert command["submit_time"] <= command["start_time"] <= command["end_time"]
    assert all(type(command[name]) is int for name in ("start_time", "end_time"))
    assert [each["outcome"] for each in command["attempts"]] == ["done"]
    assert command["qlog"] is None

    results = await commands.get(command["meta_data"]["results_resource"].join(("/", "")))
    assert results["inline"] is True
    assert results["results"].startswith("1\t240\r\n2\t300\r\n")
    assert "'Größe'" in results["results"]
    for query in ("inline=True&include_headers=false", "inline=False", "include_headers=true"):
        assert await commands.get(f"/commands/{number}/results?{query}") == results
    raw = await commands.get(f"/commands/{number}/results?raw=true")
    # Columns may have been separated as Hive does it.
    exact = results["results"].replace("2\t300", "2\x01300")
    assert raw == {"inline": True, "results": exact}
    together = await commands.get(f"/commands/{number}/status_with_results?raw=true")
    assert together["results"] == exact

    whole = await commands.ask("GET", f"/{command['meta_data']['logs_resource']}")
    assert whole.body.decode() == seen
    assert "größer 日本" in seen
    assert await log_since(commands, number, offset, 0) == ("", 0)
    assert (await log_since(commands, number, 10**9, 5))[0] == ""

    together = await commands.get(f"/commands/{number}/status_with_results")
    assert together == {
        "id": str(number),
        "status": "done",
        "progress": 100,
        "error": None,
        "inline": True,
        "results": results["results"],
        "path": command["path"],
    }
    assert await commands.get(f"/commands/{number}/jobs") == []
    assert await commands.get(f"/commands/{number}/error_logs") == {"error_log": ""}

    file = await commands.ask("GET", f"/commands/{number}/notebook")
    assert "attachment" in file.headers["Content-Disposition"]
    assert json.loads(file.body)["cells"][2]["outputs"][0]["text"]

    killed = await ask_json(commands, "PUT", f"/commands/{number}", {"status": "kill"})
    assert killed["kill_succeeded"] is False
    assert "done" in killed["result"]


@pytest.mark.usefixtures("runs")
async def test_a_command_that_fails(commands: CommandClient, write_notebook: Write) -> None:
    write_notebook("a.ipynb", new_code_cell("1"), new_code_cell("1 / 0"), **PYTHON)
    command = await commands.submit(command_type="JupyterNotebookCommand", path="a.ipynb")
    number = command["id"]
    command = await commands.ended(number)
    assert command["status"] == "error"
    assert command["progress"] < 100
    assert (command["error"]["cell_index"], command["error"]["ename"]) == (1, "ZeroDivisionError")
    assert error_of(await commands.ask("GET", f"/commands/{number}/results"), 422) == NOT_DONE
    assert (
        "ZeroDivisionError" in (await commands.get(f"/commands/{number}/error_logs"))["error_log"]
    )
    together = await commands.get(f"/commands/{number}/status_with_results/")
    assert (together["status"], together["results"]) == ("error", None)
    assert together["error"] == command["error"]


@pytest.mark.usefixtures("runs")
async def test_a_command_that_is_cancelled(commands: CommandClient, write_notebook: Write) -> None:
    write_notebook("a.ipynb", new_code_cell("import time\ntime.sleep(600)"), **PYTHON)
    number = (await commands.submit(note_id=await commands.note_id("a.ipynb")))["id"]
    async for command in commands.polls(number):
        if command["status"] == "running" and command["cell_index"] == 0:
            break
    killed, second = await asyncio.gather(
        ask_json(commands, "PUT", f"/commands/{number}", {"status": "kill"}),
        ask_json(commands, "PUT", f"/commands/{number}/", {"status": "kill"}),
    )
    assert {killed["kill_succeeded"], second["kill_succeeded"]} == {True, False}
    assert (await commands.ended(number))["status"] == "cancelled"
    assert error_of(await commands.ask("GET", f"/commands/{number}/results"), 422) == NOT_DONE
    assert (await commands.get(f"/commands/{number}/error_logs")) == {"error_log": ""}
    log = (await commands.ask("GET", f"/commands/{number}/logs")).body.decode()
    # What the cell has to say of its interruption comes before the last line.
    assert log.index("Cancelling.") < log.index("KeyboardInterrupt") < log.index("Cancelled.")
    assert log.endswith("Cancelled.\n")


@pytest.mark.usefixtures("runs")
async def test_a_line_that_a_cell_leaves_open_is_not_gone_on_with(
    commands: CommandClient, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_code_cell("print('x', end='')"), new_code_cell("1"), **PYTHON)
    number = (await commands.submit(note_id=await commands.note_id("a.ipynb")))["id"]
    assert (await commands.ended(number))["status"] == "done"
    lines = (await commands.ask("GET", f"/commands/{number}/logs")).body.decode().splitlines()
    assert "x" in lines
    assert all(lines)


class TestHeldBack:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"CommandsManager": {"max_running_commands": 1}}

    @pytest.mark.usefixtures("runs")
    async def test_a_command_that_a_limit_holds_back_is_waiting_and_throttled(
        self, commands: CommandClient, write_notebook: Write
    ) -> None:
        write_notebook("a.ipynb", new_code_cell("import time\ntime.sleep(600)"), **PYTHON)
        note = await commands.note_id("a.ipynb")
        first = await commands.submit(note_id=note)
        async for command in commands.polls(first["id"]):
            if command["status"] == "running":
                break
        assert (first["throttled"], command["throttled"]) == (False, False)
        second = await commands.submit(note_id=note)
        assert (second["status"], second["throttled"]) == ("waiting", True)
        assert (await commands.get(f"/commands/{second['id']}"))["throttled"] is True
        shown = (await commands.get("/commands"))["commands"]
        assert [each["throttled"] for each in shown] == [True, False]
        await ask_json(commands, "PUT", f"/commands/{first['id']}", {"status": "kill"})
        async for command in commands.polls(second["id"]):
            if command["status"] == "running":
                break
        assert command["throttled"] is False


class TestWhileItWaits:
    @pytest.fixture
    def number(self, commands: CommandClient, write_notebook: Write, jp_asyncio_loop: Any) -> int:
        """The id of a command that waits."""
        write_notebook("a.ipynb", new_code_cell("1"), **PYTHON)

        async def submit() -> int:
            note_id = await commands.note_id("a.ipynb")
            return int((await commands.submit(note_id=note_id))["id"])

        return int(jp_asyncio_loop.run_until_complete(submit()))

    # A client in Ruby sends no body, Python's an object.
    @pytest.mark.parametrize("body", [None, {"status": "kill"}, {}])
    async def test_it_is_cancelled_at_once_and_only_once(
        self, commands: CommandClient, number: int, body: Any
    ) -> None:
        killed = await ask_json(commands, "PUT", f"/commands/{number}", body)
        assert killed["kill_succeeded"] is True
        command = await commands.get(f"/commands/{number}")
        assert command["status"] == "cancelled"
        assert command["start_time"] is None
        assert command["end_time"] is not None
        again = await ask_json(commands, "PUT", f"/commands/{number}", body)
        assert again["kill_succeeded"] is False
        assert isinstance(again["result"], str)

    @pytest.mark.parametrize(
        "body", [{"status": "done"}, {"status": None}, {"status": ["kill"]}, {"name": "kill"}]
    )
    async def test_another_status_is_422(
        self, commands: CommandClient, number: int, body: Any
    ) -> None:
        error_of(await commands.ask("PUT", f"/commands/{number}", body), 422)
        error_of(await commands.ask("PUT", f"/commands/{number}", b"kill"), 400)
        assert (await commands.get(f"/commands/{number}"))["status"] == "waiting"

    async def test_it_has_no_results_and_no_log_yet(
        self, commands: CommandClient, number: int
    ) -> None:
        assert error_of(await commands.ask("GET", f"/commands/{number}/results"), 422) == NOT_DONE
        assert error_of(await commands.ask("GET", f"/commands/{number}/notebook"), 422) == NOT_DONE
        assert await log_since(commands, number, 0, 0) == ("", 0)
        together = await commands.get(f"/commands/{number}/status_with_results")
        assert (together["status"], together["results"]) == ("waiting", None)

    @pytest.mark.parametrize("offset", ["-1", "x", "1.5", "9" * 30])
    async def test_a_bad_offset_is_400(
        self, commands: CommandClient, number: int, offset: str
    ) -> None:
        for name in ("err_file_processed", "tmp_file_processed"):
            error_of(await commands.ask("GET", f"/commands/{number}/logs?{name}={offset}"), 400)
