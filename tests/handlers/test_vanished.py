"""Notebooks whose file is deleted past the contents manager: what is put in their place inherits nothing.

Not their ids, links, schedules or runs, whoever has noticed that the file was missing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from sqlalchemy import update
from tornado.web import HTTPError

from jupyter_dashboards_api.dashboards.staging import staging_path
from jupyter_dashboards_api.database.tables import Notebook
from jupyter_dashboards_api.schedules import lost
from jupyter_dashboards_api.schedules.models import NOTEBOOKS
from jupyter_dashboards_api.schedules.store import ScheduleFilter
from tests.conftest import Fetch, Write
from tests.notebooks.archives import zip_of

from .callers import Callers
from .command_client import CommandClient, error_of
from .notebooks_client import NotebooksClient, later, path_of
from .shared import Link

START = "Command type could not be created. Errors: "
LONG_AGO = 1_500_000_000


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"AccessManager": {"token_user": "admin"}, "NotebooksManager": {"time_zone": "UTC"}}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due waits for a busy machine's storage."""
    monkeypatch.setattr(lost, "PATIENCE", 60.0)


@dataclass
class Known:
    """A notebook that has ids, a link and a schedule."""

    id: int
    uuid: str
    path: str
    link: Link
    notebooks: NotebooksClient
    commands: CommandClient
    server: Any
    root: Path

    @property
    def file(self) -> Path:
        return self.root / self.path

    async def schedules(self) -> list[int]:
        """The ids of the notebooks that are scheduled."""
        body = await self.notebooks.good("GET", "_all")
        return [each["notebook_id"] for each in body if each["status"] == "Scheduled"]

    async def at_path(self) -> int:
        return await self.commands.note_id(self.path)

    async def page(self) -> int:
        return int(
            (await self.link.callers.nobody().send("GET", f"/shared/{self.link.token}")).code
        )


@pytest.fixture
def known(
    notebooks: NotebooksClient,
    commands: CommandClient,
    callers: Callers,
    dashboards: Any,
    jp_root_dir: Path,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> Known:
    async def make() -> Known:
        uuid = await notebooks.create()
        path = await path_of(notebooks, uuid)
        schedule = {"nbk_ids": [uuid], "period": "Monday", "time": "06:50"}
        await notebooks.good("POST", "_schedule", {**schedule, "until": later(days=30)})
        link = await Link.to(callers, path)
        number = await commands.note_id(path)
        (jp_root_dir / "other.ipynb").write_bytes((jp_root_dir / path).read_bytes())
        os.utime(jp_root_dir / "other.ipynb", (LONG_AGO, LONG_AGO))
        made = Known(number, uuid, path, link, notebooks, commands, dashboards, jp_root_dir)
        assert await made.schedules() == [uuid]
        assert await made.page() == 200
        return made

    return jp_asyncio_loop.run_until_complete(make())


Notice = Callable[[Known], Awaitable[object]]


async def by_record(known: Known) -> None:
    await known.notebooks.bad(400, "GET", known.uuid)


async def by_list(known: Known) -> None:
    assert await known.notebooks.ids() == []


async def by_running_it(known: Known) -> None:
    await known.notebooks.bad(400, "POST", "_run", {"nbk_ids": [known.uuid]})


async def by_submission(known: Known) -> None:
    said = await known.commands.refused(
        command_type="SparkCommand", note_id=known.id, language="notebook"
    )
    assert said == f"{START}There is no spark notebook for account 1 with Id: {known.id}"


async def by_conversion(known: Known) -> None:
    said = await known.commands.refused(
        command_type="NotebookConvertCommand",
        resourceId=known.id,
        resourceType="Note",
        fileFormat="html",
    )
    assert said == f"{START}There is no notebook for account 1 with resourceId: {known.id}"


async def by_submission_of_the_path(known: Known) -> None:
    said = await known.commands.refused(command_type="JupyterNotebookCommand", path=known.path)
    assert said == f"{START}There is no notebook at this path."


async def by_path(known: Known) -> None:
    error_of(await known.commands.ask("GET", f"/notebooks?path={known.path}"), 404)


async def by_dashboard_path(known: Known) -> None:
    error_of(await known.commands.ask("GET", f"/notebook_dashboard?path={known.path}"), 404)


async def by_parameters(known: Known) -> None:
    error_of(await known.commands.ask("GET", f"/notebooks/{known.id}/parameters"), 404)


async def by_link(known: Known) -> None:
    assert await known.page() == 404


async def by_sharing(known: Known) -> None:
    response = await known.link.callers.owner().send("GET", f"/_api/sharing?path={known.path}")
    assert response.code == 404


async def by_its_time(known: Known) -> None:
    wanted = ScheduleFilter(kind=NOTEBOOKS)
    (schedule,), _ = await known.server.schedules.store.page(wanted, 100, 0)
    await known.server.schedules._look(schedule.next_time or schedule.last_time)


async def by_looking(known: Known) -> None:
    assert (await known.notebooks.record(known.uuid))["notebook_id"] == known.uuid


async def by_sweeping(known: Known) -> None:
    await known.server.sweeper.look()


NOTICES = [
    by_record,
    by_list,
    by_running_it,
    by_submission,
    by_conversion,
    by_submission_of_the_path,
    by_path,
    by_dashboard_path,
    by_parameters,
    by_link,
    by_sharing,
    by_its_time,
    by_sweeping,
]


def written(other: Path, file: Path) -> None:
    file.write_bytes(other.read_bytes())


def copied_with_its_times(other: Path, file: Path) -> None:
    shutil.copy2(other, file)


def moved(other: Path, file: Path) -> None:
    other.rename(file)


def linked(other: Path, file: Path) -> None:
    file.symlink_to(other)


async def is_another(known: Known) -> None:
    await known.notebooks.bad(400, "GET", known.uuid)
    assert await known.at_path() != known.id
    assert await known.schedules() == []
    assert await known.notebooks.ids() == []
    assert await known.page() == 404
    await by_submission(known)


@pytest.mark.parametrize("notice", NOTICES)
async def test_what_is_put_in_the_place_of_one_that_was_seen_to_be_missing_is_another(
    known: Known, notice: Notice
) -> None:
    known.file.unlink()
    await notice(known)
    written(known.root / "other.ipynb", known.file)
    await is_another(known)


@pytest.mark.parametrize("put", [written, copied_with_its_times, moved, linked])
@pytest.mark.parametrize("look", [by_list, by_sweeping, by_its_time, by_link, is_another])
async def test_however_it_comes_there_and_whoever_looks_first(
    known: Known,
    put: Callable[[Path, Path], None],
    look: Notice,
) -> None:
    known.file.unlink()
    await by_record(known)
    put(known.root / "other.ipynb", known.file)
    await look(known)
    await is_another(known)


@pytest.mark.parametrize("notice", NOTICES)
async def test_a_folder_that_was_away_brings_its_notebooks_back(
    known: Known, notice: Notice
) -> None:
    folder, away = known.root / "notebooks", known.root / "away"
    folder.rename(away)
    await notice(known)
    away.rename(folder)
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]
    assert await known.page() == 200


async def test_a_storage_that_shows_nothing_at_all_has_lost_nothing(
    known: Known, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    for each in list(known.root.iterdir()):
        each.rename(away / each.name)
    for notice in (by_record, by_path, by_sweeping):
        await notice(known)
    for each in list(away.iterdir()):
        each.rename(known.root / each.name)
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]


async def test_a_command_whose_file_has_vanished_while_it_waited_does_not_run_another(
    known: Known, write_notebook: Write
) -> None:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    write_notebook(known.path, new_code_cell("1"), **kernel)
    waits = await known.commands.submit(note_id=known.id, language="notebook")
    known.file.unlink()
    await by_record(known)
    write_notebook(known.path, new_code_cell("print('another')"), **kernel)
    await known.server.commands.start()
    try:
        ended = await known.commands.ended(waits["id"])
    finally:
        await known.server.commands.stop()
    assert ended["status"] == "error"
    log = await known.commands.ask("GET", f"/commands/{waits['id']}/logs")
    assert b"not there any more" in log.body


async def test_an_upload_that_replaces_it_keeps_it_whoever_looks_meanwhile(
    known: Known, fetch: Fetch
) -> None:
    async with known.server.uploads.held(known.path):
        content = known.file.read_bytes()
        known.file.unlink()
        looks = asyncio.ensure_future(known.notebooks.ask("GET", known.uuid))
        # Longer than what a program takes to delete a file and write it anew.
        await asyncio.sleep(1)
        assert not looks.done()
        known.file.write_bytes(content)
    assert (await looks).code == 200
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]


async def test_a_folder_that_takes_the_place_of_another_brings_other_notebooks(
    known: Known,
) -> None:
    other = known.root / "next" / "admin"
    other.mkdir(parents=True)
    shutil.copy(known.root / "other.ipynb", other / known.file.name)
    os.utime(other / known.file.name, (LONG_AGO, LONG_AGO))
    (known.root / "notebooks").rename(known.root / "before")
    await by_record(known)
    (known.root / "next").rename(known.root / "notebooks")
    await is_another(known)


async def test_a_link_to_a_folder_that_leads_elsewhere_brings_other_notebooks(
    known: Known,
) -> None:
    for release in ("one", "two"):
        shutil.copytree(known.root / "notebooks", known.root / release)
    os.utime(known.root / "two" / "admin" / known.file.name, (LONG_AGO, LONG_AGO))
    shutil.rmtree(known.root / "notebooks")
    await by_record(known)
    (known.root / "notebooks").symlink_to(known.root / "two")
    await is_another(known)


@pytest.mark.parametrize("renamed", ["file", "folder"])
async def test_one_that_was_put_there_is_another_also_when_it_is_renamed_before_anybody_looks(
    known: Known, jp_serverapp: Any, renamed: str
) -> None:
    known.file.unlink()
    await by_record(known)
    moved(known.root / "other.ipynb", known.file)
    new_path = known.path.replace(
        "notebooks/admin/", "notebooks/" if renamed == "file" else "moved/admin/"
    )
    names = (known.path, new_path) if renamed == "file" else ("notebooks", "moved")
    await jp_serverapp.contents_manager.rename(*names)
    known.path = new_path
    await is_another(known)


async def test_the_only_one_there_is_has_no_heir(known: Known) -> None:
    (known.root / "other.ipynb").rename(known.root.parent / "other.ipynb")
    shutil.rmtree(known.root / "notebooks")
    for each in known.root.iterdir():
        raise AssertionError(f"{each} is there too")
    await by_record(known)
    await by_sweeping(known)
    known.file.parent.mkdir(parents=True)
    shutil.move(known.root.parent / "other.ipynb", known.file)
    await is_another(known)


async def test_two_who_save_at_once_where_one_was_deleted_save_another(
    known: Known, jp_serverapp: Any
) -> None:
    content = {"type": "notebook", "format": "json", "content": new_notebook()}
    known.file.unlink()
    manager = jp_serverapp.contents_manager
    await asyncio.gather(*(manager.save(dict(content), known.path) for _ in range(2)))
    await is_another(known)


CONTENT = {"type": "notebook", "format": "json", "content": new_notebook()}


async def save_by_jupyter(known: Known) -> None:
    await known.server.serverapp.contents_manager.save(dict(CONTENT), known.path)


async def upload(known: Known) -> None:
    data = nbformat.writes(new_notebook()).encode()
    await known.server.uploads.save(known.path.removesuffix(".ipynb"), "x.ipynb", data)


async def put(known: Known) -> None:
    sent = {"type": "notebook", "content": new_notebook()}
    api = "/api/v1.2/jupyter_notebooks/contents/"
    await known.notebooks.good("PUT", known.path, sent, api=api)


async def rename_and_save(known: Known) -> None:
    new_path = known.path.replace("notebooks/admin/", "notebooks/")
    await known.server.serverapp.contents_manager.rename(known.path, new_path)
    known.path = new_path
    await save_by_jupyter(known)


async def save_again_and_again(known: Known) -> None:
    for _ in range(3):
        await save_by_jupyter(known)


WRITES = [save_by_jupyter, save_again_and_again, upload, put, rename_and_save]


@pytest.mark.parametrize("polls", [False, True])
@pytest.mark.parametrize("write", WRITES)
async def test_one_that_is_back_and_written_before_anybody_looks_is_the_same(
    known: Known, write: Notice, polls: bool
) -> None:
    folder, away = known.root / "notebooks", known.root / "away"
    folder.rename(away)
    await by_record(known)
    away.rename(folder)

    async def poll() -> None:
        while True:
            await known.notebooks.ask("GET", known.uuid)

    polling = [asyncio.ensure_future(poll()) for _ in range(3 * polls)]
    await write(known)
    for each in polling:
        each.cancel()
    await known.server.access.notebooks.informed()
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]
    assert await known.page() == 200


@pytest.mark.parametrize("write", WRITES)
async def test_one_that_was_put_there_and_is_written_before_anybody_looks_is_another(
    known: Known, write: Notice
) -> None:
    known.file.unlink()
    await by_record(known)
    moved(known.root / "other.ipynb", known.file)
    await write(known)
    await known.server.access.notebooks.informed()
    await is_another(known)


async def test_a_save_that_fails_while_a_folder_is_away_ends_nothing_later(known: Known) -> None:
    folder, away = known.root / "notebooks", known.root / "away"
    os.utime(known.file, (LONG_AGO, LONG_AGO))
    await by_looking(known)
    folder.rename(away)
    known.file.parent.mkdir(parents=True)
    manager = known.server.serverapp.contents_manager
    with pytest.raises(HTTPError):
        await manager.save({"type": "notebook", "format": "json", "content": "none"}, known.path)
    shutil.rmtree(folder)
    away.rename(folder)
    await save_by_jupyter(known)
    await known.server.access.notebooks.informed()
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]


@pytest.mark.parametrize("sign", ["staged", "written"])
async def test_a_save_while_somebody_else_replaces_it_is_of_the_same_notebook(
    known: Known, sign: str
) -> None:
    name = staging_path(known.file.name, "replaced") if sign == "staged" else f".~{known.file.name}"
    # Another server's upload has put it aside, or Jupyter's reader has moved what it met half written.
    known.file.rename(known.file.with_name(name))
    await save_by_jupyter(known)
    await known.server.access.notebooks.informed()
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]


async def test_a_save_while_an_upload_replaces_it_is_of_the_same_notebook(
    known: Known, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = jp_serverapp.contents_manager
    content = {"type": "notebook", "format": "json", "content": new_notebook()}
    store = type(known.server.uploads._store)
    rename = store.rename

    async def noticed(self: Any, path: str, new_path: str) -> None:
        await rename(self, path, new_path)
        if path == known.path:
            # The old one is aside, and the new one not there yet: so far a save comes meanwhile.
            manager.run_pre_save_hooks(model=content, path=known.path)

    monkeypatch.setattr(store, "rename", noticed)
    data = known.file.read_bytes()
    await known.server.uploads.save(known.path.removesuffix(".ipynb"), "x.ipynb", data)
    saved = {**content, "path": known.path}
    manager.run_post_save_hooks(model=saved, os_path=str(known.file))
    monkeypatch.undo()
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]
    assert await known.page() == 200


async def test_what_an_upload_of_a_folder_leaves_out_is_gone(
    callers: Callers, commands: CommandClient, dashboards: Any
) -> None:
    async def upload(*names: str) -> None:
        notebook = nbformat.writes(new_notebook())
        data = zip_of(dict.fromkeys(("index.ipynb", *names), notebook))
        await dashboards.uploads.save("board", "board.zip", data)

    await upload("other.ipynb", "kept.ipynb")
    names = ("index", "kept", "other")
    before = [await commands.note_id(f"board/{name}.ipynb") for name in names]
    link = await Link.to(callers, "board/other.ipynb")
    await upload("kept.ipynb")
    await dashboards.access.notebooks.informed()
    await upload("other.ipynb", "kept.ipynb")
    after = [await commands.note_id(f"board/{name}.ipynb") for name in names]
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert (await callers.nobody().send("GET", f"/shared/{link.token}")).code == 404


@pytest.mark.parametrize("kinds", [("notebook", "folder"), ("folder", "notebook")])
async def test_what_an_upload_of_the_other_kind_replaces_is_gone(
    callers: Callers,
    commands: CommandClient,
    dashboards: Any,
    jp_root_dir: Path,
    kinds: tuple[str, str],
) -> None:
    notebook = nbformat.writes(new_notebook())
    sent = {
        "notebook": ("board.ipynb", notebook.encode()),
        "folder": ("board.zip", zip_of({"index.ipynb": notebook})),
    }
    path = "board.ipynb" if kinds[0] == "notebook" else "board/index.ipynb"
    await dashboards.uploads.save("board", *sent[kinds[0]])
    number = await commands.note_id(path)
    link = await Link.to(callers, path)
    await dashboards.uploads.save("board", *sent[kinds[1]])
    await dashboards.access.notebooks.informed()
    (jp_root_dir / path).parent.mkdir(exist_ok=True)
    (jp_root_dir / path).write_text(notebook)
    assert await commands.note_id(path) != number
    assert (await callers.nobody().send("GET", f"/shared/{link.token}")).code == 404


async def test_one_that_another_server_is_replacing_is_not_missing(known: Known) -> None:
    aside = known.file.with_name(staging_path(known.file.name, "replaced"))
    known.file.rename(aside)
    await by_record(known)
    await by_sweeping(known)
    written(known.root / "other.ipynb", known.file)
    aside.unlink()
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]


async def test_what_was_saved_just_before_it_went_away_is_the_same(known: Known) -> None:
    folder, away = known.root / "notebooks", known.root / "away"
    await save_by_jupyter(known)
    # Nobody has had the time to note how it looks.
    await known.server.database.execute(update(Notebook).values(revision="another one"))
    folder.rename(away)
    await by_record(known)
    away.rename(folder)
    assert await known.at_path() == known.id
    assert await known.schedules() == [known.uuid]
