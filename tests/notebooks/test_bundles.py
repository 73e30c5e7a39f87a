"""Archives: what a good one holds, and every way in which one is refused."""

from __future__ import annotations

import stat
import struct
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from zipfile import ZIP_BZIP2, ZIP_LZMA, ZIP_STORED, ZipInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.contents import clean_path
from jupyter_dashboards_api.errors import DashboardsError, InvalidRequest, TooLarge
from jupyter_dashboards_api.notebooks.bundles import (
    Bundle,
    Limits,
    entry_path,
    open_bundle,
    open_upload,
)

from .archives import notebook_bytes, patched, special, zip_of

LIMITS = Limits(entries=1000, unpacked_size=1_000_000, notebook_size=500_000)
INDEX = ("index.ipynb", notebook_bytes())


def refusal(data: bytes, limits: Limits = LIMITS) -> str:
    """The message with which an archive is refused."""
    with pytest.raises(DashboardsError) as refused:
        open_bundle(data, limits)
    assert refused.value.message.isprintable()
    return refused.value.message


def with_entry(name: str | ZipInfo, content: bytes = b"x") -> bytes:
    return zip_of([INDEX, (name, content)])


def test_a_bundle_holds_notebooks_files_and_folders() -> None:
    bundle = open_bundle(
        zip_of(
            [
                ("./", ""),
                ("./index.ipynb", INDEX[1]),
                ("a/b/c.txt", "c"),
                ("a/n.ipynb", INDEX[1]),
                ("e/", ""),
            ]
        ),
        LIMITS,
    )
    assert bundle.folders == ("a", "a/b", "e")
    assert list(bundle.notebooks) == ["index.ipynb", "a/n.ipynb"]
    assert bundle.files == ("a/b/c.txt",)
    assert bundle.read("a/b/c.txt") == b"c"


def test_stored_archives_are_read() -> None:
    assert open_bundle(zip_of([INDEX], ZIP_STORED), LIMITS).files == ()


def test_junk_of_operating_systems_is_left_out() -> None:
    junk = [
        "__MACOSX/._index.ipynb",
        ".DS_Store",
        "a/.DS_Store",
        ".ipynb_checkpoints/index-checkpoint.ipynb",
    ]
    assert open_bundle(zip_of([INDEX, *((name, b"junk") for name in junk)]), LIMITS).folders == ()


def test_a_nested_archive_is_a_file() -> None:
    inner = with_entry("../escape")
    assert open_bundle(with_entry("inner.zip", inner), LIMITS).read("inner.zip") == inner


def test_names_in_utf8_are_read_with_and_without_the_flag() -> None:
    archive = with_entry("dé.txt")
    assert open_bundle(archive, LIMITS).files == ("dé.txt",)
    unflagged = bytearray(archive)
    for signature, at in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        unflagged[unflagged.rfind(signature) + at] &= ~0x08
    assert open_bundle(bytes(unflagged), LIMITS).files == ("dé.txt",)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../x", "“..”"),
        ("a/../../x", "“..”"),
        ("./../x", "“..”"),
        ("a/./x", "“.”"),
        ("..", "“..”"),
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("./" + "/etc/passwd", "empty"),
        ("C:/x", "absolute"),
        ("c:x", "absolute"),
        ("./C:/x", "absolute"),
        ("a\\b", "backslash"),
        ("..\\x", "backslash"),
        ("a//b", "empty"),
        (" /b", "empty"),
        ("a\x07b", "control"),
        ("a\nb", "control"),
        ("a\u2028b", "control"),
        ("n" * 256, "too long"),
        ("/".join(["n" * 200] * 5), "too long"),
        (".env", "hidden"),
        ("a/.git/config", "hidden"),
        ("INDEX.IPYNB", "lower case"),
        ("a/other.Ipynb", "lower case"),
        ("index.ipynb", "twice"),
        ("Index.ipynb", "same name"),
        ("./index.ipynb", "twice"),
        ("index.ipynb/x", "both a file and a folder"),
        ("index.ipynb/", "both a file and a folder"),
    ],
)
def test_an_entry_with_a_hostile_or_unusable_name_is_refused(name: str, says: str) -> None:
    assert says in refusal(with_entry(name))


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ("a.txt", "a.txt", "twice"),
        ("a.txt", "A.TXT", "same name"),
        ("é.txt", "e\u0301.txt", "same name"),
        ("straße", "STRASSE", "same name"),
        ("a/x", "A/y", "same name"),
        ("a", "a/x", "both a file and a folder"),
        ("a/x", "a", "both a file and a folder"),
        ("a/", "a", "both a file and a folder"),
        ("A", "a/x", "same name"),
    ],
)
def test_two_entries_of_one_name_are_refused(one: str, other: str, says: str) -> None:
    assert says in refusal(zip_of([INDEX, (one, b"1"), (other, b"2")]))


def test_a_nul_does_not_cut_a_name_short() -> None:
    for tail, says in (("/../x", "“..”"), ("evil", "control")):
        archive = with_entry(f"safe.txt#{tail}").replace(b"safe.txt#", b"safe.txt\0")
        assert says in refusal(archive)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (stat.S_IFLNK, "symbolic link"),
        (stat.S_IFIFO, "neither"),
        (stat.S_IFCHR, "neither"),
        (stat.S_IFBLK, "neither"),
        (stat.S_IFSOCK, "neither"),
        (stat.S_IFDIR, "neither"),
    ],
)
def test_only_files_and_folders_are_accepted(kind: int, says: str) -> None:
    assert says in refusal(with_entry(special("a", kind), b"/etc/hostname"))


def test_a_link_is_refused_as_a_folder_and_among_junk_too() -> None:
    assert "symbolic link" in refusal(with_entry(special("a/", stat.S_IFLNK)))
    assert "symbolic link" in refusal(with_entry(special("__MACOSX/a", stat.S_IFLNK)))


def test_encrypted_and_exotic_entries_are_refused() -> None:
    assert "encrypted" in refusal(patched(zip_of([INDEX]), flag=0x1))
    assert "encrypted" in refusal(patched(zip_of([INDEX]), flag=0x40))
    for method in (ZIP_BZIP2, ZIP_LZMA):
        assert "deflate" in refusal(zip_of([INDEX], method))
    assert "deflate" in refusal(patched(zip_of([INDEX]), method=99))


def test_the_index_has_to_be_a_notebook_at_the_top() -> None:
    assert "There is one in “top”" in refusal(zip_of([("top/index.ipynb", INDEX[1])]))
    assert "Name the dashboard" in refusal(zip_of([("a.ipynb", INDEX[1])]))
    assert "no file index.ipynb" in refusal(zip_of([("index.ipynb/", b"")]))
    assert "no file index.ipynb" in refusal(zip_of({}))
    assert "“index.ipynb” in the archive is empty" in refusal(zip_of([("index.ipynb", b"")]))


def test_every_notebook_is_validated() -> None:
    assert "“a/b.ipynb” in the archive is not JSON" in refusal(with_entry("a/b.ipynb"))


def test_entries_are_counted() -> None:
    limits = Limits(2, 1_000_000, 1_000_000)
    assert open_bundle(with_entry("a"), limits)
    with pytest.raises(TooLarge, match="3 entries"):
        open_bundle(zip_of([INDEX, ("a/", b""), ("__MACOSX/x", b"")]), limits)


def test_a_million_tiny_entries_are_refused_before_they_are_read() -> None:
    record = struct.pack("<4s42s", b"PK\x01\x02", b"\0" * 42)
    count = 200_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(record) * count, 0, 0)
    with pytest.raises(TooLarge):
        open_bundle(record * count + end, LIMITS)


def test_unpacked_bytes_are_counted_over_all_entries() -> None:
    files = {f"f{n}": b"\0" * 400_000 for n in range(3)}
    assert len(zip_of({**files})) < 5000
    with pytest.raises(TooLarge, match="1000000 bytes"):
        open_bundle(zip_of({"index.ipynb": INDEX[1], **files}), LIMITS)


def test_a_lie_about_the_unpacked_size_is_found_out() -> None:
    honest = with_entry("bomb", b"\0" * 5_000_000)
    for declared in (0, 10, 4_999_999):
        lying = honest.replace(struct.pack("<L", 5_000_000), struct.pack("<L", declared))
        assert lying != honest
        assert "bomb" in refusal(lying) or "unpacks to more" in refusal(lying)


def test_a_notebook_in_an_archive_may_not_be_larger_than_one_alone() -> None:
    with pytest.raises(TooLarge, match="500000 bytes"):
        open_bundle(zip_of([("index.ipynb", notebook_bytes("x" * 600_000))]), LIMITS)


def test_a_damaged_archive_is_refused() -> None:
    archive = zip_of([INDEX, ("a", b"content" * 100)], ZIP_STORED)
    assert "“a” is damaged" in refusal(archive.replace(b"contentcontent", b"CONTENTCONTENT", 1))
    assert "cannot" in refusal(archive[:-5]) or "not a zip" in refusal(archive[:-5])


@pytest.mark.parametrize("filename", ["x", "x.txt", "ipynb", ".ipynb", "x.zip.txt", ""])
def test_other_file_types_are_refused(filename: str) -> None:
    with pytest.raises(InvalidRequest, match="Wrong file extension"):
        open_upload(filename, notebook_bytes(), LIMITS)


def test_the_file_name_says_what_the_upload_is() -> None:
    assert isinstance(open_upload("x.ZIP", zip_of([INDEX]), LIMITS), Bundle)
    assert not isinstance(open_upload("x.Ipynb", notebook_bytes(), LIMITS), Bundle)


SEGMENT = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "A", "C:", "~", "con", " ", "é", "e\u0301", "index.ipynb"]
    ),
    st.text(max_size=4),
)
NAME = st.lists(SEGMENT, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from(["/", "\\", "//"]).map(lambda sep: sep.join(parts))
)


@settings(max_examples=500, deadline=None)
@given(NAME | st.text(max_size=12))
def test_no_accepted_name_leaves_the_bundle_on_any_system(name: str) -> None:
    try:
        path = entry_path(name)
    except InvalidRequest:
        return
    if path is None:
        return
    for kind in (PurePosixPath, PureWindowsPath):
        pure = kind(path)
        assert not pure.is_absolute()
        assert not pure.drive
        assert ".." not in pure.parts
        assert "/".join(pure.parts) == path


@settings(max_examples=200, deadline=None)
@given(st.lists(NAME, max_size=4))
def test_an_accepted_archive_is_a_tree_of_paths_that_can_be_served(names: list[str]) -> None:
    try:
        archive = zip_of([INDEX, *((name, b"x") for name in names)])
    except (IndexError, UnicodeError, ValueError):
        return
    try:
        bundle = open_bundle(archive, LIMITS)
    except DashboardsError:
        return
    paths = [*bundle.folders, *bundle.files, *bundle.notebooks]
    assert all(clean_path(path) == path for path in paths)
    assert len({path.casefold() for path in paths}) == len(paths)
    files = {*bundle.files, *bundle.notebooks}
    assert not any(str(parent) in files for path in paths for parent in PurePosixPath(path).parents)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_to_an_archive_raises_anything_but_a_refusal(data: Any) -> None:
    archive = bytearray(zip_of([INDEX, ("a/b.txt", b"text" * 50), ("é", b"")]))
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    try:
        bundle = open_bundle(bytes(archive), LIMITS)
    except DashboardsError:
        return
    for path in bundle.files:
        bundle.read(path)
