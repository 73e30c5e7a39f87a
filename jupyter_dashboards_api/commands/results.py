"""What a run has left: its outputs as text, and the executed notebook in a form that is kept. Pure.

The text is what `results` of the commands API answers: lines end with CR LF, columns are separated by tabs.
"""

from __future__ import annotations

import copy
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from typing import Any

from nbformat import NotebookNode
from nbformat.v4.rwbase import split_lines, strip_transient

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_LONGEST_ANSI = 100

MAX_TEXT_BYTES = 20 * 1024 * 1024
"""Bytes; the API documents less than 20 MB for results that are sent inline."""

PIECE_CHARACTERS = 256 * 1024
"""A step over a whole text keeps all other threads from running, the event loop's too, for seconds with 100 MB."""


def text_of(notebook: NotebookNode) -> str:
    """The outputs of all code cells as text, one below the other, without stderr and tracebacks."""
    found: list[str] = []
    room = MAX_TEXT_BYTES
    for piece in _flow(notebook):
        data = _bytes(re.sub(r"\r?\n", "\r\n", piece))
        found.append(data[:room].decode(errors="ignore"))
        room -= len(data)
        if room <= 0:
            break
    return "".join(found)


def plain(text: str) -> str:
    """The text without what sets a terminal's colours."""
    return _ANSI.sub("", text)


def is_cut(text: str) -> bool:
    """Whether `text_of` has left out what came after so many bytes."""
    # The last character may not have fitted.
    return 4 * len(text) > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES - 4


def columns(text: str) -> str:
    """Results as they are sent unless they are asked for raw: what Hive puts between columns (^A) is a tab."""
    return text.replace("\x01", "\t")


def storable(text: str, most: int) -> str:
    """A text that kernels have written as both databases can hold it: no NUL, no half of a character, at most so many bytes."""
    return _bytes(text)[:most].decode(errors="ignore")


def _bytes(text: str) -> bytes:
    return text.replace("\0", "\ufffd").encode(errors="replace")


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """What the texts are together, in pieces of about `PIECE_CHARACTERS`; none ends within a line's end or a colour."""
    gathered: list[str] = []
    size = 0
    for text in texts:
        for begin in range(0, len(text), PIECE_CHARACTERS):
            gathered.append(text[begin : begin + PIECE_CHARACTERS])
            size += len(gathered[-1])
            if size >= PIECE_CHARACTERS:
                piece = "".join(gathered)
                colour = piece.rfind("\x1b", -_LONGEST_ANSI)
                kept = piece if colour < 0 else piece[:colour]
                cut = len(kept.rstrip("\r")) or len(piece)
                yield piece[:cut]
                gathered = [piece[cut:]]
                size = len(piece) - cut
    if size:
        yield "".join(gathered)


def _flow(notebook: NotebookNode) -> Iterator[str]:
    """The text in pieces, none of which ends within a line's end."""
    is_first = True
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for part in _parts(cell.get("outputs", [])):
            # Lines' ends count only if a text of the part follows.
            ends: list[str] = []
            is_begun = False
            for piece in filter(None, map(plain, pieces(part))):
                if not is_begun and not is_first:
                    yield "\n"
                is_begun, is_first = True, False
                text = piece.rstrip("\r\n")
                if text:
                    yield from ends
                    yield text
                    ends.clear()
                ends.append(piece[len(text) :])


def _parts(outputs: Iterable[Mapping[str, Any]]) -> Iterator[Iterable[str]]:
    """The texts of each output. Neighbouring pieces of stdout are one: a line may have been printed in several."""
    for is_stdout, group in groupby(outputs, _is_stdout):
        if is_stdout:
            yield chain.from_iterable(_texts(output.get("text")) for output in group)
        else:
            yield from map(_texts_of_output, group)


def _is_stdout(output: Mapping[str, Any]) -> bool:
    return output.get("output_type") == "stream" and output.get("name") == "stdout"


def _texts_of_output(output: Mapping[str, Any]) -> Iterable[str]:
    data = output.get("data")
    if output.get("output_type") not in ("display_data", "execute_result") or not isinstance(
        data, Mapping
    ):
        return ()
    for mime in ("text/csv", "text/plain", "text/markdown"):
        if mime in data:
            return _texts(data[mime])
    return (
        json.JSONEncoder().iterencode(data["application/json"])
        if "application/json" in data
        else ()
    )


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, list):
        return map(str, value)
    return (value if isinstance(value, str) else str(value or ""),)


def packed(notebook: NotebookNode) -> bytes:
    """The notebook as it is kept: JSON, deflated. Takes a while for a large one.

    As `nbformat` writes it, but that long texts are lists of pieces, not of lines.
    """
    written = strip_transient(split_lines(_in_pieces(copy.deepcopy(notebook))))
    encoder = json.JSONEncoder(ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": "))
    deflate = zlib.compressobj(6)
    data = [
        deflate.compress(piece.encode(errors="replace"))
        for piece in pieces(encoder.iterencode(written))
    ]
    return b"".join([*data, deflate.flush()])


def _in_pieces(notebook: NotebookNode) -> NotebookNode:
    for output in chain.from_iterable(cell.get("outputs", ()) for cell in notebook.cells):
        texts = output if output["output_type"] == "stream" else output.get("data", {})
        for key, value in texts.items():
            # JSON may be a text too, which is no list then.
            if (
                isinstance(value, str)
                and len(value) > PIECE_CHARACTERS
                and not key.endswith("json")
            ):
                texts[key] = list(pieces([value]))
    return notebook


def unpacked(data: bytes) -> bytes:
    """The notebook file of what `packed` has made."""
    return zlib.decompress(data)
