"""A page's gzip made from a body that was compressed once."""

from __future__ import annotations

import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.pages import gzip_around


def deflated(body: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(body) + deflate.flush(zlib.Z_FULL_FLUSH)


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_the_gzip_of_a_page_is_its_head_body_and_tail(
    head: bytes, body: bytes, tail: bytes
) -> None:
    assert gzip.decompress(gzip_around(head, body, deflated(body), tail)) == head + body + tail


def test_the_gzip_of_a_page_is_one_member_that_ends_where_the_bytes_do() -> None:
    body = b"<p>body</p>" * 10_000
    page = gzip_around(b"head", body, deflated(body), b"tail")
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(page) == b"head" + body + b"tail"
    assert reader.eof
    assert reader.unused_data == b""
    assert len(page) < len(body) / 50
