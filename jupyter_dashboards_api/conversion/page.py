"""A page that is wholly in memory: what a browser asks for is answered from here, or not at all. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ORIGIN = "https://dash.invalid"
"""Where the page believes to be: a name that no resolver may ever know (RFC 6761)."""


@dataclass(frozen=True)
class Resource:
    """An answer."""

    mime: str
    data: bytes


@dataclass(frozen=True)
class MemoryPage:
    """A page and what it may load. `is_board`: a grid, which is one sheet, not a text on pages.

    `addresses` are those of the pictures that it shows and has not got, as its author has written them.
    """

    html: bytes
    policy: str
    is_board: bool
    lookup: Callable[[str], Resource | None]
    """The file of a path below the origin, if the page may have it. Blocking."""
    addresses: tuple[str, ...] = ()

    def answer(self, url: str, method: str = "GET") -> Resource | None:
        """What is sent for a URL; None for everything that is not ours."""
        origin, path = url[: len(ORIGIN)], url[len(ORIGIN) :].partition("#")[0]
        if origin != ORIGIN or not path.startswith("/") or method != "GET":
            return None
        if path == "/":
            return Resource("text/html; charset=utf-8", self.html)
        return self.lookup(path)


def page_policy(nonce: str, *, trusted: bool, inline: bool) -> str:
    """The Content-Security-Policy of such a page, on our origin or (`inline`) as a file of its own.

    Whatever an author writes runs on trusted pages only, where his scripts are given the nonce.
    """
    own = [] if inline else [ORIGIN]
    scripts = [f"'nonce-{nonce}'", *(["'strict-dynamic'"] if inline else own)]
    sources = {
        "default-src": ["'none'"],
        "script-src": [*scripts, *(["blob:"] if trusted else [])],
        "style-src": ["'unsafe-inline'", "data:", *own],
        "img-src": ["data:", "blob:", *own],
        "font-src": ["data:", *own],
        "connect-src": ["data:", "blob:", *own],
        "media-src": ["data:", "blob:"],
        "worker-src": ["'none'"],
        "frame-src": ["'none'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{directive} {' '.join(values)}" for directive, values in sources.items())
