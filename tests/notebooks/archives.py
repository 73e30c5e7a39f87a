"""Makes what people upload: notebooks, archives (good and hostile ones), and the forms that carry them."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterable, Mapping
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nbformat

FORM = {"Content-Type": "multipart/form-data; boundary=limit"}


def notebook_bytes(text: str = "hello") -> bytes:
    """A valid notebook whose only cell is Markdown."""
    cell = nbformat.v4.new_markdown_cell(text, id="cell")
    return nbformat.writes(nbformat.v4.new_notebook(cells=[cell])).encode()


def zip_of(
    entries: Mapping[str, bytes | str] | Iterable[tuple[ZipInfo | str, bytes | str]],
    compression: int = ZIP_DEFLATED,
) -> bytes:
    """A zip archive of (name, content); names are written as they are, twice if they are there twice."""
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    buffer = io.BytesIO()
    with warnings.catch_warnings(), ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in pairs:
            archive.writestr(name, content)
    return buffer.getvalue()


def bundle_of(text: str = "hello", **files: bytes | str) -> bytes:
    """A zip archive of a dashboard with the given files beside it; `_txt` at a name's end means `.txt`."""
    named = {name.replace("_", "."): content for name, content in files.items()}
    return zip_of({"index.ipynb": notebook_bytes(text), **named})


def special(name: str, kind: int) -> ZipInfo:
    """An archive entry of a Unix file type, such as `stat.S_IFLNK`."""
    info = ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | stat.S_IRUSR) << 16
    return info


def patched(archive: bytes, *, flag: int = 0, method: int | None = None) -> bytes:
    """The archive with flag bits and compression method of every entry overwritten, in both headers."""
    data = bytearray(archive)
    for signature, flags_at, method_at in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        at = data.find(signature)
        while at != -1:
            data[at + flags_at] |= flag
            if method is not None:
                data[at + method_at] = method
            at = data.find(signature, at + 4)
    return bytes(data)


def form(*files: tuple[str, bytes], field: str = "file", **texts: str) -> bytes:
    """The body of a `multipart/form-data` request with the headers `FORM`."""
    body = b""
    for name, text in texts.items():
        body += (
            f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        )
    for filename, content in files:
        head = (
            f'--limit\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n'
        )
        body += (
            head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
        )
    return body + b"--limit--\r\n"


def tree(root: Any) -> dict[str, bytes]:
    """The files below a folder by relative path, without Jupyter's checkpoints."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file() and ".ipynb_checkpoints" not in file.parts
    }
