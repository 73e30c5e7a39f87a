"""The bytes of a page: a small head made for each request around a body that was compressed once."""

from __future__ import annotations

import re
import struct
import zlib

# RFC 1952: deflate, no flags, no time, no extra flags, system unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def gzip_around(head: bytes, body: bytes, deflated_body: bytes, tail: bytes) -> bytes:
    """`head + body + tail` as one gzip member, compressing only head and tail.

    `deflated_body` must be raw deflate blocks of `body` that end with a full flush. One member, since browsers ignore
    all that follows the first.
    """
    size = len(head) + len(body) + len(tail)
    checksum = zlib.crc32(tail, zlib.crc32(body, zlib.crc32(head)))
    return b"".join(
        (
            _GZIP_HEADER,
            _deflate(head, zlib.Z_FULL_FLUSH),
            deflated_body,
            _deflate(tail, zlib.Z_FINISH),
            struct.pack("<II", checksum, size & 0xFFFFFFFF),
        )
    )


def gzip_whole(page: bytes) -> bytes:
    """The page as one gzip member. Takes milliseconds: for a thread."""
    return gzip_around(page, b"", b"", b"")


def _deflate(data: bytes, end: int) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush(end)


_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a `Range` header asks for, of a body of `size` bytes.

    None where the whole body is the answer: no header, several ranges, or another unit (RFC 9110 §14.2 lets a server
    ignore them). Raises `ValueError` for a range that lies outside (416).
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise ValueError(header)
    return start, end
