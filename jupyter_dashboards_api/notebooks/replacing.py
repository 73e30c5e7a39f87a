"""Renames what was written beside its place into it, and the old aside; all or nothing.

A contents manager can't rename over what is there, so for a moment nothing has the name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..dashboards.contents import ContentsStore, join_path, parent_path
from ..dashboards.staging import parse_staging, staging_path
from ..errors import DashboardsError

_ABANDONED_AFTER = 3600
"""Seconds after which a staged file belongs to no running upload, of this server or another on the same storage."""


class Replacing:
    """Replaces documents and folders of a contents store."""

    def __init__(
        self,
        store: ContentsStore,
        log: Any,
        made: Callable[[str, datetime], None] = lambda path, since: None,
    ) -> None:
        """`made` is told what is put where nothing was: its path in the whole contents manager, and a time before that."""
        self._store = store
        self._log = log
        self._made = made

    async def replace(self, place: str, staged: str, others: Sequence[str] = ()) -> None:
        """Renames `staged` to `place`, whatever is there and the `others` aside, and deletes those; all or nothing."""
        begun: list[tuple[str, str]] = []
        aside: list[str] = []

        async def rename(path: str, new_path: str) -> None:
            # Noted before it is known to work: a cancelled rename may well have happened.
            begun.append((path, new_path))
            await self._store.rename(path, new_path)

        async def put_aside(path: str) -> None:
            aside.append(staging_path(path, "replaced"))
            await rename(path, aside[-1])

        since = datetime.now(UTC)
        try:
            is_new = await self._store.stat(place) is None
            if not is_new:
                await put_aside(place)
            await rename(staged, place)
            for path in others:
                await put_aside(path)
        except BaseException:
            for path, new_path in reversed(begun):
                await self._undo(path, new_path)
            raise
        if is_new:
            self._made(self._store.api_path(place), since)
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

    async def _undo(self, path: str, new_path: str) -> None:
        """Takes back the renaming of `path` to `new_path`, if it took place."""
        try:
            if await self._store.stat(path) is None and await self._store.stat(new_path):
                await self._store.rename(new_path, path)
        except Exception:
            self._log.exception("A failed upload left %s under the name %s", path, new_path)
