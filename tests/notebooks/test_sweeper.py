"""Notebooks that go past the contents manager lose their ids, after a while; those that come back in time don't."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)
from sqlalchemy import update

from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.errors import StorageFailed
from jupyter_dashboards_api.notebooks.registry import NotebookRegistry
from jupyter_dashboards_api.notebooks.sweeper import RegistrySweeper
from tests.conftest import Write


class Disk:
    """The paths of the notebooks that are there."""

    def __init__(self, *paths: str) -> None:
        self.paths = set(paths)

    async def exists(self, path: str) -> bool:
        return path in self.paths

    async def is_empty(self) -> bool:
        return not self.paths


async def long_ago(database: Database) -> None:
    """As if what is missing now had been missing for a year."""
    a_year_ago = now() - timedelta(days=365)
    await database.execute(
        update(Notebook).where(Notebook.missing_since.is_not(None)).values(missing_since=a_year_ago)
    )


async def test_what_has_been_missing_for_a_while_is_deleted_and_its_place_gets_a_new_id(
    registry: NotebookRegistry, database: Database
) -> None:
    disk = Disk("a.ipynb", "b.ipynb")
    sweeper = RegistrySweeper(registry, disk.exists, disk.is_empty)
    old, kept = await registry.identify("a.ipynb"), await registry.identify("b.ipynb")
    disk.paths.remove("a.ipynb")
    await sweeper.look()
    # Not yet: many programs delete a file in order to save it.
    assert await registry.by_id(old.id) == old
    await long_ago(database)
    await sweeper.look()
    assert await registry.by_id(old.id) is None
    disk.paths.add("a.ipynb")
    assert (await registry.identify("a.ipynb")).id not in (old.id, kept.id)
    assert await registry.by_id(kept.id) == kept


async def test_what_comes_back_in_time_is_the_same_notebook(
    registry: NotebookRegistry, database: Database
) -> None:
    disk = Disk("other.ipynb")
    sweeper = RegistrySweeper(registry, disk.exists, disk.is_empty)
    known = await registry.identify("a.ipynb")
    await sweeper.look()
    disk.paths.add("a.ipynb")
    await sweeper.look()
    # Its absence is forgotten: it does not add up with the next one.
    await long_ago(database)
    disk.paths.remove("a.ipynb")
    await sweeper.look()
    assert await registry.by_id(known.id) == known


async def test_whoever_shows_the_notebook_is_told(database: Database) -> None:
    told: list[bool] = []
    registry = NotebookRegistry(database, lambda: told.append(True))
    await registry.identify("a.ipynb")
    disk = Disk("other.ipynb")
    sweeper = RegistrySweeper(registry, disk.exists, disk.is_empty, grace=0.0)
    await sweeper.look()
    assert told == [True]


async def test_storage_that_does_not_answer_deletes_nothing(registry: NotebookRegistry) -> None:
    async def fails(path: str) -> bool:
        raise StorageFailed("The disk is away.")

    known = await registry.identify("a.ipynb")
    sweeper = RegistrySweeper(registry, fails, Disk().is_empty, grace=0.0)
    with pytest.raises(StorageFailed):
        await sweeper.look()
    assert await registry.by_id(known.id) == known


@pytest.mark.parametrize("mount_point", [True, False])
@pytest.mark.parametrize("kind", [LargeFileManager, AsyncLargeFileManager])
async def test_a_disk_that_is_not_mounted_deletes_nothing(
    registry: NotebookRegistry, tmp_path: Path, kind: type[Any], mount_point: bool
) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    root.mkdir()
    for name in ("a.ipynb", "b.ipynb"):
        nbformat.write(nbformat.v4.new_notebook(), root / name)
    known = [await registry.identify(name) for name in ("a.ipynb", "b.ipynb")]
    store = ContentsStore(kind(root_dir=str(root)))
    sweeper = RegistrySweeper(registry, store.is_notebook, store.is_empty, grace=0.0)
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
        assert await store.is_notebook(path) is there, path
