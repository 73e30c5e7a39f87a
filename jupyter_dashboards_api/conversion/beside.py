"""Pictures that lie beside a notebook, for its files: those that a viewer of its dashboard would be sent."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import posixpath
from collections.abc import Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from ..dashboards.contents import ContentsStore, clean_path, join_path, parent_path
from ..dashboards.finder import DashboardFinder
from ..dashboards.outputs import Image
from ..errors import DashboardsError

MAX_PICTURES = 200
MAX_BYTES = 50 * 1024 * 1024
"""Of all pictures of a file. More than that is left out."""

MAX_PICTURE = 8 * 1024 * 1024
"""Bytes of one: contents managers hand files out as Base64, which is read in one step."""


class PicturesBeside:
    """Reads pictures by the addresses that notebooks have for them."""

    def __init__(
        self, contents: ContentsStore, finder: DashboardFinder, dashboards: ContentsStore
    ) -> None:
        """`contents` is the whole contents manager, and `finder` knows what of it viewers may be sent.

        `dashboards` is the part that has dashboards, which show nothing from outside of it.
        """
        self._contents = contents
        self._finder = finder
        self._dashboards = dashboards

    async def pictures(self, path: str, addresses: Iterable[str]) -> dict[str, Image]:
        """Those of the addresses in the notebook at `path` that are relative and lead to a picture."""
        places = await asyncio.to_thread(self._places, path, addresses)
        found: dict[str, Image] = {}
        left = MAX_BYTES
        for place in list(dict.fromkeys(places.values()))[:MAX_PICTURES]:
            image = await self._picture(place, min(left, MAX_PICTURE))
            if image is not None:
                found[place] = image
                left -= len(image.data)
        return {address: found[place] for address, place in places.items() if place in found}

    def _places(self, path: str, addresses: Iterable[str]) -> dict[str, str]:
        """Where each address leads, if it may be looked at. In a thread: an author can write many."""
        is_inside = self._dashboards.own_path(path) is not None
        places: dict[str, str] = {}
        for address in addresses:
            place = place_of(path, address)
            if place is None or (is_inside and self._dashboards.own_path(place) is None):
                continue
            places[address] = place
        return places

    async def _picture(self, place: str, most: int) -> Image | None:
        mime, _ = mimetypes.guess_type(f"/{place}", strict=False)
        if mime is None or not mime.startswith("image/"):
            return None
        try:
            entry = (await self._finder.find(place)).entry
            # The finder may know a dashboard by this name, too.
            if entry is None or entry.kind != "file" or (entry.size or 0) > most:
                return None
            data, _ = await self._contents.file(place)
        except DashboardsError:
            return None
        if len(data) > most:
            return None
        digest = await asyncio.to_thread(hashlib.sha256, data)
        return Image(f"{digest.hexdigest()}{PurePosixPath(place).suffix.lower()}", mime, data)


def place_of(path: str, address: str) -> str | None:
    """The contents path that a relative address in the notebook at `path` has; None for any other."""
    try:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
            return None
        return clean_path(posixpath.normpath(join_path(parent_path(path), unquote(parts.path))))
    except (ValueError, DashboardsError):
        return None
