"""Reads out of a request who is calling: the server's identity provider, wrapped, and seen by our own handlers only.

The server's other handlers never learn of viewers, visitors and keys. (The alternative, users of one identity provider who
are held back by an authorizer, fails open: handlers that only ask whether somebody is logged in let them in.)
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth import IdentityProvider
from jupyter_server.auth.identity import PasswordIdentityProvider, User
from tornado.web import RequestHandler

from ..access.callers import NOBODY, Caller
from ..access.credentials import HeaderCredential, header_credential
from ..access.logins import same_secret
from ..access.secret_values import KEY_PREFIX

if TYPE_CHECKING:
    from ..access.manager import AccessManager

PAGE_TOKEN_HEADER = "X-Dashboards-Page-Token"  # noqa: S105
PAGE_TOKEN_SUBPROTOCOL = "dashboards.page-token."  # noqa: S105

_KEY_FIELD = "personal_api_key"

# One user with one token, whatever name a request's cookie has. Subclasses may know real users.
_SHARED_TOKEN_PROVIDERS = (IdentityProvider, PasswordIdentityProvider)


class DashboardsIdentity:
    """The server's identity provider, and our own credentials before and after it.

    Sets `caller`, and `page_token` if there is one, on the handler. All else is the provider's.
    """

    def __init__(self, provider: Any, access: AccessManager) -> None:
        self._provider = provider
        self._access = access

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def get_user(self, handler: Any) -> User | None:
        """The caller as jupyter_server's user; None for nobody.

        The first of these that was sent decides: page token, API key, the server's token. Without them a viewer's
        cookie, then whatever the server's provider knows.
        """
        handler.caller = NOBODY
        if not handler.identifies:
            return None
        headers = handler.request.headers
        token = page_token(headers)
        if token:
            found = await self._access.by_page_token(token)
            if found is not None:
                handler.caller, handler.page_token = found
            return _user(handler.caller)
        credential = header_credential(
            headers.get("Authorization", ""), headers.get("X-AUTH-TOKEN", "")
        )
        key = _key(handler, credential)
        if key:
            handler.caller = await self._access.by_key(key) or NOBODY
            return _user(handler.caller)
        if credential is not None:
            # The form that every provider knows.
            headers["Authorization"] = f"token {credential.secret}"
        explicit = credential is not None or bool(_query_token(handler))
        viewer = None
        if not explicit:
            viewer = await self._viewer(handler)
        if viewer is None:
            handler.known_by_header = explicit
            try:
                owner = await self._owner(handler, credential)
            finally:
                handler.known_by_header = False
            if owner is not None:
                return owner
            if explicit:
                # A header may be meant for a proxy in front.
                viewer = await self._viewer(handler)
        if viewer is not None:
            handler.caller = viewer
        return _user(handler.caller)

    def is_token_authenticated(self, handler: Any) -> bool:
        """Whether the credential is one that no browser adds by itself: no XSRF and origin checks then."""
        return bool(handler.caller.explicit)

    def should_check_origin(self, handler: Any) -> bool:
        return not self.is_token_authenticated(handler)

    async def _viewer(self, handler: Any) -> Caller | None:
        days = self._access.session_hours / 24
        secret = handler.get_secure_cookie(
            viewer_cookie_name(handler.request.host), max_age_days=days
        )
        return await self._access.by_session(secret.decode(errors="replace")) if secret else None

    async def _owner(self, handler: Any, credential: HeaderCredential | None) -> User | None:
        provider = self._provider
        if type(provider) in _SHARED_TOKEN_PROVIDERS and provider.auth_enabled:
            return self._shared_owner(handler, credential)
        user: User | None = await ensure_async(provider.get_user(handler))
        if user is None:
            return None
        explicit = bool(getattr(handler, "_token_authenticated", False))
        if type(provider) in _SHARED_TOKEN_PROVIDERS:
            # Authentication is off, and everybody is the owner.
            return self._named_owner(handler, f"owner:{user.username}", explicit)
        handler.caller = Caller("owner", user.username, f"owner:{user.username}", explicit=explicit)
        return user

    def _shared_owner(self, handler: Any, credential: HeaderCredential | None) -> User | None:
        """As the provider itself finds its user, but for the comparison's time and the name, which stays the same."""
        provider = self._provider
        # Signed by the server; a name that it made up at the login.
        cookie: User | None = provider.get_user_cookie(handler)
        if credential is not None and same_secret(credential.secret, provider.token):
            return self._named_owner(handler, _owner_id(cookie), True)
        if same_secret(_query_token(handler), provider.token):
            if handler.logs_in and cookie is None:
                cookie = provider.generate_anonymous_user(handler)
                provider.set_login_cookie(handler, cookie)
            return self._named_owner(handler, _owner_id(cookie), True)
        return self._named_owner(handler, _owner_id(cookie), False) if cookie else None

    def _named_owner(self, handler: Any, owner_id: str, explicit: bool) -> User:
        name = self._access.token_user
        handler.caller = Caller("owner", name, owner_id, explicit=explicit)
        return User(name)


def viewer_cookie_name(host: str) -> str:
    """The cookie of a viewer's session; browsers mix up the cookies of several servers on one host."""
    return re.sub(r"[^A-Za-z0-9]", "-", f"dashboards-viewer-{host}")


def page_token(headers: Any) -> str:
    """The page token of a request or of a websocket's handshake; empty when there is none."""
    token: str = headers.get(PAGE_TOKEN_HEADER, "")
    if token:
        return token
    for protocol in headers.get("Sec-WebSocket-Protocol", "").split(","):
        if protocol.strip().startswith(PAGE_TOKEN_SUBPROTOCOL):
            return str(protocol.strip().removeprefix(PAGE_TOKEN_SUBPROTOCOL))
    return ""


def _owner_id(cookie: User | None) -> str:
    return f"owner:{cookie.username}" if cookie else "owner:token"


def _user(caller: Caller) -> User | None:
    return User(caller.name) if caller.kind != "nobody" else None


def _query_token(handler: RequestHandler) -> str:
    return handler.get_query_argument("token", "")


def _key(handler: RequestHandler, credential: HeaderCredential | None) -> str:
    """The API key of a request: of a header, else of the JSON body, else of the query. Only the first found is tried."""
    if credential is not None and credential.secret.startswith(KEY_PREFIX):
        return credential.secret
    if credential is not None:
        return ""
    body = handler.request.body
    if _KEY_FIELD.encode() in body and len(body) < 1024 * 1024:
        try:
            value = json.loads(body).get(_KEY_FIELD)
        except (ValueError, AttributeError, RecursionError):
            value = None
        if isinstance(value, str) and value:
            return value
    return handler.get_query_argument(_KEY_FIELD, "")
