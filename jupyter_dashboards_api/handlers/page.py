"""What all pages for people share: their policy, their template, and errors that are pages too."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import Finish, authenticated

from ..dashboards.assets import frontend
from .base import DashboardsHandlerMixin
from .content_policy import file_policy, page_policy
from .permissions import Permission


class PageHandler(DashboardsHandlerMixin, JupyterHandler):
    """Pages for people: errors are pages too, and who isn't logged in is sent to the login form."""

    for_frames = False
    plain = False
    nonce = ""
    sandboxed = False
    offers_login = True
    # Of what the page shows; nothing of an author's is on the others.
    trusted = False

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

    def refuse_anonymous(self) -> NoReturn:
        # To the form for a GET, with the way back; 403 for anything else.
        authenticated(lambda handler: None)(self)
        raise Finish

    @property
    def logs_in(self) -> bool:
        # The address that the server prints, with its token, leads to a page.
        return "Authorization" not in self.request.headers

    @property
    def content_security_policy(self) -> str:
        if not self.nonce:
            # Tornado sets the default headers before `initialize`.
            return "default-src 'none'; frame-ancestors 'none'"
        ancestors = self.frame_ancestors
        if self.sandboxed:
            return file_policy(ancestors, trusted=self.trusted)
        return page_policy(self.nonce, ancestors, self.dashboards.csp_sources, trusted=self.trusted)

    @property
    def frame_ancestors(self) -> Sequence[str]:
        """Who may show the page in a frame."""
        return self.dashboards.frame_ancestors if self.plain else ["'self'"]

    @property
    def login_url(self) -> str:
        """Where a visitor of a public page can log in, to see more; empty for who has."""
        if self.caller.kind != "nobody" or not self.offers_login:
            return ""
        place = url_path_join(self.base_url, "login")
        return f"{place}?{urlencode({'next': self.request.uri})}"

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
                "caller": self.caller,
                "login_url": self.login_url,
                "base_url": self.base_url,
                "xsrf_field": self.xsrf_form_html if self.caller.kind == "viewer" else None,
                **variables,
            }
        )
        return str(html)

    def page_url(self, path: str) -> str:
        """The URL of a dashboard, folder or resource, of the kind (plain or not) that is shown."""
        root = url_path_join(self.base_url, "dashboards-plain" if self.for_frames else "dashboards")
        return f"{root}/{quote(path, safe='/')}" if path else root

    @property
    def listing_url(self) -> str:
        """The list of all dashboards; empty where there is none, or no way to it."""
        return "" if self.dashboards.presentation_mode else self.page_url("")

    @property
    def way_back(self) -> list[dict[str, str]]:
        """The breadcrumbs of pages that are no dashboard's."""
        return [{"name": "Dashboards", "href": self.listing_url}] if self.listing_url else []

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
        self.finish(
            self.page(
                "error.html.j2",
                title=title,
                message=message,
                listing=self.listing_url,
                crumbs=self.way_back,
            )
        )
