"""The notebooks API from the first request to the last, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.schedules.models import NOTEBOOKS
from jupyter_dashboards_api.schedules.store import ScheduleFilter
from tests.conftest import Fetch

from .command_client import CommandClient
from .notebooks_client import NONE, NotebooksClient, later


@pytest.fixture
def extension_config(database_url: str) -> dict[str, Any]:
    return {"AccessManager": {"token_user": "admin"}, "Database": {"url": database_url}}


async def test_a_notebook_is_made_renamed_run_scheduled_and_deleted(
    fetch: Fetch,
    jp_serverapp: Any,
    jp_root_dir: Path,
    commands: CommandClient,
    runs: None,
    dashboards: Any,
) -> None:
    notebooks = NotebooksClient(fetch, jp_serverapp.identity_provider.token)
    first, second = [await notebooks.create() for _ in range(2)]
    await notebooks.good("PUT", first, {"new_name": "report"})
    file = jp_root_dir / "notebooks/admin/report.ipynb"
    notebook = nbformat.read(file, 4)
    notebook.cells = [new_code_cell("print(6 * 7)")]
    nbformat.write(notebook, file)

    assert await notebooks.good("POST", "_run", {"nbkIds": [first]}, request_timeout=60) == {}
    assert nbformat.read(file, 4).cells[0].outputs[0].text == "42\n"

    body = {"nbk_ids": [first, second], "time": "06:50", "until": later(days=9)}
    await notebooks.good("POST", "_schedule", body)
    await notebooks.good("POST", "_schedule", {**body, "time": "07:00"})
    count = await notebooks.good("GET", "_count")
    assert count == {"Total Notebooks": 2, "Not Scheduled": 0, "Scheduled": 2}
    store = dashboards.schedules.store
    live, _ = await store.page(ScheduleFilter(kind=NOTEBOOKS, statuses=("RUNNING",)), 9, 0)
    assert len(live) == 2
    made: list[int] = []
    while len(made) < 2:
        # One look takes no longer than a fraction of a second.
        made += (await store.look(live[0].next_time)).command_ids
    await dashboards.commands.added(made)
    for command_id in made:
        ended = await commands.ended(command_id)
        assert (ended["status"], ended["error"]) == ("done", None)
    records = await notebooks.good("GET", "_all")
    assert [each["no_of_runs"] for each in records] == [2, 1]
    assert {each["schedule"]["time"] for each in records} == {"07:00"}

    await notebooks.good("POST", "_unschedule", {"nbk_ids": [first, second]})
    assert (await notebooks.record(first))["schedule"] == NONE
    await notebooks.good("DELETE", "", {"nbk_ids": [first]})
    assert await notebooks.ids() == [second]
    assert not file.exists()
