"""Notices notebooks that were deleted past the contents manager: on the disk, by git, by another server.

Nobody tells of those. A notebook that is missing is only forgotten when it has been for a while: many programs save a file
by deleting it first. What appears at its path later is another notebook, with ids of its own; what appears sooner is
the same one.

When all of them are missing, it is looked whether the contents manager shows anything at all: a disk that is not mounted
must not end every link, schedule and id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from traitlets import Float
from traitlets.config import LoggingConfigurable

from ..errors import DashboardsError
from .registry import NotebookRegistry

# A database takes so many values in one statement.
_AT_ONCE = 500


class RegistrySweeper(LoggingConfigurable):
    """Looks at all notebooks of the registry, again and again."""

    interval = Float(
        300.0,
        min=1.0,
        help="""Seconds between two looks whether the notebooks that have ids (shared, run or scheduled ones) are still
        there.""",
    ).tag(config=True)

    grace = Float(
        900.0,
        min=0.0,
        help="""Seconds that a notebook may be missing before it counts as deleted: its links end, and a file that is made
        in its place later is another notebook. As long as the contents manager shows nothing at all, none counts as missing:
        a disk may not be mounted.""",
    ).tag(config=True)

    def __init__(
        self,
        registry: NotebookRegistry,
        exists: Callable[[str], Awaitable[bool]],
        is_empty: Callable[[], Awaitable[bool]],
        **options: Any,
    ) -> None:
        """`exists` says whether a notebook is at a path of the contents manager, `is_empty` whether nothing is anywhere.

        Both raise when that can't be told.
        """
        super().__init__(**options)
        self._registry = registry
        self._exists = exists
        self._is_empty = is_empty
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks from now on."""
        self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            try:
                await self.look()
            except DashboardsError as error:
                self._logger.warning("Notebooks can't be looked at: %s", error.message)

    async def look(self) -> None:
        """One look at all of them."""
        notebooks = await self._registry.all_there()
        for start in range(0, len(notebooks), _AT_ONCE):
            there: list[int] = []
            missing: list[int] = []
            for notebook in notebooks[start : start + _AT_ONCE]:
                (there if await self._exists(notebook.path) else missing).append(notebook.id)
                # A synchronous contents manager never yields by itself.
                await asyncio.sleep(0)
            if missing and not there and await self._is_empty():
                self._logger.warning(
                    "The contents manager shows nothing at all: it is not looked which notebooks are missing."
                )
                return
            await self._registry.seen(there, missing, timedelta(seconds=self.grace))

    @property
    def _logger(self) -> logging.Logger:
        return self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
