"""Pictures beside a notebook: which of them its files get."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from jupyter_dashboards_api.conversion import beside
from jupyter_dashboards_api.conversion.beside import PicturesBeside, place_of
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder

MakeBeside = Callable[..., PicturesBeside]


@pytest.fixture
def make(tmp_path: Path) -> MakeBeside:
    """Of the server's folder `tmp_path`, whose dashboards are in `root`."""
    manager = AsyncLargeFileManager(root_dir=str(tmp_path))

    def pictures(root: str = "", **finding: Any) -> PicturesBeside:
        contents = ContentsStore(manager)
        finder = DashboardFinder(contents, **finding)
        return PicturesBeside(contents, finder, ContentsStore(manager, root))

    return pictures


def put(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("p.png", "a/b/p.png"),
        ("./c/p.png?v=1#x", "a/b/c/p.png"),
        ("my%20p%C3%A9.png", "a/b/my pé.png"),
        ("../p.png", "a/p.png"),
        ("../../p.png", "p.png"),
        ("../../../p.png", None),
        ("%2e%2e/%2e%2e/%2e%2e/p.png", None),
        ("..%2f..%2f..%2fp.png", None),
        (".hidden.png", None),
        ("../.hidden/p.png", None),
        ("c\\p.png", None),
        ("p%00.png", None),
        ("/p.png", None),
        ("//host/p.png", None),
        ("https://host/p.png", None),
        ("file:p.png", None),
        ("http://[p.png", None),
        ("#p.png", None),
        ("", None),
    ],
)
def test_an_address_is_relative_to_the_notebooks_folder_and_stays_in_the_contents(
    address: str, place: str | None
) -> None:
    assert place_of("a/b/n.ipynb", address) == place


async def test_pictures_that_viewers_are_sent_are_found_and_nothing_else(
    tmp_path: Path, make: MakeBeside
) -> None:
    put(tmp_path, "a/p.PNG", "a/sub/p.svg", "q.jpg", "a/.h.png", "a/x.py", "a/x.txt", "a/n.ipynb")
    put(tmp_path, "a/p.uploading-0123456789abcdef/p.png", "a/no.bmp")
    (tmp_path / "a/folder.png").mkdir()
    addresses = ["p.PNG", "p.PNG?v=2", "sub/p.svg", "../q.jpg"]
    others = [".h.png", "x.py", "x.txt", "n.ipynb", "folder.png", "gone.png", "no.bmp"]
    others.append("p.uploading-0123456789abcdef/p.png")
    found = await make(resource_extensions=["png", "svg", "jpg", "py", "txt"]).pictures(
        "a/n.ipynb", [*others, *addresses]
    )
    assert {address: (image.mime, image.data) for address, image in found.items()} == {
        "p.PNG": ("image/png", b"a/p.PNG"),
        "p.PNG?v=2": ("image/png", b"a/p.PNG"),
        "sub/p.svg": ("image/svg+xml", b"a/sub/p.svg"),
        "../q.jpg": ("image/jpeg", b"q.jpg"),
    }


async def test_dashboards_get_nothing_from_outside_of_their_folder_and_notes_outside_get_theirs(
    tmp_path: Path, make: MakeBeside
) -> None:
    put(tmp_path, "board/p.png", "notes/p.png")
    pictures = make(root="board")
    assert set(await pictures.pictures("board/n.ipynb", ["p.png", "../notes/p.png"])) == {"p.png"}
    assert set(await pictures.pictures("notes/n.ipynb", ["p.png"])) == {"p.png"}


async def test_the_pictures_of_one_file_are_bounded_in_number_and_size(
    tmp_path: Path, make: MakeBeside, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "1.png", "2.png", "large.png", "3.png")
    (tmp_path / "large.png").write_bytes(bytes(100))
    pictures = make()
    monkeypatch.setattr(beside, "MAX_BYTES", 12)
    names = ["1.png", "1.png?again", "large.png", "2.png", "3.png"]
    assert set(await pictures.pictures("n.ipynb", names)) == {"1.png", "1.png?again", "2.png"}
    monkeypatch.setattr(beside, "MAX_BYTES", 1000)
    monkeypatch.setattr(beside, "MAX_PICTURES", 2)
    assert set(await pictures.pictures("n.ipynb", names)) == {"1.png", "1.png?again", "large.png"}
