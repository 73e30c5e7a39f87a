"""A run writes its outputs over their source: stamped, all or nothing, and never over somebody's newer edit."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tornado.web import HTTPError

from jupyter_dashboards_api.commands.write_back import WriteBack
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.stamp import executed_at
from tests.conftest import Fetch, Write
from tests.handlers.command_client import CommandClient

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
