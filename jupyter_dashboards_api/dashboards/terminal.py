"""Text as a terminal shows it: carriage returns and backspaces overwrite, colours stay with their characters. Pure."""

from __future__ import annotations

import re

# A control sequence (ECMA-48 §5.4) or any one character.
_TOKEN = re.compile(r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])|.", re.DOTALL)
_RESET = "\x1b[0m"

# A colour replaces the one before it; more than a few sequences that still count are a mistake.
_MAX_STYLES = 8

_Style = tuple[str, ...]


def overwritten(text: str) -> str:
    """A terminal's text as it stands after its carriage returns, backspaces and erased lines.

    Colours (`ESC [ … m`) are kept, also where the text between them was overwritten.
    """
    if "\r" not in text and "\b" not in text:
        return text
    lines: list[str] = []
    style: _Style = ()
    for line in text.replace("\r\n", "\n").split("\n"):
        before = style
        cells: list[tuple[_Style, str]] = []
        column = 0
        if "\r" not in line and "\b" not in line:
            for match in _TOKEN.finditer(line):
                style = _styled(style, match)
            lines.append(_change((), before) + line + _change(style, ()))
            continue
        for match in _TOKEN.finditer(line):
            character = match[0]
            if match["final"] == "K":
                _erase(cells, column, match["parameters"])
            elif match["final"]:
                style = _styled(style, match)
            elif character == "\r":
                column = 0
            elif character == "\b":
                column = max(column - 1, 0)
            else:
                cells[column : column + 1] = [(style, character)]
                column += 1
        lines.append(_drawn(cells))
    return "\n".join(lines)


def _styled(style: _Style, match: re.Match[str]) -> _Style:
    if match["final"] != "m":
        return style
    first, _, more = match["parameters"].partition(";")
    if first.strip("0"):
        return (*style[1 - _MAX_STYLES :], match[0])
    return (match[0],) if more else ()


def _erase(cells: list[tuple[_Style, str]], column: int, parameters: str) -> None:
    """`ESC [ K`: to the line's end (0), from its beginning (1), or all of it (2)."""
    if parameters in ("", "0", "2"):
        del cells[column:]
    if parameters in ("1", "2"):
        end = min(column + 1, len(cells))
        cells[:end] = [((), " ")] * end


def _drawn(cells: list[tuple[_Style, str]]) -> str:
    parts: list[str] = []
    shown: _Style = ()
    for style, character in cells:
        parts.append(_change(shown, style))
        parts.append(character)
        shown = style
    parts.append(_change(shown, ()))
    return "".join(parts)


def _change(before: _Style, after: _Style) -> str:
    if before == after:
        return ""
    return (_RESET if before else "") + "".join(after)
