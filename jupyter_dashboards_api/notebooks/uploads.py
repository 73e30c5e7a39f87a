"""Puts uploaded dashboards into the contents manager, and removes them.

An upload is complete beside its place before anything that is there is touched; then the old is renamed aside, the new
renamed in, the old deleted. Whatever fails on the way, the old is put back. All of it goes through the contents manager's
own operations, so the only moment in which a crash leaves nothing under the name is between two renames; both versions
are then complete beside it, and the next upload clears up.

A notebook is renamed into its place as well, not saved over the old one: while the server's asynchronous file manager
writes a notebook, a reader who meets the half-written file makes the manager bring the old one back for good. What a
program sends in the place of a file on the disk is that file still, with the same owner and checkpoints.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nbformat import NotebookNode
from traitlets import Int, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from ..dashboards.cache import DashboardCache
from ..dashboards.contents import ContentsStore, Entry, clean_path, join_path, parent_path
from ..dashboards.finder import DashboardFinder
from ..dashboards.staging import is_staging, staging_path
from ..errors import Conflict, InvalidRequest, NotFound
from .bundles import Bundle, Limits, open_upload
from .locks import PathLocks
from .registry import NotebookRegistry
from .replacing import Replacing

_MAX_NAME_BYTES = 200
"""Leaves room for what staging adds, in the 255 bytes that file systems give a name."""

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_PLACEHOLDERS = {"protocol", "host", "port", "base_url"}


def dashboard_path(path: str) -> str:
    """The dashboard that a URL's decoded PATH names, without `.ipynb`.

    Raises `InvalidRequest` for what cannot be a dashboard's path, such as one that ends in a slash.
    """
    if not path or path.endswith("/"):
        raise InvalidRequest("The URL has to end in the dashboard's name.")
    name = path
    while name.lower().endswith(".ipynb"):
        name = name[: -len(".ipynb")]
    if not name or name.endswith("/"):
        raise InvalidRequest("The dashboard's name is empty.")
    return clean_path(name)


class NotebookUploads(LoggingConfigurable):
    """Uploads and deletions of dashboards."""

    max_upload_size = Int(
        100 * 1024 * 1024,
        min=1,
        help="""Largest upload request, in bytes. A larger one is refused before it is read to its end (413). Counts
        instead of the server's own `max_body_size` here.""",
    ).tag(config=True)

    max_entries = Int(
        1000,
        min=1,
        help="""Most entries of an uploaded zip archive, folders included.""",
    ).tag(config=True)

    max_unpacked_size = Int(
        500 * 1024 * 1024,
        min=1,
        help="""Most bytes that an uploaded zip archive may unpack to. What comes out is counted, not what the archive
        declares.""",
    ).tag(config=True)

    public_link = Unicode(
        "",
        allow_none=True,
        help="""The public URL of this server, to which `/dashboards/PATH` is added for the `link` that an upload answers
        with. May hold `{protocol}`, `{host}` (without port), `{port}` and `{base_url}` of the upload request, as in
        `https://{host}:8443{base_url}`. Empty: the URL that the request itself was sent to. None: no `link`.""",
    ).tag(config=True)

    @validate("public_link")
    def _known_placeholders(self, proposal: Any) -> str | None:
        link: str | None = proposal["value"]
        unknown = set(_PLACEHOLDER.findall(link or "")) - _PLACEHOLDERS
        if unknown:
            raise TraitError(f"public_link has the unknown placeholder {{{min(unknown)}}}.")
        return link

    def __init__(
        self,
        store: ContentsStore,
        finder: DashboardFinder,
        cache: DashboardCache,
        registry: NotebookRegistry | None = None,
        **options: Any,
    ) -> None:
        """`registry` is told what is put where nothing was, and what is replaced."""
        super().__init__(**options)
        self._registry = registry
        self._store = store
        self._finder = finder
        self._cache = cache
        self._replacing = Replacing(store, self.log, registry)
        self._locks = PathLocks()
        self._making_folders = asyncio.Lock()
        self._folder_users: Counter[str] = Counter()
        self._new_folders: set[str] = set()

    async def save(self, path: str, filename: str, data: bytes) -> str:
        """Stores an uploaded file as the dashboard that the URL's decoded `path` names; returns the dashboard's path.

        `filename` is the uploaded file's own name: its extension says what it is. Replaces a dashboard of that name,
        whichever kind it is. Raises `InvalidRequest`, `TooLarge`, `Conflict` (a folder or file that is no dashboard is in
        the way), or what the contents manager raised; nothing has changed then.
        """
        target = dashboard_path(path)
        name = target.rpartition("/")[2]
        if is_staging(name) or len(name.encode()) > _MAX_NAME_BYTES:
            raise InvalidRequest("This name cannot be used for a dashboard: choose another.")
        content = await asyncio.to_thread(open_upload, filename, data, self._limits)
        async with self._locks.hold(target):
            if isinstance(content, Bundle):
                await self._save_bundle(target, content)
            else:
                await self._save_notebook(target, content)
            self._cache.forget(target)
        return target

    async def delete(self, path: str) -> str:
        """Deletes the dashboard that the URL's decoded `path` names: a notebook, or a bundle with its folder.

        Returns the contents path that the notebook had. A notebook goes before a folder of the same name. Raises `InvalidRequest` for anything else, as documented.
        """
        no_dashboard = InvalidRequest("Resource to be deleted must be a dashboard")
        try:
            target = dashboard_path(path)
        except InvalidRequest as error:
            raise no_dashboard from error
        async with self._locks.hold(target):
            try:
                found = await self._finder.find(clean_path(path))
            except (NotFound, InvalidRequest) as error:
                raise no_dashboard from error
            if found.kind != "dashboard":
                raise no_dashboard
            try:
                await self._store.delete(parent_path(found.path) if found.in_folder else found.path)
            finally:
                self._cache.forget(target)
            return found.path

    @asynccontextmanager
    async def held(self, api_path: str) -> AsyncIterator[None]:
        """Keeps uploads and deletions away from what the server's other APIs call `api_path`; waits for those under way."""
        async with self._locks.hold(self._place(api_path)):
            yield

    async def untouched(self, api_path: str) -> None:
        """Waits until no upload or deletion is changing what the server's other APIs call `api_path`."""
        await self._locks.settled(self._place(api_path))

    def is_held(self, api_path: str) -> bool:
        """Whether an upload or deletion is changing what the server's other APIs call `api_path`."""
        return self._locks.is_held(self._place(api_path))

    def _place(self, api_path: str) -> str:
        own = self._store.own_path(api_path)
        # No path of ours begins with a slash.
        return (own if own is not None else f"/{api_path}").removesuffix(".ipynb")

    async def put(self, contents: ContentsStore, api_path: str, data: bytes) -> Entry | None:
        """Stores a notebook's file in the whole contents manager, a new one or in the place of another, all at once.

        Missing folders are made. Returns what is there then. Raises `Conflict` for a folder of this name, `InvalidRequest`,
        or what the contents manager raised; the old file is still there then, unless it was a hook that failed after the
        new one was saved.
        """
        name = api_path.rpartition("/")[2]
        if is_staging(name) or len(name.removesuffix(".ipynb").encode()) > _MAX_NAME_BYTES:
            raise InvalidRequest("This name cannot be used for a notebook: choose another.")
        replacing = Replacing(contents, self.log, self._registry)
        async with self.held(api_path):
            there = await contents.stat(api_path)
            if there is not None and there.kind == "directory":
                raise Conflict("A folder has this name.")
            if there is None or not await contents.replace_file(api_path, data):
                await contents.make_folders(parent_path(api_path))
                staged = staging_path(api_path, "uploading")
                try:
                    await contents.save_file(staged, data)
                    await replacing.replace(api_path, staged, was_there=there is not None)
                except BaseException:
                    await replacing.discard(staged)
                    raise
            await replacing.clear_abandoned(api_path)
            return await contents.stat(api_path)

    async def settled(self, path: str) -> None:
        """Waits until no upload or deletion is changing the dashboard at `path`, with or without `.ipynb`.

        A page that is about to answer 404 can wait for this and look once more: a dashboard that is being replaced is
        absent for a moment.
        """
        await self._locks.settled(path.removesuffix(".ipynb"))

    @property
    def _limits(self) -> Limits:
        return Limits(self.max_entries, self.max_unpacked_size, self.max_upload_size)

    async def _save_notebook(self, target: str, notebook: NotebookNode) -> None:
        place = f"{target}.ipynb"
        there = await self._store.stat(place)
        if there is not None and there.kind == "directory":
            raise Conflict("A folder with the name of this notebook's file is in the way.")
        bundle = await self._is_bundle(target)
        async with self._staged(place) as staged:
            await self._store.save_notebook(staged, notebook)
            others = [target] if bundle else []
            await self._replacing.replace(place, staged, others, was_there=there is not None)

    async def _save_bundle(self, target: str, bundle: Bundle) -> None:
        there = await self._store.stat(target)
        if there is not None:
            if there.kind != "directory":
                raise Conflict("A file of this name is in the way.")
            if not await self._is_bundle(target) and await self._store.folder(target):
                raise Conflict(
                    "A folder of this name holds other things: it is not a dashboard that could be replaced."
                )
        notebook = await self._store.stat(f"{target}.ipynb")
        shadowing = notebook is not None and notebook.kind != "directory"
        async with self._staged(target) as staged:
            await self._write_bundle(staged, bundle)
            others = [f"{target}.ipynb"] if shadowing else []
            notebooks = [join_path(target, path) for path in bundle.notebooks]
            await self._replacing.replace(
                target, staged, others, notebooks, was_there=there is not None
            )

    async def _write_bundle(self, folder: str, bundle: Bundle) -> None:
        await self._store.make_folders(folder)
        for path in bundle.folders:
            await self._store.make_folders(join_path(folder, path))
        for path, notebook in bundle.notebooks.items():
            await self._store.save_notebook(join_path(folder, path), notebook)
            await asyncio.sleep(0)
        for path in bundle.files:
            data = await asyncio.to_thread(bundle.read, path)
            await self._store.save_file(join_path(folder, path), data)
            # A synchronous contents manager never yields by itself.
            await asyncio.sleep(0)

    async def _is_bundle(self, path: str) -> bool:
        return await self._finder.index_of(path) is not None

    @asynccontextmanager
    async def _staged(self, place: str) -> AsyncIterator[str]:
        """Gives a path beside `place`, in a folder that exists; on failure nothing of what was made stays."""
        staged = staging_path(place, "uploading")
        async with self._parents(parent_path(place)):
            try:
                yield staged
            except BaseException:
                await self._replacing.discard(staged)
                raise
            await self._replacing.clear_abandoned(place)

    @asynccontextmanager
    async def _parents(self, folder: str) -> AsyncIterator[None]:
        """Makes the folder and those above it; on failure removes those that it made, unless someone uses them."""
        line = _line(folder)
        self._folder_users.update(line)
        try:
            # One at a time: two that find a folder missing would both make it.
            async with self._making_folders:
                missing = [path for path in line if await self._store.stat(path) is None]
                self._new_folders.update(missing)
                await self._store.make_folders(folder)
            yield
        except BaseException:
            for path in reversed(line):
                if path in self._new_folders and self._folder_users[path] == 1:
                    await self._remove_if_empty(path)
            raise
        finally:
            self._folder_users.subtract(line)
            self._folder_users += Counter()
            self._new_folders.intersection_update(self._folder_users)

    async def _remove_if_empty(self, folder: str) -> None:
        try:
            if await self._store.stat(folder) and not await self._store.folder(folder):
                await self._store.delete(folder)
        except Exception:
            self.log.warning("Left behind by an upload: the empty folder %s", folder, exc_info=True)


def _line(folder: str) -> list[str]:
    """The folder and those above it, the topmost first, without the root."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
