"""What an upload holds: one notebook, or a bundle (a zip with `index.ipynb` and the files it needs). Pure.

Nothing here touches a disk. An archive is refused whole when one of its entries could end anywhere but in the bundle's
own folder, or could not be served afterwards; what is accepted is a set of plain relative paths.

Rules of the API page: a bundle "is a ZIP archive containing an index.ipynb notebook file along with any resources". The
archive's declared sizes, names and types are the uploader's word; sizes are counted while unpacking.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from nbformat import NotebookNode

from ..dashboards.contents import clean_path
from ..dashboards.finder import INDEX
from ..errors import InvalidRequest, TooLarge
from .validation import read_notebook

_BROKEN = (
    BadZipFile,
    EOFError,
    NotImplementedError,  # what zipfile raises for a compression that it can't read
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
_ENCRYPTED = 0x1 | 0x40
_UTF8_NAME = 0x800
_ENTRY_SIGNATURE = b"PK\x01\x02"
_ABSURD_ENTRIES = 100_000
_CHUNK = 256 * 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_PATH = 900
_MAX_SEGMENT_BYTES = 255


@dataclass(frozen=True)
class Limits:
    """What a bundle may hold: number of entries (folders included), and bytes once unpacked.

    `notebook_size` is in bytes, too: a notebook in a bundle may not be larger than one that is uploaded alone.
    """

    entries: int
    unpacked_size: int
    notebook_size: int


@dataclass(frozen=True)
class Bundle:
    """A validated archive: relative paths below the bundle's folder.

    `folders` come before what lies in them. `notebooks` are parsed; `files` are unpacked one by one with `read`, so that
    no bundle is ever in memory whole.
    """

    folders: tuple[str, ...]
    notebooks: dict[str, NotebookNode]
    files: tuple[str, ...]
    archive: ZipFile
    entries: dict[str, ZipInfo]

    def read(self, path: str) -> bytes:
        """The bytes of one of `files`; they have been unpacked once before, so this does not fail."""
        return self.archive.read(self.entries[path])


def open_upload(filename: str, data: bytes, limits: Limits) -> NotebookNode | Bundle:
    """Validates an uploaded file; its type is what its name ends in, in any case.

    Raises `InvalidRequest` or `TooLarge`, with messages that name the entry at fault.
    """
    extension = PurePosixPath(filename.replace("\\", "/")).suffix.lower()
    if extension == ".ipynb":
        return read_notebook(data)
    if extension == ".zip":
        return open_bundle(data, limits)
    raise InvalidRequest(
        "Wrong file extension. Upload a notebook (.ipynb) or a zip archive of a dashboard (.zip)."
    )


def open_bundle(data: bytes, limits: Limits) -> Bundle:
    """Validates a zip archive, every byte of it. Raises `InvalidRequest` or `TooLarge`."""
    archive = _open(data)
    infos = archive.infolist()
    if len(infos) > limits.entries:
        raise TooLarge(
            f"The archive has {len(infos)} entries; this server unpacks up to {limits.entries}."
        )
    tree = _Tree()
    for info in infos:
        _check_kind(info)
        path = entry_path(_name(info))
        if path is not None and not _is_junk(path):
            _check_servable(path)
            tree.add(path, info)
    if INDEX not in tree.files:
        raise InvalidRequest(_no_index(tree))
    return Bundle(
        folders=tuple(tree.folders),
        notebooks=_notebooks(archive, tree.files, limits),
        files=tuple(path for path in tree.files if not path.endswith(".ipynb")),
        archive=archive,
        entries=tree.files,
    )


def _open(data: bytes) -> ZipFile:
    # Reading the directory of a small archive that claims millions of entries would take gigabytes.
    if data.count(_ENTRY_SIGNATURE) > _ABSURD_ENTRIES:
        raise TooLarge("The archive has far too many entries.")
    try:
        return ZipFile(io.BytesIO(data))
    except _BROKEN as error:
        raise InvalidRequest("The upload is not a zip archive that can be read.") from error


def _name(info: ZipInfo) -> str:
    """The entry's name as its maker meant it: macOS writes UTF-8 without saying so."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_NAME:
        try:
            return name.encode("cp437").decode()
        except UnicodeError:
            return name
    return name


def entry_path(name: str) -> str | None:
    """The relative path of an archive's entry, without leading `./` and trailing slash; None for the root itself.

    Raises `InvalidRequest` for every name that could mean a place outside the bundle on any system. What is left need not
    be a name that can be stored.
    """
    if "\\" in name:
        raise _refused(name, "has a backslash in its name")
    if name.startswith("/") or _DRIVE.match(name):
        raise _refused(name, "has an absolute path")
    segments = name.removesuffix("/").split("/")
    while segments and segments[0] in ("", "."):
        if segments[0] == "" and len(segments) > 1:
            raise _refused(name, "has an empty folder name")
        segments.pop(0)
    if not segments:
        if not name:
            raise _refused(name, "has no name")
        return None
    for segment in segments:
        if segment in ("..", "."):
            raise _refused(name, f"has “{segment}” in its path")
        if not segment.strip():
            raise _refused(name, "has an empty folder name")
        if len(segment.encode(errors="surrogatepass")) > _MAX_SEGMENT_BYTES:
            raise _refused(name, "has a name that is too long")
    if _DRIVE.match(segments[0]):
        raise _refused(name, "has an absolute path")
    path = "/".join(segments)
    if len(path) > _MAX_PATH:
        raise _refused(name, "has a path that is too long")
    return path


def _check_kind(info: ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise _refused(info.filename, "is encrypted")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise _refused(info.filename, "is compressed by a method other than deflate")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and kind != (stat.S_IFDIR if info.orig_filename.endswith("/") else stat.S_IFREG):
        what = "a symbolic link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        raise _refused(info.filename, f"is {what}")


def _is_junk(path: str) -> bool:
    """Whether an entry is what an operating system or Jupyter puts into archives unasked."""
    segments = path.split("/")
    return (
        segments[0] == "__MACOSX" or segments[-1] == ".DS_Store" or ".ipynb_checkpoints" in segments
    )


def _check_servable(path: str) -> None:
    if any(segment.startswith(".") for segment in path.split("/")):
        raise _refused(path, "is hidden (a name in its path begins with a dot): Jupyter shows none")
    try:
        clean_path(path)
    except InvalidRequest as error:
        raise _refused(path, "has a control character in its name") from error
    if path.lower().endswith(".ipynb") and not path.endswith(".ipynb"):
        raise _refused(path, "is a notebook whose extension is not in lower case: end it in .ipynb")


class _Tree:
    """Files and folders of an archive, no two of which can be the same on any file system."""

    def __init__(self) -> None:
        self.files: dict[str, ZipInfo] = {}
        self.folders: dict[str, None] = {}
        self._spellings: dict[str, str] = {}

    def add(self, path: str, info: ZipInfo) -> None:
        parents = [str(parent) for parent in PurePosixPath(path).parents][-2::-1]
        for parent in parents:
            self._add_folder(parent)
        if info.orig_filename.endswith("/"):
            self._add_folder(path)
        elif path in self.folders:
            raise _refused(path, "is both a file and a folder")
        else:
            self._spell(path, again=False)
            self.files[path] = info

    def _add_folder(self, path: str) -> None:
        if path in self.files:
            raise _refused(path, "is both a file and a folder")
        self._spell(path, again=True)
        self.folders[path] = None

    def _spell(self, path: str, *, again: bool) -> None:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        known = self._spellings.setdefault(key, path)
        if known != path:
            raise _refused(path, f"has the same name as “{_shown(known)}” on some systems")
        if not again and path in self.files:
            raise _refused(path, "is in the archive twice")


def _no_index(tree: _Tree) -> str:
    nested = [path for path in tree.files if path.endswith(f"/{INDEX}") and path.count("/") == 1]
    other = [path for path in tree.files if path.lower() == INDEX]
    text = f"The archive has no file {INDEX} at its top level."
    if nested:
        folder = nested[0].partition("/")[0]
        return f"{text} There is one in “{_shown(folder)}”: zip what is in that folder, not the folder."
    if other:
        return f"{text} Rename “{other[0]}”."
    return f"{text} Name the dashboard's notebook so."


def _notebooks(
    archive: ZipFile, entries: dict[str, ZipInfo], limits: Limits
) -> dict[str, NotebookNode]:
    """Unpacks everything once, counting; keeps the notebooks."""
    left = limits.unpacked_size
    notebooks = {}
    for path, info in entries.items():
        is_notebook = path.endswith(".ipynb")
        content, size = _unpack(archive, path, info, left, keep=is_notebook, limits=limits)
        left -= size
        if is_notebook:
            notebooks[path] = read_notebook(content, f"“{_shown(path)}” in the archive")
    return notebooks


def _unpack(
    archive: ZipFile, path: str, info: ZipInfo, left: int, *, keep: bool, limits: Limits
) -> tuple[bytes, int]:
    """An entry's bytes (empty unless `keep`) and their number; every one is read, which checks the checksum."""
    kept = io.BytesIO()
    size = 0
    try:
        with archive.open(info) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > left:
                    raise TooLarge(
                        f"The archive unpacks to more than {limits.unpacked_size} bytes, this server's limit."
                    )
                if keep:
                    if size > limits.notebook_size:
                        raise TooLarge(
                            f"“{_shown(path)}” in the archive is larger than {limits.notebook_size} bytes."
                        )
                    kept.write(chunk)
    except _BROKEN as error:
        raise _refused(path, "is damaged") from error
    return kept.getvalue(), size


def _refused(name: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"The archive's entry “{_shown(name)}” {fault}.")


def _shown(name: str) -> str:
    """A name as a message may hold it."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return printable if len(printable) <= 100 else f"{printable[:99]}…"
