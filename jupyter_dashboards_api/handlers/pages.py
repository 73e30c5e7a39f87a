"""Pages: dashboards, listings, the resources and images they show, and the cache behind them.

API: "List Dashboards", "Show Dashboard", "Clear Cached Dashboards" of the dashboards server's API page.
"""

from __future__ import annotations

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.web import authenticated

from ..dashboards.assets import frontend
from ..dashboards.contents import clean_path, parent_path
from ..dashboards.finder import Found
from ..dashboards.listing import list_folder
from ..errors import InvalidRequest, NotFound
from .base import DashboardsAPIHandler
from .dashboard_page import DashboardPageHandler, Presentation


class DashboardHandler(DashboardPageHandler):
    """`GET /dashboards[/PATH]` and `/dashboards-plain[/PATH]`."""

    @allow_unauthenticated
    async def get(self, path: str = "") -> None:
        if self.request.path.endswith("/"):
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(self.request.path.rstrip("/") + query, permanent=True)
            return
        try:
            found = await self.find(clean_path(path))
        except InvalidRequest as error:
            if self.caller.kind == "nobody":
                self.refuse_anonymous()
            raise NotFound("There is no dashboard and no folder of this name.") from error
        if found.kind == "moved":
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(self.page_url(found.path) + query)
        elif found.kind == "resource":
            size = found.entry.size if found.entry else None
            with self.dashboards.files_under_way.hold(size or 0):
                await self.send_file(found.path)
        elif found.kind == "folder":
            await self._show_listing(found.path)
        else:
            await self._show_dashboard(found)

    head = get

    async def _show_listing(self, path: str) -> None:
        if self.dashboards.presentation_mode:
            raise NotFound("There is no dashboard of this name.")
        query = self.get_query_argument("q", "")
        rules, caller = await self.access.rules.current(), self.caller
        rows = await list_folder(
            self.dashboards.store,
            self.dashboards.finder,
            path,
            query,
            may_open=lambda own: rules.allows(caller, own),
            may_look_into=lambda folder: rules.allows_below(caller, folder),
        )
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("Vary", "Cookie")
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

    async def _show_dashboard(self, found: Found) -> None:
        path = parent_path(found.path) if found.in_folder else found.path.removesuffix(".ipynb")
        visit = None
        if self.caller.kind == "nobody":
            # No cookie tells the visitors of a public page apart, or reaches into a frame of another site.
            visit = self.access.tokens.new_visit(path=found.path)
        self.audit("view", found.path)
        await self.send_dashboard(
            found,
            self.get_query_argument("view", None),
            Presentation(
                crumbs=self.crumbs(path),
                # Relative links of a folder's index are relative to the folder.
                base_href=f"{self.page_url(path)}/" if found.in_folder else None,
                visit=visit,
                path=found.path,
            ),
        )


class ImageHandler(DashboardsAPIHandler):
    """`GET /_api/images/SHA256.EXT?path=NOTEBOOK`: an image of stored outputs; its name is its content's hash."""

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        path = clean_path(self.get_query_argument("path", ""))
        await self.permit(path)
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
