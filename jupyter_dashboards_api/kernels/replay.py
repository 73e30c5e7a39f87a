"""Bounds what jupyter_server keeps for a client that has lost its connection.

It appends every message of the kernel to a list, for as long as the kernel lives without a client.
"""

from __future__ import annotations

from typing import Any

_SMALL = 4096
"""A message of at most so many bytes (a status, a reply) is kept twice as long as output is."""


class BoundedBuffer(list[Any]):
    """The list of upstream's buffer: entries are `(channel, message parts)`."""

    def __init__(self, entries: list[Any], limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._size = 0
        for entry in entries:
            self.append(entry)

    def append(self, entry: Any) -> None:
        """Add an entry, unless it is output and the buffer is full."""
        channel, parts = entry
        size = sum(len(part) for part in parts)
        limit = self._limit if size > _SMALL else 2 * self._limit
        if channel == "iopub" and self._size + size > limit:
            return
        self._size += size
        super().append(entry)


def bound(kernel_manager: Any, kernel_id: str, limit: int) -> None:
    """Bound a kernel's buffer, if it has one, to about `limit` bytes."""
    buffers = getattr(kernel_manager, "_kernel_buffers", None)
    if not isinstance(buffers, dict) or kernel_id not in buffers:
        return
    info = buffers[kernel_id]
    if type(info.get("buffer")) is list:
        info["buffer"] = BoundedBuffer(info["buffer"], limit)
