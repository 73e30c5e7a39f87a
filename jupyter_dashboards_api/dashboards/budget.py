"""How many bytes of files are in memory at once, on their way to viewers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Unavailable

SMALL = 1024 * 1024
"""Bytes. What is smaller is not counted: a page has many such files, and its viewer should get them all."""

_RETRY_AFTER = 5


class ByteBudget:
    """Lets so many bytes be held at once, and one file of any size where nothing else is held."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """For a file of `size` bytes. Raises `Unavailable` when too much is held."""
        counted = size if size > SMALL else 0
        if counted and self._held and self._held + counted > self._limit:
            raise Unavailable("Too many large files are being sent: try again soon.", _RETRY_AFTER)
        self._held += counted
        try:
            yield
        finally:
            self._held -= counted
