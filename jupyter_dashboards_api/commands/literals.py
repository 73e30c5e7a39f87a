"""Literals of R, Julia and Scala, read as JSON values; of Python, where statements end. Pure.

Only what is certain is read: anything that would have to be computed, such as a call or a text with a variable in it, is no
literal here. No pattern reads a place more than a few times, whatever the source: a text that does not end is passed over whole.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

_MAX_DEPTH = 50


class NotLiteral(Exception):
    """What stands there is no literal that JSON could hold."""


class SourceReader:
    """Reads a source from a place on; `at` is the place after what was read."""

    comment: ClassVar[re.Pattern[str]]
    """A comment to the end of its line; its text is the group."""
    skipped: ClassVar[re.Pattern[str]]
    """What brackets and line ends are not looked for in: texts, comments over several lines."""

    def __init__(self, source: str, at: int = 0) -> None:
        self.source = source
        self.at = at

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Takes what is next if it is this."""
        match = pattern.match(self.source, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def skip(self) -> str:
        """Passes over the rest of a statement, also over its next lines where a bracket is open; the comment after it."""
        depth, comment = 0, ""
        while self.at < len(self.source):
            if self.take(_PLAIN) or self.take(self.skipped):
                continue
            match = self.take(self.comment)
            if match is not None:
                comment = match[1].strip()
                if depth <= 0:
                    return comment
                continue
            sign = self.source[self.at]
            self.at += 1
            depth += (sign in "([{") - (sign in ")]}")
            if sign in "\n;" and depth <= 0:
                return ""
        return comment


class LiteralReader(SourceReader, ABC):
    """Reads literals too."""

    words: ClassVar[dict[str, Any]]

    def __init__(self, source: str, at: int = 0) -> None:
        super().__init__(source, at)
        self._depth = 0

    def value(self) -> Any:
        """The literal that is next. Raises `NotLiteral`."""
        self._depth += 1
        try:
            if self._depth > _MAX_DEPTH:
                raise NotLiteral
            return self._value()
        finally:
            self._depth -= 1

    def end(self) -> tuple[str, bool] | None:
        """The comment after a statement, and whether it ended its line; None where something else follows."""
        self.take(_BLANK)
        match = self.take(self.comment)
        if match is not None or self.take(_LINE_END) or self.at >= len(self.source):
            return (match[1].strip() if match is not None else ""), True
        return ("", False) if self.take(_SEMICOLON) else None

    @abstractmethod
    def _value(self) -> Any:
        """What is next, past spaces. Raises `NotLiteral`."""

    def _word(self) -> Any:
        match = self.take(_WORD)
        if match is None or match[0] not in self.words:
            raise NotLiteral
        return self.words[match[0]]

    def _space(self) -> None:
        """Also over line ends and comments, as between brackets."""
        while self.take(_SPACE) or self.take(self.comment):
            pass

    def _items(self, close: re.Pattern[str], item: Callable[[], Any]) -> list[Any]:
        found: list[Any] = []
        self._space()
        while not self.take(close):
            if found:
                if not self.take(_COMMA):
                    raise NotLiteral
                self._space()
                if self.take(close):
                    break
            found.append(item())
            self._space()
        return found

    def _pair(self, sign: re.Pattern[str]) -> tuple[str, Any]:
        key = self.value()
        self._space()
        if not isinstance(key, str) or not self.take(sign):
            raise NotLiteral
        self._space()
        return key, self.value()


_BLANK = re.compile(r"[ \t\r]{0,1000}")
_SPACE = re.compile(r"\s+")
_LINE_END = re.compile(r"\n")
_SEMICOLON = re.compile(r";[ \t]{0,1000}")
_COMMA = re.compile(",")
_PLAIN = re.compile(r"[\w \t.,:+*<>=$@&|^!?~%-]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)
_ROUND, _SQUARE = re.compile(r"\)"), re.compile(r"\]")
_OPEN_ROUND, _OPEN_SQUARE = re.compile(r"\("), re.compile(r"\[")


def _number(text: str, whole: bool) -> int | float:
    text = text.replace("_", "")
    try:
        if "0x" in text.lower():
            found: int | float = int(text, 16) if "p" not in text.lower() else float.fromhex(text)
        else:
            found = int(text) if whole else float(text)
    except ValueError:
        # Also more digits than Python reads.
        raise NotLiteral from None
    if isinstance(found, float) and not math.isfinite(found):
        raise NotLiteral
    return found


def _plain(text: str, escape: re.Pattern[str], short: dict[str, str], base: int = 16) -> str:
    """The text of a quoted one; an escape is a code in one of the groups, or a letter in the last."""

    def put(match: re.Match[str]) -> str:
        *codes, letter = match.groups()
        code = next((group for group in codes[:-1] if group), None)
        if code is None and codes[-1] is None:
            if letter not in short:
                raise NotLiteral
            return short[letter]
        number = int(code, base) if code is not None else int(codes[-1], 8)
        if number > 0x10FFFF or not number:
            raise NotLiteral
        return chr(number)

    found = escape.sub(put, text).encode("utf-16", "surrogatepass")
    try:
        return found.decode("utf-16")
    except UnicodeDecodeError:
        raise NotLiteral from None


_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


class PythonReader(SourceReader):
    """Python: its own parser reads the literals."""

    comment = re.compile(r"#([^\n]*)\n?")
    skipped = re.compile(
        r"\"{3}(?:[^\"\\]|\\.|\"(?!\"\"))*(?:\"{3}|\\?\Z)|'{3}(?:[^'\\]|\\.|'(?!'{2}))*(?:'{3}|\\?\Z)|"
        r"\"(?:[^\"\\\n]|\\.)*(?:\"|(?=\n)|\\?\Z)|'(?:[^'\\\n]|\\.)*(?:'|(?=\n)|\\?\Z)|\\\r?\n",
        re.DOTALL,
    )


class RReader(LiteralReader):
    """R: `1` is a double, `1L` a whole number; `c()` and `list()` are lists, or objects where all have names."""

    comment = re.compile(r"#([^\n]*)\n?")
    skipped = re.compile(
        r"\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|'(?:[^'\\]|\\.)*(?:'|\\?\Z)|`[^`\n]*`", re.DOTALL
    )
    words: ClassVar[dict[str, Any]] = {
        "TRUE": True,
        "FALSE": False,
        "T": True,
        "F": False,
        "NULL": None,
    }

    _text = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
    _escape = re.compile(
        r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|u\{([0-9a-fA-F]{1,4})\}|U([0-9a-fA-F]{1,8})|"
        r"U\{([0-9a-fA-F]{1,8})\}|([0-7]{1,3})|(.))",
        re.DOTALL,
    )
    _short: ClassVar[dict[str, str]] = {**_LETTERS, "a": "\a", "v": "\v", "`": "`", "\n": "\n"}
    _digits = re.compile(
        r"([-+]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][-+]?\d+)?|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?))(L?)"
        r"(?![\w.])",
        re.ASCII,
    )
    _list = re.compile(r"(c|list)[ \t]{0,100}\(")
    _name = re.compile(
        r"(?:([A-Za-z.][\w.]{0,200})|`([^`\n]{1,200})`|\"([^\"\\\n]{1,200})\")\s{0,100}=(?!=)\s{0,100}",
        re.ASCII,
    )

    def _value(self) -> Any:
        if match := self.take(self._text):
            return _plain(match[1] if match[1] is not None else match[2], self._escape, self._short)
        if match := self.take(self._digits):
            found = float(_number(match[1], False))
            if match[2] and found == int(found):
                return int(found)
            return found
        if match := self.take(self._list):
            named = self._items(_ROUND, lambda: (self.take(self._name), self.value()))
            if match[1] == "c" and len({_kind(each) for _, each in named}) > 1:
                # It would make all of them one type.
                raise NotLiteral
            if not named or not any(name for name, _ in named):
                return [each for _, each in named] if named or match[1] == "list" else None
            if not all(name for name, _ in named):
                raise NotLiteral
            return {name[1] or name[2] or name[3]: each for name, each in named}
        return self._word()


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


class JuliaReader(LiteralReader):
    """Julia: vectors and tuples are lists, `Dict` of texts is an object."""

    comment = re.compile(r"#(?!=)([^\n]*)\n?")
    skipped = re.compile(
        r"\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*(?:\"\"\"|\\?\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\\?\Z)|"
        r"'(?:[^'\\\n]|\\[^\n]{1,9}?)'|#=.*?(?:=#|\Z)",
        re.DOTALL,
    )
    words: ClassVar[dict[str, Any]] = {"true": True, "false": False, "nothing": None}

    _text = re.compile(r"\"(?!\"\")((?:[^\"\\$]|\\.)*)\"", re.DOTALL)
    _escape = re.compile(
        r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))",
        re.DOTALL,
    )
    _short: ClassVar[dict[str, str]] = {**_LETTERS, "a": "\a", "v": "\v", "e": "\x1b", "$": "$"}
    _digits = re.compile(
        r"([-+]?(?:0x[0-9a-fA-F]+|\d[\d_]*(\.\d[\d_]*|\.(?![\w.*/^\\+-]))?|(\.\d[\d_]*)))(?:[ef]([-+]?\d+))?(?![\w.])",
        re.ASCII,
    )
    _vector = re.compile(r"(?:[A-Z]\w{0,40}(?:\{[^{}\n]{0,100}\})?)?\[", re.ASCII)
    _dict = re.compile(r"Dict(?:\{[^{}\n]{0,100}\})?\(")
    _arrow = re.compile("=>")

    def _value(self) -> Any:
        if match := self.take(self._text):
            return _plain(match[1], self._escape, self._short)
        if match := self.take(self._digits):
            exponent = f"e{match[4]}" if match[4] else ""
            return _number(match[1] + exponent, not (match[2] or match[3] or match[4]))
        if self.take(self._vector):
            return self._items(_SQUARE, self.value)
        if self.take(self._dict):
            return dict(self._items(_ROUND, lambda: self._pair(self._arrow)))
        if self.take(_OPEN_ROUND):
            begin = self.at
            found = self._items(_ROUND, self.value)
            is_tuple = len(found) != 1 or "," in self.source[begin : self.at]
            return found if is_tuple else found[0]
        return self._word()


class ScalaReader(LiteralReader):
    """Scala: `List`, `Seq` and the like are lists, `Map` of texts is an object."""

    comment = re.compile(r"//([^\n]*)\n?")
    skipped = re.compile(
        r"\"\"\"(?:[^\"]|\"(?!\"\"))*(?:\"\"\"+|\Z)|\"(?:[^\"\\\n]|\\.)*(?:\"|(?=\n)|\\?\Z)|"
        r"'(?:[^'\\\n]|\\[^\n]{1,5}?)'|/\*.*?(?:\*/|\Z)",
        re.DOTALL,
    )
    words: ClassVar[dict[str, Any]] = {"true": True, "false": False, "null": None}

    _raw = re.compile(r"\"\"\"((?:[^\"]|\"(?!\"\"(?!\")))*)\"\"\"", re.DOTALL)
    _text = re.compile(r"\"(?!\"\")((?:[^\"\\\n]|\\.)*)\"")
    _escape = re.compile(r"\\(?:u+([0-9a-fA-F]{4})|()(?!)|(.))", re.DOTALL)
    _digits = re.compile(
        r"([-+]?(?:0[xX][0-9a-fA-F]+|\d[\d_]*(\.\d+)?|(\.\d+))([eE][-+]?\d+)?)([LlFfDd]?)(?![\w.])",
        re.ASCII,
    )
    _list = re.compile(
        r"(?:List|Seq|Vector|Array|IndexedSeq)(?:\[[^\n()]{0,100}\])?\(|(?:List|Seq|Vector)\.empty(?:\[[^\n()]{0,100}\])?()"
    )
    _map = re.compile(r"Map(?:\[[^\n()]{0,100}\])?\(")
    _arrow = re.compile("->")

    def _value(self) -> Any:
        if match := self.take(self._raw):
            return match[1]
        if match := self.take(self._text):
            return _plain(match[1], self._escape, _LETTERS)
        if match := self.take(self._digits):
            is_hex = "x" in match[1].lower()
            parts = match[2] or match[3] or match[4] or (match[5] in "FfDd" and match[5])
            return _number(match[1], is_hex or not parts)
        if match := self.take(self._list):
            return self._items(_ROUND, self.value) if match[1] is None else []
        if self.take(self._map):
            return dict(self._items(_ROUND, lambda: self._pair(self._arrow)))
        return self._word()
