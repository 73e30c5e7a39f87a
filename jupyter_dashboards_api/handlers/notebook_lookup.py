"""Which id a notebook has: `GET /api/v1.2/notebooks?path=`, and what its parameters are.

The hosted product showed ids in its pages only; programs of this server ask here. API: `specs/commands.md` §1.7.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.web import authenticated

from ..commands.parameters import declared
from ..commands.wire import read_number
from ..dashboards.contents import clean_path, join_path
from ..dashboards.finder import INDEX
from ..errors import InvalidRequest, NotFound
from ..notebooks.registry import NotebookId
from .commands_base import CommandsAPIHandler


class _LookupHandler(CommandsAPIHandler):
    async def notebook_at(self, path: str, *, or_in: bool = False) -> NotebookId:
        """The notebook at a path of the contents manager, with ids from now on. Raises `NotFound`.

        With `or_in` also the one that makes a folder a dashboard, by the folder's path. A slash at the beginning is the
        contents API's spelling, and means the same.
        """
        clean = clean_path(path)
        if not clean:
            raise InvalidRequest("Name the notebook: ?path=")
        entry = await self.commands.contents.stat(clean)
        if or_in and entry is not None and entry.kind == "directory":
            clean = join_path(clean, INDEX)
            entry = await self.commands.contents.stat(clean)
        if entry is None or entry.kind != "notebook":
            # Noted, if one was there: what is put there later is another notebook.
            await self.commands.notebooks.find(clean)
            raise NotFound("There is no notebook at this path.")
        return await self.commands.notebooks.identify(clean)


class NotebookLookupHandler(_LookupHandler):
    """`/api/v1.2/notebooks?path=PATH`."""

    @authenticated
    async def get(self) -> None:
        notebook = await self.notebook_at(self.get_query_argument("path", ""))
        self.send({"notebooks": [notebook_model(notebook)]})


class DashboardLookupHandler(_LookupHandler):
    """`/api/v1.2/notebook_dashboard?path=PATH`: a dashboard is its notebook, seen."""

    @authenticated
    async def get(self) -> None:
        notebook = await self.notebook_at(self.get_query_argument("path", ""), or_in=True)
        self.send({"notebook_dashboards": [notebook_model(notebook)]})


class NotebookParametersHandler(_LookupHandler):
    """`/api/v1.2/notebooks/ID/parameters`: what the notebook declares in its cell tagged `parameters`."""

    @authenticated
    async def get(self, notebook_id: str) -> None:
        number = read_number(notebook_id, 1)
        known = await self.commands.notebooks.there(number) if number is not None else None
        if known is None:
            raise NotFound("There is no such notebook.")
        notebook, _ = await self.commands.contents.notebook(known.path)
        language = await self.commands.intake.language(notebook.metadata)
        found = await asyncio.to_thread(declared, notebook, language)
        self.send({"parameters": [parameter_model(each) for each in found]})


def notebook_model(notebook: NotebookId) -> dict[str, Any]:
    """The ids of a notebook, as the API names them."""
    folder, _, name = notebook.path.rpartition("/")
    return {
        "id": notebook.id,
        "note_id": notebook.id,
        "uuid": notebook.uuid,
        "short_id": notebook.short_id,
        "path": notebook.path,
        "name": name.removesuffix(".ipynb"),
        "location": folder,
    }


def parameter_model(parameter: Any) -> dict[str, Any]:
    """A parameter; `default` only where there is one that JSON can hold."""
    model = {"name": parameter.name, "type": parameter.type or None, "help": parameter.help}
    return {**model, "default": parameter.default} if parameter.has_default else model
