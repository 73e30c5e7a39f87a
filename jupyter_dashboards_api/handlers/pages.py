"""Pages: dashboards, listings, the resources and images they show, and the cache behind them.

API: "List Dashboards", "Show Dashboard", "Clear Cached Dashboards" of the dashboards server's API page.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import mimetypes
import re
import secrets
from collections.abc import Mapping
from datetime import UTC
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from ..dashboards.cache import CachedDashboard
from ..dashboards.contents import clean_path, parent_path
from ..dashboards.finder import Found
from ..dashboards.listing import list_folder
from ..dashboards.pages import byte_range, gzip_around
from ..errors import InvalidRequest, NotFound
from ..kernels.gateway import subprotocols
from .base import DashboardsAPIHandler, DashboardsHandlerMixin, Permission
from .static import accepted_encodings, frontend

# Stands in the template where the body goes.
_BODY_MARK = "\x00body\x00"

# Types that a browser may run scripts from when it opens them as a page: HTML, all that is XML, and what we don't know.
_ACTIVE_TYPES = re.compile(
    r"text/(?!(plain|css|csv|tab-separated-values|markdown|javascript|vtt)$).*"
    r"|.*[/+]xml|multipart/.*|message/.*"
)


class _PageHandler(DashboardsHandlerMixin, JupyterHandler):
    """Pages for people: errors are pages too, and who isn't logged in is sent to the login form."""

    for_frames = False
    plain = False
    nonce = ""
    sandboxed = False

    def initialize(
        self,
        name: str,
        permissions: Mapping[str, Permission] | None = None,
        plain: bool = False,
        **options: Any,
    ) -> None:
        super().initialize(name, permissions, **options)
        self.for_frames = plain
        self.plain = plain or self.dashboards.presentation_mode
        self.nonce = secrets.token_urlsafe(16)

    async def prepare(self, **options: Any) -> None:
        self.set_header("Content-Security-Policy", self.content_security_policy)
        await super().prepare(**options)

    def refuse_anonymous(self) -> None:
        authenticated(lambda handler: None)(self)

    @property
    def content_security_policy(self) -> str:
        if not self.nonce:
            # Tornado sets the default headers before `initialize`.
            return "default-src 'none'; frame-ancestors 'none'"
        ancestors = self.dashboards.frame_ancestors if self.plain else ["'self'"]
        if self.sandboxed:
            # A resource is shown for what it is, and can't act as the viewer on this server.
            return f"sandbox allow-scripts; frame-ancestors {' '.join(ancestors)}"
        sources = {
            "default-src": ["'none'"],
            "script-src": ["'self'", f"'nonce-{self.nonce}'", "blob:"],
            "style-src": ["'self'", "'unsafe-inline'"],
            "img-src": ["'self'", "data:", "blob:"],
            "font-src": ["'self'", "data:"],
            "connect-src": ["'self'"],
            "media-src": ["'self'", "data:", "blob:"],
            "worker-src": ["'self'", "blob:"],
            "frame-src": ["'self'", "data:", "blob:"],
            "base-uri": ["'self'"],
            "form-action": ["'self'"],
            "frame-ancestors": ancestors,
        }
        for directive, added in self.dashboards.csp_sources.items():
            sources[directive] = [*sources.get(directive, []), *added]
        return "; ".join(f"{directive} {' '.join(values)}" for directive, values in sources.items())

    def page(self, template: str, **variables: Any) -> str:
        """A page from a template of ours, with what all pages share."""
        entry = frontend.manifest.get("entries", {})
        environment = self.settings["dashboards_jinja2_env"]
        # Not `get_query_argument`, which raises: pages that say so need a theme as well.
        theme = self.request.query_arguments.get("theme", [b""])[-1].decode(errors="replace")
        html = environment.get_template(template).render(
            {
                "nonce": self.nonce,
                "plain": self.plain,
                "theme": theme if theme in ("light", "dark") else "auto",
                "url": self.request.path,
                "static_url": url_path_join(self.base_url, "static/dashboards/"),
                "stylesheet": entry.get("dash", {}).get("css"),
                "crumbs": [],
                **variables,
            }
        )
        return str(html)

    def page_url(self, path: str) -> str:
        """The URL of a dashboard, folder or resource, of the kind (plain or not) that is shown."""
        root = url_path_join(self.base_url, "dashboards-plain" if self.for_frames else "dashboards")
        return f"{root}/{quote(path, safe='/')}" if path else root

    def crumbs(self, path: str) -> list[dict[str, str]]:
        """The way from the listing to `path`; the last one is the page itself."""
        found = [{"name": "Dashboards", "href": self.page_url("")}]
        segments = path.split("/") if path else []
        for count, segment in enumerate(segments, 1):
            found.append({"name": segment, "href": self.page_url("/".join(segments[:count]))})
        found[-1] = {"name": found[-1]["name"], "href": ""}
        return found

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        message = self.error_message(status_code, kwargs.get("exc_info"))
        if "text/html" not in self.request.headers.get("Accept", "text/html"):
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"message": message, "status": status_code}))
            return
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        title = "Not found" if status_code == 404 else "This page cannot be shown"
        has_listing = not self.dashboards.presentation_mode
        listing = self.page_url("") if has_listing else None
        self.finish(self.page("error.html.j2", title=title, message=message, listing=listing))


class DashboardHandler(_PageHandler):
    """`GET /dashboards[/PATH]` and `/dashboards-plain[/PATH]`."""

    @authenticated
    async def get(self, path: str = "") -> None:
        if self.request.path.endswith("/"):
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(self.request.path.rstrip("/") + query, permanent=True)
            return
        try:
            found = await self.find(clean_path(path))
        except InvalidRequest as error:
            raise NotFound("There is no dashboard and no folder of this name.") from error
        if found.kind == "moved":
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(self.page_url(found.path) + query)
        elif found.kind == "resource":
            size = found.entry.size if found.entry else None
            with self.dashboards.files_under_way.hold(size or 0):
                await self._send_resource(found)
        elif found.kind == "folder":
            await self._show_listing(found.path)
        else:
            await self._show_dashboard(found)

    head = get

    async def _show_listing(self, path: str) -> None:
        if self.dashboards.presentation_mode:
            raise NotFound("There is no dashboard of this name.")
        query = self.get_query_argument("q", "")
        rows = await list_folder(self.dashboards.store, self.dashboards.finder, path, query)
        self.set_header("Cache-Control", "private, no-cache")
        self.finish(
            self.page(
                "listing.html.j2",
                title=path.rpartition("/")[2] or "Dashboards",
                crumbs=self.crumbs(path),
                up=self.page_url(parent_path(path)) if path else None,
                query=query,
                rows=[{**vars(row), "href": self.page_url(row.path)} for row in rows],
                script=frontend.manifest.get("entries", {}).get("listing", {}).get("js"),
            )
        )

    async def _send_resource(self, found: Found) -> None:
        if "Service-Worker" in self.request.headers:
            # It would answer for all dashboards in its folder, in this browser, long after its own is gone.
            raise NotFound("A file beside a dashboard cannot be a service worker.")
        data, entry = await self.dashboards.store.file(found.path)
        # With the slash, no name is taken for a URL: of `data:…,x.png` it would choose the type itself.
        kind, encoding = mimetypes.guess_type(f"/{found.path}")
        if encoding:
            # The file is sent as it is, not unpacked.
            kind = {"gzip": "application/gzip"}.get(encoding)
        kind = (kind or entry.mimetype or "application/octet-stream").lower()
        self.sandboxed = bool(_ACTIVE_TYPES.fullmatch(kind))
        self.set_header("Content-Security-Policy", self.content_security_policy)
        self.set_header("Content-Type", f"{kind}; charset=UTF-8" if kind[:5] == "text/" else kind)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "private, no-cache")
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
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
        # A slow client's file stays in memory until it has it.
        await self.finish(data)

    async def _show_dashboard(self, found: Found) -> None:
        assert found.entry is not None
        view = self.get_query_argument("view", None)
        cached = await self.dashboards.cache.get(found.entry, view)
        # Sets the cookie that the page's own requests send back.
        self.xsrf_token  # noqa: B018
        html = self._page_of(found, cached)
        # The nonce is new each time, the rest is the same for the same notebook and configuration.
        etag = hashlib.sha256(f"{cached.key}{html.replace(self.nonce, '')}".encode()).hexdigest()
        self.set_header("Etag", f'W/"{etag}"')
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("Vary", "Accept-Encoding, Cookie")
        if self.check_etag_header():
            # The stored page keeps its nonce, so it must keep the policy that goes with it.
            self.clear_header("Content-Security-Policy")
            self.set_status(304)
            self.finish()
            return
        # From the end: a title could hold the mark, and what follows the body is all ours.
        head, _, tail = (part.encode() for part in html.rpartition(_BODY_MARK))
        rendered = cached.rendered
        if "gzip" in accepted_encodings(self.request.headers):
            self.set_header("Content-Encoding", "gzip")
            self.finish(gzip_around(head, rendered.body, rendered.deflated, tail))
        else:
            self.finish(head + rendered.body + tail)

    def _page_of(self, found: Found, cached: CachedDashboard) -> str:
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
            "path": found.path,
            "title": rendered.title,
            "plain": self.plain,
            "view": rendered.layout.view,
            "codeCells": rendered.code_cells,
            "live": True,
            "onError": app.on_error,
            "errorText": app.error_text,
            "reconnectSeconds": app.kernels.retention,
            "subprotocols": subprotocols(
                self.settings["kernel_websocket_connection_class"], self.config
            ),
        }
        path = parent_path(found.path) if found.in_folder else found.path.removesuffix(".ipynb")
        as_of = rendered.as_of
        return self.page(
            "dashboard.html.j2",
            title=rendered.title,
            has_heading=rendered.has_heading,
            crumbs=self.crumbs(path),
            # Relative links of a folder's index are relative to the folder.
            base_href=f"{self.page_url(path)}/" if found.in_folder else None,
            as_of=as_of.astimezone(UTC) if as_of else None,
            views=rendered.layout.views,
            view=rendered.layout.view,
            # JSON in a script element: nothing in it may end the element.
            config=json.dumps(config).replace("<", "\\u003c"),
            preload=script.get("preload", []),
            early=frontend.early if rendered.code_cells else "",
            script=script.get("js"),
            body_mark=_BODY_MARK,
        )


class ImageHandler(DashboardsAPIHandler):
    """`GET /_api/images/SHA256.EXT?path=NOTEBOOK`: an image of stored outputs; its name is its content's hash."""

    @authenticated
    async def get(self, name: str) -> None:
        path = clean_path(self.get_query_argument("path", ""))
        image = await self.dashboards.cache.image(path, name)
        self.set_header("Cache-Control", "private, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        )
        self.finish(image.data, set_content_type=image.mime)

    head = get


class CacheHandler(DashboardsAPIHandler):
    """`DELETE /_api/cache[/PATH]`: 200 with the text `OK`, also for a path that is not cached."""

    @authenticated
    async def delete(self, path: str = "") -> None:
        self.dashboards.cache.forget(clean_path(path))
        self.finish("OK", set_content_type="text/plain; charset=UTF-8")
