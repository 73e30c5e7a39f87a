"""What every handler of this extension shares: who is calling, what a route permits, and how an error is said.

Which permission a route needs is in the table of `routes.py` alone; a method that the table doesn't name is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.client import responses
from typing import TYPE_CHECKING, Any, NoReturn, cast

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.web import Finish, HTTPError

from ..access.callers import NOBODY, Caller
from ..access.page_tokens import PageToken
from ..access.scopes import grants
from ..dashboards.finder import Found
from ..errors import (
    DashboardsError,
    Forbidden,
    InvalidRequest,
    NotFound,
    TryLater,
    Unavailable,
)
from .identity import DashboardsIdentity
from .permissions import Audience, Permission

if TYPE_CHECKING:
    from ..access.manager import AccessManager
    from ..app import DashboardsApp


_NOTHING = "There is no dashboard and no folder of this name."


class DashboardsHandlerMixin(ExtensionHandlerMixin):
    """Goes before a handler class of jupyter_server."""

    permissions: Mapping[str, Permission] = {}
    caller: Caller = NOBODY
    page_token: PageToken | None = None
    known_by_header = False
    """Set while the server's identity provider looks at a request that brings a token."""

    gives_login_cookie = False
    """Whether the server's token in the URL logs a browser in, as the address does that the server prints."""

    identifies = True
    """Whether it is asked who calls: not for what everybody gets, nor where a link's own token counts alone."""

    challenge = 'Bearer realm="jupyter_dashboards_api"'
    """The header `WWW-Authenticate` of a 401."""

    # The mixin stands before JupyterHandler in every concrete class; these are its attributes.
    if TYPE_CHECKING:
        request: Any
        current_user: Any
        authorizer: Any
        token_authenticated: bool
        _finished: bool
        set_header: Any
        get_status: Any

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
    def access(self) -> AccessManager:
        """Who may do what."""
        return self.dashboards.access

    @property
    def identity_provider(self) -> Any:
        """The server's own, wrapped."""
        return DashboardsIdentity(self.settings["identity_provider"], self.access)

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Without the server's token: Jupyter's page of errors has it for whoever is logged in, as viewers and keys are."""
        return {**super().template_namespace, "token": None}  # type: ignore[misc]

    @property
    def config(self) -> Any:
        # ExtensionHandlerMixin's is the extension's own; the kernel connection class needs the server's.
        return self.settings["config"]

    async def prepare(self, **options: Any) -> None:
        # Before anything is looked at: an unknown method is no question of who asks.
        if self.request.method not in self.permissions:
            raise HTTPError(405)
        await super().prepare(**options)  # type: ignore[misc]
        if self._finished:
            return
        await self.require(self.permissions[self.request.method])

    def refuse_anonymous(self) -> NoReturn:
        """Answers a caller without a valid credential: 401, or the way to the login form for a page."""
        raise HTTPError(401)

    async def require(self, permission: Permission) -> None:
        """Raises 401 or 403 unless the caller may do it. What a path permits is asked when the path is known."""
        caller, audience = self.caller, permission.audience
        if audience is Audience.EVERYBODY:
            return
        if caller.kind == "nobody":
            if audience is not Audience.BY_PATH:
                self.refuse_anonymous()
        elif caller.kind == "key":
            if audience is Audience.NO_KEYS:
                self.deny("This action does not support personal API key access")
            if not grants(caller.scopes, permission.scope):
                self.deny(f"API key missing required scope '{permission.scope}'")
        elif caller.kind == "owner":
            allowed = await ensure_async(
                self.authorizer.is_authorized(
                    self, self.current_user, permission.action, permission.resource
                )
            )
            if not allowed:
                self.deny()
        elif audience not in (Audience.BY_PATH, Audience.VIEWERS):
            self.deny()

    def deny(self, why: str = "You are not permitted to do this.") -> NoReturn:
        """Raises 403, and tells it to whoever listens."""
        self.audit("denied")
        raise Forbidden(why)

    def audit(self, event: str, path: str = "", caller: Caller | None = None) -> None:
        """Tells what the caller did."""
        self.access.audit.emit(event, caller or self.caller, self.request.remote_ip, path)

    async def record(self, event: str, path: str = "", **detail: Any) -> None:
        """Tells what the caller did, and writes it into the activity log."""
        self.audit(event, path)
        try:
            await self.access.activities.record(event, self.caller.name, path=path, detail=detail)
        except Unavailable:
            # It has happened: an answer that says otherwise would be wrong.
            self.log.error("Not in the activity log: %s %s by %s", event, path, self.caller.name)

    async def permit(self, path: str) -> None:
        """Raises `NotFound` unless the caller may open what is at a contents path; sends nobody to the login.

        Whether something is there is not told to who may not open it.
        """
        if await self.access.may_open(self.caller, path):
            return
        if self.caller.kind == "nobody":
            self.refuse_anonymous()
        self.audit("denied", path)
        raise NotFound(_NOTHING)

    async def find(self, path: str) -> Found:
        """What is shown to the caller for a clean contents path. Raises `NotFound`."""
        if not await self.access.may_find(self.caller, path):
            await self.permit(path)
        try:
            found = await self.find_anything(path)
        except NotFound as error:
            if self.caller.kind == "nobody":
                self.refuse_anonymous()
            # In the words for what is there, but not for this caller.
            raise NotFound(_NOTHING) from error
        if found.kind == "folder" and self.caller.visit is None:
            rules = await self.access.rules.current()
            if rules.allows_below(self.caller, found.path):
                return found
        await self.permit(found.path)
        return found

    async def find_anything(self, path: str) -> Found:
        """What is at a clean contents path, whoever asks. Raises `NotFound`."""
        try:
            return await self.dashboards.finder.find(path)
        except NotFound:
            # A dashboard that is being replaced is absent for a moment.
            await self.dashboards.uploads.settled(path)
            return await self.dashboards.finder.find(path)

    def set_secure_cookie(self, name: str, value: Any, *args: Any, **options: Any) -> None:
        """Sets a cookie, but the server's login cookie only where somebody logs in.

        That cookie has the owner's full power, and providers give it to whoever sends the token in a header: a proxy that
        adds the token would give it to every viewer.
        """
        provider_cookie = name == self.identity_provider.get_cookie_name(self)
        if (provider_cookie or self.known_by_header) and not self.logs_in:
            return
        super().set_secure_cookie(name, value, *args, **options)  # type: ignore[misc]

    @property
    def logs_in(self) -> bool:
        """Whether this request may give a browser the server's login cookie."""
        return self.gives_login_cookie and "Authorization" not in self.request.headers

    def check_origin(self, *args: Any) -> bool:
        try:
            return bool(super().check_origin(*args))  # type: ignore[misc]
        except ValueError:
            # The header `Origin` is no URL.
            return False

    def check_xsrf_cookie(self) -> None:
        # A provider may bring a check of its own (JupyterHub does), which knows nothing of our credentials.
        if not self.caller.explicit:
            super().check_xsrf_cookie()  # type: ignore[misc]

    def _handle_request_exception(self, error: BaseException) -> None:
        """Gives a domain error its HTTP status; the body is written by `write_error`."""
        if isinstance(error, DashboardsError):
            error = HTTPError(error.status)
        # Tornado takes the status from `error`, and what it logs and says from the exception under way.
        super()._handle_request_exception(error)  # type: ignore[misc]

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Logs what went wrong; a caller's fault is no uncaught exception."""
        if isinstance(error, (HTTPError, Finish)):
            super().log_exception(kind, error, trace)  # type: ignore[misc]
        elif not isinstance(error, DashboardsError):
            # Tornado would write the request with its whole URL.
            self.log.error(
                "Uncaught exception %s", self._request_summary(), exc_info=(kind, error, trace)
            )
        elif error.status >= 500 and not isinstance(error, Unavailable):
            self.log.error("%s", error.message, exc_info=(kind, error, trace))

    def _request_summary(self) -> str:
        # Without the query, which may hold a token or a key: Tornado logs this as it is.
        place = self.logged_uri().partition("?")[0]
        return f"{self.request.method} {place} ({self.request.remote_ip})"

    def _log(self) -> None:
        uri, headers = self.request.uri, self.request.headers
        self.request.uri = self.logged_uri()
        if referer := headers.get("Referer"):
            # Links' pages forbid to send it; not everything that opens them obeys.
            links = rf"({re.escape(self.base_url)}(?:shared|embedded)/)[^?#]*"
            headers["Referer"] = re.sub(links, r"\1[secret]", referer)
        try:
            super()._log()  # type: ignore[misc]
        except ValueError:
            # The header `Referer`, which is logged with errors, is no URL.
            self.log.warning("%d %s", self.get_status(), self._request_summary())
        finally:
            self.request.uri = uri

    def logged_uri(self) -> str:
        """The request's URI as logs may have it. The server's log leaves out tokens of the query by itself."""
        return str(self.request.uri)

    def error_message(self, status: int, exc_info: Any) -> str:
        """The text for the caller; only our own errors' texts are known to be safe to show."""
        error = exc_info[1] if exc_info else None
        if status == 401:
            self.set_header("WWW-Authenticate", self.challenge)
        if status == 405:
            self.set_header("Allow", ", ".join(sorted(self.permissions)))
        if isinstance(error, TryLater):
            self.set_header("Retry-After", str(error.retry_after))
        if isinstance(error, DashboardsError):
            return error.message
        return {
            401: "Authentication required: send the server's token or an API key as “Authorization: Bearer …”.",
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
            if self.permissions[self.request.method].audience is Audience.EVERYBODY:
                return
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
