"""Notebooks that programs send to be run by their path. API: "Upload a Jupyter Notebook", `specs/commands.md` §1.2."""

from __future__ import annotations

import asyncio
from typing import Any

import nbformat
from tornado.web import authenticated

from ..commands.wire import json_object, timestamp
from ..dashboards.contents import clean_path
from ..errors import InvalidRequest, Unreadable
from .commands_base import CommandsAPIHandler
from .notebook_lookup import notebook_model
from .streamed import StreamedBodyHandler

_MAX_NAME = 200
"""Bytes: file systems take 255, and what is written beside it has a longer name."""


class NotebookContentsHandler(StreamedBodyHandler, CommandsAPIHandler):
    """`/api/v1.2/jupyter_notebooks/contents/PATH/NAME`."""

    @property
    def largest_body(self) -> int:
        return self.dashboards.uploads.max_upload_size

    @authenticated
    async def put(self, path: str) -> None:
        """Saves `content` as the notebook of the URL, a new one or in the place of another; folders are made.

        `name` and `path` of the body, which the API documents, say the same as the URL and are not looked at.
        """
        sent = self.received()
        place = clean_path(path)
        if not place.endswith(".ipynb"):
            raise InvalidRequest("The path must name a notebook, with its extension .ipynb.")
        if any(len(segment.encode()) > _MAX_NAME for segment in place.split("/")):
            raise InvalidRequest(f"A name in the path must have at most {_MAX_NAME} bytes.")
        body = await asyncio.to_thread(json_object, sent, self.largest_body)
        del sent
        if body.get("type", "notebook") != "notebook":
            raise Unreadable("type must be notebook.")
        data = await asyncio.to_thread(_notebook_file, body.get("content"))
        # As a file: whether its outputs are trusted is not for who sends it to say.
        entry = await self.dashboards.uploads.put(self.commands.contents, place, data)
        await self.record("upload", place)
        changed = timestamp(entry.last_modified) if entry is not None else None
        folder, _, name = place.rpartition("/")
        self.send(
            {
                **notebook_model(await self.commands.notebooks.identify(place)),
                "name": name,
                "location": folder,
                "type": "notebook",
                "last_modified": changed,
                "content": None,
            }
        )


def _notebook_file(content: Any) -> bytes:
    """The file of a notebook. Raises `Unreadable`. Takes a while for a large one."""
    if not isinstance(content, dict) or content.get("nbformat") != 4:
        raise Unreadable("content must be a notebook of nbformat 4.")
    try:
        notebook = nbformat.from_dict(content)
        nbformat.validate(notebook)
        # NaN and infinities are no JSON, though Python reads and writes them.
        return str(nbformat.writes(notebook, allow_nan=False)).encode()
    except Exception as error:
        # The library raises whatever a field happens to make of its code.
        reason = str(error).partition("\n")[0][:200]
        raise Unreadable(f"content is not a valid notebook: {reason}") from error
