"""What commands show: results on stdout, what is for people on stderr. Needs the standard library only.

A text of a server may be another person's: a terminal gets it without what it would obey.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

_LEAST = 5
"""A column is not made narrower than that: a number must stay what it is."""

_GAP = "  "
_ESCAPED = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x9b[0-?]*[ -/]*[@-~]"
)
# What a terminal would obey, except colours.
_OBEYED = re.compile(
    r"\x1b\[(?P<colour>[0-9;]*m)|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


def show(text: str) -> None:
    """Writes a result to stdout."""
    sys.stdout.write(f"{text}\n")
    # Before anything that can still fail: a key is shown once.
    sys.stdout.flush()


def say(text: str) -> None:
    """Writes to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show_json(value: Any) -> None:
    """Writes a result to stdout as JSON. It is ASCII, and so harmless to a terminal."""
    show(json.dumps(value, indent=2))


def show_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> None:
    """Writes a table to stdout, its columns as wide as they must be, or as `width` lets them."""
    for line in table(headings, rows, width):
        show(line)


def terminal_width() -> int | None:
    """How wide the terminal is that stdout goes to; None where it goes elsewhere, and nothing needs to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def plain(text: str) -> str:
    """A log's text as a terminal may have it: with its colours, without other commands to the terminal."""
    return _OBEYED.sub(lambda found: found[0] if found["colour"] else "", text)


def one_line(text: str) -> str:
    """A text for a line of its own: no colours, no line breaks, nothing that turns the direction of what follows."""
    bare = _ESCAPED.sub("", text)
    return "".join(
        " " if each.isspace() else "" if unicodedata.category(each) in ("Cc", "Cf", "Cs") else each
        for each in bare
    )


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[str]:
    """The lines of a table. With a `width` the widest columns give way, and `…` stands for what is left out."""
    lines = [[one_line(cell) for cell in line] for line in (headings, *rows)]
    widths = [max(_columns(cell) for cell in column) for column in zip(*lines, strict=True)]
    if width is not None:
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        while excess > 0 and max(widths) > _LEAST:
            widths[widths.index(max(widths))] -= 1
            excess -= 1
    made = []
    for line in lines:
        cells = (_padded(_cut(cell, room), room) for cell, room in zip(line, widths, strict=True))
        text = _GAP.join(cells).rstrip()
        made.append(text if width is None else _cut(text, width))
    return made


def _padded(text: str, room: int) -> str:
    return text + " " * (room - _columns(text))


def _cut(text: str, room: int) -> str:
    if _columns(text) <= room:
        return text
    kept, used = "", 1
    for each in text:
        used += _columns(each)
        if used > room:
            break
        kept += each
    return f"{kept}…"


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(each) in ("Mn", "Me")
        else 2
        if unicodedata.east_asian_width(each) in "WF"
        else 1
        for each in text
    )
