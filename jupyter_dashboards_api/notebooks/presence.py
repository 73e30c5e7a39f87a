"""Looks whether notebooks are where they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ..errors import DashboardsError, Forbidden, InvalidRequest


class Files(Protocol):
    """What is asked of the whole contents manager. Each method raises `DashboardsError` where it can't be told."""

    async def is_notebook(self, path: str) -> bool:
        """Whether a notebook is at a path."""

    async def changed(self, path: str) -> datetime | None:
        """When what is at a path came there or was last changed; None where nobody knows."""

    async def is_empty(self) -> bool:
        """Whether nothing is shown at all."""


class Located(Protocol):
    """A notebook by its id, and where it should be."""

    @property
    def id(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def missing_since(self) -> datetime | None: ...


@dataclass
class Looked:
    """Ids of notebooks that are there, of those that are not, and why it can't be told of the others."""

    there: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    errors: dict[int, DashboardsError] = field(default_factory=dict)

    def is_there(self, notebook: Located) -> bool:
        """Whether one of them is there for whoever asked. Raises what keeps the storage from saying so."""
        error = self.errors.get(notebook.id)
        if error is not None and not isinstance(error, (Forbidden, InvalidRequest)):
            raise error
        return notebook.id in self.there

    def correct(self, later: Looked) -> None:
        """Takes over what a second look has found of those that were gone."""
        self.gone -= later.there | set(later.errors)
        self.there |= later.there
        self.errors |= later.errors


async def look_at(files: Files, notebooks: Iterable[Located]) -> Looked:
    """One look at each."""
    looked = Looked()
    for each in notebooks:
        try:
            (looked.there if await files.is_notebook(each.path) else looked.gone).add(each.id)
        except DashboardsError as error:
            looked.errors[each.id] = error
        # Many contents managers answer without ever letting others run.
        await asyncio.sleep(0)
    return looked
