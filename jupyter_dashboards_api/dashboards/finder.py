"""What a dashboard's path names: a notebook, a folder, a resource beside a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from traitlets import List, Unicode
from traitlets.config import LoggingConfigurable

from ..errors import NotFound
from .contents import ContentsStore, Entry, join_path
from .staging import is_staging

INDEX = "index.ipynb"


@dataclass(frozen=True)
class Found:
    """What is shown for a path.

    - `dashboard`: `path` is the notebook; `in_folder` says that it is the index of the folder that was asked for, whose
      relative links are one level below the folder's URL.
    - `folder`: `path` is to be listed.
    - `moved`: the folder's dashboard is at `path`.
    - `resource`: `path` is a file that may be sent as it is.
    """

    kind: Literal["dashboard", "folder", "moved", "resource"]
    path: str
    in_folder: bool = False
    entry: Entry | None = None


class DashboardFinder(LoggingConfigurable):
    """Resolves paths through the contents manager."""

    resource_extensions = List(
        Unicode(),
        default_value=[
            *("png jpg jpeg gif webp avif svg ico bmp".split()),
            *("css js mjs map woff woff2 ttf otf wasm".split()),
            *("mp3 ogg oga wav flac mp4 webm ogv vtt".split()),
            *(
                "html htm txt md csv tsv geojson topojson xml pdf xlsx docx pptx zip gz parquet arrow".split()
            ),
        ],
        help="""File name extensions of the resources that viewers may fetch from beside a dashboard. Anything else,
        sources such as `.py` and the notebooks themselves above all, is not served. `json` is not among them: files like
        `credentials.json` lie beside notebooks.""",
    ).tag(config=True)

    def __init__(self, store: ContentsStore, **options: Any) -> None:
        super().__init__(**options)
        self._store = store

    async def find(self, path: str) -> Found:
        """Resolves a clean contents path; the first match of this order counts.

        notebook (with or without `.ipynb`), folder with an index notebook, folder with `index/index.ipynb`, other
        folder, resource. Raises `NotFound`.
        """
        if any(is_staging(segment) for segment in path.split("/")):
            raise NotFound("There is no dashboard and no folder of this name.")
        if path and (notebook := await self._notebook(path)):
            return Found("dashboard", notebook.path, entry=notebook)
        entry = await self._store.stat(path)
        if entry is None:
            raise NotFound("There is no dashboard and no folder of this name.")
        if entry.kind == "directory":
            return await self._folder(path)
        if not self.is_resource(path):
            raise NotFound("There is no dashboard and no folder of this name.")
        return Found("resource", path, entry=entry)

    async def index_of(self, folder: str) -> Entry | None:
        """The index notebook that makes a folder a dashboard, if it has one."""
        entry = await self._store.stat(join_path(folder, INDEX))
        return entry if entry is not None and entry.kind == "notebook" else None

    def is_resource(self, path: str) -> bool:
        """Whether viewers may fetch a file of this name."""
        extension = PurePosixPath(path).suffix.removeprefix(".").lower()
        return extension != "ipynb" and extension in self.resource_extensions

    async def _notebook(self, path: str) -> Entry | None:
        names = (path, f"{path}.ipynb") if path.endswith(".ipynb") else (f"{path}.ipynb",)
        for name in names:
            entry = await self._store.stat(name)
            if entry is not None and entry.kind == "notebook":
                return entry
        return None

    async def _folder(self, path: str) -> Found:
        if index := await self.index_of(path):
            return Found("dashboard", index.path, in_folder=True, entry=index)
        if await self.index_of(join_path(path, "index")):
            return Found("moved", join_path(path, "index"))
        return Found("folder", path)
