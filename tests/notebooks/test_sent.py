"""Notebooks that programs send in the place of others: on a disk, only their bytes change, and all at once."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.services.contents import filemanager
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)
from tornado.web import HTTPError

from jupyter_dashboards_api.dashboards import staging
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.dashboards.staging import staging_path
from jupyter_dashboards_api.errors import Forbidden, StorageFailed
from jupyter_dashboards_api.notebooks.uploads import NotebookUploads

from .archives import notebook_bytes, tree
from .conftest import Faulty, Forgotten

ON_DISK = {"files": LargeFileManager, "async files": AsyncLargeFileManager}
SENT = notebook_bytes("new")


@pytest.fixture(params=ON_DISK)
def disk(request: pytest.FixtureRequest, tmp_path: Path, jp_environ: Any) -> Any:
    """A contents manager that keeps files on a disk, with its trash."""
    root = tmp_path / "root"
    (root / "f").mkdir(parents=True)
    return ON_DISK[request.param](root_dir=str(root))


def sending(manager: Any) -> tuple[NotebookUploads, ContentsStore, Path]:
    store = ContentsStore(manager)
    uploads = NotebookUploads(store, DashboardFinder(store), Forgotten())  # type: ignore[arg-type]
    return uploads, store, Path(manager.root_dir)


async def test_a_notebook_that_is_sent_again_keeps_its_mode_owner_and_checkpoints(
    disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(path: str) -> None:
        raise AssertionError("Nothing goes to the trash.")

    monkeypatch.setattr(filemanager, "send2trash", send)
    uploads, store, root = sending(disk)
    file = root / "f" / "a.ipynb"
    file.write_bytes(notebook_bytes("old"))
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 2345)
    before = file.stat()
    await ensure_async(disk.create_checkpoint("f/a.ipynb"))
    await uploads.put(store, "f/a.ipynb", SENT)
    after = file.stat()
    assert file.read_bytes() == SENT
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert len(await ensure_async(disk.list_checkpoints("f/a.ipynb"))) == 1
    assert [each.name for each in file.parent.glob("[!.]*")] == ["a.ipynb"]


async def test_a_notebook_that_is_sent_to_a_link_goes_where_that_leads(disk: Any) -> None:
    uploads, store, root = sending(disk)
    file, link = root / "f" / "real.ipynb", root / "link.ipynb"
    file.write_bytes(notebook_bytes("old"))
    link.symlink_to("f/real.ipynb")
    await uploads.put(store, "link.ipynb", SENT)
    assert link.is_symlink()
    assert file.read_bytes() == SENT


@pytest.mark.parametrize("size", ["small", "large"])
async def test_a_notebook_that_is_sent_again_is_always_there_and_whole(
    disk: Any, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    uploads, store, root = sending(disk)
    file = root / "f" / "a.ipynb"
    old = notebook_bytes("old")
    sent = SENT + b" " * (3 * 2**20) if size == "large" else SENT
    file.write_bytes(old)
    met = []

    def noting(do: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            met.append(file.read_bytes())
            done = do(*args, **options)
            met.append(file.read_bytes())
            return done

        return call

    for name in ("open", "rename", "replace", "fsync", "unlink"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    await uploads.put(store, "f/a.ipynb", sent)
    assert met == [old] * met.index(sent) + [sent] * met.count(sent)
    assert len(met) > 2


async def test_a_notebook_that_cannot_be_written_leaves_the_old_one(
    disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, store, root = sending(disk)
    file = root / "f" / "a.ipynb"
    file.write_bytes(notebook_bytes("old"))

    def full(opened: int) -> None:
        raise OSError(errno.ENOSPC, f"No space left for {file}")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFailed) as failed:
            await uploads.put(store, "f/a.ipynb", SENT)
    assert str(root) not in failed.value.message
    # Tests may run as root, who may write to any file.
    monkeypatch.setattr(os, "access", lambda *args, **options: False)
    with pytest.raises(Forbidden):
        await uploads.put(store, "f/a.ipynb", SENT)
    assert tree(root) == {"f/a.ipynb": notebook_bytes("old")}


async def test_hooks_and_listeners_are_told_of_a_notebook_that_is_sent_again(disk: Any) -> None:
    uploads, store, root = sending(disk)
    (root / "f" / "a.ipynb").write_bytes(notebook_bytes("old"))
    told: list[Any] = []
    hooked = notebook_bytes("hooked")

    def before(*, path: str, model: Any, **_: Any) -> None:
        told.append(("begins", path))
        model.update(format="text", content=hooked.decode())

    def after(*, os_path: str, model: Any, **_: Any) -> None:
        told.append((Path(os_path).read_bytes(), model["path"]))

    async def listen(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        if data["action"] != "get":
            told.append((data["action"], data["path"]))

    disk.register_pre_save_hook(before)
    disk.register_post_save_hook(after)
    disk.event_logger.add_listener(schema_id=disk.event_schema_id, listener=listen)
    await uploads.put(store, "f/a.ipynb", SENT)
    await disk.event_logger.gather_listeners()
    assert told == [("begins", "f/a.ipynb"), (hooked, "f/a.ipynb"), ("save", "f/a.ipynb")]

    def refuses(**_: Any) -> None:
        raise HTTPError(403)

    disk.register_pre_save_hook(refuses)
    with pytest.raises(Forbidden):
        await uploads.put(store, "f/a.ipynb", SENT)
    assert (root / "f" / "a.ipynb").read_bytes() == hooked


async def test_a_contents_manager_that_saves_in_its_own_way_is_asked_to(
    uploads: NotebookUploads, store: ContentsStore, faulty: Faulty
) -> None:
    old = notebook_bytes("old")
    await uploads.put(store, "f/a.ipynb", old)
    faulty.arm(1, HTTPError(403))
    with pytest.raises(Forbidden):
        await uploads.put(store, "f/a.ipynb", SENT)
    assert (await store.file("f/a.ipynb"))[0] == old
    await uploads.put(store, "f/a.ipynb", SENT)
    assert (await store.file("f/a.ipynb"))[0] == SENT
    assert [each.name for each in await store.folder("f")] == ["a.ipynb"]


async def test_what_else_is_in_its_folder_is_not_looked_at_when_a_notebook_is_sent(
    disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, store, root = sending(disk)
    asked = set()
    get = disk.get

    def noting(path: str, *args: Any, **options: Any) -> Any:
        asked.add((path, options["content"]))
        return get(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(staging.time, "time", lambda: 1_700_000_000)
        abandoned = root / staging_path("f/a.ipynb", "uploading")
    monkeypatch.setattr(disk, "get", noting)
    for _ in range(2):
        abandoned.write_bytes(SENT)
        await uploads.put(store, "f/a.ipynb", SENT)
        assert [each.name for each in (root / "f").glob("[!.]*")] == ["a.ipynb"]
    assert ("f/a.ipynb", False) in asked
    assert not any(content for _, content in asked)
