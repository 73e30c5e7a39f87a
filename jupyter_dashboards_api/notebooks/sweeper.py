"""Notices notebooks that were deleted past the contents manager: on the disk, by git, by another server.

Nobody tells of those. A notebook that is missing is only forgotten when it has been for a while: a disk may not be mounted,
and what comes back unchanged is the same notebook. What is put in its place meanwhile is another one, with ids of its own.

When all of them are missing, it is looked whether the contents manager shows anything at all: a disk that is not mounted
must not end every link, schedule and id.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

from traitlets import Float
from traitlets.config import LoggingConfigurable

from ..errors import DashboardsError
from .presence import Files
from .registry import NotebookRegistry

# A database takes so many values in one statement.
_AT_ONCE = 500

_OFTEN = 10.0
"""Seconds between two looks at those that are missing, and at all of them where that takes no time to speak of."""

_PER_SECOND = 30
"""Notebooks that are looked for in a second, on average, if there are many."""


class RegistrySweeper(LoggingConfigurable):
    """Looks at all notebooks of the registry, again and again."""

    interval = Float(
        300.0,
        min=1.0,
        help="""Most seconds between two looks whether the notebooks that have ids (shared, run or scheduled ones) are still
        there. Up to 300 of them are looked for every ten seconds, and more a bit less often.""",
    ).tag(config=True)

    grace = Float(
        900.0,
        min=0.0,
        help="""Seconds that a notebook's file may be missing before the notebook counts as deleted, and its links and
        schedules end. A file that is there before that is the same notebook if its time of modification and its size are
        the same, as on a disk that was not mounted; otherwise it is another one. As long as the contents manager shows
        nothing at all, none is counted as deleted.""",
    ).tag(config=True)

    def __init__(
        self,
        registry: NotebookRegistry,
        files: Files,
        **options: Any,
    ) -> None:
        """`files` are those of the registry."""
        super().__init__(**options)
        self._registry = registry
        self._files = files
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    def start(self) -> None:
        """Looks from now on."""
        self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + min(_OFTEN, self.interval)
        while True:
            await asyncio.sleep(min(max(due - loop.time(), 0.0), _OFTEN))
            is_due = loop.time() >= due
            count = 0
            try:
                count = await self.look(missing=not is_due)
            except DashboardsError as error:
                self._warn(f"Notebooks can't be looked at: {error.message}")
            except Exception:
                # A contents manager may raise anything; the next look may be better.
                self._logger.exception("Notebooks can't be looked at.")
            if is_due:
                due = loop.time() + min(max(_OFTEN, count / _PER_SECOND), self.interval)

    async def look(self, *, missing: bool = False) -> int:
        """One look at all of them, or at those that are known to be `missing`; how many there are."""
        errors: list[DashboardsError] = []
        last = count = 0
        while notebooks := await self._registry.some(last, _AT_ONCE, missing=missing):
            last, count = notebooks[-1].id, count + len(notebooks)
            looked = await self._registry.look(notebooks)
            errors += looked.errors.values()
            if looked.gone and not looked.there and await self._files.is_empty():
                self._warn(
                    "The contents manager shows nothing at all: no notebook counts as deleted."
                )
                return count
            await self._registry.end_missing(looked.gone, timedelta(seconds=self.grace))
        if errors:
            raise errors[0]
        self._said = ""
        return count

    def _warn(self, message: str) -> None:
        # Once, not every ten seconds.
        if message != self._said:
            self._logger.warning("%s", message)
        self._said = message

    @property
    def _logger(self) -> logging.Logger:
        return self.log if isinstance(self.log, logging.Logger) else logging.getLogger(__name__)
