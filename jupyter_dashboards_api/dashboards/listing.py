"""What a folder offers a viewer: dashboards, folders, and the files that may be fetched."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .contents import ContentsStore, Entry, join_path
from .finder import DashboardFinder
from .staging import is_staging


@dataclass(frozen=True)
class Listed:
    """A row of the listing. `path` is a dashboard's path: a notebook's has no extension."""

    kind: Literal["folder", "dashboard", "file"]
    name: str
    path: str
    last_modified: datetime | None


async def list_folder(
    store: ContentsStore,
    finder: DashboardFinder,
    path: str,
    query: str = "",
    *,
    may_open: Callable[[str], bool] = lambda path: True,
    may_look_into: Callable[[str], bool] = lambda path: True,
) -> list[Listed]:
    """The rows of a folder: folders, then dashboards, then files, each by name.

    Only those with every word of `query` in their name, as in the page's own search (`frontend/src/listing.ts`), and only
    what the caller may open: `may_open` is asked about notebooks and files, `may_look_into` about folders.
    """
    entries = [
        entry
        for entry in await store.folder(path)
        if not is_staging(entry.name)
        and (may_look_into(entry.path) if entry.kind == "directory" else may_open(entry.path))
    ]
    notebooks = {entry.name.removesuffix(".ipynb") for entry in entries if entry.kind == "notebook"}
    # A notebook's page hides a folder of the same name.
    folders = [
        entry for entry in entries if entry.kind == "directory" and entry.name not in notebooks
    ]
    indexes = await asyncio.gather(*(finder.index_of(folder.path) for folder in folders))
    rows = [
        Listed("dashboard" if index else "folder", folder.name, folder.path, folder.last_modified)
        for folder, index in zip(folders, indexes, strict=True)
        # An index is what its folder shows, so who may not open it sees nothing there.
        if index is None or may_open(index.path)
    ]
    rows += [_row(path, entry) for entry in entries if entry.kind == "notebook"]
    rows += [
        Listed("file", entry.name, entry.path, entry.last_modified)
        for entry in entries
        if entry.kind == "file" and finder.is_resource(entry.path)
    ]
    words = _folded(query).split()
    order = {"folder": 0, "dashboard": 1, "file": 2}
    return sorted(
        (row for row in rows if all(word in _folded(row.name) for word in words)),
        key=lambda row: (order[row.kind], natural_key(row.name)),
    )


def _folded(text: str) -> str:
    """Without case and accents: `cafe` finds `Café`."""
    letters = unicodedata.normalize("NFD", text)
    return "".join(c for c in letters if not unicodedata.category(c).startswith("M")).casefold()


def _row(folder: str, entry: Entry) -> Listed:
    name = entry.name.removesuffix(".ipynb")
    # `a.ipynb.ipynb` is not at `a.ipynb` where there is an `a.ipynb` too.
    path = entry.name if name.endswith(".ipynb") else name
    return Listed("dashboard", name, join_path(folder, path), entry.last_modified)


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts `plot 10` after `plot 9`, and without regard to case."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", name.casefold())
        if part
    )
