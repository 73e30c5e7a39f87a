"""What browsers load beside a page: the built frontend, and the prebuilt JupyterLab extensions that pip installed."""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_path

STATIC = Path(__file__).parent.parent / "static"

_MAX_KEPT = 64 * 1024 * 1024


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
