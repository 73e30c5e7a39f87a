"""Notebooks as HTML, PDF and PNG."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal

from nbformat import NotebookNode

from ..dashboards.contents import ContentsStore
from ..dashboards.rendering import DashboardRenderer
from ..dashboards.trust import Trust
from ..errors import Unreadable
from .beside import PicturesBeside
from .browser import PageBrowser
from .exporter import PageExporter

FileFormat = Literal["html", "pdf", "png"]

MIME_TYPES = {"html": "text/html", "pdf": "application/pdf", "png": "image/png"}


class NotebookConverter:
    """Converts notebooks. Nothing is run: what a notebook holds is what the file shows."""

    def __init__(
        self,
        renderer: DashboardRenderer,
        browser: PageBrowser,
        beside: PicturesBeside,
        store: ContentsStore,
        trust: Trust,
    ) -> None:
        """`store` and `trust` are those of the dashboards, whose folder may be a part of the server's."""
        self._exporter = PageExporter(renderer)
        self._browser = browser
        self._beside = beside
        self._store = store
        self._trust = trust

    def require(self, kind: FileFormat) -> None:
        """Raises `NoBrowser` when the format needs what this machine has not."""
        if kind != "html":
            self._browser.require()

    async def convert(
        self,
        notebook: NotebookNode,
        api_path: str,
        kind: FileFormat,
        *,
        is_note: bool,
        show_code: bool = False,
    ) -> bytes:
        """The file of a notebook that lies at a path of the whole contents manager.

        A note shows all cells in their order; a dashboard its active view. Raises `Unreadable` and its like.
        """
        path = self._store.own_path(api_path)
        trusted = path is not None and self._trust.covers(path)
        make = partial(
            self._exporter.page,
            notebook,
            api_path,
            is_note=is_note,
            show_code=show_code,
            trusted=trusted,
            inline=kind == "html",
        )
        try:
            page = await asyncio.to_thread(make)
            if beside := await self._beside.pictures(api_path, page.addresses):
                page = await asyncio.to_thread(make, beside=beside)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise Unreadable("This file is not a notebook that can be shown.") from error
        return page.html if kind == "html" else await self._browser.draw(page, kind)

    async def stop(self) -> None:
        """Ends the browser."""
        await self._browser.stop()
