"""The upload manager: all or nothing, on every kind of contents manager, whatever fails."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.contents import filemanager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

from jupyter_dashboards_api.dashboards import staging
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.dashboards.staging import is_staging, staging_path
from jupyter_dashboards_api.errors import (
    Conflict,
    DashboardsError,
    InvalidRequest,
    NotFound,
    StorageFailed,
)
from jupyter_dashboards_api.notebooks.uploads import NotebookUploads, dashboard_path
from jupyter_dashboards_api.notebooks.validation import read_notebook

from .archives import notebook_bytes, tree, zip_of
from .conftest import Faulty, Forgotten

NOTEBOOK = ("x.ipynb", notebook_bytes("new"))
BUNDLE = (
    "x.zip",
    zip_of(
        {
            "./": "",
            "./index.ipynb": notebook_bytes("new index"),
            "./pages/two.ipynb": notebook_bytes("new page"),
            "./data/deep/numbers.bin": bytes(range(256)),
            "./empty/": "",
        }
    ),
)
NEW_BUNDLE = {
    "place/": None,
    "place/index.ipynb": "new index",
    "place/pages/": None,
    "place/pages/two.ipynb": "new page",
    "place/data/": None,
    "place/data/deep/": None,
    "place/data/deep/numbers.bin": bytes(range(256)),
    "place/empty/": None,
}


async def put(store: ContentsStore, path: str, content: str | bytes) -> None:
    """Stores a notebook with that text, or a file with those bytes."""
    await store.make_folders(path.rpartition("/")[0])
    if isinstance(content, bytes):
        await store.save_file(path, content)
    else:
        await store.save_notebook(path, read_notebook(notebook_bytes(content)))


async def old_notebook(store: ContentsStore) -> None:
    await put(store, "place.ipynb", "old")


async def old_bundle(store: ContentsStore) -> None:
    await put(store, "place/index.ipynb", "old index")
    await put(store, "place/deep/data.txt", b"old data")


async def old_both(store: ContentsStore) -> None:
    await old_notebook(store)
    await old_bundle(store)


async def nothing(store: ContentsStore) -> None:
    pass


OLD = [nothing, old_notebook, old_bundle, old_both]


@pytest.mark.parametrize("old", OLD)
async def test_a_notebook_replaces_the_dashboard_of_its_name(
    uploads: NotebookUploads, store: ContentsStore, contents: Any, forgotten: Forgotten, old: Any
) -> None:
    await old(store)
    assert await uploads.save("place.ipynb", *NOTEBOOK) == "place"
    assert await contents() == {"place.ipynb": "new"}
    assert forgotten == ["place"]


@pytest.mark.parametrize("old", OLD)
async def test_a_bundle_replaces_the_dashboard_of_its_name(
    uploads: NotebookUploads, store: ContentsStore, contents: Any, old: Any
) -> None:
    await old(store)
    assert await uploads.save("place", *BUNDLE) == "place"
    assert await contents() == NEW_BUNDLE


async def test_a_notebook_leaves_a_plain_folder_of_its_name_alone(
    uploads: NotebookUploads, store: ContentsStore, contents: Any
) -> None:
    await put(store, "place/other.ipynb", "other")
    await uploads.save("place", *NOTEBOOK)
    assert await contents() == {"place.ipynb": "new", "place/": None, "place/other.ipynb": "other"}


async def test_a_bundle_does_not_replace_a_folder_that_holds_other_things(
    uploads: NotebookUploads, store: ContentsStore, contents: Any
) -> None:
    await put(store, "place/other.ipynb", "other")
    await old_notebook(store)
    before = await contents()
    with pytest.raises(Conflict):
        await uploads.save("place", *BUNDLE)
    assert await contents() == before


async def test_a_bundle_takes_the_place_of_an_empty_folder(
    uploads: NotebookUploads, store: ContentsStore, contents: Any
) -> None:
    await store.make_folders("place")
    await uploads.save("place", *BUNDLE)
    assert await contents() == NEW_BUNDLE


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("upload", [NOTEBOOK, BUNDLE], ids=["notebook", "bundle"])
@pytest.mark.parametrize("old", OLD)
async def test_whatever_change_fails_the_old_or_the_new_is_there_whole(
    uploads: NotebookUploads,
    store: ContentsStore,
    contents: Any,
    faulty: Faulty,
    old: Any,
    upload: tuple[str, bytes],
    late: bool,
) -> None:
    new = {"place.ipynb": "new"} if upload is NOTEBOOK else NEW_BUNDLE
    for error in (HTTPError(500, "/secret"), asyncio.CancelledError()):
        await old(store)
        before = await contents()
        for n in range(1, 100):
            faulty.arm(n, error, late=late)
            try:
                await uploads.save("place", *upload)
            except (DashboardsError, OSError, asyncio.CancelledError):
                after = await contents()
                if isinstance(error, asyncio.CancelledError) and after != before:
                    # Too late to take it back: the old was being deleted.
                    assert without_staging(after) == new, n
                    break
                assert after == before, (n, error)
            else:
                assert faulty.changes < 100
                assert without_staging(await contents()) == new
                break
        faulty.arm(0, error)
        for entry in await store.folder(""):
            await store.delete(entry.path)


def without_staging(found: dict[str, Any]) -> dict[str, Any]:
    return {
        path: content
        for path, content in found.items()
        if not any(is_staging(segment) for segment in path.split("/"))
    }


@pytest.mark.parametrize("upload", [NOTEBOOK, BUNDLE], ids=["notebook", "bundle"])
async def test_folders_made_for_a_failed_upload_are_removed_and_others_stay(
    uploads: NotebookUploads,
    store: ContentsStore,
    contents: Any,
    faulty: Faulty,
    upload: tuple[str, bytes],
) -> None:
    await store.make_folders("there")
    before = await contents()
    for n in range(1, 100):
        faulty.arm(n, HTTPError(507))
        try:
            await uploads.save("there/a/b/c", *upload)
        except DashboardsError:
            assert await contents() == before, n
        else:
            break
    assert n > 3


async def test_a_bad_upload_changes_nothing_at_all(
    uploads: NotebookUploads, faulty: Faulty
) -> None:
    bad = zip_of({"index.ipynb": notebook_bytes(), "more.ipynb": "{}"})
    with pytest.raises(InvalidRequest, match="“more"):
        await uploads.save("a/b", "x.zip", bad)
    assert faulty.changes == 0


async def test_uploads_to_one_name_take_turns(uploads: NotebookUploads, contents: Any) -> None:
    texts = [f"version {n}" for n in range(6)]
    kinds = [
        ("x.ipynb", notebook_bytes(text))
        if n % 2
        else ("x.zip", zip_of({"index.ipynb": notebook_bytes(text), "text": text}))
        for n, text in enumerate(texts)
    ]
    await asyncio.gather(*(uploads.save("a/place", *kind) for kind in kinds))
    found = await contents()
    if "a/place.ipynb" in found:
        assert found.keys() == {"a/", "a/place.ipynb"}
    else:
        assert found.keys() == {"a/", "a/place/", "a/place/index.ipynb", "a/place/text"}
        assert found["a/place/text"].decode() == found["a/place/index.ipynb"]


async def test_uploads_at_once_into_a_new_folder_do_not_disturb_each_other(
    uploads: NotebookUploads, contents: Any, faulty: Faulty
) -> None:
    faulty.arm(8, HTTPError(500))
    results = await asyncio.gather(
        *(uploads.save(f"new/deep/n{n}", *NOTEBOOK) for n in range(5)), return_exceptions=True
    )
    stored = {f"{path}.ipynb" for path in results if isinstance(path, str)}
    assert len(stored) >= 4
    assert (await contents()).keys() == {"new/", "new/deep/"} | stored


async def test_a_dashboard_inside_a_bundle_waits_for_the_bundle(
    uploads: NotebookUploads, contents: Any
) -> None:
    await uploads.save("place", *BUNDLE)
    await asyncio.gather(uploads.save("place", *BUNDLE), uploads.save("place/extra", *NOTEBOOK))
    found = await contents()
    found.pop("place/extra.ipynb", None)
    assert found == NEW_BUNDLE


async def test_a_reader_never_meets_half_a_dashboard(
    uploads: NotebookUploads, store: ContentsStore
) -> None:
    """Saving in place fails this with the asynchronous file manager: it reads a truncated file and restores the old."""
    versions = [notebook_bytes(str(n) + "x" * 400_000) for n in range(6)]
    await uploads.save("place", "x.ipynb", versions[0])
    done = asyncio.Event()
    seen = []

    async def read() -> None:
        while not done.is_set():
            if await store.stat("place.ipynb") is None:
                await uploads.settled("place")
            try:
                notebook, _ = await store.notebook("place.ipynb")
            except (NotFound, StorageFailed, FileNotFoundError):
                await uploads.settled("place")
            else:
                seen.append(int(notebook.cells[0].source[0]))
            await asyncio.sleep(0)

    reader = asyncio.create_task(read())
    for n, version in enumerate(versions):
        await uploads.save("place", "x.ipynb", version)
        notebook, _ = await store.notebook("place.ipynb")
        assert notebook.cells[0].source.startswith(str(n))
    done.set()
    await reader
    assert seen == sorted(seen)


async def test_the_loop_turns_between_the_files_of_a_bundle(uploads: NotebookUploads) -> None:
    archive = zip_of({"index.ipynb": notebook_bytes(), **{f"f{n}": b"x" for n in range(50)}})
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(turn())
    await uploads.save("place", "x.zip", archive)
    ticker.cancel()
    assert turns > 50


async def test_what_a_dead_server_left_is_cleared_by_the_next_upload(
    uploads: NotebookUploads, store: ContentsStore, contents: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(staging.time, "time", lambda: now - 7200)
        abandoned = [staging_path("place.ipynb", "replaced"), staging_path("place", "uploading")]
        others = [staging_path("other.ipynb", "replaced")]
    others.append(staging_path("place.ipynb", "uploading"))
    await put(store, abandoned[0], "old")
    await put(store, f"{abandoned[1]}/index.ipynb", "half")
    for path in others:
        await put(store, path, "kept")
    await uploads.save("place", *NOTEBOOK)
    assert await contents() == {"place.ipynb": "new"} | dict.fromkeys(others, "kept")


async def test_deleting_removes_the_dashboard_and_nothing_else(
    uploads: NotebookUploads, store: ContentsStore, contents: Any, forgotten: Forgotten
) -> None:
    await old_both(store)
    await put(store, "plain/x.txt", b"x")
    await uploads.delete("place.ipynb")
    assert "place/index.ipynb" in await contents()
    await uploads.delete("place")
    assert await contents() == {"plain/": None, "plain/x.txt": b"x"}
    for path in ("place", "plain", "plain/x.txt", "", "plain/", "../plain"):
        with pytest.raises(InvalidRequest, match="must be a dashboard"):
            await uploads.delete(path)
    assert forgotten == ["place", "place"]


async def test_a_root_with_an_index_cannot_be_deleted(
    uploads: NotebookUploads, store: ContentsStore, contents: Any
) -> None:
    await put(store, "index.ipynb", "root")
    for path in ("", "/", "//"):
        with pytest.raises(InvalidRequest):
            await uploads.delete(path)
    assert await contents() == {"index.ipynb": "root"}


async def test_what_is_replaced_goes_to_the_trash_when_the_contents_manager_has_one(
    tmp_path: Path, jp_environ: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, trash = tmp_path / "root", tmp_path / "trash"
    root.mkdir()
    trash.mkdir()

    def send(path: str) -> None:
        Path(path).rename(trash / Path(path).name)

    monkeypatch.setattr(filemanager, "send2trash", send)
    store = ContentsStore(AsyncLargeFileManager(root_dir=str(root), delete_to_trash=True))
    uploads = NotebookUploads(store, DashboardFinder(store), Forgotten())  # type: ignore[arg-type]
    await uploads.save("place", "x.ipynb", notebook_bytes("old"))
    await uploads.save("place", *BUNDLE)
    assert sorted(tree(root)) == [
        "place/data/deep/numbers.bin",
        "place/index.ipynb",
        "place/pages/two.ipynb",
    ]
    assert [b"old" in content for content in tree(trash).values()] == [True]


@pytest.mark.parametrize(
    ("path", "dashboard"),
    [("a", "a"), ("a.ipynb", "a"), ("f/a.IpyNb", "f/a"), ("a.ipynb.ipynb", "a"), ("a b", "a b")],
)
def test_a_dashboards_name_has_no_extension(path: str, dashboard: str) -> None:
    assert dashboard_path(path) == dashboard
