"""The door to the contents manager: clean paths in, no paths of a disk out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_server.services.contents.filemanager import (
    AsyncFileContentsManager,
    FileContentsManager,
)
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)
from tornado.web import HTTPError

from jupyter_dashboards_api.dashboards.contents import (
    ContentsStore,
    clean_path,
    join_path,
    parent_path,
)
from jupyter_dashboards_api.errors import (
    DashboardsError,
    Forbidden,
    InvalidRequest,
    NotFound,
    StorageFailed,
    Unreadable,
)
from tests.notebooks.memory_contents import MemoryContents

from .conftest import put, save


@pytest.mark.parametrize(
    ("url_path", "path"),
    [
        ("", ""),
        ("/", ""),
        ("/a/b", "a/b"),
        ("/a b/ü%#?&'\".ipynb/", "a b/ü%#?&'\".ipynb"),
        ("a..b/c...", "a..b/c..."),
        ("خانه\u200cها", "خانه\u200cها"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("at 10.00\u202fAM", "at 10.00\u202fAM"),
        ("a\u00a0b", "a\u00a0b"),
        (" a ", " a "),
    ],
)
def test_a_plain_relative_path_is_a_contents_path(url_path: str, path: str) -> None:
    assert clean_path(url_path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("..", ".", "../a", "a/..", "a/../b", "a/./b", ".hidden", "a/.git/config", ".ipynb"),
        *(
            "a//b",
            "a/ /b",
            "a\\b",
            "..\\a",
            "a/\x00",
            "a\nb",
            "a\x7fb",
            "a\x9bb",
            "\udcff",
            "a\u2028b",
        ),
        "x" * 2000,
    ],
)
def test_what_is_no_plain_relative_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        clean_path(path)
    assert raised.value.message.startswith("A path has no") or path == "x" * 2000


@given(st.text(alphabet="ab./\\ \x00\u200d", max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_path_leads_out_of_the_root(path: str) -> None:
    try:
        clean = clean_path(path)
    except InvalidRequest:
        return
    assert not clean.startswith("/")
    assert not any(segment.startswith(".") for segment in clean.split("/"))
    assert clean_path(clean) == clean
    assert Path(os.path.normpath("/root/" + clean)).is_relative_to("/root")


def test_parents_and_children_of_paths() -> None:
    assert (parent_path(""), parent_path("a"), parent_path("a/b/c")) == ("", "", "a/b")
    assert (join_path("", "a"), join_path("a/b", "c")) == ("a", "a/b/c")


async def test_a_store_says_what_lies_at_a_path(store: ContentsStore) -> None:
    await put(store, "a/b.ipynb", "a/c.txt", "a/d/")
    kinds = [
        entry and entry.kind
        for entry in [await store.stat(p) for p in ("", "a", "a/b.ipynb", "a/c.txt", "x")]
    ]
    assert kinds == ["directory", "directory", "notebook", "file", None]
    assert {entry.path for entry in await store.folder("a")} == {"a/b.ipynb", "a/c.txt", "a/d"}
    assert (await store.file("a/c.txt"))[0] == b"x"
    notebook, entry = await store.notebook("a/b.ipynb")
    assert notebook.cells[0].source == "# Title"
    assert (entry.path, entry.name) == ("a/b.ipynb", "b.ipynb")


async def test_below_a_root_nothing_else_can_be_named(manager: Any) -> None:
    whole, part = ContentsStore(manager), ContentsStore(manager, "/published/here/")
    await put(whole, "secret.ipynb", "published/other.ipynb", "published/here/a.ipynb")
    assert [entry.path for entry in await part.folder("")] == ["a.ipynb"]
    assert (await part.notebook("a.ipynb"))[1].path == "a.ipynb"
    assert await part.stat("secret.ipynb") is None
    assert part.api_path("a.ipynb") == "published/here/a.ipynb"
    await part.rename("a.ipynb", "b.ipynb")
    assert await whole.stat("published/here/b.ipynb")


async def test_nothing_is_found_where_nothing_is(store: ContentsStore) -> None:
    for read in (store.notebook, store.file, store.folder):
        with pytest.raises(NotFound):
            await read("missing")


class FailingContents(MemoryContents):
    """Fails with a given error whenever it is asked."""

    error: BaseException

    def get(self, *args: Any, **options: Any) -> dict[str, Any]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HTTPError(404, "/secret/place"), NotFound),
        (HTTPError(403, "/secret/place"), Forbidden),
        (HTTPError(400, "/secret/place"), DashboardsError),
        (HTTPError(500, "/secret/place"), StorageFailed),
        (PermissionError(13, "denied", "/secret/place"), Forbidden),
        (OSError(5, "I/O error", "/secret/place"), StorageFailed),
        (TimeoutError("/secret/place"), StorageFailed),
        (ValueError("/secret/place"), DashboardsError),
    ],
)
@pytest.mark.parametrize("method", ["notebook", "file", "folder"])
async def test_no_error_of_a_manager_passes_with_its_text(
    error: BaseException, expected: type[DashboardsError], method: str
) -> None:
    manager = FailingContents()
    manager.error = error
    read: Callable[..., Any] = getattr(ContentsStore(manager), method)
    with pytest.raises(expected) as raised:
        await read("a.ipynb")
    assert "/secret" not in raised.value.message


@pytest.mark.parametrize(
    "text",
    [
        *("", "not json", "[]", "{}", "null", '"x"', "\ufeff{}", "[" * 5000),
        *('{"nbformat": 4, "nbformat_minor": 5, "cells": 3, "metadata": {}}', '{"nbformat": 99}'),
    ],
)
async def test_a_file_that_is_no_notebook_is_unreadable(
    text: str, tmp_path: Path, jupyter_home: None
) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(Unreadable) as raised:
        await ContentsStore(LargeFileManager(root_dir=str(tmp_path))).notebook("a.ipynb")
    assert str(tmp_path) not in raised.value.message


@pytest.mark.parametrize("kind", [AsyncFileContentsManager, AsyncLargeFileManager])
async def test_a_notebook_that_is_just_being_written_is_waited_for_and_left_where_it_is(
    tmp_path: Path, jupyter_home: None, kind: type[Any]
) -> None:
    store = ContentsStore(kind(root_dir=str(tmp_path)))
    await put(store, "a.ipynb")
    file, intermediate = tmp_path / "a.ipynb", tmp_path / ".~a.ipynb"
    whole = file.read_text()
    # As Jupyter writes it.
    intermediate.write_text(whole)
    file.write_text(whole[: len(whole) // 2])
    reading = asyncio.ensure_future(store.notebook("a.ipynb"))
    await asyncio.sleep(0.02)
    assert sorted(each.name for each in tmp_path.glob("*a.ipynb*")) == [".~a.ipynb", "a.ipynb"]
    file.write_text(whole)
    notebook, entry = await reading
    assert notebook.cells[0].source == "# Title"
    assert entry.kind == "notebook"
    # One that stays so is no notebook; one that was so before is none at once.
    file.write_text("{")
    with pytest.raises(Unreadable):
        await store.notebook("a.ipynb")
    assert intermediate.exists()


async def test_a_notebook_of_version_three_is_read_as_version_four() -> None:
    manager = MemoryContents()
    cell = {
        "cell_type": "code",
        "language": "python",
        "input": ["a\n", "b"],
        "outputs": [],
        "metadata": {},
    }
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": [cell], "metadata": {}}],
    }
    await save(manager, "a.ipynb", {"type": "notebook", "content": old, "format": "json"})
    notebook, _ = await ContentsStore(manager).notebook("a.ipynb")
    assert notebook.nbformat == 4
    assert notebook.cells[0].source == "a\nb"


async def test_a_notebook_as_a_plain_dictionary_with_lists_of_lines_is_read() -> None:
    manager = MemoryContents()
    output = {"output_type": "stream", "name": "stdout", "text": ["x\n", "y"]}
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "a",
        "source": ["a\n", "b"],
        "metadata": {},
        "outputs": [output],
        "execution_count": None,
    }
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    await save(manager, "a.ipynb", {"type": "notebook", "content": content, "format": "json"})
    notebook, _ = await ContentsStore(manager).notebook("a.ipynb")
    assert notebook.cells[0].source == "a\nb"
    assert notebook.cells[0].outputs[0].text == "x\ny"


async def test_a_text_file_that_a_manager_does_not_encode_is_read() -> None:
    manager = MemoryContents()
    await save(manager, "a.txt", {"type": "file", "content": "é", "format": "text"})
    assert (await ContentsStore(manager).file("a.txt"))[0] == "é".encode()


async def test_a_folder_holds_only_names_that_can_be_asked_for(
    tmp_path: Path, jupyter_home: None
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in (
        b"a.ipynb",
        b".hidden.ipynb",
        b"b\\c.ipynb",
        b"\xff.ipynb",
        b"new\nline.txt",
        b" ",
    ):
        Path(os.fsdecode(os.path.join(os.fsencode(root), name))).write_text("")
    store = ContentsStore(LargeFileManager(root_dir=str(root), allow_hidden=True))
    assert [entry.name for entry in await store.folder("")] == ["a.ipynb"]


async def test_deleting_takes_a_filled_folder_whole(store: ContentsStore) -> None:
    await put(store, "a/b/c.ipynb", "a/d.txt", "e.ipynb")
    await store.delete("a")
    assert [entry.path for entry in await store.folder("")] == ["e.ipynb"]
    with pytest.raises(NotFound):
        await store.delete("a")


async def test_folders_are_made_through_what_exists_but_not_through_a_file(
    store: ContentsStore,
) -> None:
    await put(store, "a/b/", "f.txt")
    await store.make_folders("a/b/c/d")
    assert (await store.stat("a/b/c/d")) is not None
    with pytest.raises(InvalidRequest):
        await store.make_folders("f.txt/x")


def test_a_place_is_a_folder_whichever_way_it_is_named_and_whatever_shows_only_files_of_it(
    tmp_path: Path,
) -> None:
    class Other(LargeFileManager):
        """Shows something else of a folder, as far as anybody knows."""

    one, two, link = tmp_path / "one", tmp_path / "two", tmp_path / "link"
    one.mkdir()
    two.mkdir()
    link.symlink_to(one)

    def place(kind: type[Any], folder: Path, root: str = "") -> str:
        return ContentsStore(kind(root_dir=str(folder)), root).place

    known = place(LargeFileManager, one)
    for kind in (FileContentsManager, AsyncFileContentsManager, AsyncLargeFileManager):
        assert place(kind, one) == known
    assert place(LargeFileManager, link) == place(LargeFileManager, one, "published") == known
    assert len({known, place(LargeFileManager, two), place(Other, one), place(Other, two)}) == 4
