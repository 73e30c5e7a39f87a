"""Writes a run's outputs over their source, and never over what somebody else is writing.

A contents manager can't compare and save in one step, and its saves take a while. So a save of this server's that is under
way is waited for, and one that begins while ours is under way is refused (409): its editor still has all of it, and saves
again. Uploads wait for us, and we for them. Two servers that write the same file at the same moment can't know of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from nbformat import NotebookNode
from tornado.web import HTTPError

from ..dashboards.contents import ContentsStore
from ..dashboards.stamp import STAMP, digest, executed_at, unstamped
from .parameters import INJECTED_TAG

LONGEST_SAVE = 10.0
"""Seconds after which a save that has not ended is taken for a failed one, which is not told."""

Hold = Callable[[str], AbstractAsyncContextManager[None]]

_WRITTEN_BY_RUNS = {STAMP, "language_info", "widgets"}
"""Of a notebook's metadata."""

_OF_A_RUN = {"id", "outputs", "execution_count"}
"""Of a cell."""

_OF_A_CELL = {"execution", "trusted"}
"""Of a cell's metadata. Whoever reads it puts `trusted` there: what the server has saved itself, it trusts."""


def is_edited(original: NotebookNode, there: NotebookNode) -> bool:
    """Whether a notebook of nbformat 4 has changed otherwise than by a run that has written its outputs. Pure."""
    if _authored(original) != _authored(there):
        return True
    return executed_at(there) is None and digest(original) != digest(there)


def _authored(notebook: NotebookNode) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a run doesn't write. Ids of cells don't count: where a file has none, each reading makes new ones."""
    metadata = {
        name: value for name, value in notebook.metadata.items() if name not in _WRITTEN_BY_RUNS
    }
    metadata[STAMP] = unstamped(notebook)
    cells = [
        {name: value for name, value in cell.items() if name not in _OF_A_RUN}
        | {"metadata": {n: value for n, value in cell.metadata.items() if n not in _OF_A_CELL}}
        for cell in notebook.cells
        if INJECTED_TAG not in cell.metadata.get("tags", ())
    ]
    return metadata, cells


class WriteBack:
    """Replaces notebooks of the whole contents manager."""

    def __init__(
        self,
        contents: ContentsStore,
        hold: Hold | None = None,
        longest_save: float = LONGEST_SAVE,
    ) -> None:
        """`hold` keeps other parts of this project from writing to a path; `longest_save` is in seconds."""
        self._contents = contents
        self._longest_save = longest_save
        self._hold = hold or (lambda path: contextlib.nullcontext())
        self._ours: dict[str, NotebookNode] = {}
        self._begun: dict[str, float] = {}
        self._ended = asyncio.Event()
        contents.on_save(self._begins, self._ends)

    async def replace(self, path: str, original: NotebookNode, executed: NotebookNode) -> bool:
        """Saves `executed` unless somebody has edited what was `original`. Raises `DashboardsError`."""
        async with self._hold(path):
            await self._quiet(path)
            self._ours[path] = executed
            try:
                there, _ = await self._contents.notebook(path)
                if await asyncio.to_thread(is_edited, original, there):
                    return False
                await self._contents.save_notebook(path, executed)
                return True
            finally:
                self._ours.pop(path, None)

    async def _quiet(self, path: str) -> None:
        """Waits until nobody saves there."""
        while (left := self._begun.get(path, 0.0) + self._longest_save - time.monotonic()) > 0:
            self._ended.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), left)

    def _begins(self, path: str, model: dict[str, Any]) -> None:
        ours = self._ours.get(path)
        if ours is not None and model.get("content") is not ours:
            raise HTTPError(409, "A run is just writing its outputs to this notebook: save again.")
        now = time.monotonic()
        if ours is None:
            self._begun[path] = now
        for old in [
            each for each, begun in self._begun.items() if begun < now - self._longest_save
        ]:
            del self._begun[old]

    def _ends(self, path: str) -> None:
        self._begun.pop(path, None)
        self._ended.set()
