"""Parameters of notebooks: what a notebook declares, and how arguments are put into it. Pure.

The cell tagged `parameters` declares them, by assignments; arguments become a cell tagged `injected-parameters` after it
(papermill's convention, https://papermill.readthedocs.io). They are written as literals of the kernel's language, from JSON
values only: no text that a caller sends can become code.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..errors import InvalidRequest
from .declarations import NAME, Parameter, declared_in, is_name

TAG = "parameters"
INJECTED_TAG = "injected-parameters"


@dataclass(frozen=True)
class _Form:
    """How a language writes an assignment, null, true and false, a list, an object, and a name with its value."""

    assignment: str
    constants: tuple[str, str, str]
    items: str
    whole: str
    pair: str


LANGUAGES: Mapping[str, _Form] = {
    "python": _Form("{} = {}", ("None", "True", "False"), "[{}]", "{{{}}}", "{}: {}"),
    "r": _Form("{} <- {}", ("NULL", "TRUE", "FALSE"), "list({})", "list({})", "{} = {}"),
    "julia": _Form(
        "{} = {}", ("nothing", "true", "false"), "Any[{}]", "Dict{{String, Any}}({})", "{} => {}"
    ),
    "scala": _Form(
        "val {} = {}",
        ("null", "true", "false"),
        "List[Any]({})",
        "Map[String, Any]({})",
        "{} -> {}",
    ),
    # A computed name: `__proto__` is a name like any other.
    "javascript": _Form("var {} = {};", ("null", "true", "false"), "[{}]", "({{{}}})", "[{}]: {}"),
}
"""Languages of kernels that arguments can be written in."""

MAX_DEPTH = 50
MAX_ARGUMENTS_LENGTH = 1024 * 1024
"""Characters of JSON."""

_FEW_DIGITS = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,3}")
"""With so few, no reader of decimals is wrong: their last digit weighs more than its extra precision."""

_LONGEST_TEXT = {"r": (5000, "base::paste0({})"), "scala": (10_000, "List({}).mkString")}
"""Characters, and how more are written: R reads at most 10,000 with escapes, Scala 64 kB of UTF-8."""

_R_NAME = 2500
"""Characters; names have at most 10,000 bytes there."""


def parsed_arguments(value: Any) -> dict[str, Any]:
    """Arguments as a client sends them: an object, the same as JSON text, or nothing. Raises `InvalidRequest`."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        if len(value) > MAX_ARGUMENTS_LENGTH:
            raise InvalidRequest("Arguments are too long.")
        try:
            value = json.loads(value, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("Arguments must be a JSON object.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("Arguments must be a JSON object.")
    for name, item in value.items():
        if not NAME.fullmatch(name):
            raise InvalidRequest(f"{name[:100]!r} can't be the name of an argument.")
        _check(item, 0)
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidRequest("Arguments are nested too deeply.")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest("Arguments can't be infinite or not a number.")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("Arguments must be text that UTF-8 can hold.") from None
    if isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else [*value.values(), *value]:
            _check(item, depth + 1)


def with_arguments(
    notebook: NotebookNode, arguments: Mapping[str, Any], language: str
) -> NotebookNode:
    """A copy of a notebook of nbformat 4 to be run: without outputs, its parameters having these values.

    For a thread: a large one takes a while. Raises `InvalidRequest` for a language that literals can't be written in.
    """
    kept = [_emptied(cell) for cell in notebook.cells if INJECTED_TAG not in _tags(cell)]
    changed = copy.deepcopy(NotebookNode({**notebook, "cells": kept}))
    cells = changed.cells
    if arguments:
        cell = nbformat.v4.new_code_cell(
            assignments(arguments, language), metadata={"tags": [INJECTED_TAG]}
        )
        if changed.nbformat_minor < 5:
            # Cells have ids from 4.5 on.
            del cell["id"]
        cells.insert(_place(cells), cell)
    return changed


def _emptied(cell: NotebookNode) -> NotebookNode:
    if cell.cell_type != "code":
        return cell
    return NotebookNode({**cell, "outputs": [], "execution_count": None})


def _place(cells: list[NotebookNode]) -> int:
    """After the cell that declares parameters, else before the first code cell: prose above it stays above."""
    for index, cell in enumerate(cells):
        if cell.cell_type == "code" and TAG in _tags(cell):
            return index + 1
    return next((i for i, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))


def _tags(cell: NotebookNode) -> list[Any]:
    tags = cell.metadata.get("tags", [])
    return tags if isinstance(tags, list) else []


_RESERVED = {
    "julia": """baremodule begin break catch const continue do else elseif end export false finally for function global if
        import let local macro module quote return struct true try using while""",
    "scala": """abstract case catch class def do else enum export extends false final finally for given if implicit import
        lazy macro match new null object override package private protected return sealed super then this throw trait true
        try type val var while with yield _""",
    "javascript": """arguments await break case catch class const continue debugger default delete do else enum eval export
        extends false finally for function if implements import in instanceof interface let new null package private
        protected public return static super switch this throw true try typeof var void while with yield""",
}


def _named(name: str, language: str) -> str:
    """A name as it is assigned to."""
    if not is_name(name, language) or name in _RESERVED.get(language, "").split():
        raise InvalidRequest(
            f"{name[:100]!r} can't be the name of an argument of this kernel's language."
        )
    # There a name can't begin with an underscore or be a reserved word, unless it is quoted.
    return f"`{name}`" if language == "r" else name


def check_names(arguments: Mapping[str, Any], language: str) -> None:
    """Raises `InvalidRequest` for a name that no variable of the language can have; of other languages nothing is known."""
    if language in LANGUAGES:
        for name in arguments:
            _named(name, language)


def assignments(arguments: Mapping[str, Any], language: str) -> str:
    """One assignment a line, in the kernel's language. Raises `InvalidRequest` for a language we can't write."""
    form = LANGUAGES.get(language)
    if form is None:
        raise InvalidRequest(f"Arguments can't be given to a kernel of the language {language!r}.")
    lines = []
    for name, value in arguments.items():
        written = literal(value, language)
        # For people, who don't read hexadecimal fractions.
        comment = f"  # {value!r}" if isinstance(value, float) and "0x" in written else ""
        lines.append(form.assignment.format(_named(name, language), written) + comment)
    return "\n".join(lines)


def literal(value: Any, language: str) -> str:
    """A JSON value as a literal of a language. ASCII only, so that no encoding and no line separator can change it."""
    if isinstance(value, str):
        return _text(value, language)
    form = LANGUAGES[language]
    if value is None or isinstance(value, bool):
        return form.constants[0 if value is None else 1 if value else 2]
    if isinstance(value, int):
        return _whole(value, language)
    if isinstance(value, float):
        return _r_double(value) if language == "r" else repr(value)
    if isinstance(value, list):
        return form.items.format(", ".join(literal(item, language) for item in value))
    if language == "r" and not all(0 < len(key) <= _R_NAME for key in value):
        raise InvalidRequest(
            f"A list for a kernel of R can't hold a name that is empty or longer than {_R_NAME} characters."
        )
    if language == "r" and not value:
        # `list()` is the one without names.
        return "structure(list(), names = character(0))"
    pairs = [(_text(key, language), literal(item, language)) for key, item in value.items()]
    return form.whole.format(", ".join(form.pair.format(key, item) for key, item in pairs))


def _text(text: str, language: str) -> str:
    """Everything but plain letters, digits and a few signs is escaped by its code point."""
    if language == "python":
        return ascii(text)
    written = '"' + "".join(_escaped(character, language) for character in text) + '"'
    longest, joined = _LONGEST_TEXT.get(language, (len(text), ""))
    if len(text) <= longest or (language == "r" and "\\" not in written):
        return written
    pieces = (text[at : at + longest] for at in range(0, len(text), longest))
    return joined.format(", ".join(_text(piece, language) for piece in pieces))


def _escaped(character: str, language: str) -> str:
    code = ord(character)
    if character.isascii() and (character.isalnum() or character in " _-+.,:;/()[]{}<>=!?@%&*#'"):
        return character
    if language == "r" and not code:
        raise InvalidRequest("A text for a kernel of R can't hold the character NUL.")
    if language == "scala" and code < 128:
        # Scala before 2.13.2 reads `\\u0022` as the quote that ends the text, so ASCII has escapes of its own.
        short = {"\b": "b", "\t": "t", "\n": "n", "\f": "f", "\r": "r", '"': '"', "\\": "\\"}
        if character in short:
            return f"\\{short[character]}"
        if not character.isprintable():
            raise InvalidRequest("A text for a kernel of Scala can't hold this control character.")
        return character
    if language in ("r", "julia"):
        return f"\\U{code:08x}" if code > 0xFFFF or language == "r" else f"\\u{code:04x}"
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high << 8 | low:04x}" for high, low in pairs)


def _whole(value: int, language: str) -> str:
    small, large = -(2**31) <= value < 2**31, -(2**63) <= value < 2**63
    if language == "r":
        # `L` makes it a whole number; beyond 32 bits R has only doubles.
        if small and value != -(2**31):
            return f"{value}L"
        if abs(value) > 2**53:
            raise InvalidRequest("R can't hold a whole number this large exactly.")
        return _r_double(float(value))
    if language == "scala" and not small:
        return f"{value}L" if large else f'BigInt("{value}")'
    if language == "julia" and not large:
        return f'big"{value}"'
    if language == "javascript" and abs(value) > 2**53:
        return f"{value}n"
    return str(value)


def language_of(metadata: Any) -> str:
    """The language of a notebook as its metadata, which anybody may have written, tell it; else an empty text."""
    for part, field in (("language_info", "name"), ("kernelspec", "language")):
        found = metadata.get(part) if isinstance(metadata, Mapping) else None
        name = found.get(field) if isinstance(found, Mapping) else None
        if name and isinstance(name, str):
            return name.lower()
    return ""


def _r_double(value: float) -> str:
    """In hexadecimal, unless it is short: R rounds some decimals of many digits to a neighbour of the nearest double."""
    text = repr(value)
    return text if _FEW_DIGITS.fullmatch(text) else value.hex()


def declared(notebook: NotebookNode, language: str) -> list[Parameter]:
    """The parameters that a notebook declares in its tagged cell, in their order: of Python, R, Julia and Scala."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and TAG in _tags(cell):
            return declared_in(cell.source, language)
    return []


def unknown_names(arguments: Mapping[str, Any], parameters: list[Parameter]) -> list[str]:
    """The arguments that the notebook doesn't declare; none where it declares nothing."""
    known = {parameter.name for parameter in parameters}
    return [name for name in arguments if name not in known] if known else []
