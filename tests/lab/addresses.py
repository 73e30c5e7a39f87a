"""Addresses that a route's pattern matches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.strategies import from_regex


@cache
def simplest(pattern: str) -> str:
    """An address with nothing meaningful in it."""
    # The first example that hypothesis makes is the simplest that it can.
    first = settings(
        database=None,
        derandomize=True,
        max_examples=1,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    expression = re.compile(pattern.removesuffix("$"), re.ASCII)
    return address(find(from_regex(expression, fullmatch=True), lambda text: True, settings=first))


def meaningful(pattern: str, named: Mapping[str, str], others: tuple[str, ...]) -> str:
    """An address of things that exist: of the value with the group's name, else of the first of `others` that fits."""

    def value(group: str) -> str:
        name = re.match(r"\?P<(\w+)>", group)
        inner = group.removeprefix(name[0]) if name else group.removeprefix("?:")
        candidates = ([named[name[1]]] if name and name[1] in named else []) + list(others)
        return next((each for each in candidates if re.fullmatch(inner, each)), "")

    filled = "".join(
        value(part[1:-1]) if part.startswith("(") else re.sub(r"\\(.)", r"\1", part)
        for part in parts(pattern.removesuffix("$"))
    )
    filled = filled.replace("/?", "")
    return address(filled) if re.match(pattern, filled) else simplest(pattern)


def address(path: str) -> str:
    """The path as it stands in a request."""
    return quote(path if path.startswith("/") else f"/{path}")


def parts(pattern: str) -> Iterator[str]:
    """The outer groups of a pattern, each with its brackets, and what is between them."""
    depth, start = 0, 0
    for place, sign in enumerate(pattern):
        if sign not in "()" or pattern[place - 1] == "\\":
            continue
        if sign == "(" and depth == 0:
            yield pattern[start:place]
            start = place
        depth += 1 if sign == "(" else -1
        if depth == 0:
            yield pattern[start : place + 1]
            start = place + 1
    yield pattern[start:]
