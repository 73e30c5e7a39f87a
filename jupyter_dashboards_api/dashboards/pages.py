"""The bytes of a page: a small head made for each request around a body that was compressed once."""

from __future__ import annotations

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


def _deflate(data: bytes, end: int) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush(end)
