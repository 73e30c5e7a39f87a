"""Stored outputs of cells and images, and what reads them."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

from bs4 import BeautifulSoup

from jupyter_dashboards_api.dashboards.outputs import OutputReader, Piece

SVG = '<svg width="5" height="5"><circle r="2"/></svg>'


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x7f" * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


PNG = base64.b64encode(png()).decode()


def reader(**options: Any) -> OutputReader:
    options.setdefault("error_text", "This part could not be computed.")
    options.setdefault("trusted", True)
    return OutputReader(image_url=lambda name: f"/images/{name}?path=a.ipynb", **options)


def display(data: Any, metadata: Any = None, kind: str = "display_data") -> dict[str, Any]:
    return {"output_type": kind, "data": data, "metadata": {} if metadata is None else metadata}


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def only(output: dict[str, Any], **options: Any) -> Piece:
    (piece,) = reader(**options).pieces([output], 3)
    return piece


def plain(html: str) -> str:
    return BeautifulSoup(html, "html.parser").get_text()
