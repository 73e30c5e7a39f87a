"""A dashboard as a page, whatever it was reached by: its path, or a share link."""

from __future__ import annotations

import asyncio
import hashlib
import json
import mimetypes
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from urllib.parse import quote

from jupyter_server.utils import url_path_join

from ..access.callers import Visit
from ..dashboards.assets import frontend
from ..dashboards.cache import CachedDashboard
from ..dashboards.finder import Found
from ..dashboards.pages import byte_range
from ..dashboards.stamp import utc_text
from ..errors import NotFound
from ..kernels.gateway import subprotocols
from .content_policy import file_type, is_active
from .delivery import DeliveryMixin
from .page import PageHandler
from .static import accepted_encodings

# Stands in the template where the body goes.
_BODY_MARK = "\x00body\x00"


@dataclass(frozen=True)
class Presentation:
    """How a dashboard is shown. `visit` is whose page it is, if the page carries a token."""

    crumbs: list[dict[str, str]]
    base_href: str | None
    visit: Visit | None = None
    live: bool = True
    path: str = ""
    """The notebook's contents path, as far as the page may know it."""
    rewrite: Callable[[bytes], bytes] | None = None
    """What becomes of the rendered body. Called in a thread."""
    variables: dict[str, Any] = field(default_factory=dict)
    """More for the template."""


class DashboardPageHandler(DeliveryMixin, PageHandler):
    """Sends dashboards and the files beside them."""

    async def send_dashboard(self, found: Found, view: str | None, shown: Presentation) -> None:
        """Sends the page of a notebook that was found."""
        assert found.entry is not None
        self.trusted = self.dashboards.trust.covers(found.path)
        self.set_header("Content-Security-Policy", self.content_security_policy)
        cached = await self.dashboards.cache.get(found.entry, view)
        # Sets the cookie that the page's own requests send back.
        self.xsrf_token  # noqa: B018
        html = self._page_of(cached, shown)
        self.set_header("Vary", "Accept-Encoding, Cookie")
        if shown.visit is not None:
            # A stored page would come back with a token that is too old.
            self.set_header("Cache-Control", "no-store")
        else:
            # The nonce is new each time, the rest is the same for the same notebook and configuration.
            same = re.sub(r'(name="_xsrf" value=")[^"]*', r"\1", html.replace(self.nonce, ""))
            etag = hashlib.sha256(f"{cached.key}{same}".encode()).hexdigest()
            self.set_header("Etag", f'W/"{etag}"')
            self.set_header("Cache-Control", "private, no-cache")
            if self.check_etag_header():
                # The stored page keeps its nonce, so it must keep the policy that goes with it.
                self.clear_header("Content-Security-Policy")
                self.set_status(304)
                self.finish()
                return
        # From the end: a title could hold the mark, and what follows the body is all ours.
        head, _, tail = (part.encode() for part in html.rpartition(_BODY_MARK))
        zipped = "gzip" in accepted_encodings(self.request.headers)
        if zipped:
            self.set_header("Content-Encoding", "gzip")
        data = await self.body_between(head, cached.rendered, tail, shown.rewrite, zipped)
        await self.deliver(data)

    def _page_of(self, cached: CachedDashboard, shown: Presentation) -> str:
        """The page with a mark in the place of its body."""
        rendered, app = cached.rendered, self.dashboards
        manifest = frontend.manifest
        script = manifest.get("entries", {}).get("dash", {})
        static_url = url_path_join(self.base_url, "static/dashboards/")
        config = {
            "baseUrl": self.base_url,
            "kernelsUrl": url_path_join(self.base_url, "_api/kernels"),
            "staticUrl": static_url,
            "labextensionsUrl": url_path_join(self.base_url, "_api/labextensions"),
            "css": manifest.get("css", {}),
            "path": shown.path,
            "title": rendered.title,
            "plain": self.plain,
            "view": rendered.layout.view,
            "codeCells": rendered.code_cells,
            "live": shown.live,
            "trusted": self.trusted,
            "onError": app.on_error,
            "errorText": app.error_text,
            "reconnectSeconds": app.kernels.retention,
            "subprotocols": subprotocols(
                self.settings["kernel_websocket_connection_class"], self.config
            ),
        }
        if rendered.code_cells and app.refresh.max_streams:
            place = quote(shown.path, safe="/")
            config["refreshUrl"] = url_path_join(self.base_url, "_api/refresh", place)
            config["resultsUrl"] = url_path_join(self.base_url, "_api/results", place)
            executed = rendered.executed_at
            config["executedAt"] = utc_text(executed) if executed else ""
        if shown.visit is not None:
            config["pageToken"] = self.access.tokens.page_token(shown.visit)
            config["pageTokenUrl"] = url_path_join(self.base_url, "_api/page_token")
            config["pageTokenSeconds"] = self.access.page_token_seconds
        as_of = rendered.as_of
        return self.page(
            "dashboard.html.j2",
            title=rendered.title,
            has_heading=rendered.has_heading,
            crumbs=shown.crumbs,
            base_href=shown.base_href,
            as_of=as_of.astimezone(UTC) if as_of else None,
            views=rendered.layout.views,
            view=rendered.layout.view,
            trusted=self.trusted,
            # JSON in a script element: nothing in it may end the element.
            config=json.dumps(config).replace("<", "\\u003c"),
            preload=script.get("preload", []),
            early=frontend.early if rendered.code_cells and shown.live else "",
            script=script.get("js"),
            body_mark=_BODY_MARK,
            **shown.variables,
        )

    async def send_file(self, path: str) -> None:
        """Sends the file at a contents path, of which the caller was found to be permitted."""
        if "Service-Worker" in self.request.headers:
            # It would answer for all dashboards in its folder, in this browser, long after its own is gone.
            raise NotFound("A file beside a dashboard cannot be a service worker.")
        data, entry = await self.dashboards.store.file(path)
        # With the slash, no name is taken for a URL: of `data:…,x.png` it would choose the type itself.
        kind, encoding = mimetypes.guess_type(f"/{path}")
        if encoding:
            # The file is sent as it is, not unpacked.
            kind = {"gzip": "application/gzip"}.get(encoding)
        kind = (kind or entry.mimetype or "application/octet-stream").lower()
        self.trusted = self.dashboards.trust.covers(path)
        self.sandboxed = is_active(kind)
        kind = file_type(kind, trusted=self.trusted)
        self.set_header("Content-Security-Policy", self.content_security_policy)
        self.set_header("Content-Type", f"{kind}; charset=UTF-8" if kind[:5] == "text/" else kind)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "private, no-cache")
        digest = await asyncio.to_thread(lambda file: hashlib.sha256(file).hexdigest(), data)
        if not self.trusted:
            # An answer of 304 has no type, so the browser would keep the one from before.
            digest += "-untrusted"
        self.set_header("Etag", f'"{digest}"')
        self.set_header("Accept-Ranges", "bytes")
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        if self.request.headers.get("If-Range", f'"{digest}"') == f'"{digest}"':
            # Players of sound and video ask for parts.
            try:
                part = byte_range(self.request.headers.get("Range", ""), len(data))
            except ValueError:
                self.set_header("Content-Range", f"bytes */{len(data)}")
                self.set_status(416)
                self.finish()
                return
            if part is not None:
                start, end = part
                self.set_status(206)
                self.set_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
                data = data[start:end]
        sending = self.finish_in_time(data)
        del data
        await sending
