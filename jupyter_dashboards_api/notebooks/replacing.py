"""Renames what was written beside its place into it, and the old aside; all or nothing.

A contents manager can't rename over what is there, so for a moment nothing has the name.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from ..dashboards.contents import ContentsStore, join_path, parent_path
from ..dashboards.staging import is_staging, parse_staging, staging_path
from ..errors import Conflict, DashboardsError
from .registry import NotebookRegistry

_ABANDONED_AFTER = 3600
"""Seconds after which a staged file belongs to no running upload, of this server or another on the same storage."""


class Replacing:
    """Replaces documents and folders of a contents store."""

    def __init__(
        self,
        store: ContentsStore,
        log: Any,
        registry: NotebookRegistry | None = None,
    ) -> None:
        """`registry` is told what is put where nothing was, and what is replaced."""
        self._store = store
        self._log = log
        self._registry = registry

    async def replace(
        self,
        place: str,
        staged: str,
        others: Sequence[str] = (),
        notebooks: Collection[str] = (),
        *,
        was_there: bool = False,
    ) -> None:
        """Renames `staged` to `place`, whatever is there and the `others` aside, and deletes those; all or nothing.

        `notebooks` are the paths that notebooks have then, if it is a folder. What `was_there` is not new, though it may be
        away just now: Jupyter moves a notebook that it meets half written.
        """
        begun: list[tuple[str, str]] = []
        aside: list[str] = []

        async def rename(path: str, new_path: str) -> None:
            # Noted before it is known to work: a cancelled rename may well have happened.
            begun.append((path, new_path))
            await self._store.rename(path, new_path)

        async def put_aside(path: str) -> None:
            aside.append(staging_path(path, "replaced"))
            await rename(path, aside[-1])

        if self._registry is not None:
            # Whether they are those that were missing can't be told later.
            await self._registry.look_below(self._store.api_path(place), missing=True)
        since = datetime.now(UTC)
        try:
            is_there = await self._store.stat(place) is not None
            if is_there:
                await put_aside(place)
            await rename(staged, place)
            for path in others:
                await put_aside(path)
        except BaseException as error:
            for path, new_path in reversed(begun):
                await self._undo(path, new_path, is_taken=isinstance(error, Conflict))
            raise
        if self._registry is not None:
            api_path = self._store.api_path
            if not is_there and not was_there:
                self._registry.appeared(api_path(place), since)
            else:
                there = {api_path(path) for path in notebooks} or {api_path(place)}
                self._registry.replaced(api_path(place), there, since)
            for path in others:
                self._registry.gone(api_path(path))
        for path in aside:
            await self.discard(path)

    async def discard(self, path: str) -> None:
        """Deletes what is no longer of use. A failure is only logged: what the caller asked for is decided by then."""
        try:
            if await self._store.stat(path) is not None:
                await self._store.delete(path)
        except Exception:
            self._log.warning("Left behind by an upload, please delete: %s", path, exc_info=True)

    async def clear_abandoned(self, place: str) -> None:
        """Deletes what uploads of this name left beside it when the server died."""
        dashboard = place.removesuffix(".ipynb").rpartition("/")[2]
        folder = parent_path(place)
        try:
            names = await self._store.names(folder)
        except DashboardsError:
            return
        for name in names:
            staging = parse_staging(name)
            if (
                staging is not None
                and staging.dashboard == dashboard
                and staging.made < time.time() - _ABANDONED_AFTER
            ):
                await self.discard(join_path(folder, name))

    async def _undo(self, path: str, new_path: str, *, is_taken: bool) -> None:
        """Takes back the renaming of `path` to `new_path`, if it took place. Perhaps somebody has saved there meanwhile."""
        try:
            if await self._store.stat(path) is None:
                if await self._store.stat(new_path):
                    await self._store.rename(new_path, path)
            elif is_taken and is_staging(new_path.rpartition("/")[2]):
                # What they have saved is in the place of the old one.
                await self.discard(new_path)
        except Exception:
            self._log.exception("A failed upload left %s under the name %s", path, new_path)
