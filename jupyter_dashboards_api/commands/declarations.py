"""What a cell tagged `parameters` declares: names, types, defaults and help. Pure.

Python is read by its own parser. Of R, Julia and Scala only assignments at the beginning of a line are understood: of a literal
they give a default, of anything else the name alone. A comment after a value is its help, and may begin with its type as
papermill's do (`# type: int the year`).
"""

from __future__ import annotations

import ast
import json
import keyword
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .literals import JuliaReader, LiteralReader, NotLiteral, PythonReader, RReader, ScalaReader

MAX_SOURCE = 32 * 1024
"""Characters of a cell; of a longer one, nothing is read."""


@dataclass(frozen=True)
class Parameter:
    """A parameter that a notebook declares. `default` is a JSON value; `has_default` says whether it is one.

    `type` is `string`, `integer`, `float`, `boolean`, `list`, `object`, `null`, or empty where it can't be told.
    """

    name: str
    type: str
    default: Any = None
    has_default: bool = False
    help: str = ""


@dataclass(frozen=True)
class _Form:
    """How a language assigns. The groups of `begin` are the name, the same in quotes, and the stated type."""

    begin: re.Pattern[str]
    reader: type[LiteralReader]


_FORMS: Mapping[str, _Form] = {
    "r": _Form(
        re.compile(r"(?:((?:[A-Za-z]|\.(?![\d.]))[\w.]{0,200})|`([^`\n]{1,200})`)[ \t]{0,40}(?:<{1,2}-|=(?!=))()\s{0,40}", re.ASCII),
        RReader,
    ),
    "julia": _Form(
        re.compile(
            r"(?:(?:const|global)[ \t]{1,40})?([^\W\d]\w{0,200})()[ \t]{0,40}"
            r"(?:::[ \t]{0,40}([\w.]{1,60}(?:\{[^{}\n]{0,100}\})?)[ \t]{0,40})?=(?![=>])\s{0,40}",
        ),
        JuliaReader,
    ),
    "scala": _Form(
        re.compile(
            r"(?:(?:implicit|lazy|final)[ \t]{1,40}){0,3}va[lr][ \t]{1,40}([A-Za-z_]\w{0,200})()[ \t]{0,40}"
            r"(?::[ \t]{0,40}([\w.]{1,60}(?:\[[^\n=]{0,100}\])?)[ \t]{0,40})?=(?![=>])\s{0,40}",
            re.ASCII,
        ),
        ScalaReader,
    ),
}  # fmt: skip

NAME = re.compile(r"(?:[^\W\d]|\.(?![\d.]))[\w.]*")
"""What may be a name in one language or another; `is_name` knows those of each."""

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_R_NAME = re.compile(r"(?:[A-Za-z_]|\.(?![\d.]))[\w.]*", re.ASCII)

_IPYTHON = re.compile(r"^[ \t]*[%!](?:[^\\\n]|\\.)*", re.MULTILINE | re.DOTALL)
_TYPE_COMMENT = re.compile(
    r"type:\s{0,40}([A-Za-z_][\w.\[\]{}]{0,100})[,;]?\s{0,40}(.*)", re.DOTALL
)
_TYPES: Mapping[str, str] = {
    word: name
    for name, words in {
        "string": "str String AbstractString character",
        "integer": "int Integer Int Int8 Int16 Int32 Int64 Int128 BigInt Long Short Byte UInt8 UInt16 UInt32 UInt64 integer",
        "float": "float Float Double Float16 Float32 Float64 Real AbstractFloat numeric double",
        "boolean": "bool Bool Boolean logical boolean",
        "list": "list List Seq Vector Array IndexedSeq",
        "object": "dict Dict Map",
    }.items()
    for word in words.split()
}


def is_name(name: str, language: str) -> bool:
    """Whether a variable can have this name, as far as its characters say; in Python, whether it can."""
    if language == "python":
        # It reads an identifier so, before it looks what it is.
        read = unicodedata.normalize("NFKC", name)
        return name.isidentifier() and not keyword.iskeyword(read) and read != "__debug__"
    if language == "julia":
        return name.isidentifier()
    return (_R_NAME if language == "r" else _PLAIN_NAME).fullmatch(name) is not None


def declared_in(source: str, language: str) -> list[Parameter]:
    """The parameters of a cell, in their order; the last assignment of a name counts. Of other languages none."""
    if len(source) > MAX_SOURCE:
        return []
    if language == "python":
        return _of_python(source)
    form = _FORMS.get(language)
    if form is None:
        return []
    found: dict[str, Parameter] = {}
    reader = form.reader(source)
    while reader.at < len(source):
        match = reader.take(form.begin)
        name = (match[1] or match[2]) if match is not None else ""
        if match is not None and is_name(name, language):
            found[name] = _assigned(name, match[3] or "", reader)
        else:
            reader.skip()
    return list(found.values())


def _assigned(name: str, annotation: str, reader: LiteralReader) -> Parameter:
    begin = reader.at
    try:
        value = reader.value()
        ended = reader.end()
    except (NotLiteral, RecursionError):
        ended = None
    if ended is not None:
        return _parameter(name, annotation, ended[0], value, True)
    reader.at = begin
    return _parameter(name, annotation, reader.skip())


def type_of(value: Any) -> str:
    """The name of a JSON value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "float", list: "list", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "")


def _parameter(
    name: str, annotation: str, comment: str, value: Any = None, has_default: bool = False
) -> Parameter:
    stated = _TYPES.get(re.split(r"[\[{]", annotation, maxsplit=1)[0], "")
    match = _TYPE_COMMENT.fullmatch(comment)
    commented = _TYPES.get(re.split(r"[\[{]", match[1], maxsplit=1)[0]) if match else None
    if match and commented:
        stated, comment = stated or commented, match[2].strip()
    kind = stated or (type_of(value) if has_default else "")
    return Parameter(name, kind, value, has_default, comment)


def _of_python(source: str) -> list[Parameter]:
    source = _without_ipython(source)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # What can't be read declares nothing.
        return []
    # Its places count the bytes of UTF-8, in lines of any kind of end.
    lines = [line.encode(errors="replace") for line in re.split(r"\r\n|\r|\n", source)]
    found: dict[str, Parameter] = {}
    for node in tree.body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if names:
            parameter = _python_parameter(names[0], node, lines)
            found |= {name: replace(parameter, name=name) for name in names}
    return list(found.values())


def _without_ipython(source: str) -> str:
    """IPython's own lines are not Python. What looks like one within a text or brackets is none."""
    reader = PythonReader(source)
    kept: list[str] = []
    while reader.at < len(source):
        begin = reader.at
        if not reader.take(_IPYTHON):
            reader.skip()
            kept.append(source[begin : reader.at])
    return "".join(kept)


def _python_parameter(name: str, node: ast.Assign | ast.AnnAssign, lines: list[bytes]) -> Parameter:
    rest = lines[(node.end_lineno or node.lineno) - 1][node.end_col_offset or 0 :]
    comment = rest.partition(b"#")[2].decode(errors="replace").strip()
    annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
    if node.value is None:
        return _parameter(name, annotation, comment)
    try:
        value = ast.literal_eval(node.value)
        value = json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError, MemoryError):
        return _parameter(name, annotation, comment)
    return _parameter(name, annotation, comment, value, True)
