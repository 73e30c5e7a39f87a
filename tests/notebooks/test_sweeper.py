"""Notebooks that go past the contents manager lose their ids, after a while; those that come back in time don't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)
from sqlalchemy import update

from jupyter_dashboards_api.dashboards.contents import ContentsStore, Entry
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.errors import StorageFailed
from jupyter_dashboards_api.notebooks import sweeper as sweeper_module
from jupyter_dashboards_api.notebooks.registry import NotebookRegistry
from jupyter_dashboards_api.notebooks.sweeper import RegistrySweeper
from tests.conftest import Write

LAST_YEAR = now() - timedelta(days=365)


class Disk:
    """The paths of the notebooks that are there, written on a day of last year unless they are new."""

    def __init__(self, *paths: str) -> None:
        self.paths = set(paths)
        self.new: dict[str, datetime | None] = {}

    async def document(self, path: str) -> Entry | None:
        if path not in self.paths:
            return None
        return Entry(path, path, "notebook", self.new.get(path, LAST_YEAR), 1000)

    async def is_being_replaced(self, path: str) -> bool:
        return False

    async def is_empty(self) -> bool:
        return not self.paths


@asynccontextmanager
async def looking(sweeper: RegistrySweeper) -> AsyncIterator[None]:
    """While it looks by itself, for a minute at most."""
    sweeper.start()
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        sweeper.stop()


async def long_ago(database: Database) -> None:
    """As if what is missing now had been missing for a year."""
    a_year_ago = now() - timedelta(days=365)
    await database.execute(
        update(Notebook).where(Notebook.missing_since.is_not(None)).values(missing_since=a_year_ago)
    )


async def test_what_has_been_missing_for_a_while_is_deleted_and_its_place_gets_a_new_id(
    database: Database,
) -> None:
    disk = Disk("a.ipynb", "b.ipynb")
    registry = NotebookRegistry(database, files=disk)
    sweeper = RegistrySweeper(registry, disk)
    old, kept = await registry.identify("a.ipynb"), await registry.identify("b.ipynb")
    disk.paths.remove("a.ipynb")
    await sweeper.look()
    # Not yet: a disk may be away.
    assert await registry.by_id(old.id) == old
    await long_ago(database)
    await sweeper.look()
    assert await registry.by_id(old.id) is None
    disk.paths.add("a.ipynb")
    assert (await registry.identify("a.ipynb")).id not in (old.id, kept.id)
    assert await registry.by_id(kept.id) == kept


@pytest.mark.parametrize("only_missing", [True, False])
async def test_what_comes_back_in_time_is_the_same_notebook(
    database: Database, only_missing: bool
) -> None:
    disk = Disk("other.ipynb")
    registry = NotebookRegistry(database, files=disk)
    sweeper = RegistrySweeper(registry, disk)
    known = await registry.identify("a.ipynb")
    await sweeper.look()
    disk.paths.add("a.ipynb")
    await sweeper.look(missing=only_missing)
    # Its absence is forgotten: it does not add up with the next one.
    await long_ago(database)
    disk.paths.remove("a.ipynb")
    await sweeper.look()
    assert await registry.by_id(known.id) == known


async def test_what_is_put_in_its_place_is_another(database: Database) -> None:
    disk = Disk("other.ipynb")
    registry = NotebookRegistry(database, files=disk)
    known = await registry.identify("a.ipynb")
    assert await registry.there(known.id) is None
    disk.paths.add("a.ipynb")
    disk.new["a.ipynb"] = now()
    assert await registry.by_id(known.id) is None
    assert (await registry.identify("a.ipynb")).id != known.id


async def test_where_nobody_knows_when_it_came_it_is_the_same_notebook(database: Database) -> None:
    disk = Disk("other.ipynb")
    disk.new["a.ipynb"] = None
    registry = NotebookRegistry(database, files=disk)
    known = await registry.identify("a.ipynb")
    assert await registry.there(known.id) is None
    disk.paths.add("a.ipynb")
    assert await registry.there(known.id) == known
    assert await registry.some(0, 9, missing=True) == []


async def test_one_that_is_deleted_and_saved_anew_at_once_is_the_same_notebook(
    database: Database,
) -> None:
    class Blinks(Disk):
        async def document(self, path: str) -> Entry | None:
            there = await super().document(path)
            self.paths.add(path)
            self.new[path] = now()
            return there

    disk = Blinks("a.ipynb")
    registry = NotebookRegistry(database, files=disk)
    known = await registry.identify("a.ipynb")
    disk.paths.clear()
    assert await registry.there(known.id) == known
    assert await registry.some(0, 9, missing=True) == []


@pytest.mark.parametrize("told", ["before", "after"])
async def test_one_that_is_renamed_while_somebody_looks_is_the_same_notebook(
    database: Database, told: str
) -> None:
    disk = Disk("a.ipynb")
    registry = NotebookRegistry(database, files=disk)
    known = await registry.identify("a.ipynb")
    disk.paths = {"b.ipynb"}
    if told == "before":
        await registry.moved("a.ipynb", "b.ipynb")
    # Where it was; who is told too late finds it all the same.
    looked = await registry.look([known])
    assert looked.is_there(known) is (told == "before")
    if told == "after":
        await registry.moved("a.ipynb", "b.ipynb")
    there = await registry.there(known.id)
    assert there is not None
    assert (there.id, there.path) == (known.id, "b.ipynb")


async def test_what_is_about_to_be_made_is_not_missing(database: Database) -> None:
    disk = Disk("other.ipynb")
    registry = NotebookRegistry(database, files=disk)
    made = await registry.reserve("a.ipynb")
    assert made is not None
    assert await registry.there(made.id) is None
    disk.paths.add("a.ipynb")
    disk.new["a.ipynb"] = now()
    registry.made("a.ipynb")
    assert await registry.there(made.id) == made
    disk.paths.remove("a.ipynb")
    assert await registry.there(made.id) is None
    assert [each.id for each in await registry.some(0, 9, missing=True)] == [made.id]


async def test_one_that_is_missing_is_looked_for_more_often(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_OFTEN", 0.05)
    # As if there were so many that it took long to look at all of them.
    monkeypatch.setattr(sweeper_module, "_PER_SECOND", 1e-9)
    looks: list[bool] = []

    class Sweeper(RegistrySweeper):
        async def look(self, *, missing: bool = False) -> int:
            count = await super().look(missing=missing)
            looks.append(missing)
            return count

    disk = Disk("a.ipynb", "other.ipynb")
    registry = NotebookRegistry(database, files=disk)
    known = await registry.identify("a.ipynb")
    async with looking(Sweeper(registry, disk, interval=3600.0)):
        while not looks:
            await asyncio.sleep(0.02)
        disk.paths.remove("a.ipynb")
        assert await registry.there(known.id) is None
        disk.paths.add("a.ipynb")
        while await registry.some(0, 9, missing=True):
            await asyncio.sleep(0.02)
    assert looks[0] is False
    assert all(looks[1:])
    # It was there again before anybody has changed it.
    disk.new["a.ipynb"] = now()
    assert await registry.there(known.id) == known


async def test_a_storage_that_shows_nothing_is_told_of_once_until_it_does(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    registry = NotebookRegistry(database, files=disk)
    await registry.identify("a.ipynb")
    sweeper = RegistrySweeper(registry, disk)
    for present in (False, False, True, False):
        disk.paths = {"a.ipynb"} if present else set()
        await sweeper.look()
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        "The contents manager shows nothing at all: no notebook counts as deleted."
    ] * 2


async def test_few_notebooks_are_all_looked_for_often(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper_module, "_OFTEN", 0.05)
    disk = Disk("a.ipynb", "other.ipynb")
    registry = NotebookRegistry(database, files=disk)
    known = await registry.identify("a.ipynb")
    async with looking(RegistrySweeper(registry, disk, interval=3600.0)):
        for present in (False, True, False):
            (disk.paths.add if present else disk.paths.remove)("a.ipynb")
            while bool(await registry.some(0, 9, missing=True)) is present:
                await asyncio.sleep(0.02)
    assert await registry.by_id(known.id) == known


async def test_whoever_shows_the_notebook_is_told(database: Database) -> None:
    told: list[bool] = []
    disk = Disk("other.ipynb")
    registry = NotebookRegistry(database, lambda: told.append(True), disk)
    await registry.identify("a.ipynb")
    sweeper = RegistrySweeper(registry, disk, grace=0.0)
    await sweeper.look()
    assert told == [True]


async def test_storage_that_does_not_answer_deletes_nothing(database: Database) -> None:
    class Away(Disk):
        async def document(self, path: str) -> Entry | None:
            if path == "a.ipynb":
                raise StorageFailed("The disk is away.")
            return await super().document(path)

    disk = Away("c.ipynb")
    registry = NotebookRegistry(database, files=disk)
    known, lost, _ = [await registry.identify(f"{name}.ipynb") for name in "abc"]
    sweeper = RegistrySweeper(registry, disk, grace=0.0)
    with pytest.raises(StorageFailed):
        await sweeper.look()
    assert await registry.by_id(known.id) == known
    # One that can't be looked at keeps no other one.
    assert await registry.by_id(lost.id) is None


@pytest.mark.parametrize("mount_point", [True, False])
@pytest.mark.parametrize("kind", [LargeFileManager, AsyncLargeFileManager])
async def test_a_disk_that_is_not_mounted_deletes_nothing(
    database: Database, tmp_path: Path, kind: type[Any], mount_point: bool
) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    root.mkdir()
    for name in ("a.ipynb", "b.ipynb"):
        nbformat.write(nbformat.v4.new_notebook(), root / name)
    store = ContentsStore(kind(root_dir=str(root)))
    registry = NotebookRegistry(database, files=store)
    known = [await registry.identify(name) for name in ("a.ipynb", "b.ipynb")]
    sweeper = RegistrySweeper(registry, store, grace=0.0)
    root.rename(away)
    if mount_point:
        root.mkdir()
    await sweeper.look()
    assert [await registry.by_id(each.id) for each in known] == known
    if mount_point:
        root.rmdir()
    away.rename(root)
    (root / "a.ipynb").unlink()
    await sweeper.look()
    assert [await registry.by_id(each.id) for each in known] == [None, known[1]]
    # All of them may be missing, as long as there is something else.
    (root / "b.ipynb").rename(root / "c.ipynb")
    await sweeper.look()
    assert await registry.by_id(known[1].id) is None


async def test_the_contents_manager_tells_what_is_there(
    jp_serverapp: Any, jp_root_dir: Path, write_notebook: Write, registry: NotebookRegistry
) -> None:
    write_notebook("folder/a.ipynb")
    (jp_root_dir / "folder" / "b.txt").write_text("text")
    store = ContentsStore(jp_serverapp.contents_manager)
    for path, there in (
        ("folder/a.ipynb", True),
        ("folder/b.txt", False),
        ("folder", False),
        ("nothing.ipynb", False),
        ("nothing/at/all.ipynb", False),
    ):
        entry = await store.document(path)
        assert (entry is not None and entry.kind == "notebook") is there, path
