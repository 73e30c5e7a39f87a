"""Macros: names whose values are put into the texts of a command's arguments, written there as `$name$`. Pure.

The API has them as a list of objects with one key, a name and an expression of JavaScript each, which may use the names before
it, `moment()` and `Qubole_nominal_time`. Nothing here runs JavaScript: a small reader knows what the API's examples are
made of, and refuses anything else. The nominal time of a command that no schedule has made is the time of its submission.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ..errors import InvalidRequest
from .moments import Moment, moment_of

MAX_MACROS = 100
MAX_EXPRESSION = 4000
"""Characters."""

MAX_EXPRESSIONS = 20_000
"""Characters of all expressions of a command."""

MAX_VALUE = 10_000
"""Characters of what one macro becomes."""

MAX_SUBSTITUTED = 1024 * 1024
"""Characters that substitution may add to one command's arguments."""

SUPPORTED = (
    "Supported are numbers, true, false, texts in quotes, names of macros before it, Qubole_nominal_time,"
    " Qubole_nominal_time_iso and moment() with clone, add, subtract, startOf, endOf, utc, tz, strftime, format,"
    " toISOString and unix, joined by +."
)

NOMINAL = "Qubole_nominal_time"
_RESERVED = frozenset({NOMINAL, f"{NOMINAL}_iso", "moment", "true", "false", "null", "undefined"})
_MAX_DEPTH = 30
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_TOKEN = re.compile(
    r"""(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_]))|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|"""
    r"""(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<sign>[+(),.-])""",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|(.))")
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}

Value = str | int | float | bool
Macro = tuple[str, Value]
"""A name, and its expression, or a plain value."""


def parsed_macros(value: Any) -> tuple[Macro, ...]:
    """Macros as clients send them: a list of objects with one key, the same as JSON text, or nothing.

    Raises `InvalidRequest`.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        if len(value) > 3 * MAX_EXPRESSIONS:
            raise InvalidRequest("macros: they are too long.")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, list) or not all(
        isinstance(item, dict) and len(item) == 1 for item in value
    ):
        raise InvalidRequest("macros: must be a list of objects with one name each.")
    if len(value) > MAX_MACROS:
        raise InvalidRequest(f"macros: there may be at most {MAX_MACROS}.")
    found = [pair for item in value for pair in item.items()]
    for name, expression in found:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise InvalidRequest(f"macros: {name[:100]!r} can't be the name of a macro.")
        if not isinstance(expression, Value):
            raise InvalidRequest(f"macros: {name} must be an expression. {SUPPORTED}")
        if isinstance(expression, str) and len(expression) > MAX_EXPRESSION:
            raise InvalidRequest(f"macros: {name} is longer than {MAX_EXPRESSION} characters.")
    if sum(len(text) for _, text in found if isinstance(text, str)) > MAX_EXPRESSIONS:
        raise InvalidRequest(f"macros: together they are longer than {MAX_EXPRESSIONS} characters.")
    return tuple(found)


def resolved(macros: Sequence[Macro], nominal: datetime, now: datetime) -> dict[str, Value]:
    """The value of each macro. `nominal` and `now` have zones; moments become texts in ISO 8601. Raises `InvalidRequest`."""
    known: dict[str, Any] = {NOMINAL: Moment(nominal), f"{NOMINAL}_iso": Moment(nominal).iso()}
    for name, expression in macros:
        try:
            value = (
                _Reader(expression, known, now).value()
                if isinstance(expression, str)
                else expression
            )
            _check(value)
        except InvalidRequest as error:
            raise InvalidRequest(f"macros: {name}: {error.message} {SUPPORTED}") from None
        except (OverflowError, ValueError):
            raise InvalidRequest(f"macros: {name} becomes too large.") from None
        known[name] = value
    found = {name: known[name] for name, _ in macros}
    # Only now: what a later macro has changed is changed for all, as in JavaScript.
    return {name: v.iso() if isinstance(v, Moment) else v for name, v in found.items()}


def _check(value: Any) -> None:
    if isinstance(value, str):
        if len(value) > MAX_VALUE:
            raise InvalidRequest(f"It becomes longer than {MAX_VALUE} characters.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("It holds half of a character.") from None
    if isinstance(value, (int, float)) and (not math.isfinite(value) or abs(value) > 1e300):
        raise InvalidRequest("It is too large a number.")


def substituted(value: Any, macros: Mapping[str, Value]) -> Any:
    """A JSON value with `$name$` in its texts replaced; names of objects, and what is no macro's name, stay.

    Raises `InvalidRequest` when it grows too large.
    """
    if not macros:
        return value
    room = MAX_SUBSTITUTED

    def put(text: str) -> str:
        nonlocal room
        first, *parts = text.split("$")
        found = [first]
        # Whether the sign before a part still may begin a name.
        is_open = True
        for index, part in enumerate(parts, 1):
            if is_open and part in macros and index < len(parts):
                found.append(written(macros[part]))
                room -= len(found[-1])
                if room < 0:
                    raise InvalidRequest("macros: the arguments become too long.")
                is_open = False
            else:
                found.append(f"${part}" if is_open else part)
                is_open = True
        return "".join(found)

    def walk(item: Any) -> Any:
        if isinstance(item, str):
            return put(item)
        if isinstance(item, list):
            return [walk(each) for each in item]
        return {k: walk(v) for k, v in item.items()} if isinstance(item, dict) else item

    return walk(value)


def written(value: Value) -> str:
    """A value as JavaScript makes a text of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if abs(value) < 1e21 and value == int(value):
        return str(int(value))
    if 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(repr(value)):f}"
    return re.sub(r"e([+-])0*", r"e\1", repr(float(value)))


class _Reader:
    """Reads one expression, and has its value at the end."""

    def __init__(self, text: str, known: Mapping[str, Any], now: datetime) -> None:
        self._known = known
        self._now = now
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def value(self) -> Any:
        found = self._sum()
        if self._kind() != "end":
            raise InvalidRequest(f"{self._word()[:40]!r} is not expected there.")
        return found

    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _word(self) -> str:
        return self._tokens[self._at][1]

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _sign(self, *signs: str) -> bool:
        """Takes one of these signs if it is next."""
        is_next = self._kind() == "sign" and self._word() in signs
        self._at += is_next
        return is_next

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            raise InvalidRequest(f"{sign!r} is missing.")

    def _sum(self) -> Any:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise InvalidRequest("It is nested too deeply.")
        found = self._term()
        while self._sign("+"):
            found = _joined(found, self._term())
            _check(found)
        self._depth -= 1
        return found

    def _term(self) -> Any:
        if self._sign("-"):
            number = self._term_of_sign()
            return -number
        found = self._plain()
        while self._sign("."):
            found = self._method(found)
        return found

    def _term_of_sign(self) -> int | float:
        if self._kind() != "number":
            raise InvalidRequest("A minus sign must stand before a number.")
        return _number(self._take())

    def _plain(self) -> Any:
        kind = self._kind()
        if kind == "number":
            return _number(self._take())
        if kind == "text":
            return _unescaped(self._take()[1:-1])
        if self._sign("("):
            found = self._sum()
            self._need(")")
            return found
        if kind != "name":
            word = self._word()[:40]
            raise InvalidRequest(
                f"{word!r} is not expected there." if word else "It ends too soon."
            )
        name = self._take()
        if name in ("true", "false"):
            return name == "true"
        if name == "moment":
            return self._moment(self._arguments())
        if name not in self._known:
            raise InvalidRequest(f"{name[:40]} is not known there.")
        return self._known[name]

    def _moment(self, given: list[Any]) -> Moment:
        if not given:
            return Moment(self._now)
        if len(given) == 1 and isinstance(given[0], Moment):
            return given[0].clone()
        if len(given) == 1 and isinstance(given[0], str):
            return moment_of(given[0], self._now.tzinfo)
        raise InvalidRequest("moment takes nothing, a moment, or a time as a text.")

    def _arguments(self) -> list[Any]:
        self._need("(")
        found: list[Any] = []
        if not self._sign(")"):
            found.append(self._sum())
            while self._sign(","):
                found.append(self._sum())
            self._need(")")
        return found

    def _method(self, value: Any) -> Any:
        name = self._take() if self._kind() == "name" else ""
        known = _METHODS.get(name)
        if known is None or not isinstance(value, Moment):
            raise InvalidRequest(f".{name[:40]} is not known there.")
        method, counts = known
        given = self._arguments()
        if len(given) not in counts:
            raise InvalidRequest(f"{name} has {len(given)} arguments, which is not right.")
        return method(value, *given)


_METHODS: Mapping[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "clone": (Moment.clone, (0,)),
    "add": (Moment.add, (2,)),
    "subtract": (Moment.subtract, (2,)),
    "startOf": (Moment.start_of, (1,)),
    "endOf": (Moment.end_of, (1,)),
    "utc": (Moment.utc, (0,)),
    "tz": (Moment.tz, (1,)),
    "strftime": (Moment.strftime, (1,)),
    "format": (Moment.format, (0, 1)),
    "toISOString": (lambda moment: moment.clone().utc().format("YYYY-MM-DDTHH:mm:ss.SSS[Z]"), (0,)),
    "unix": (Moment.unix, (0,)),
}


def _tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of each part, with an `end` after them."""
    text = text.strip().removesuffix(";").rstrip()
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise InvalidRequest(f"{text[at : at + 20]!r} can't be read.")
        found.append((match.lastgroup or "", match[0]))
        at = match.end()
    return [*found, ("end", "")]


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() and len(text) <= 15 else float(text)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code is None:
            return _SHORT.get(match[4], match[4])
        number = int(code, 16)
        if number > 0x10FFFF:
            raise InvalidRequest("There is no such character.")
        return chr(number)

    joined = _ESCAPE.sub(plain, text)
    # Two halves, written one after the other, are one character.
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _joined(left: Any, right: Any) -> Any:
    if isinstance(left, Moment) or isinstance(right, Moment):
        raise InvalidRequest("A moment becomes a text by strftime or format first.")
    if isinstance(left, str) or isinstance(right, str):
        return written(left) + written(right)
    return left + right
