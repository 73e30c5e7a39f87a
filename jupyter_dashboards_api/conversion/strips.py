"""PNG pictures of one width, one below the other, as one PNG; only one of them is unpacked at a time. Pure.

The format: https://www.w3.org/TR/png-3/. A row is stored as its difference from its neighbours, and so the rows of one picture
stay as they are below those of another, but for its first.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BYTES_PER_PIXEL = {2: 3, 6: 4}
"""By colour type, of 8 bits: RGB and RGBA, which browsers make."""


class StripJoiner:
    """Joins the strips of a picture, from top to bottom. Blocking: hundreds of milliseconds for each."""

    def __init__(self, width: int, height: int) -> None:
        """In pixels, of the whole picture."""
        self._size = width, height
        self._rows = 0
        self._form: tuple[int, ...] = ()
        self._packer = zlib.compressobj(6)
        self._data: list[bytes] = []

    def add(self, strip: bytes) -> None:
        """Takes the next strip. Raises `ValueError` when it does not fit to the others."""
        chunks = list(_chunks(strip))
        header = next((data for kind, data in chunks if kind == b"IHDR"), b"")
        if len(header) != 13:
            raise ValueError("A strip is no PNG.")
        width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", header)
        form = (depth, colour, *rest)
        size = _BYTES_PER_PIXEL.get(colour)
        if (
            width != self._size[0]
            or size is None
            or form != (8, colour, 0, 0, 0)
            or (self._form and self._form != form)
        ):
            raise ValueError("A strip has a form of its own.")
        rows = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
        length = 1 + width * size
        if len(rows) != length * height:
            raise ValueError("A strip is not whole.")
        self._form = form
        self._rows += height
        view = memoryview(rows)
        self._data.append(self._packer.compress(_first_row(view[:length], size)))
        self._data.append(self._packer.compress(view[length:]))

    def picture(self) -> bytes:
        """The whole picture. Raises `ValueError` when it has not got all of its rows."""
        if self._rows != self._size[1]:
            raise ValueError(f"The strips have {self._rows} rows, not {self._size[1]}.")
        self._data.append(self._packer.flush())
        header = struct.pack(">II5B", *self._size, *self._form)
        return b"".join(
            [
                _SIGNATURE,
                *_chunk(b"IHDR", header),
                *(part for data in self._data if data for part in _chunk(b"IDAT", data)),
                *_chunk(b"IEND", b""),
            ]
        )


def _chunks(picture: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view = memoryview(picture)
    at = len(_SIGNATURE)
    if picture[:at] != _SIGNATURE:
        return
    while at + 12 <= len(view):
        length = int.from_bytes(view[at : at + 4])
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, data: bytes) -> tuple[bytes, ...]:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return len(data).to_bytes(4), kind, data, checksum.to_bytes(4)


def _first_row(row: memoryview, size: int) -> bytes:
    """The row as it is, not as the difference from a row above, which was empty: there is another one now."""
    filtered = row[0]
    made = bytearray(row[1:])
    # With nothing above, the Paeth filter (4) is the one to the left (1), and the average (3) half of that.
    if filtered in (1, 4):
        for at in range(size, len(made)):
            made[at] = (made[at] + made[at - size]) & 0xFF
    elif filtered == 3:
        for at in range(size, len(made)):
            made[at] = (made[at] + made[at - size] // 2) & 0xFF
    return b"\0" + bytes(made)
