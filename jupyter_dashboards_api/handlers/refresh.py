"""Open pages stay fresh: `/_api/refresh` tells that a run has written new results, `/_api/results` has them.

The websocket's messages are `{"executed_at": "2026-11-26T06:00:00.000000Z", "heartbeat": 25.0}`, with null where no run has
made what is stored: one at its begin, at each change, and every `heartbeat` seconds. A client sends nothing.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.web import authenticated
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..access.throttle import network
from ..dashboards.contents import clean_path
from ..dashboards.finder import Found
from ..dashboards.refresh import Follower
from ..dashboards.stamp import utc_text
from ..errors import NotFound
from .base import DashboardsAPIHandler, DashboardsHandlerMixin
from .delivery import DeliveryMixin
from .identity import PAGE_TOKEN_SUBPROTOCOL
from .kernels import RIGHT_ENDED
from .shares import linked
from .static import accepted_encodings

_COME_AGAIN = 1012
"""Close code of a websocket whose notebook is elsewhere now."""

_MOST_READ = 1024
_NOTHING = "There is no such dashboard."


async def _shown(handler: DashboardsHandlerMixin, path: str) -> tuple[Found, bool]:
    """The caller's dashboard, and whether it is shown by a link, whose visitors have no say in the path."""
    share = await handler.access.open_share(handler.caller)
    if share is not None:
        own = handler.dashboards.store.own_path(share.path)
        if own is None:
            raise NotFound(_NOTHING)
        path = own
    found = await handler.find(clean_path(path))
    if found.kind != "dashboard":
        raise NotFound(_NOTHING)
    return found, share is not None


class RefreshHandler(DashboardsHandlerMixin, WebSocketMixin, WebSocketHandler, JupyterHandler):
    """`GET /_api/refresh[/PATH]`: a websocket that tells when there are newer results."""

    _path = ""
    _follower: Follower

    def set_default_headers(self) -> None:
        """None: a websocket has no page."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A text: Jupyter's page asks who the caller is, which is not known yet of an address that can't be read."""
        message = self.error_message(status_code, kwargs.get("exc_info"))
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(message)

    @property
    def max_message_size(self) -> int:
        """Bytes; Tornado closes the socket for a longer message."""
        return _MOST_READ

    @ws_authenticated
    async def get(self, path: str = "") -> None:
        """The handshake, and then the whole life of the websocket."""
        found, _ = await _shown(self, path)
        self._path = found.path
        self._follower = Follower(self._tell, lambda: self.close(_COME_AGAIN, "Look again."))
        feed, watch = self.dashboards.refresh, self.access.watch
        with feed.follow(self._path, self._counted_as, self._follower):
            leave = watch.add(
                self.caller,
                self._path,
                lambda: self.close(RIGHT_ENDED, "Not permitted any more."),
                self.access.still_open,
            )
            try:
                await super().get()
            finally:
                leave()

    def open(self, *args: str, **kwargs: str) -> None:
        """The page listens."""
        super().open(*args, **kwargs)
        self.dashboards.refresh.ready(self._path, self._follower)

    def on_message(self, message: str | bytes) -> None:
        """Nothing: there is nothing to say."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that carried the page token, which says nothing else; a browser insists on one that it offered."""
        if self.page_token is None:
            return None
        return next(
            (each for each in subprotocols if each.startswith(PAGE_TOKEN_SUBPROTOCOL)), None
        )

    @property
    def _counted_as(self) -> str:
        caller = self.caller
        if caller.kind == "visitor":
            return f"visitors of {network(self.request.remote_ip or '')}"
        return f"{caller.kind}:{caller.name}"

    def _tell(self, executed_at: datetime | None) -> None:
        told = {"executed_at": _text(executed_at), "heartbeat": self.dashboards.refresh.heartbeat}
        try:
            written = self.write_message(json.dumps(told))
        except WebSocketClosedError:
            return
        # It may close before the message has left.
        written.add_done_callback(lambda done: done.cancelled() or done.exception())


class ResultsHandler(DeliveryMixin, DashboardsAPIHandler):
    """`GET /_api/results[/PATH]?view=ID`: the cells of a dashboard as its page shows them before a kernel has run."""

    @authenticated
    async def get(self, path: str = "") -> None:
        """Answers HTML: a JSON script element that says of when the results are, and the element of the cells."""
        found, by_link = await _shown(self, path)
        assert found.entry is not None
        view = self.get_query_argument("view", None)
        rendered = (await self.dashboards.cache.get(found.entry, view)).rendered
        about: dict[str, Any] = {
            "executed_at": _text(rendered.executed_at),
            "as_of": _text(rendered.as_of),
            "view": rendered.layout.view,
            "code_cells": rendered.code_cells,
        }
        text = json.dumps(about).replace("<", "\\u003c")
        head = f'<script type="application/json" id="dash-results">{text}</script>'
        zipped = "gzip" in accepted_encodings(self.request.headers)
        base_url = self.base_url
        data = await self.body_between(
            head.encode(),
            rendered,
            b"",
            (lambda body: linked(body, base_url)) if by_link else None,
            zipped,
        )
        if zipped:
            self.set_header("Content-Encoding", "gzip")
        self.set_header("Vary", "Accept-Encoding, Cookie")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        # It is for scripts; whoever opens it as a page sees nothing happen.
        self.set_header("Content-Security-Policy", "default-src 'none'; sandbox")
        await self.deliver(data, set_content_type="text/html; charset=UTF-8")


def _text(time: datetime | None) -> str | None:
    return utc_text(time) if time is not None else None
