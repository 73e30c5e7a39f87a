"""A page's gzip made from a body that was compressed once."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.pages import byte_range, gzip_around


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


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-3", (0, 4)),
        ("bytes=4-", (4, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=5-2", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=-", None),
    ],
)
def test_a_range_header_names_one_part_of_the_body(
    header: str, expected: tuple[int, int] | None
) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_outside_the_body_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        byte_range(header, 10)
