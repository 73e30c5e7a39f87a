"""A run writes its outputs over their source: stamped, all or nothing, and never over somebody's newer edit."""

from __future__ import annotations

import asyncio
import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sqlalchemy import update
from tornado.web import HTTPError

from jupyter_dashboards_api.commands import runner
from jupyter_dashboards_api.commands.write_back import WriteBack, is_edited
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.stamp import executed_at, stamp
from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.kernels import process
from tests.conftest import Fetch, Write
from tests.handlers.command_client import CommandClient

from .conftest import HoldEnd

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
UPLOAD = {"command_type": "JupyterNotebookCommand", "upload_to_source": True}
WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)"


async def log_of(client: CommandClient, command: Any) -> str:
    return (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()


async def is_running(client: CommandClient, command: Any, word: str) -> None:
    async with asyncio.timeout(60):
        while f"{word}\n" not in await log_of(client, command):
            await asyncio.sleep(0.05)


async def test_the_outputs_are_written_with_the_time_when_they_were_made(
    client: CommandClient, write_notebook: Write
) -> None:
    file = write_notebook("own.ipynb", new_code_cell("print(6 * 7)"), title="t", **PYTHON)
    before = datetime.now(UTC)
    command = await client.submit(path="own.ipynb", **UPLOAD)
    assert (await client.ended(command["id"]))["status"] == "done"
    written = nbformat.read(file, as_version=4)
    assert written.cells[0].outputs[0].text == "42\n"
    time = executed_at(written)
    assert time is not None
    assert before < time < datetime.now(UTC)
    assert written.metadata.title == "t"
    assert written.metadata.dashboards.keys() == {"executed_at", "outputs"}
    assert "has the new outputs" in await log_of(client, command)
    # What the command keeps is the run's own notebook.
    kept = await client.ask("GET", f"/commands/{command['id']}/notebook")
    assert "dashboards" not in json.loads(kept.body)["metadata"]


async def test_of_two_runs_that_overlap_each_writes_its_outputs(
    client: CommandClient, write_notebook: Write, jp_root_dir: Path
) -> None:
    cell = new_code_cell("x = 0", metadata={"tags": ["parameters"]})
    cells = [cell, new_code_cell("print('run', x, flush=True)"), new_code_cell(WAIT)]
    file = write_notebook("both.ipynb", *cells, **PYTHON)
    first = await client.submit(path="both.ipynb", **UPLOAD, arguments={"x": 1})
    await is_running(client, first, "run 1")
    second = await client.submit(path="both.ipynb", **UPLOAD, arguments={"x": 2})
    await is_running(client, second, "run 2")
    (jp_root_dir / "go").touch()
    for command in (first, second):
        assert (await client.ended(command["id"]))["status"] == "done"
        assert "has the new outputs" in await log_of(client, command)
    assert executed_at(nbformat.read(file, as_version=4)) is not None


async def test_an_attempt_that_another_server_has_taken_over_writes_nothing(
    client: CommandClient,
    write_notebook: Write,
    jp_root_dir: Path,
    dashboards: Any,
    hold_end: HoldEnd,
) -> None:
    file = write_notebook("taken.ipynb", new_code_cell(WAIT), new_code_cell("6 * 7"), **PYTHON)
    before = file.read_bytes()
    command = await client.submit(path="taken.ipynb", **UPLOAD)
    async for state in client.polls(command["id"]):
        if state["cell_index"] == 0:
            break
    # As the other server's take-over and its own attempt leave the row.
    await dashboards.database.execute(update(Command).values(attempt=2))
    (jp_root_dir / "go").touch()
    await hold_end.until_there()
    hold_end.release()
    assert file.read_bytes() == before


@pytest.mark.parametrize("version", ["3", "no ids", "the same ids"])
async def test_a_notebook_of_an_older_form_is_written_too(
    client: CommandClient, jp_root_dir: Path, version: str
) -> None:
    cells = [new_code_cell("print(6 * 7)"), new_code_cell("1")]
    notebook = new_notebook(cells=cells, metadata=PYTHON)
    if version == "3":
        text = nbformat.writes(nbformat.convert(notebook, 3), 3)
    else:
        plain = json.loads(nbformat.writes(notebook))
        for each in plain["cells"]:
            each["id"] = "same"
            if version == "no ids":
                del each["id"]
        text = json.dumps(plain)
    file = jp_root_dir / "old.ipynb"
    file.write_text(text)
    command = await client.submit(path="old.ipynb", label="default", **UPLOAD)
    assert (await client.ended(command["id"]))["status"] == "done"
    assert "has the new outputs" in await log_of(client, command)
    assert "42" in str(nbformat.read(file, as_version=4).cells[0].outputs)


def _edits() -> list[Any]:
    def source(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[0].source += "#"

    def metadata(notebook: nbformat.NotebookNode) -> None:
        notebook.metadata.title = "t"

    def ours(notebook: nbformat.NotebookNode) -> None:
        notebook.metadata.dashboards = {"layout": 1}

    def order(notebook: nbformat.NotebookNode) -> None:
        notebook.cells.reverse()

    def tags(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[0].metadata.tags = ["x"]

    def kind(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[1] = new_markdown_cell(notebook.cells[1].source)

    def cleared(notebook: nbformat.NotebookNode) -> None:
        notebook.cells[0].outputs = []

    return [source, metadata, ours, order, tags, kind, cleared]


@pytest.mark.parametrize("edit", _edits(), ids=lambda edit: edit.__name__)
def test_what_an_author_does_is_an_edit_and_what_a_run_does_is_none(edit: Any) -> None:
    first = new_code_cell("1", outputs=[new_output("stream", text="1")])
    original = new_notebook(cells=[first, new_code_cell("2")], metadata=PYTHON)
    run = copy.deepcopy(original)
    run.cells[1].outputs = [new_output("stream", text="2")]
    run.cells[1].execution_count = 2
    run.metadata.language_info = {"name": "python"}
    run.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    assert is_edited(original, run), "somebody has run it in an editor, and saved"
    stamp(run, datetime.now(UTC))
    assert not is_edited(original, run)
    for notebook in (copy.deepcopy(original), run):
        edit(notebook)
        assert is_edited(original, notebook)


@pytest.mark.parametrize("fields", [{"upload_to_source": False}, {"source": "1/0"}])
async def test_a_source_stays_as_it_is_when_that_is_asked_for_or_the_run_fails(
    client: CommandClient, write_notebook: Write, fields: dict[str, Any]
) -> None:
    source = fields.pop("source", "print(6 * 7)")
    file = write_notebook("own.ipynb", new_code_cell(source), **PYTHON)
    before = file.read_bytes()
    command = await client.submit(path="own.ipynb", **{**UPLOAD, **fields})
    status = "error" if source == "1/0" else "done"
    assert (await client.ended(command["id"]))["status"] == status
    assert file.read_bytes() == before


async def test_a_cancellation_that_falls_into_the_end_of_a_run_loses_nothing_of_it(
    client: CommandClient, write_notebook: Write, hold_end: HoldEnd
) -> None:
    file = write_notebook("own.ipynb", new_code_cell("print(6 * 7)"), **PYTHON)
    command = await client.submit(path="own.ipynb", **UPLOAD)
    await hold_end.until_there()
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    hold_end.release()
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    assert nbformat.read(file, as_version=4).cells[0].outputs[0].text == "42\n"
    kept = await client.ask("GET", f"/commands/{command['id']}/notebook")
    assert json.loads(kept.body)["cells"][0]["outputs"][0]["text"] == ["42\n"]


async def test_a_run_that_has_written_when_the_server_stops_is_done_and_not_run_again(
    client: CommandClient, write_notebook: Write, hold_end: HoldEnd, dashboards: Any
) -> None:
    write_notebook("own.ipynb", new_code_cell("print(6 * 7)"), **PYTHON)
    command = await client.submit(path="own.ipynb", retry=1, **UPLOAD)
    await hold_end.until_there()
    stopping = asyncio.ensure_future(dashboards.commands.stop())
    # It interrupts at once what runs.
    await asyncio.sleep(0)
    hold_end.release()
    await stopping
    ended = await client.get(f"/commands/{command['id']}")
    assert (ended["status"], ended["attempt"]) == ("done", 1)
    assert (await client.get(f"/commands/{command['id']}/results"))["results"] == "42"


async def test_nor_does_one_that_comes_while_the_kernel_of_the_run_is_ended(
    client: CommandClient, write_notebook: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = asyncio.Event()

    async def kill(*given: Any) -> None:
        await may_end.wait()
        await process.kill(*given)

    monkeypatch.setattr(runner, "kill", kill)
    write_notebook("own.ipynb", new_code_cell("print(6 * 7)"), **PYTHON)
    command = await client.submit(path="own.ipynb", **UPLOAD)
    async with asyncio.timeout(60):
        while "Done." not in await log_of(client, command):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    may_end.set()
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    kept = await client.ask("GET", f"/commands/{command['id']}/notebook")
    assert json.loads(kept.body)["cells"][0]["outputs"][0]["text"] == ["42\n"]


async def test_an_edit_that_is_saved_while_the_run_is_under_way_stays(
    client: CommandClient, write_notebook: Write, fetch: Fetch, jp_root_dir: Path
) -> None:
    cells = [new_code_cell("print('begun', flush=True)"), new_code_cell(WAIT)]
    file = write_notebook("theirs.ipynb", *cells, **PYTHON)
    command = await client.submit(path="theirs.ipynb", **UPLOAD)
    await is_running(client, command, "begun")
    edited = nbformat.read(file, as_version=4)
    edited.cells.append(new_markdown_cell("a newer edit"))
    body = json.dumps({"type": "notebook", "format": "json", "content": edited})
    assert (await fetch("/api/contents/theirs.ipynb", method="PUT", body=body)).code == 200
    (jp_root_dir / "go").touch()
    assert (await client.ended(command["id"]))["status"] == "done"
    left = nbformat.read(file, as_version=4)
    assert [cell.source for cell in left.cells] == [cell.source for cell in edited.cells]
    assert "dashboards" not in left.metadata
    assert not left.cells[0].outputs
    assert "changed meanwhile: it is left as it is" in await log_of(client, command)


async def test_an_edit_on_the_disk_stays_too(
    client: CommandClient, write_notebook: Write, jp_root_dir: Path
) -> None:
    cells = [new_code_cell("print('begun', flush=True)"), new_code_cell(WAIT)]
    file = write_notebook("theirs.ipynb", *cells, **PYTHON)
    command = await client.submit(path="theirs.ipynb", **UPLOAD)
    await is_running(client, command, "begun")
    write_notebook("theirs.ipynb", new_markdown_cell("a newer edit"), **PYTHON)
    edited = file.read_bytes()
    (jp_root_dir / "go").touch()
    assert (await client.ended(command["id"]))["status"] == "done"
    assert file.read_bytes() == edited


async def test_an_upload_waits_until_the_outputs_are_written_and_then_counts(
    dashboards: Any, write_notebook: Write
) -> None:
    file = write_notebook("own.ipynb", new_code_cell("1"))
    original, _ = await dashboards.store.notebook("own.ipynb")
    uploaded = nbformat.writes(new_notebook(cells=[new_markdown_cell("uploaded")])).encode()
    back = WriteBack(dashboards.store, dashboards.uploads.held)
    ours = asyncio.ensure_future(back.replace("own.ipynb", original, original))
    await asyncio.sleep(0)
    theirs = asyncio.ensure_future(dashboards.uploads.save("own", "a.ipynb", uploaded))
    assert await ours is True
    await theirs
    assert "uploaded" in file.read_text()
    # The other way round there is something newer to be left alone.
    theirs = asyncio.ensure_future(dashboards.uploads.save("own", "a.ipynb", uploaded))
    await asyncio.sleep(0)
    assert await back.replace("own.ipynb", original, original) is False
    await theirs
    assert "uploaded" in file.read_text()


class TestAtTheSameMoment:
    """Saves that overlap with ours, in the server's own kind of contents manager."""

    @pytest.fixture
    def manager(self, tmp_path: Path) -> AsyncLargeFileManager:
        return AsyncLargeFileManager(root_dir=str(tmp_path))

    def save(self, manager: Any, word: str) -> asyncio.Task[Any]:
        content = new_notebook(cells=[new_markdown_cell(word) for _ in range(500)])
        model = {"type": "notebook", "format": "json", "content": content}
        return asyncio.ensure_future(manager.save(model, "a.ipynb"))

    async def test_a_save_that_is_under_way_is_waited_for_and_wins(
        self, manager: AsyncLargeFileManager, tmp_path: Path
    ) -> None:
        store = ContentsStore(manager)
        back = WriteBack(store)
        await self.save(manager, "old")
        original, _ = await store.notebook("a.ipynb")
        theirs = self.save(manager, "theirs")
        # It has begun, and not ended.
        await asyncio.sleep(0)
        executed = nbformat.from_dict(original)
        assert await back.replace("a.ipynb", original, executed) is False
        await theirs
        assert "theirs" in (tmp_path / "a.ipynb").read_text()

    async def test_a_save_that_begins_while_ours_is_under_way_is_told_to_come_again(
        self, manager: AsyncLargeFileManager, tmp_path: Path
    ) -> None:
        store = ContentsStore(manager)
        back = WriteBack(store)
        await self.save(manager, "old")
        original, _ = await store.notebook("a.ipynb")
        executed = nbformat.from_dict(original)
        executed.metadata["written"] = "by the run"
        ours = asyncio.ensure_future(back.replace("a.ipynb", original, executed))
        # Its turn to read, and then to write.
        await asyncio.sleep(0)
        with pytest.raises(HTTPError, match="save again") as refusal:
            await self.save(manager, "theirs")
        assert refusal.value.status_code == 409
        assert await ours is True
        assert "by the run" in (tmp_path / "a.ipynb").read_text()
        # What was refused is still with its editor.
        await self.save(manager, "theirs")
        assert "theirs" in (tmp_path / "a.ipynb").read_text()

    async def test_other_notebooks_are_saved_all_the_time(
        self, manager: AsyncLargeFileManager, tmp_path: Path
    ) -> None:
        store = ContentsStore(manager)
        back = WriteBack(store)
        await self.save(manager, "old")
        original, _ = await store.notebook("a.ipynb")
        ours = asyncio.ensure_future(back.replace("a.ipynb", original, original))
        await asyncio.sleep(0)
        await store.save_notebook("b.ipynb", new_notebook())
        assert await ours is True

    async def test_a_save_that_failed_is_not_waited_for_for_ever(
        self, manager: AsyncLargeFileManager
    ) -> None:
        store = ContentsStore(manager)
        back = WriteBack(store, longest_save=0.2)
        await self.save(manager, "old")
        original, _ = await store.notebook("a.ipynb")
        with pytest.raises(HTTPError):
            await manager.save({"type": "no such type", "content": ""}, "a.ipynb")
        async with asyncio.timeout(10):
            assert await back.replace("a.ipynb", original, original) is True
