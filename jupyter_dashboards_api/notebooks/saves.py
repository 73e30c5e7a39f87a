"""What the registry is told of saves, whoever saves: what is made where nothing was, and what is about to be saved over.

Contents managers tell of a save when it is over, and not what was there before. Only on a disk it can be looked, between a
save's two hooks; managers that keep no files there tell nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..dashboards.contents import ContentsStore
from ..dashboards.staging import is_being_replaced
from .registry import NotebookRegistry

_MOST = 1000
"""Saves of new files that may be under way at once."""

_GRAIN = timedelta(seconds=0.05)
"""How much older than it is a file may look that has just been made."""


def follow_saves(
    contents: ContentsStore,
    registry: NotebookRegistry,
    is_held: Callable[[str], bool] = lambda path: False,
) -> None:
    """Tells `registry` of the saves of the whole contents manager; of paths that an upload holds, that does it."""
    # By path, a time at which nothing was there, for a save that has begun since. Of one that fails it stays.
    new: dict[str, datetime] = {}

    def begins(path: str, model: dict[str, Any]) -> None:
        file = contents.on_disk(path)
        if file is None or model.get("type") == "directory":
            return
        if os.path.lexists(file):
            before = contents.on_disk_now(path)
            if before is not None:
                registry.overwritten(before)
                modified = before.last_modified
                # It was away, and is not what another save has just made.
                if path in new and modified is not None and modified < new[path] - _GRAIN:
                    del new[path]
            return
        new.pop(path, None)
        # Without its folder it fails, and the folder may come back with all that was in it.
        if not is_held(path) and file.parent.is_dir() and not _is_being_written(file):
            new[path] = datetime.now(UTC)
            if len(new) > _MOST:
                del new[next(iter(new))]

    def ended(path: str) -> None:
        written = contents.on_disk_now(path)
        if written is not None:
            registry.written(written)
        since = new.pop(path, None)
        if since is not None:
            registry.appeared(path, since)

    contents.on_save(begins, ended)


def _is_being_written(file: Path) -> bool:
    """Whether the file is only away for a moment: Jupyter writes it, or another server replaces it."""
    if os.path.lexists(file.with_name(f".~{file.name}")):
        return True
    with contextlib.suppress(OSError):
        return is_being_replaced(file.name, [each.name for each in file.parent.iterdir()])
    return False
