"""What contents managers, uploads and the server tell the registry of: ids go with what is renamed, and end with what is deleted."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)
from sqlalchemy import func, select
from tornado.web import HTTPError

from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook
from jupyter_dashboards_api.errors import InvalidRequest, Unavailable
from jupyter_dashboards_api.notebooks.registry import CONTENTS_EVENTS, NotebookRegistry
from jupyter_dashboards_api.notebooks.saves import follow_saves
from jupyter_dashboards_api.notebooks.uploads import NotebookUploads
from tests.conftest import Write

from .archives import bundle_of
from .conftest import Forgotten

KINDS = {"files": LargeFileManager, "async files": AsyncLargeFileManager}
NOTEBOOK = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("hello")])


@pytest.fixture(params=KINDS)
def contents(request: pytest.FixtureRequest, tmp_path: Path, registry: NotebookRegistry) -> Any:
    """A contents manager to whose events the registry listens."""
    root = tmp_path / "root"
    root.mkdir()
    manager = KINDS[request.param](
        root_dir=str(root), delete_to_trash=False, always_delete_dir=True
    )
    manager.event_logger.add_listener(
        schema_id=CONTENTS_EVENTS, listener=registry.on_contents_event
    )
    return manager


@pytest.fixture
def save(contents: Any) -> Callable[[str], Any]:
    """Saves a notebook at a path, with the folders above it."""

    async def make(path: str) -> None:
        folder = path.rpartition("/")[0]
        if folder and not await ensure_async(contents.dir_exists(folder)):
            await ensure_async(contents.save({"type": "directory"}, folder))
        await ensure_async(contents.save({"type": "notebook", "content": NOTEBOOK}, path))

    return make


async def test_a_rename_keeps_the_id(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    await save("a.ipynb")
    before = await registry.identify("a.ipynb")
    await ensure_async(contents.rename("a.ipynb", "b.ipynb"))
    after = await registry.find("b.ipynb")
    assert after is not None
    assert (after.id, after.uuid, after.short_id) == (before.id, before.uuid, before.short_id)
    assert await registry.find("a.ipynb") is None


async def test_renames_in_quick_succession_keep_the_id(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    await save("0.ipynb")
    before = await registry.identify("0.ipynb")
    for number in range(10):
        await ensure_async(contents.rename(f"{number}.ipynb", f"{number + 1}.ipynb"))
    after = await registry.identify("10.ipynb")
    assert after.id == before.id


async def test_a_rename_to_the_same_name_keeps_the_id(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    await save("a.ipynb")
    before = await registry.identify("a.ipynb")
    await ensure_async(contents.rename("a.ipynb", "/a.ipynb"))
    await ensure_async(contents.update({"path": "a.ipynb"}, "a.ipynb"))
    assert await registry.find("a.ipynb") == before


async def test_two_notebooks_that_swap_their_names_swap_their_ids(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    ids = {}
    for name in ("a", "b"):
        await save(f"{name}.ipynb")
        ids[name] = (await registry.identify(f"{name}.ipynb")).id
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        await ensure_async(contents.rename(f"{old}.ipynb", f"{new}.ipynb"))
    assert (await registry.identify("a.ipynb")).id == ids["b"]
    assert (await registry.identify("b.ipynb")).id == ids["a"]


async def test_a_folders_rename_keeps_the_ids_of_what_is_in_it(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    paths = ["f/a.ipynb", "f/deep/b.ipynb", "f x/c.ipynb"]
    for path in paths:
        await save(path)
    ids = [(await registry.identify(path)).id for path in paths]
    await ensure_async(contents.rename("f", "g"))
    new = ["g/a.ipynb", "g/deep/b.ipynb", "f x/c.ipynb"]
    assert [(await registry.identify(path)).id for path in new] == ids


async def test_a_copy_is_another_notebook(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    await save("a.ipynb")
    before = await registry.identify("a.ipynb")
    copy = await ensure_async(contents.copy("a.ipynb"))
    assert (await registry.identify(copy["path"])).id != before.id
    assert await registry.find("a.ipynb") == before


@pytest.mark.parametrize("deleted", ["f/a.ipynb", "f"])
async def test_a_new_file_at_a_deleted_ones_path_has_another_id(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any], deleted: str
) -> None:
    await save("f/a.ipynb")
    before = await registry.identify("f/a.ipynb")
    await ensure_async(contents.delete(deleted))
    await save("f/a.ipynb")
    assert (await registry.identify("f/a.ipynb")).id != before.id


async def test_saving_a_notebook_again_keeps_the_id(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    await save("a.ipynb")
    before = await registry.identify("a.ipynb")
    await save("a.ipynb")
    assert await registry.find("a.ipynb") == before


@pytest.mark.parametrize("size", ["small", "large"])
async def test_what_is_saved_where_a_notebook_has_vanished_is_another(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any], size: str
) -> None:
    store = ContentsStore(contents)
    follow_saves(store, registry)
    await save("f/a.ipynb")
    before = await registry.identify("f/a.ipynb")
    kept = await registry.identify("f/b.ipynb")
    # Past the contents manager: nobody tells.
    Path(contents.root_dir, "f", "a.ipynb").unlink()
    if size == "large":
        await store.save_file("f/a.ipynb", nbformat.writes(NOTEBOOK).encode() + b" " * 2**21)
    else:
        await save("f/a.ipynb")
    after = await registry.identify("f/a.ipynb")
    assert after.id != before.id
    assert await registry.by_id(before.id) is None
    assert await registry.find("f/b.ipynb") == kept
    await save("f/a.ipynb")
    assert await registry.find("f/a.ipynb") == after


async def test_a_save_that_fails_where_a_notebook_has_vanished_ends_nothing(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    follow_saves(ContentsStore(contents), registry)
    await save("f/a.ipynb")
    before = await registry.identify("f/a.ipynb")
    folder = Path(contents.root_dir, "f")
    folder.rename(folder.with_name("away"))
    with pytest.raises(HTTPError):
        await ensure_async(
            contents.save({"type": "notebook", "content": NOTEBOOK}, "f/a.ipynb"),
        )
    folder.with_name("away").rename(folder)
    await save("f/a.ipynb")
    assert await registry.find("f/a.ipynb") == before


async def test_what_is_reserved_stays_when_it_is_made(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    follow_saves(ContentsStore(contents), registry)
    reserved = await registry.reserve("a.ipynb")
    assert reserved is not None
    await save("a.ipynb")
    assert await registry.find("a.ipynb") == reserved
    Path(contents.root_dir, "a.ipynb").unlink()
    await save("a.ipynb")
    assert (await registry.identify("a.ipynb")).id != reserved.id


async def test_a_name_that_cannot_be_stored_leaves_no_id_behind(
    registry: NotebookRegistry, contents: Any, save: Callable[[str], Any]
) -> None:
    await save("a.ipynb")
    before = await registry.identify("a.ipynb")
    # Latin-1, as Python shows it.
    await ensure_async(contents.rename("a.ipynb", "\udce4.ipynb"))
    await save("a.ipynb")
    assert (await registry.identify("a.ipynb")).id != before.id


class Away:
    """A database that does not answer for a while: before it has written, or just after."""

    busy_timeout = 0.1

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_away = False
        self.late = False
        self.tried = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    async def write(self, work: Any) -> Any:
        if not self.is_away:
            return await self.database.write(work)
        if self.late:
            await self.database.write(work)
        self.tried.set()
        raise Unavailable("The database does not answer.")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_told_while_the_database_is_away_is_written_when_it_is_back(
    database: Database, tmp_path: Path, kind: str, late: bool
) -> None:
    away = Away(database)
    registry = NotebookRegistry(away)  # type: ignore[arg-type]
    root = tmp_path / "root"
    root.mkdir()
    manager = KINDS[kind](root_dir=str(root), delete_to_trash=False)
    manager.event_logger.add_listener(
        schema_id=CONTENTS_EVENTS, listener=registry.on_contents_event
    )
    ids = {}
    for name in "abc":
        nbformat.write(NOTEBOOK, root / f"{name}.ipynb")
        ids[name] = (await registry.identify(f"{name}.ipynb")).id
    away.is_away, away.late = True, late
    await ensure_async(manager.rename("b.ipynb", "d.ipynb"))
    await ensure_async(manager.delete("a.ipynb"))
    await ensure_async(manager.rename("c.ipynb", "a.ipynb"))
    await away.tried.wait()
    # Whoever asks is not told what is wrong meanwhile, and does not wait for ever.
    for asked in (registry.by_id(ids["a"]), registry.identify("a.ipynb")):
        with pytest.raises(Unavailable):
            await asked
    away.is_away = False
    while True:
        try:
            await registry.informed()
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    assert (await registry.identify("d.ipynb")).id == ids["b"]
    assert (await registry.identify("a.ipynb")).id == ids["c"]
    assert await registry.by_id(ids["a"]) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_what_concerns_no_notebook_that_is_known_does_not_wait_until_the_database_can_be_written(
    database: Database, tmp_path: Path, kind: str
) -> None:
    away = Away(database)
    away.busy_timeout = 60
    registry = NotebookRegistry(away)  # type: ignore[arg-type]
    manager = KINDS[kind](root_dir=str(tmp_path), delete_to_trash=False)
    follow_saves(ContentsStore(manager), registry)
    manager.event_logger.add_listener(
        schema_id=CONTENTS_EVENTS, listener=registry.on_contents_event
    )
    known = await registry.identify("known.ipynb")
    away.is_away = True
    await ensure_async(manager.save({"type": "notebook", "content": NOTEBOOK}, "a.ipynb"))
    await ensure_async(manager.rename("a.ipynb", "b.ipynb"))
    await ensure_async(manager.delete("b.ipynb"))
    told = asyncio.ensure_future(manager.event_logger.gather_listeners())
    tried = asyncio.ensure_future(away.tried.wait())
    await asyncio.wait([told, tried], return_when=asyncio.FIRST_COMPLETED)
    assert not tried.done()
    assert await registry.find("known.ipynb") == known
    assert not tried.done()
    tried.cancel()


async def test_an_event_that_the_database_does_not_take_is_tried_less_and_less_often(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(database)
    registry = NotebookRegistry(away)  # type: ignore[arg-type]
    known = await registry.identify("a.ipynb")
    away.is_away = True
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noting(seconds: float) -> None:
        pauses.append(seconds)
        away.is_away = len(pauses) < 6
        await sleep(0)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", noting)
        deleted = {"action": "delete", "path": "a.ipynb"}
        await registry.on_contents_event(None, CONTENTS_EVENTS, deleted)
    assert pauses == [0.5, 1, 2, 4, 5, 5]
    assert await registry.by_id(known.id) is None


@pytest.fixture
def uploads(contents: Any, registry: NotebookRegistry) -> NotebookUploads:
    store = ContentsStore(contents)
    return NotebookUploads(
        store,
        DashboardFinder(store),
        Forgotten(),  # type: ignore[arg-type]
        registry,
    )


async def test_an_upload_that_replaces_a_notebook_keeps_its_id(
    registry: NotebookRegistry, uploads: NotebookUploads
) -> None:
    data = nbformat.writes(NOTEBOOK).encode()
    await uploads.save("f/a.ipynb", "a.ipynb", data)
    before = await registry.identify("f/a.ipynb")
    for _ in range(2):
        await uploads.save("f/a.ipynb", "a.ipynb", data)
        assert await registry.find("f/a.ipynb") == before


async def test_an_upload_that_replaces_a_bundle_keeps_the_ids_in_it(
    registry: NotebookRegistry, uploads: NotebookUploads
) -> None:
    await uploads.save("board", "board.zip", bundle_of(data="1"))
    before = await registry.identify("board/index.ipynb")
    await uploads.save("board", "board.zip", bundle_of(data="2"))
    assert await registry.find("board/index.ipynb") == before


async def test_an_upload_to_where_a_notebook_has_vanished_has_another_id(
    registry: NotebookRegistry, uploads: NotebookUploads, contents: Any
) -> None:
    data = nbformat.writes(NOTEBOOK).encode()
    await uploads.save("f/a.ipynb", "a.ipynb", data)
    await uploads.save("board", "board.zip", bundle_of(data="1"))
    before = {
        (await registry.identify(path)).id for path in ("f/a.ipynb", "board/index.ipynb", "x.ipynb")
    }
    Path(contents.root_dir, "f", "a.ipynb").unlink()
    shutil.rmtree(Path(contents.root_dir, "board"))
    await uploads.save("f/a.ipynb", "a.ipynb", data)
    await uploads.save("board", "board.zip", bundle_of(data="2"))
    for path in ("f/a.ipynb", "board/index.ipynb"):
        assert (await registry.identify(path)).id not in before
    # Not every one has vanished.
    assert (await registry.identify("x.ipynb")).id in before


async def test_an_upload_that_fails_keeps_the_id(
    registry: NotebookRegistry, uploads: NotebookUploads
) -> None:
    data = nbformat.writes(NOTEBOOK).encode()
    await uploads.save("a.ipynb", "a.ipynb", data)
    before = await registry.identify("a.ipynb")
    with pytest.raises(InvalidRequest):
        await uploads.save("a.ipynb", "a.ipynb", b"no notebook")
    assert await registry.find("a.ipynb") == before


async def test_a_deleted_dashboards_id_ends_and_the_next_one_has_another(
    registry: NotebookRegistry, uploads: NotebookUploads
) -> None:
    data = nbformat.writes(NOTEBOOK).encode()
    await uploads.save("a.ipynb", "a.ipynb", data)
    before = await registry.identify("a.ipynb")
    await uploads.delete("a.ipynb")
    assert await registry.find("a.ipynb") is None
    await uploads.save("a.ipynb", "a.ipynb", data)
    assert (await registry.identify("a.ipynb")).id != before.id


# In the server


@pytest.fixture(params=KINDS)
def jp_argv(request: pytest.FixtureRequest) -> list[str]:
    kind = KINDS[request.param]
    return [f"--ServerApp.contents_manager_class={kind.__module__}.{kind.__qualname__}"]


async def test_the_server_tells_of_what_its_own_api_renames_and_deletes(
    jp_serverapp: Any, dashboards: Any, jp_fetch: Any, write_notebook: Write
) -> None:
    registry: NotebookRegistry = dashboards.access.notebooks
    write_notebook("team a/board.ipynb")
    before = await registry.identify("team a/board.ipynb")

    async def rename(path: str, new_path: str) -> None:
        body = json.dumps({"path": new_path})
        await jp_fetch("api", "contents", path, method="PATCH", body=body)

    await rename("team a/board.ipynb", "team a/plan.ipynb")
    await rename("team a", "team b")
    after = await registry.find("team b/plan.ipynb")
    assert after is not None
    assert after.id == before.id
    await jp_fetch("api", "contents", "team b/plan.ipynb", method="DELETE")
    assert await registry.find("team b/plan.ipynb") is None
    write_notebook("team b/plan.ipynb")
    assert (await registry.identify("team b/plan.ipynb")).id != before.id
    with dashboards.database.transaction(write=False) as session:
        assert session.scalar(select(func.count()).select_from(Notebook)) == 2


async def test_a_link_ends_with_its_notebook_and_not_with_its_name(
    dashboards: Any, jp_fetch: Any, write_notebook: Write
) -> None:
    access = dashboards.access
    write_notebook("board.ipynb")
    notebook = await access.notebooks.identify("board.ipynb")
    token = (await access.shares.change(notebook.id, {"enabled": True}, "ann")).access_token
    body = json.dumps({"path": "plan.ipynb"})
    await jp_fetch("api", "contents", "board.ipynb", method="PATCH", body=body)
    await access.notebooks.find("plan.ipynb")
    share = await access.shares.open(token)
    assert share.path == "plan.ipynb"
    # Somebody else's, of the old name.
    write_notebook("board.ipynb")
    await jp_fetch("api", "contents", "plan.ipynb", method="DELETE")
    await access.notebooks.find("plan.ipynb")
    assert await access.shares.open(token) is None
