"""Files that never change: the built frontend, and the prebuilt JupyterLab extensions that pip installed.

Tornado would compress them anew for every request (36 ms of the event loop for the largest); here a file is sent in the
form that the build, or the first request for it, has compressed.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
from collections.abc import Mapping

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from ..dashboards.assets import frontend, lab_extensions
from ..errors import NotFound
from .base import DashboardsAPIHandler, DashboardsHandlerMixin

# As esbuild and webpack write hashes into names; a word of a name must not pass for one.
_HASHED = re.compile(r"[.-](?:[0-9A-Z]{8}|[0-9a-f]{16,64})\.")
_COMPRESSED = {"br": ".br", "gzip": ".gz"}
_TEXT = (".js", ".css", ".json", ".svg", ".map", ".html", ".txt", ".mjs")

# Not left to the system's tables: a script with another type is not run.
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("text/javascript", ".mjs")
mimetypes.add_type("font/woff2", ".woff2")


class _FileHandler(DashboardsHandlerMixin, JupyterHandler):
    """Sends one file of a folder's index."""

    identifies = False

    def send(self, name: str, body: bytes, encoding: str | None) -> None:
        kind, _ = mimetypes.guess_type(name)
        self.set_header("Content-Type", kind or "application/octet-stream")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Accept-Encoding")
        self.set_header(
            "Cache-Control",
            "public, max-age=31536000, immutable" if _HASHED.search(name) else "no-cache",
        )
        if encoding:
            self.set_header("Content-Encoding", encoding)
        self.finish(body)


def accepted_encodings(headers: Mapping[str, str]) -> list[str]:
    """The encodings of ours that the client accepts, best first."""
    accepted = {
        item.partition(";")[0].strip().lower()
        for item in headers.get("Accept-Encoding", "").split(",")
        if not re.search(r";\s*q=0(\.0*)?$", item.strip())
    }
    return [encoding for encoding in _COMPRESSED if encoding in accepted]


class StaticHandler(_FileHandler):
    """The built frontend. Only files that the build has put into the folder can be named."""

    @allow_unauthenticated
    async def get(self, path: str) -> None:
        if path not in frontend.files or path.endswith(tuple(_COMPRESSED.values())):
            raise NotFound("There is no such file.")
        for encoding in accepted_encodings(self.request.headers):
            compressed = path + _COMPRESSED[encoding]
            if compressed in frontend.files:
                self.send(path, await frontend.read(compressed), encoding)
                return
        self.send(path, await frontend.read(path), None)

    head = get


class LabExtensionsHandler(DashboardsAPIHandler):
    """Tells the page which extensions it may load for a widget or a mime type that it doesn't know."""

    @authenticated
    async def get(self) -> None:
        found = await asyncio.to_thread(lab_extensions.scan)
        base = url_path_join(self.base_url, "static/dashboards/labextensions")
        for item in found:
            item["url"] = f"{base}/{item['name']}"
        self.finish(json.dumps(found))


class LabExtensionFileHandler(_FileHandler):
    """A file of an installed prebuilt extension."""

    @allow_unauthenticated
    async def get(self, path: str) -> None:
        file = await asyncio.to_thread(lab_extensions.file, path)
        if file is None:
            raise NotFound("There is no such file.")
        if file.suffix in _TEXT and "gzip" in accepted_encodings(self.request.headers):
            self.send(file.name, await asyncio.to_thread(lab_extensions.compressed, file), "gzip")
        else:
            self.send(file.name, await asyncio.to_thread(file.read_bytes), None)

    head = get
