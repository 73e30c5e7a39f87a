"""Files that never change: the built frontend, and the prebuilt JupyterLab extensions that pip installed.

Tornado would compress them anew for every request (36 ms of the event loop for the largest); here a file is sent in the
form that the build, or the first request for it, has compressed.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import mimetypes
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_path
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from ..errors import NotFound
from .base import DashboardsAPIHandler, DashboardsHandlerMixin

STATIC = Path(__file__).parent.parent / "static"

# As esbuild and webpack write hashes into names; a word of a name must not pass for one.
_HASHED = re.compile(r"[.-](?:[0-9A-Z]{8}|[0-9a-f]{16,64})\.")
_COMPRESSED = {"br": ".br", "gzip": ".gz"}
_TEXT = (".js", ".css", ".json", ".svg", ".map", ".html", ".txt", ".mjs")
_MAX_KEPT = 64 * 1024 * 1024

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


class Frontend:
    """What the frontend's build has left: its files, and the manifest that names them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, bytes] = {}

    @cached_property
    def files(self) -> frozenset[str]:
        return frozenset(
            file.relative_to(self._folder).as_posix()
            for file in self._folder.rglob("*")
            if file.is_file() and not file.name.startswith(".")
        )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`manifest.json`; empty where the frontend was not built, and pages then have no script."""
        file = self._folder / "manifest.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    @cached_property
    def early(self) -> str:
        """The script that a live page's head holds: it asks for the kernel before anything else has loaded."""
        name = self.manifest.get("inline", {}).get("early")
        # A script element ends at the first `</script`, wherever it stands.
        return (self._folder / name).read_text().replace("</", "<\\/").strip() if name else ""

    async def read(self, name: str) -> bytes:
        if name not in self._kept:
            self._kept[name] = await asyncio.to_thread((self._folder / name).read_bytes)
        return self._kept[name]


frontend = Frontend(STATIC)


class LabExtensions:
    """The prebuilt extensions in Jupyter's data folders, by name; the first folder of the path wins."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}
        self._kept: dict[Path, bytes] = {}

    def scan(self) -> list[dict[str, Any]]:
        """Reads what is installed now. Blocking: for a thread.

        Each item has `name`, `load` (its entry script), `extension`, `mimeExtension` and `style` as its build wrote
        them into `package.json`.
        """
        found: dict[str, dict[str, Any]] = {}
        folders: dict[str, Path] = {}
        for root in (Path(path) for path in jupyter_path("labextensions")):
            for manifest in sorted([*root.glob("*/package.json"), *root.glob("@*/*/package.json")]):
                name = manifest.parent.relative_to(root).as_posix()
                if name in found:
                    continue
                try:
                    build = json.loads(manifest.read_text())["jupyterlab"]["_build"]
                except (OSError, ValueError, LookupError, TypeError):
                    continue
                if isinstance(build, dict) and isinstance(build.get("load"), str):
                    keys = ("load", "extension", "mimeExtension", "style")
                    found[name] = {"name": name, **{key: build.get(key) for key in keys}}
                    folders[name] = manifest.parent.resolve()
        self._folders = folders
        return list(found.values())

    def file(self, path: str) -> Path | None:
        """A file below an extension's `static` folder, or None for anything else. Blocking."""
        if not self._folders:
            self.scan()
        segments = path.split("/")
        length = 2 if path.startswith("@") else 1
        folder = self._folders.get("/".join(segments[:length]))
        if folder is None or segments[length : length + 1] != ["static"]:
            return None
        try:
            file = folder.joinpath(*segments[length:]).resolve()
        except ValueError:
            # A NUL, which no file has in its name.
            return None
        inside = file.is_relative_to(folder / "static")
        return file if inside and file.is_file() else None

    def compressed(self, file: Path) -> bytes:
        """The file's gzip, made once. Blocking."""
        if file not in self._kept:
            body = gzip.compress(file.read_bytes(), 6)
            if sum(map(len, self._kept.values())) + len(body) > _MAX_KEPT:
                self._kept.clear()
            self._kept[file] = body
        return self._kept[file]


lab_extensions = LabExtensions()


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
