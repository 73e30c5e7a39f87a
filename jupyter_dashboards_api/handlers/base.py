"""What every handler of this extension shares: who is calling, what a route permits, and how an error is said.

Authentication and authorization are the server's own (`identity_provider`, `authorizer`). Which permission a route needs
is in the table of `routes.py` alone; a method that the table doesn't name is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING, Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth import IdentityProvider
from jupyter_server.auth.identity import LegacyIdentityProvider, PasswordIdentityProvider
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.web import HTTPError

from ..dashboards.finder import Found
from ..errors import DashboardsError, InvalidRequest, NotFound, Unavailable

if TYPE_CHECKING:
    from ..app import DashboardsApp

# Providers that give every caller without a login cookie a new random name.
_ANONYMOUS_PROVIDERS = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)


@dataclass(frozen=True)
class Permission:
    """What the server's authorizer is asked: whether a user may do `action` (read, write, execute) to `resource`."""

    action: str
    resource: str = "dashboards"

    def __str__(self) -> str:
        return f"{self.resource}:{self.action}"


PUBLIC = Permission("public")
"""Open to everybody, logged in or not: nothing but this project's own static files."""

READ = Permission("read")
WRITE = Permission("write")


class DashboardsHandlerMixin(ExtensionHandlerMixin):
    """Goes before a handler class of jupyter_server."""

    permissions: Mapping[str, Permission] = {}

    # The mixin stands before JupyterHandler in every concrete class; these are its attributes.
    if TYPE_CHECKING:
        request: Any
        current_user: Any
        authorizer: Any
        identity_provider: Any
        token_authenticated: bool
        _finished: bool
        get_cookie: Any
        set_header: Any

    def initialize(
        self, name: str, permissions: Mapping[str, Permission] | None = None, **options: Any
    ) -> None:
        """`permissions` is the route's row of the table: HTTP method → permission."""
        super().initialize(name, **options)
        self.permissions = permissions or {}

    @property
    def dashboards(self) -> DashboardsApp:
        """The extension with its managers."""
        return cast("DashboardsApp", self.extensionapp)

    @property
    def config(self) -> Any:
        # ExtensionHandlerMixin's is the extension's own; the kernel connection class needs the server's.
        return self.settings["config"]

    async def prepare(self, **options: Any) -> None:
        await super().prepare(**options)  # type: ignore[misc]
        if self._finished:
            return
        permission = self.permissions.get(self.request.method)
        if permission is None:
            raise HTTPError(405)
        if permission is not PUBLIC:
            if self.current_user is None:
                self.refuse_anonymous()
            else:
                await self.require(permission)

    def refuse_anonymous(self) -> None:
        """Answers a caller without a credential: 401, or the way to the login form for a page."""
        raise HTTPError(401)

    async def require(self, permission: Permission) -> None:
        """Raises 403 unless the server's authorizer lets the current user do it."""
        allowed = await ensure_async(
            self.authorizer.is_authorized(
                self, self.current_user, permission.action, permission.resource
            )
        )
        if not allowed:
            raise HTTPError(403)

    @property
    def viewer_id(self) -> str:
        """Who owns what this request starts; the same for all requests of one caller.

        The server's own providers invent a new user for each request that carries the shared token but no cookie, so
        callers without a cookie are one owner: whoever holds the token.
        """
        if type(self.identity_provider) in _ANONYMOUS_PROVIDERS:
            cookie = self.get_cookie(self.identity_provider.get_cookie_name(self))
            if not cookie:
                return "token" if self.token_authenticated else "anonymous"
        return f"user:{self.current_user.username}"

    async def find(self, path: str) -> Found:
        """What is shown for a clean contents path. Raises `NotFound`."""
        try:
            return await self.dashboards.finder.find(path)
        except NotFound:
            # A dashboard that is being replaced is absent for a moment.
            await self.dashboards.uploads.settled(path)
            return await self.dashboards.finder.find(path)

    def set_secure_cookie(self, name: str, value: Any, *args: Any, **options: Any) -> None:
        """Sets a cookie, except the login cookie that the server would hand to a caller with a token in a header.

        That cookie has the owner's full power, and a proxy that adds the token would give it to every viewer.
        """
        if "Authorization" in self.request.headers:
            return
        super().set_secure_cookie(name, value, *args, **options)  # type: ignore[misc]

    def _handle_request_exception(self, error: BaseException) -> None:
        """Gives a domain error its HTTP status; the body is written by `write_error`."""
        if isinstance(error, DashboardsError):
            error = HTTPError(error.status)
        # Tornado takes the status from `error`, and what it logs and says from the exception under way.
        super()._handle_request_exception(error)  # type: ignore[misc]

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Logs what went wrong; a caller's fault is no uncaught exception."""
        if not isinstance(error, DashboardsError):
            super().log_exception(kind, error, trace)  # type: ignore[misc]
        elif error.status >= 500 and not isinstance(error, Unavailable):
            self.log.error("%s", error.message, exc_info=(kind, error, trace))

    def error_message(self, status: int, exc_info: Any) -> str:
        """The text for the caller; only our own errors' texts are known to be safe to show."""
        error = exc_info[1] if exc_info else None
        if isinstance(error, Unavailable):
            self.set_header("Retry-After", str(error.retry_after))
        if isinstance(error, DashboardsError):
            return error.message
        return {
            401: "Authentication required: send the server's token as “Authorization: token …”.",
            403: "You are not permitted to do this.",
            404: "Nothing is there.",
        }.get(status, responses.get(status, "Unknown error"))


class DashboardsAPIHandler(DashboardsHandlerMixin, APIHandler):
    """A handler of the JSON APIs: its errors are `{"message": …, "status": …}`."""

    def get_login_url(self) -> str:
        # Called when authentication is missing; an API never redirects to a form.
        raise HTTPError(401)

    def check_xsrf_cookie(self) -> None:
        # The missing credential is the fault to name, not the missing XSRF field.
        if getattr(self, "_jupyter_current_user", self) is None:
            raise HTTPError(401)
        super().check_xsrf_cookie()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        body: dict[str, Any] = {
            "message": self.error_message(status_code, kwargs.get("exc_info")),
            "status": status_code,
        }
        if retry_after := self._headers.get("Retry-After"):
            body["retry_after"] = int(retry_after)
        self.finish(json.dumps(body))

    def json_body(self) -> dict[str, Any]:
        """The request's JSON object; `{}` for an empty body. Raises 400 for anything else."""
        if not self.request.body.strip():
            return {}
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("The body is not JSON.") from error
        if not isinstance(body, dict):
            raise InvalidRequest("The body is not a JSON object.")
        return body
