"""What a run has left: its outputs as text, and the executed notebook in a form that is kept. Pure.

The text is what `results` of the commands API answers: lines end with CR LF, columns are separated by tabs.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

MAX_TEXT_BYTES = 20 * 1024 * 1024
"""Bytes; the API documents less than 20 MB for results that are sent inline."""


def text_of(notebook: NotebookNode) -> str:
    """The outputs of all code cells as text, one below the other, without stderr and tracebacks."""
    parts = [
        part
        for cell in notebook.cells
        if cell.cell_type == "code"
        for part in map(_text_of_output, _joined(cell.get("outputs", [])))
        if part
    ]
    text = "\n".join(part.rstrip("\r\n") for part in parts)
    return storable(re.sub(r"\r?\n", "\r\n", text), MAX_TEXT_BYTES)


def is_cut(text: str) -> bool:
    """Whether `text_of` has left out what came after so many bytes."""
    # The last character may not have fitted.
    return 4 * len(text) > MAX_TEXT_BYTES and len(text.encode()) > MAX_TEXT_BYTES - 4


def columns(text: str) -> str:
    """Results as they are sent unless they are asked for raw: what Hive puts between columns (^A) is a tab."""
    return text.replace("\x01", "\t")


def storable(text: str, most: int) -> str:
    """A text that kernels have written as both databases can hold it: no NUL, no half of a character, at most so many bytes."""
    data = text.replace("\0", "\ufffd").encode(errors="replace")
    return data[:most].decode(errors="ignore")


def _joined(outputs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Neighbouring pieces of stdout as one: a line may have been printed in several."""
    found: list[Mapping[str, Any]] = []
    for output in outputs:
        is_stdout = output.get("output_type") == "stream" and output.get("name") == "stdout"
        last = found[-1] if found else None
        if is_stdout and last is not None and last.get("name") == "stdout":
            found[-1] = {**last, "text": _text(last["text"]) + _text(output["text"])}
        else:
            found.append(output)
    return found


def _text_of_output(output: Mapping[str, Any]) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        return _ANSI.sub("", _text(output.get("text"))) if output.get("name") == "stdout" else ""
    if kind not in ("display_data", "execute_result"):
        return ""
    data = output.get("data")
    if not isinstance(data, Mapping):
        return ""
    for mime in ("text/csv", "text/plain", "text/markdown"):
        if mime in data:
            return _ANSI.sub("", _text(data[mime]))
    return json.dumps(data["application/json"]) if "application/json" in data else ""


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def packed(notebook: NotebookNode) -> bytes:
    """The notebook as it is kept: JSON, deflated. Takes a while for a large one."""
    return zlib.compress(nbformat.writes(notebook).encode(errors="replace"), 6)


def unpacked(data: bytes) -> bytes:
    """The notebook file of what `packed` has made."""
    return zlib.decompress(data)
