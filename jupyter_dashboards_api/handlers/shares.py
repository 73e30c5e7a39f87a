"""Share links over HTTP: `/shared/TOKEN` and `/embedded/TOKEN`, each as a page and as `.json`.

Who calls is not asked: the link's token counts, and its password if it needs one. Nothing of the notebook leaves the server
before that, whatever the method. API: "public viewer" of the projects API (§1.7 of its specification).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.utils import url_path_join
from nbformat import NotebookNode

from ..access.callers import Caller
from ..access.credentials import header_credential
from ..access.share_passwords import LIFETIME
from ..access.shares import OpenShare
from ..dashboards.contents import clean_path, join_path, parent_path
from ..dashboards.finder import INDEX, Found
from ..errors import InvalidRequest, NotFound, TooManyAttempts, Unauthorized
from .dashboard_page import DashboardPageHandler, Presentation
from .page import PageHandler
from .permissions import Permission

MAX_BODY_BYTES = 16 * 1024

_VISITOR = Caller("visitor", "visitor")
_IMAGES = "_images/"
_NOTHING = "There is nothing at this address, or not any more."


def linked(body: bytes, base_url: str) -> bytes:
    """A rendered body with the addresses of images that the link itself opens, and that say nothing of the path."""
    images = re.escape(url_path_join(base_url, "_api/images")).encode()
    return re.sub(
        images + rb'/([0-9a-f]{64}\.\w+)\?path=[^"&<> ]*', _IMAGES.encode() + rb"\1", body
    )


class _SharePage(PageHandler):
    """What pages and files of links share."""

    identifies = False
    offers_login = False
    share: OpenShare | None = None
    kind = ""

    def initialize(
        self,
        name: str,
        permissions: Mapping[str, Permission] | None = None,
        plain: bool = False,
        **options: Any,
    ) -> None:
        self.kind = options.pop("kind")
        super().initialize(name, permissions, plain=self.kind == "embedded", **options)

    async def prepare(self, **options: Any) -> None:
        await super().prepare(**options)
        self._keep_address()

    def _keep_address(self) -> None:
        # The address is the credential.
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Robots-Tag", "noindex")
        self.set_header("Cache-Control", "no-store")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        # Tornado has taken the headers back.
        self._keep_address()
        super().write_error(status_code, **kwargs)

    def check_xsrf_cookie(self) -> None:
        """Nothing: no cookie of the caller's counts for what a request does here."""

    @property
    def frame_ancestors(self) -> Sequence[str]:
        if self.share is not None and self.share.frame_ancestors:
            return self.share.frame_ancestors
        return super().frame_ancestors

    def logged_uri(self) -> str:
        return re.sub(r"/(shared|embedded)/[^?]*", r"/\1/[secret]", str(self.request.uri))

    async def open(self, token: str) -> tuple[OpenShare, str]:
        """The share of a token, and its notebook's contents path. Raises `NotFound`."""
        share = await self.access.shared(token)
        path = self.dashboards.store.own_path(share.path) if share is not None else None
        if share is None or path is None:
            raise NotFound(_NOTHING)
        self.share = share
        self.set_header("Content-Security-Policy", self.content_security_policy)
        return share, path

    async def find_shared(self, path: str) -> Found:
        """The notebook at a path; nothing else is shown, whatever lies there now. Raises `NotFound`."""
        try:
            found = await self.find_anything(path)
        except NotFound:
            if self.share is not None:
                # Noted: what is put there later is another notebook.
                await self.access.notebooks.there(self.share.notebook_id)
            raise
        if found.kind != "dashboard" or found.path != path:
            raise NotFound(_NOTHING)
        return found

    @property
    def listing_url(self) -> str:
        # There is no way from a link's page to others.
        return ""


class SharePageHandler(_SharePage, DashboardPageHandler):
    """`/shared/TOKEN[.json]` and `/embedded/TOKEN[.json]`."""

    form = ""

    @allow_unauthenticated
    async def get(self, token: str, form: str) -> None:
        self.form = form
        share, path = await self.open(token)
        password_id = self._unlocked(share)
        if share.password_required and password_id is None:
            self._ask_for_password()
            return
        await self._send(share, path, password_id)

    head = get

    @allow_unauthenticated
    async def post(self, token: str, form: str) -> None:
        """Unlocks the link: the share token, as JSON and as a cookie; a form gets the page."""
        self.form = form
        share, path = await self.open(token)
        password = self._password()
        address = self.request.remote_ip or ""
        try:
            share_token = await self.access.share_passwords.unlock(share, password, address, path)
        except (Unauthorized, TooManyAttempts) as error:
            if isinstance(error, Unauthorized):
                self.audit("share_failed", path, _VISITOR)
            self._refuse(error)
            return
        self.audit("share_unlocked", path, _VISITOR)
        self.set_cookie(
            self._cookie_name(share),
            share_token,
            max_age=int(LIFETIME.total_seconds()),
            path=url_path_join(self.base_url, self.kind),
            httponly=True,
            samesite="Lax",
            secure=self.request.protocol == "https",
        )
        if not self._is_form:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"shareToken": share_token}))
        elif not self._in_frame:
            # So that loading it again doesn't ask whether to send the form again.
            self.redirect(self.request.uri, status=303)
        else:
            # A frame of another site may not keep the cookie.
            await self._send(
                share, path, self.access.share_passwords.is_unlocked(share, share_token)
            )

    def _unlocked(self, share: OpenShare) -> int | None:
        """The id of the password by which this request may see the share."""
        credential = header_credential(self.request.headers.get("Authorization", ""), "")
        cookie = self.get_cookie(self._cookie_name(share), "")
        for share_token in (credential.secret if credential else "", cookie or ""):
            password_id = self.access.share_passwords.is_unlocked(share, share_token)
            if password_id is not None:
                return password_id
        return None

    def _cookie_name(self, share: OpenShare) -> str:
        return f"dashboards-share-{hashlib.sha256(share.token.encode()).hexdigest()[:16]}"

    @property
    def _in_frame(self) -> bool:
        # Browsers tell it over HTTPS only, and to this machine.
        told = self.request.headers.get("Sec-Fetch-Dest", "")
        return bool(told != "document" if told else self.kind == "embedded")

    @property
    def _is_form(self) -> bool:
        kind = self.request.headers.get("Content-Type", "")
        # `curl -d` says that it sends a form, whatever it sends.
        is_json = self.request.body.lstrip().startswith(b"{")
        forms = ("application/x-www-form-urlencoded", "multipart/form-data")
        return bool(kind.startswith(forms) and not is_json)

    @property
    def _wants_json(self) -> bool:
        return bool(self.form or self.request.headers.get("Accept", "") == "application/json")

    def _password(self) -> str:
        if len(self.request.body) > MAX_BODY_BYTES:
            raise InvalidRequest("The body is too large.")
        if self._is_form:
            return str(self.get_body_argument("password", "", strip=False))
        try:
            password = json.loads(self.request.body or b"{}").get("password", "")
        except (ValueError, AttributeError, RecursionError) as error:
            raise InvalidRequest("Send a JSON object with the text `password`.") from error
        return password if isinstance(password, str) else ""

    def _ask_for_password(self, message: str = "") -> None:
        self.finish(
            self.page(
                "unlock.html.j2",
                title="This dashboard needs a password",
                message=message,
                # The query is the dashboard's.
                action=self.request.uri,
                referrer="no-referrer",
            )
        )

    def _refuse(self, error: Unauthorized | TooManyAttempts) -> None:
        self.set_status(error.status)
        if isinstance(error, TooManyAttempts):
            self.set_header("Retry-After", str(error.retry_after))
        if self._is_form:
            self._ask_for_password(error.message)
            return
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"error": error.message}))

    async def _send(self, share: OpenShare, path: str, password_id: int | None) -> None:
        found = await self.find_shared(path)
        self.audit("share_opened", path, _VISITOR)
        if self._wants_json:
            await self._send_payload(share, path)
            return
        visit = self.access.tokens.new_visit(share=share.token, password_id=password_id)
        files = url_path_join(
            self.base_url, self.kind, share.token, "~", self.access.tokens.file_token(visit)
        )
        assert found.entry is not None
        view = self.get_query_argument("view", None)
        rendered = (await self.dashboards.cache.get(found.entry, view)).rendered
        self.plain = self.plain or share.settings.get("noHeader") is True
        theme, base_url = share.settings.get("theme"), self.base_url
        await self.send_dashboard(
            found,
            view,
            Presentation(
                crumbs=[{"name": rendered.title, "href": ""}],
                base_href=f"{files}/",
                visit=visit,
                live=share.live,
                rewrite=lambda body: linked(body, base_url),
                variables={
                    "referrer": "no-referrer",
                    **({"theme": theme} if theme in ("light", "dark") else {}),
                },
            ),
        )

    async def _send_payload(self, share: OpenShare, path: str) -> None:
        name = path.rpartition("/")[2].removesuffix(".ipynb")

        def told(notebook: NotebookNode) -> bytes:
            stated = notebook.metadata.get("title")
            told = json.dumps(
                {
                    **share.settings,
                    "type": "scene" if self.kind == "shared" else "embed",
                    "accessToken": share.token,
                    "notebook": {
                        "short_id": share.short_id,
                        "title": stated if isinstance(stated, str) else name,
                        "content": {"cells": self.dashboards.renderer.payload(notebook)},
                        "text_content": None,
                    },
                }
            )
            return told.encode()

        # Sanitising and writing out a large notebook takes a while, and memory.
        async with self.dashboards.cache.few_at_once:
            notebook, _ = await self.dashboards.store.notebook(path)
            body = await asyncio.to_thread(told, notebook)
        self.set_header("Content-Type", "application/json")
        await self.deliver(body)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if not self._wants_json:
            super().write_error(status_code, **kwargs)
            return
        self._keep_address()
        message = self.error_message(status_code, kwargs.get("exc_info"))
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"error": message}))


class ShareFileHandler(_SharePage, DashboardPageHandler):
    """`/shared/TOKEN/~/FILE_TOKEN/FILE`: what a link's page shows: its images, and the files of its bundle."""

    @allow_unauthenticated
    async def get(self, token: str, file_token: str, file: str) -> None:
        visit = self.access.tokens.read_file_token(file_token)
        if visit is None or visit.share != token:
            raise NotFound("There is no such file.")
        share, path = await self.open(token)
        if not share.is_unlocked_by(visit.password_id):
            raise NotFound("There is no such file.")
        if file.startswith(_IMAGES):
            image = await self.dashboards.cache.image(path, file.removeprefix(_IMAGES))
            self.set_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"
            )
            self.set_header("Content-Type", image.mime)
            self.set_header("Cache-Control", "private, max-age=86400, immutable")
            self.finish(image.data)
            return
        folder = parent_path(path)
        # Beside a notebook that is no bundle lie other people's files; so they do in the root.
        if not folder or path != join_path(folder, INDEX):
            raise NotFound("There is no such file.")
        found = await self.find_anything(join_path(folder, clean_path(file)))
        if found.kind != "resource" or await self._is_another_matter(found.path, folder):
            raise NotFound("There is no such file.")
        with self.dashboards.files_under_way.hold(found.entry.size or 0 if found.entry else 0):
            await self.send_file(found.path)

    head = get

    async def _is_another_matter(self, file: str, folder: str) -> bool:
        """Whether a file below a bundle's folder is not the bundle's: another dashboard's, or under a rule of its own."""
        rules = await self.access.rules.current()
        if rules.separates(file, folder):
            return True
        inner = parent_path(file)
        while inner != folder:
            if await self.dashboards.finder.index_of(inner) is not None:
                return True
            inner = parent_path(inner)
        return False
