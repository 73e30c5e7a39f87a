"""Commands follow their notebooks: by their ids, wherever these lie when the commands run, and when they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.errors import Unavailable
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
UPLOAD = {"command_type": "JupyterNotebookCommand", "upload_to_source": True}
WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)"


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"CommandsManager": {"max_running_commands": 1}}


async def log_of(client: CommandClient, command: Any) -> str:
    return (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()


async def held(client: CommandClient, write_notebook: Write) -> Any:
    """A command that takes the only place until the file `go` is there."""
    write_notebook("holds.ipynb", new_code_cell(WAIT), **PYTHON)
    command = await client.submit(note_id=await client.note_id("holds.ipynb"))
    async for state in client.polls(command["id"]):
        if state["status"] == "running":
            return command
    raise AssertionError


def texts(file: Path) -> list[str]:
    return [
        output.text for cell in nbformat.read(file, as_version=4).cells for output in cell.outputs
    ]


async def test_what_waits_runs_its_own_notebook_after_another_one_has_taken_its_place(
    client: CommandClient, write_notebook: Write, dashboards: Any, jp_root_dir: Path
) -> None:
    await held(client, write_notebook)
    write_notebook("folder/w.ipynb", new_code_cell("print('its own')"), **PYTHON)
    note_id = await client.note_id("folder/w.ipynb")
    convert = {"command_type": "NotebookConvertCommand", "fileFormat": "html"}
    waiting = [
        await client.submit(note_id=note_id),
        await client.submit(path="folder/w.ipynb", **UPLOAD),
        await client.submit(resourceId=note_id, resourceType="Note", showCode=True, **convert),
    ]
    await dashboards.commands.contents.rename("folder", "moved")
    write_notebook("folder/w.ipynb", new_code_cell("print('another')"), **PYTHON)
    await client.note_id("folder/w.ipynb")
    (jp_root_dir / "go").touch()
    for command in waiting:
        ended = await client.ended(command["id"])
        assert ended["status"] == "done"
        assert "The notebook is moved/w.ipynb now." in await log_of(client, command)
    for command in waiting[:2]:
        found = await client.get(f"/commands/{command['id']}/results")
        assert found["results"] == "its own"
    page = (await client.ask("GET", f"/commands/{waiting[2]['id']}/file")).body.decode()
    assert "its own" in page
    assert "another" not in page
    assert texts(jp_root_dir / "moved" / "w.ipynb") == ["its own\n"]
    assert texts(jp_root_dir / "folder" / "w.ipynb") == []


async def test_the_outputs_go_where_the_notebook_lies_at_the_run_s_end(
    client: CommandClient, write_notebook: Write, dashboards: Any, jp_root_dir: Path
) -> None:
    write_notebook("w.ipynb", new_code_cell(WAIT), new_code_cell("print(6 * 7)"), **PYTHON)
    command = await client.submit(path="w.ipynb", **UPLOAD)
    async for state in client.polls(command["id"]):
        if state["cell_index"] == 0:
            break
    await dashboards.commands.contents.rename("w.ipynb", "moved.ipynb")
    (jp_root_dir / "go").touch()
    assert (await client.ended(command["id"]))["status"] == "done"
    assert texts(jp_root_dir / "moved.ipynb") == ["42\n"]
    assert not (jp_root_dir / "w.ipynb").exists()


async def test_a_command_whose_notebook_is_deleted_says_so_and_runs_no_other_one(
    client: CommandClient, write_notebook: Write, dashboards: Any, jp_root_dir: Path
) -> None:
    await held(client, write_notebook)
    write_notebook("w.ipynb", new_code_cell("print('its own')"), **PYTHON)
    command = await client.submit(path="w.ipynb", retry=3, **UPLOAD)
    await dashboards.commands.contents.delete("w.ipynb")
    write_notebook("w.ipynb", new_code_cell("print('another')"), **PYTHON)
    (jp_root_dir / "go").touch()
    ended = await client.ended(command["id"])
    assert (ended["status"], ended["attempt"]) == ("error", 1)
    assert ended["error"]["message"] == "The notebook of this command is not there any more."
    assert texts(jp_root_dir / "w.ipynb") == []


async def test_a_database_that_is_away_while_a_kernel_starts_delays_the_run(
    client: CommandClient,
    write_notebook: Write,
    dashboards: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_notebook("a.ipynb", new_code_cell("print(6 * 7)"), **PYTHON)
    store, left = dashboards.commands.store, {"kernel"}

    def failing_once(name: str) -> None:
        method = getattr(store, name)

        async def call(*arguments: Any) -> Any:
            if name in left:
                left.remove(name)
                raise Unavailable("The database does not answer.")
            return await method(*arguments)

        monkeypatch.setattr(store, name, call)

    for name in tuple(left):
        failing_once(name)
    command = await client.submit(note_id=await client.note_id("a.ipynb"))
    assert (await client.ended(command["id"]))["status"] == "done"
    assert not left
