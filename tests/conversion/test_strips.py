"""Strips of a picture joined again."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from PIL import Image

from jupyter_dashboards_api.conversion.strips import StripJoiner

WIDTH = 37


def packed(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "png")
    return out.getvalue()


def noise(height: int, mode: str) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    # Steps rather than noise alone, so that a writer has a use for each filter.
    chance = random.Random(7)
    data = bytes(
        (at // 3 * (row % 5) + (chance.randrange(9) if row % 2 else 0)) & 0xFF
        for row in range(height)
        for at in range(WIDTH * bands)
    )
    return Image.frombytes(mode, (WIDTH, height), data)


def with_filter(picture: Image.Image, kind: int) -> bytes:
    """A PNG whose rows all have one filter, by its definition."""
    mode = picture.mode
    size = len(picture.getbands())
    length = WIDTH * size
    data = picture.tobytes()
    rows = bytearray()
    above = bytes(length)
    for row in range(picture.height):
        line = data[row * length : (row + 1) * length]
        rows.append(kind)
        for at in range(length):
            left = line[at - size] if at >= size else 0
            corner = above[at - size] if at >= size else 0
            up = above[at]
            guess = left + up - corner
            nearest = min((left, up, corner), key=lambda near: abs(guess - near))
            expected = (0, left, up, (left + up) // 2, nearest)[kind]
            rows.append((line[at] - expected) & 0xFF)
        above = line

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))  # fmt: skip

    header = struct.pack(">IIBBBBB", WIDTH, picture.height, 8, {"RGB": 2, "RGBA": 6}[mode], 0, 0, 0)
    data = zlib.compress(bytes(rows))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            *(chunk(b"IHDR", header), chunk(b"IDAT", data[:100]), chunk(b"IDAT", data[100:])),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("kind", range(5))
def test_the_strips_are_the_picture_whatever_filter_they_have(mode: str, kind: int) -> None:
    whole = noise(25, mode)
    joiner = StripJoiner(WIDTH, whole.height)
    for top in range(0, whole.height, 7):
        part = whole.crop((0, top, WIDTH, min(top + 7, whole.height)))
        joiner.add(with_filter(part, kind))
    joined = Image.open(io.BytesIO(joiner.picture()))
    assert joined.mode == mode
    assert joined.tobytes() == whole.tobytes()


def test_strips_that_do_not_fit_are_refused() -> None:
    joiner = StripJoiner(WIDTH, 10)
    joiner.add(packed(noise(4, "RGB")))
    for bad in (b"", b"no picture", packed(noise(4, "RGBA")), packed(Image.new("RGB", (9, 4)))):
        with pytest.raises(ValueError, match="strip"):
            joiner.add(bad)
    for mode in ("L", "P", "1"):
        with pytest.raises(ValueError, match="form of its own"):
            StripJoiner(WIDTH, 4).add(packed(Image.new(mode, (WIDTH, 4))))
    with pytest.raises(ValueError, match="4 rows, not 10"):
        joiner.picture()
