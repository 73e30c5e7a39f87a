"""Large answers: made in a thread, few at once, and not held for clients that don't take them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..dashboards.budget import SMALL
from ..dashboards.pages import gzip_around, gzip_whole
from ..dashboards.rendering import RenderedDashboard
from .base import DashboardsHandlerMixin

# A client that takes no more than this holds memory that others need, so its connection is closed.
_PATIENCE = 60.0
_SLOWEST = 16 * 1024
"""Seconds that any answer may take, and the bytes a second of a large one."""


class DeliveryMixin(DashboardsHandlerMixin):
    """Goes before a handler class of jupyter_server."""

    if TYPE_CHECKING:
        finish: Any
        log: Any

    _delivers = False

    def compute_etag(self) -> str | None:
        # Tornado hashes an answer in the event loop.
        return None if self._delivers else super().compute_etag()  # type: ignore[misc]

    async def body_between(
        self,
        head: bytes,
        rendered: RenderedDashboard,
        tail: bytes,
        rewrite: Callable[[bytes], bytes] | None,
        zipped: bool,
    ) -> bytes:
        """A rendered body, rewritten or as it was compressed once, with what is put around it."""
        if rewrite is None:
            if zipped:
                return gzip_around(head, rendered.body, rendered.deflated, tail)
            return head + rendered.body + tail

        def made() -> bytes:
            page = head + rewrite(rendered.body) + tail
            return gzip_whole(page) if zipped else page

        # Those who wait for their turn hold no page yet.
        async with self.dashboards.cache.few_at_once:
            return await asyncio.to_thread(made)

    async def made(self, size: int, make: Callable[[], bytes], *, is_slow: bool = False) -> bytes:
        """What `make` returns, which is made of `size` bytes: a little at once, much of it, or what is slow, in a thread.

        Raises `Unavailable` when too much of others is under way.
        """
        if size <= SMALL and not is_slow:
            return make()
        with self.dashboards.files_under_way.hold(size):
            async with self.dashboards.cache.few_at_once:
                return await asyncio.to_thread(make)

    async def deliver(self, data: bytes, **options: Any) -> None:
        """Sends the answer. Raises `Unavailable` when too much of others is under way."""
        self._delivers = True
        with self.dashboards.files_under_way.hold(len(data)):
            sending = self.finish_in_time(data, **options)
            # The connection has a copy.
            del data
            await sending

    async def finish_in_time(self, data: bytes, **options: Any) -> None:
        """Sends the answer, and gives up on a client that takes it too slowly: it is in memory until then."""
        seconds = _PATIENCE + len(data) / _SLOWEST
        sending = asyncio.ensure_future(self.finish(data, **options))
        del data
        await asyncio.wait({sending}, timeout=seconds)
        if not sending.done():
            self.log.warning("Closed: the client reads too slowly. %s", self._request_summary())
            self.request.connection.close()
