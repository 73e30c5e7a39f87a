"""The only door to the contents manager.

Everything else of the project names documents by *contents paths*: `/`-separated, without a leading or trailing slash,
`""` for the root. Errors of a contents manager name files on the server's disk, so none of them passes this module.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import nbformat
from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.filemanager import (
    AsyncFileContentsManager,
    FileContentsManager,
)
from jupyter_server.services.contents.largefilemanager import (
    AsyncLargeFileManager,
    LargeFileManager,
)
from nbformat import NotebookNode
from nbformat.v4.rwbase import rejoin_lines
from tornado.web import HTTPError

from ..errors import (
    Conflict,
    DashboardsError,
    Forbidden,
    InvalidRequest,
    NotFound,
    StorageFailed,
    Unreadable,
)
from .disk import give_file, replace_file
from .staging import is_being_replaced

Kind = Literal["notebook", "file", "directory"]

_MAX_PATH_LENGTH = 1024

# These managers take a large file in parts; decoding it whole would hold the event loop.
_CHUNKED_MANAGERS = (LargeFileManager, AsyncLargeFileManager)
_CHUNK = 1024 * 1024

_FILE_MANAGERS = (FileContentsManager, AsyncFileContentsManager, *_CHUNKED_MANAGERS)

_SAVES = ("save", "_save_file", "_get_os_path")
_READS = ("get", "_notebook_model", "_read_notebook", "_file_model", "_read_file")

_HALF_WRITTEN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds between two looks at a file that is no notebook, and has just been written."""

_NEW = timedelta(seconds=5)

# Unicode's categories of control characters, surrogates (from bytes that are no UTF-8) and line separators.
_NOT_IN_NAMES = ("Cc", "Cs", "Zl", "Zp")


def clean_path(path: str) -> str:
    """Returns a decoded URL path as a contents path.

    Raises `InvalidRequest` for whatever is not a plain relative path: `..`, `.`, empty and hidden segments, backslashes,
    control characters and what no URL can hold. The check is here, not left to the contents manager, because not every one of them has it.
    """
    stripped = path.strip("/")
    if not stripped:
        return ""
    if len(stripped) > _MAX_PATH_LENGTH:
        raise InvalidRequest("The path is too long.")
    if not all(map(_is_name, stripped.split("/"))):
        raise InvalidRequest(
            "A path has no empty segment, none that begins with a dot, no backslash and no control character."
        )
    return stripped


def _is_name(segment: str) -> bool:
    """Whether viewers can name a file or folder of this name. Letters' joiners and odd spaces are theirs to use."""
    return (
        not segment.startswith(".")
        and bool(segment.strip())
        and "\\" not in segment
        and not any(unicodedata.category(character) in _NOT_IN_NAMES for character in segment)
    )


def parent_path(path: str) -> str:
    """The folder that holds `path`; `""` for what lies in the root."""
    return path.rpartition("/")[0]


def join_path(folder: str, name: str) -> str:
    """The path of what is called `name` in `folder`."""
    return f"{folder}/{name}" if folder else name


@dataclass(frozen=True)
class Entry:
    """One document or folder as the contents manager describes it."""

    path: str
    name: str
    kind: Kind
    last_modified: datetime | None = None
    size: int | None = None
    mimetype: str | None = None

    @property
    def revision(self) -> tuple[str, int | None]:
        """Changes when the file does, as far as a contents manager tells without reading it."""
        return (self.last_modified.isoformat() if self.last_modified else "", self.size)

    @property
    def is_new(self) -> bool:
        """Whether it was changed just now, so that it may be changing."""
        changed = self.last_modified
        return changed is not None and abs(datetime.now(changed.tzinfo) - changed) < _NEW


class ContentsStore:
    """Reads and writes documents below `root`, a contents path of the server's own contents manager.

    Works with synchronous and asynchronous managers. Raises `DashboardsError`s for what managers raise by their
    contract; what else one raises passes.
    """

    def __init__(self, manager: Any, root: str = "") -> None:
        self._manager = manager
        self._root = root.strip("/")

    @property
    def place(self) -> str:
        """Tells what the contents manager serves from what another one does: its kind, and its root folder if it has one."""
        kind = type(self._manager)
        folder = str(getattr(self._manager, "root_dir", ""))
        if hasattr(self._manager, "_get_os_path"):
            folder = os.path.realpath(folder)
        # They show the same, and which of them is the default changes.
        name = "files" if kind in _FILE_MANAGERS else f"{kind.__module__}.{kind.__qualname__}"
        return f"{name} {folder}"

    def api_path(self, path: str) -> str:
        """The path as the server's other APIs and its kernel manager know it."""
        return "/".join(part for part in (self._root, path) if part)

    def own_path(self, api_path: str) -> str | None:
        """The contents path of what the server's other APIs call `api_path`; None for what is not below the root."""
        if not self._root:
            return api_path
        if not api_path.startswith(f"{self._root}/"):
            return None
        return api_path.removeprefix(f"{self._root}/")

    async def stat(self, path: str) -> Entry | None:
        """What lies at `path`, without reading it; None when nothing does."""
        try:
            model = await self._call(self._manager.get, path, content=False)
        except (NotFound, InvalidRequest, Forbidden):
            return None
        return self._entry(path, model)

    async def document(self, path: str) -> Entry | None:
        """What lies at `path`; None when nothing does. Raises what keeps the contents manager from saying so."""
        try:
            model = await self._call(self._manager.get, path, content=False)
        except NotFound:
            return None
        return self._entry(path, model)

    async def is_being_replaced(self, path: str) -> bool:
        """Whether an upload is just replacing what is at a path, or a folder above it."""
        while path:
            folder, _, name = path.rpartition("/")
            with contextlib.suppress(DashboardsError):
                if is_being_replaced(name, await self.names(folder)):
                    return True
            path = folder
        return False

    async def is_empty(self) -> bool:
        """Whether the root shows nothing, or is not there. Raises what keeps the contents manager from saying so."""
        try:
            return not any(map(_is_name, await self.names("")))
        except NotFound:
            return True

    async def folder(self, path: str) -> list[Entry]:
        """What a folder holds, in the manager's order, without hidden names and those that no path can have."""
        model = await self._call(self._manager.get, path, content=True, type="directory")
        return [
            self._entry(join_path(path, child["name"]), child)
            for child in model["content"] or []
            if _is_name(child["name"])
        ]

    async def names(self, path: str) -> list[str]:
        """What the things in a folder are called, in no order. On a disk, this costs a fraction of what `folder` does."""
        async with _contents_errors():
            file = self.on_disk(self.api_path(path))
            if file is not None:
                return await asyncio.to_thread(os.listdir, file)
        return [entry.name for entry in await self.folder(path)]

    async def notebook(self, path: str) -> tuple[NotebookNode, Entry]:
        """A notebook in nbformat 4. Raises `NotFound`, or `Unreadable` for what is no notebook."""
        if _has_own(self._manager, _READS):
            return await self._notebook_of_disk(path)
        try:
            model = await self._call(self._manager.get, path, content=True, type="notebook")
        except InvalidRequest as error:
            raise Unreadable("This file is not a notebook that can be read.") from error
        try:
            # A manager may hand out plain dictionaries, old formats and texts as lists of lines.
            notebook = rejoin_lines(nbformat.convert(nbformat.from_dict(model["content"]), 4))
            usable = isinstance(notebook.cells, list)
        except Exception as error:
            raise Unreadable("This file is not a notebook that can be read.") from error
        if not usable:
            raise Unreadable("This file is not a notebook that can be read.")
        return notebook, self._entry(path, model)

    async def _notebook_of_disk(self, path: str) -> tuple[NotebookNode, Entry]:
        """The same, not by the manager's own way: that takes a file that is just being written for a broken one, and moves it."""
        for pause in (*_HALF_WRITTEN, None):
            try:
                model = await self._call(
                    self._manager.get, path, content=True, type="file", format="text"
                )
                notebook = await asyncio.to_thread(_parsed, model["content"])
                break
            except (InvalidRequest, Unreadable) as error:
                entry = await self.stat(path)
                # It may be away for a moment, too.
                is_changing = entry is None or (entry.kind != "directory" and entry.is_new)
                if pause is None or not is_changing:
                    raise Unreadable("This file is not a notebook that can be read.") from error
            await asyncio.sleep(pause)
        # As the manager does, so that what is saved again stays trusted.
        try:
            async with _contents_errors():
                self._manager.mark_trusted_cells(notebook, self.api_path(path))
        except InvalidRequest as error:
            # A text in it that UTF-8 can't hold.
            raise Unreadable("This file is not a notebook that can be read.") from error
        return notebook, replace(self._entry(path, model), kind="notebook")

    async def file(self, path: str) -> tuple[bytes, Entry]:
        """A file's bytes."""
        model = await self._call(
            self._manager.get, path, content=True, type="file", format="base64"
        )
        return await asyncio.to_thread(_content, model), self._entry(path, model)

    async def save_notebook(self, path: str, notebook: NotebookNode) -> None:
        await self._save(path, {"type": "notebook", "format": "json", "content": notebook})

    def on_save(
        self, begins: Callable[[str, dict[str, Any]], None], ended: Callable[[str], None]
    ) -> None:
        """Has saves of the whole contents manager told, whoever saves: path and model, then the path once it is saved.

        `begins` may raise tornado's `HTTPError` to refuse one. Managers that know no hooks tell nothing.
        """
        before = getattr(self._manager, "register_pre_save_hook", None)
        after = getattr(self._manager, "register_post_save_hook", None)
        if before is None or after is None:
            return

        def dashboards_before_save(*, model: Any, path: str, **_: Any) -> None:
            begins(path.strip("/"), model)

        def dashboards_after_save(*, model: Any, **_: Any) -> None:
            ended(str(model.get("path", "")).strip("/"))

        before(dashboards_before_save)
        after(dashboards_after_save)

    def on_disk(self, api_path: str) -> Path | None:
        """The file of what the server's other APIs call `api_path`; None where the manager keeps no files on its disk."""
        place = getattr(self._manager, "_get_os_path", None)
        return Path(place(api_path)) if place is not None else None

    def on_disk_now(self, api_path: str) -> Entry | None:
        """What is there at once, as `stat` describes it; None where that can't be told."""
        file = self.on_disk(api_path) if isinstance(self._manager, _FILE_MANAGERS) else None
        if file is None:
            return None
        try:
            found = file.lstat()
        except OSError:
            return None
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return Entry(api_path, file.name, "file", modified, found.st_size)

    async def save_file(self, path: str, data: bytes) -> None:
        chunked = len(data) > _CHUNK and isinstance(self._manager, _CHUNKED_MANAGERS)
        size = _CHUNK if chunked else max(len(data), 1)
        chunks = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        for number, chunk in enumerate(chunks, 1):
            content = await asyncio.to_thread(base64.b64encode, chunk)
            model: dict[str, Any] = {
                "type": "file",
                "format": "base64",
                "content": content.decode(),
            }
            if chunked:
                # The last one is told by its number: it runs the manager's hooks.
                model["chunk"] = -1 if number == len(chunks) else number
            await self._save(path, model)
            await asyncio.sleep(0)

    async def replace_file(self, path: str, data: bytes) -> bool:
        """Gives the file at `path` other bytes, all at once: who reads it meets the old ones or the new ones, whole.

        Its mode, owner and checkpoints stay, and a link stays one. The contents manager's hooks and listeners are told as
        of a save; when a hook fails after it, the new bytes are there. False: this manager keeps no files on a disk, or
        saves them in a way of its own, and nothing has been done.
        """
        # Another may refuse to save some files.
        if not _has_own(self._manager, _SAVES):
            return False
        api_path = self.api_path(path)
        first, rest = data[:_CHUNK], memoryview(data)[_CHUNK:]
        model: dict[str, Any] = {
            "type": "file",
            "format": "base64",
            "content": base64.b64encode(first).decode(),
        }
        if rest:
            # As when it is saved in parts: encoding it whole would hold the event loop.
            model["chunk"] = 1
        async with _contents_errors():
            self._manager.run_pre_save_hooks(model=model, path=api_path)
            file = self._manager._get_os_path(api_path)
            # A hook may have put something else there.
            await asyncio.to_thread(replace_file, file, [_content(model), rest])
            saved = await ensure_async(self._manager.get(api_path, content=False))
            self._manager.run_post_save_hooks(model=saved, os_path=file)
            self._manager.emit(data={"action": "save", "path": api_path})
        return True

    async def make_folders(self, path: str) -> None:
        """Makes the folder and those above it; what exists is left alone."""
        made = ""
        for segment in path.split("/") if path else []:
            made = join_path(made, segment)
            entry = await self.stat(made)
            if entry is None:
                try:
                    await self._save(made, {"type": "directory"})
                except DashboardsError:
                    # Somebody else may just have made it.
                    entry = await self.stat(made)
                    if entry is None:
                        raise
            if entry is not None and entry.kind != "directory":
                raise InvalidRequest(f"“{made}” is a file, so nothing can be put into it.")

    async def give(self, path: str, user_id: int, group_id: int) -> None:
        """Gives what lies at `path` to an account of this machine; nothing where the manager keeps no files on its disk."""
        async with _contents_errors():
            file = self.on_disk(self.api_path(path))
            if file is not None:
                await asyncio.to_thread(give_file, str(file), user_id, group_id)

    async def rename(self, path: str, new_path: str) -> None:
        await self._call(self._manager.rename, path, self.api_path(new_path))

    async def delete(self, path: str) -> None:
        """Deletes a document, or a folder with all that the manager shows of it."""
        entry = await self.stat(path)
        if entry is None:
            raise NotFound("Nothing is there.")
        try:
            await self._call(self._manager.delete, path)
        except (InvalidRequest, Conflict):
            if entry.kind != "directory":
                raise
            # A manager may refuse to delete a folder that holds something.
            for child in await self.folder(path):
                await self.delete(child.path)
            await self._call(self._manager.delete, path)

    async def _save(self, path: str, model: dict[str, Any]) -> None:
        api_path = self.api_path(path)
        await self._translated(lambda: self._manager.save(model, api_path))

    async def _call(self, method: Callable[..., Any], path: str, *args: Any, **options: Any) -> Any:
        api_path = self.api_path(path)
        return await self._translated(lambda: method(api_path, *args, **options))

    async def _translated(self, call: Callable[[], Awaitable[Any] | Any]) -> Any:
        async with _contents_errors():
            return await ensure_async(call())

    def _entry(self, path: str, model: dict[str, Any]) -> Entry:
        # By the contents API it is a time; not every manager knows it.
        modified = model.get("last_modified")
        return Entry(
            path=path,
            name=model["name"],
            kind=model["type"],
            last_modified=modified if isinstance(modified, datetime) else None,
            size=model.get("size"),
            mimetype=model.get("mimetype"),
        )


def _has_own(manager: Any, names: Sequence[str]) -> bool:
    """Whether these methods are the file managers' own. Another one may keep files in another form."""
    return all(
        any(
            getattr(getattr(manager, name, None), "__func__", None) is getattr(kind, name)
            for kind in _FILE_MANAGERS
        )
        for name in names
    )


def _parsed(text: str) -> Any:
    try:
        # What is not valid is shown as far as it goes; the errors need not be logged.
        errors: dict[str, Any] = {}
        notebook = nbformat.reads(text, as_version=4, capture_validation_error=errors)
        is_usable = isinstance(notebook.cells, list)
    except Exception as error:
        raise Unreadable("This is no notebook.") from error
    if not is_usable:
        raise Unreadable("This is no notebook.")
    return notebook


def _content(model: dict[str, Any]) -> bytes:
    content: str = model["content"]
    return base64.b64decode(content) if model.get("format") == "base64" else content.encode()


@asynccontextmanager
async def _contents_errors() -> AsyncIterator[None]:
    """Turns a contents manager's errors into ours, without their texts."""
    try:
        yield
    except HTTPError as error:
        raise _translate(error.status_code) from error
    except ValueError as error:
        # For instance a text that UTF-8 can't hold.
        raise _translate(400) from error
    except PermissionError as error:
        raise _translate(403) from error
    except FileNotFoundError as error:
        raise _translate(404) from error
    except OSError as error:
        raise _translate(500) from error


def _translate(status: int) -> DashboardsError:
    if status == 404:
        return NotFound("Nothing is there.")
    if status in (401, 403):
        return Forbidden("The server's contents manager does not permit this.")
    if status == 409:
        return Conflict("Something of this name is there already.")
    if status < 500:
        return InvalidRequest("The server's contents manager refused this.")
    return StorageFailed("The server's contents manager failed.")
