"""How a notebook is shared, over HTTP: `/_api/sharing?path=NOTEBOOK` and what is below it.

The bodies are those of the projects API's "sharing" (§1.7 of its specification), with four fields more: `live`,
`parameters`, `frame_ancestors`, `expires_at`.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from ..access.shares import PasswordInfo, ShareConfiguration
from ..dashboards.contents import clean_path
from ..errors import InvalidRequest, NotFound
from ..notebooks.registry import NotebookId
from .base import DashboardsAPIHandler
from .keys import timestamp

MAX_BODY_BYTES = 64 * 1024

_CHANGES_IN_POSTS = ("enabled", "settings", "password_required")
"""Fields that the API document lists for its POST requests, and that are honoured there too."""


class _SharingHandler(DashboardsAPIHandler):
    """What is done to one notebook's share."""

    async def notebook(self) -> NotebookId:
        """The notebook of the request's `path`, as the registry knows it. Raises `NotFound`."""
        path = clean_path(self.get_query_argument("path", ""))
        if not path:
            raise InvalidRequest("Name the notebook: `?path=`.")
        try:
            found = await self.find(path)
        except NotFound:
            # Noted: what is put there later is another notebook.
            await self.access.notebooks.find(self.dashboards.store.api_path(path))
            raise
        if found.kind != "dashboard":
            raise NotFound("There is no such notebook.")
        self.path = found.path
        return await self.access.notebooks.identify(self.dashboards.store.api_path(found.path))

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        if len(self.request.body) > MAX_BODY_BYTES:
            raise InvalidRequest("The body is too large.")
        return self.json_body()

    async def change_by_post(self, notebook: NotebookId, body: dict[str, Any]) -> None:
        """Makes the changes that a POST may carry beside its own purpose."""
        changes = {name: body[name] for name in _CHANGES_IN_POSTS if body.get(name) is not None}
        if changes:
            await self.access.shares.change(notebook.id, changes, self.caller.name)

    def send(self, configuration: ShareConfiguration) -> None:
        """Answers with a configuration."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(self.model(configuration)))

    def model(self, configuration: ShareConfiguration) -> dict[str, Any]:
        """A configuration as the API shows it, with the link's two addresses."""
        token = configuration.access_token
        return {
            "created_at": timestamp(configuration.created_at),
            "enabled": configuration.enabled,
            "access_token": token,
            "settings": configuration.settings,
            "password_required": configuration.password_required,
            "share_passwords": [password_model(each) for each in configuration.passwords],
            "live": configuration.live,
            "parameters": configuration.parameters,
            "frame_ancestors": list(configuration.frame_ancestors),
            "expires_at": timestamp(configuration.expires_at),
            "shared_url": self._address("shared", token),
            "embedded_url": self._address("embedded", token),
        }

    def _address(self, kind: str, token: str | None) -> str | None:
        if token is None:
            return None
        path = url_path_join(self.base_url, kind, token)
        return f"{self.request.protocol}://{self.request.host}{path}"


class SharingHandler(_SharingHandler):
    """`/_api/sharing`: the configuration."""

    @authenticated
    async def get(self) -> None:
        """How the notebook is shared."""
        notebook = await self.notebook()
        self.send(await self.access.shares.configuration(notebook.id))

    @authenticated
    async def patch(self) -> None:
        """Changes the fields that are in the body."""
        notebook, body = await self.notebook(), self.body()
        configuration = await self.access.shares.change(notebook.id, body, self.caller.name)
        await self.record("share_changed", self.path, fields=sorted(body)[:20])
        self.send(configuration)


class SharingRefreshHandler(_SharingHandler):
    """`POST /_api/sharing/refresh`: a new link; the old one works five minutes longer."""

    @authenticated
    async def post(self) -> None:
        notebook, body = await self.notebook(), self.body()
        await self.change_by_post(notebook, body)
        configuration = await self.access.shares.refresh(notebook.id, self.caller.name)
        await self.record("share_changed", self.path, fields=["access_token"])
        self.send(configuration)


class SharingPasswordsHandler(_SharingHandler):
    """`POST /_api/sharing/passwords`: a new password; its text is in this answer alone."""

    @authenticated
    async def post(self) -> None:
        notebook, body = await self.notebook(), self.body()
        raw, note = body.get("raw_password") or None, body.get("note") or ""
        if not isinstance(note, str) or not (raw is None or isinstance(raw, str)):
            raise InvalidRequest("`raw_password` and `note` must be texts.")
        # Before the changes: what fails has changed nothing.
        self.access.share_passwords.check(raw, note)
        await self.change_by_post(notebook, body)
        info, password = await self.access.share_passwords.add(
            notebook.id, raw, note, self.caller.name
        )
        await self.record("share_changed", self.path, fields=["share_passwords"])
        self.set_status(201)
        self.set_header("Cache-Control", "no-store")
        model = password_model(info)
        del model["is_active"]
        self.finish(json.dumps({**model, "password": password}))


class SharingPasswordHandler(_SharingHandler):
    """`DELETE /_api/sharing/passwords/ID`: whoever came in by it is out at once."""

    @authenticated
    async def delete(self, password_id: str) -> None:
        notebook = await self.notebook()
        if len(password_id) > 18:
            raise NotFound("Password not found")
        await self.access.shares.delete_password(notebook.id, int(password_id))
        await self.record("share_changed", self.path, fields=["share_passwords"])
        self.set_status(204)
        self.finish()


def password_model(password: PasswordInfo) -> dict[str, Any]:
    """A password as the API shows it: without itself."""
    return {
        "id": password.id,
        "created_at": timestamp(password.created_at),
        "note": password.note,
        "created_by_email": password.created_by,
        "is_active": True,
    }
