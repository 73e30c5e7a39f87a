"""The notebooks API: runs, asked for or scheduled, in real kernels."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.schedules.models import NOTEBOOKS
from jupyter_dashboards_api.schedules.store import ScheduleFilter
from tests.conftest import Fetch

from .command_client import CommandClient
from .notebooks_client import NO_ID, NotebooksClient, later

RUNNING = "Error occurred during notebook execution: "


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {
        "AccessManager": {"token_user": "admin"},
        "NotebooksManager": {"time_zone": "UTC"},
    }


class Made:
    """A notebook of the API on the disk."""

    def __init__(self, notebook_id: str, file: Path) -> None:
        self.id = notebook_id
        self.file = file

    def write(self, *sources: str) -> None:
        """Puts cells into it."""
        notebook = nbformat.read(self.file, 4)
        notebook.cells = [new_code_cell(source) for source in sources]
        nbformat.write(notebook, self.file)

    def texts(self) -> list[str]:
        """What its cells have put out."""
        notebook = nbformat.read(self.file, 4)
        return [
            output.get("text") or output.get("ename") or output["data"]["text/plain"]
            for cell in notebook.cells
            for output in cell.outputs
        ]


async def make(notebooks: NotebooksClient, root: Path, *sources: str) -> Made:
    created = await notebooks.good("POST")
    made = Made(created["notebook_id"], root / created["path"].strip("/"))
    made.write(*sources)
    return made


async def test_run_waits_saves_the_outputs_and_counts(
    notebooks: NotebooksClient,
    commands: CommandClient,
    fetch: Fetch,
    jp_root_dir: Path,
    runs: None,
) -> None:
    (jp_root_dir / "notebooks/admin").mkdir(parents=True)
    (jp_root_dir / "notebooks/admin/data.txt").write_text("beside it")
    made = await make(notebooks, jp_root_dir, "print(open('data.txt').read())", "1 + 1")
    before = time.time()
    # The body of the document's sample is no JSON.
    body = f'{{nbkIds: ["{made.id}"], module: "notebooks"}}'
    assert await notebooks.good("GET", "_run", body, request_timeout=60) == {}
    assert made.texts() == ["beside it\n", "2"]
    record = await notebooks.record(made.id)
    assert record["no_of_runs"] == 1
    assert int(before) * 1000 <= record["last_run"] <= time.time() * 1000
    assert record["last_run"] % 1000 == 0
    (listed,) = await notebooks.good("GET", "_all")
    assert listed["last_run"] == record["last_run"]
    # A run is a command like any other: history, log, results.
    (command,) = (await commands.get("/commands"))["commands"]
    assert (command["status"], command["command_source"]) == ("done", "API")
    assert command["user"] == "admin"
    assert "2" in (await commands.get(f"/commands/{command['id']}/results"))["results"]
    # Its kernel is gone.
    assert json.loads((await fetch("/api/kernels")).body) == []


async def test_a_cell_that_fails_is_told_saved_and_counted(
    notebooks: NotebooksClient, jp_root_dir: Path, runs: None
) -> None:
    made = await make(notebooks, jp_root_dir, "print('before')", "1 / 0", "print('after')")
    message = await notebooks.bad(400, "POST", "_run", {"nbk_ids": [made.id]}, request_timeout=60)
    assert message.startswith(RUNNING)
    assert "ZeroDivisionError" in message
    assert made.texts() == ["before\n", "ZeroDivisionError"]
    assert (await notebooks.record(made.id))["no_of_runs"] == 1


async def test_ids_of_the_query_run_and_several_run_once_each(
    notebooks: NotebooksClient, jp_root_dir: Path, runs: None
) -> None:
    made = [await make(notebooks, jp_root_dir, f"print({n})") for n in range(2)]
    path = f"_run/?nbkIds={made[0].id}&nbkIds={made[1].id}&nbkIds={made[0].id}&module=whatever"
    assert await notebooks.good("GET", path, request_timeout=60) == {}
    assert [each.texts() for each in made] == [["0\n"], ["1\n"]]
    assert [each["no_of_runs"] for each in await notebooks.good("GET", "_all")] == [1, 1]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_run_without_ids_is_400(notebooks: NotebooksClient, method: str) -> None:
    for body in (None, {}, {"nbkIds": []}, {"module": "notebooks"}, {"nbkIds": 7}):
        assert await notebooks.bad(400, method, "_run", body) == "Notebook ID(s) are required"


async def test_run_of_an_unknown_id_is_400_and_runs_none(
    notebooks: NotebooksClient, commands: CommandClient
) -> None:
    made = await notebooks.create()
    for bad in (NO_ID, "no id", 7):
        message = await notebooks.bad(400, "POST", "_run", {"nbkIds": [made, bad]})
        assert message.startswith(RUNNING)
    assert (await commands.get("/commands"))["commands"] == []


@pytest.mark.parametrize(
    ("extension_config", "status"),
    [({}, 400), ({"NotebooksManager": {"documented_status": True}}, 500)],
)
async def test_run_of_a_body_that_can_not_be_read_is_400_and_500_behind_the_switch(
    notebooks: NotebooksClient, status: int
) -> None:
    for body in ("{", "[]", "nbkIds"):
        message = await notebooks.bad(status, "POST", "_run", body)
        assert message.startswith("Error occurred during request processing: ")


@pytest.mark.parametrize("extension_config", [{"NotebooksManager": {"run_wait": 0.2}}])
async def test_a_run_that_takes_longer_than_the_limit_is_answered_and_goes_on(
    notebooks: NotebooksClient, jp_root_dir: Path, runs: None, dashboards: Any
) -> None:
    may_end = jp_root_dir / "may end"
    code = f"from pathlib import Path\nimport time\nwhile not Path({str(may_end)!r}).exists(): time.sleep(0.05)"
    made = await make(notebooks, jp_root_dir, f"{code}\nprint('done')")
    assert await notebooks.good("POST", "_run", {"nbkIds": [made.id]}) == {}
    assert (await notebooks.record(made.id))["no_of_runs"] == 0
    may_end.touch()
    while (await notebooks.record(made.id))["no_of_runs"] == 0:
        await asyncio.sleep(0.05)
    assert made.texts() == ["done\n"]


async def test_a_run_that_is_cancelled_is_told(
    notebooks: NotebooksClient, jp_root_dir: Path, commands: CommandClient
) -> None:
    made = await make(notebooks, jp_root_dir, "1")
    # Nothing runs commands here: it waits.
    asked = asyncio.ensure_future(
        notebooks.bad(400, "POST", "_run", {"nbkIds": [made.id]}, request_timeout=60)
    )
    while not (found := (await commands.get("/commands"))["commands"]):
        await asyncio.sleep(0.02)
    await commands.ask("PUT", f"/commands/{found[0]['id']}", {"status": "kill"})
    assert "cancelled" in await asked
    # It never began.
    assert (await notebooks.record(made.id))["no_of_runs"] == 0


async def test_a_notebook_without_a_kernel_says_so(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    made = await make(notebooks, jp_root_dir)
    notebook = nbformat.read(made.file, 4)
    del notebook.metadata["kernelspec"]
    nbformat.write(notebook, made.file)
    message = await notebooks.bad(400, "POST", "_run", {"nbkIds": [made.id]})
    assert message.startswith(RUNNING)


@pytest.mark.parametrize("source", ["print('on time')", "print('on time'); 1 / 0"])
async def test_a_scheduled_run_fires_saves_its_outputs_and_counts(
    notebooks: NotebooksClient,
    commands: CommandClient,
    jp_root_dir: Path,
    runs: None,
    dashboards: Any,
    source: str,
) -> None:
    made = await make(notebooks, jp_root_dir, source)
    body = {"nbk_ids": [made.id], "time": "06:50", "until": later(days=9)}
    await notebooks.good("POST", "_schedule", body)
    store = dashboards.schedules.store
    ((schedule,), _) = await store.page(ScheduleFilter(kind=NOTEBOOKS), 2, 0)
    look = await store.look(schedule.next_time)
    await dashboards.commands.added(look.command_ids)
    command = await commands.ended(look.command_ids[0])
    assert command["command_source"] == "SCHEDULED"
    assert made.texts()[0] == "on time\n"
    record = await notebooks.record(made.id)
    assert record["no_of_runs"] == 1
    assert record["status"] == "Scheduled"
    assert abs(record["last_run"] / 1000 - time.time()) < 60
