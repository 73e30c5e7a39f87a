"""Logging in and out: viewers by name and password, owners by the server's own password or token, on one page.

API: "login" and "logout" of the dashboards server. A form is answered with redirects, as it was there; a JSON body with JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode, urlparse

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider
from jupyter_server.auth.logout import LogoutHandler as ServerLogoutHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError

from ..access.callers import NOBODY, Caller
from ..access.logins import same_secret
from ..errors import InvalidRequest, Unauthorized
from .identity import viewer_cookie_name
from .page import PageHandler

MAX_BODY_BYTES = 16 * 1024

PROVIDER_LOGOUT = "/logout/server"
"""Where the identity provider's own logout is, if it has one; ours stands before it at `/logout`."""


def provider_logout(provider: Any) -> tuple[Any, ...] | None:
    """The handler, with its options, by which an identity provider logs its users out; None for the server's usual one."""
    for pattern, *handler in provider.get_handlers():
        if pattern.strip("/") == "logout" and handler[0] is not ServerLogoutHandler:
            return tuple(handler)
    return None


class _LoginPage(PageHandler):
    """What logging in and out share."""

    offers_login = False

    @property
    def is_json(self) -> bool:
        """Whether a program asks: no page of another site can send this type without leave."""
        kind = self.request.headers.get("Content-Type", "")
        return bool(kind.partition(";")[0].strip().lower() == "application/json")

    def logged_uri(self) -> str:
        """Without the query of the page that it leads back to, in which there may be a token that was not accepted."""
        return re.sub(r"([?&]next=(?:(?!%3F)[^&?])*)[^&]*", r"\1", super().logged_uri(), flags=re.I)

    def check_xsrf_cookie(self) -> None:
        if hasattr(self, "_jupyter_current_user") and self.is_json:
            if not self.check_origin():
                raise HTTPError(403)
            return
        super().check_xsrf_cookie()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if not self.is_json:
            super().write_error(status_code, **kwargs)
            return
        # Whatever it says that it accepts.
        self.set_header("Content-Type", "application/json")
        message = self.error_message(status_code, kwargs.get("exc_info"))
        self.finish(json.dumps({"message": message, "status": status_code}))

    def fields(self) -> dict[str, str]:
        """The texts of the form or of the JSON body. Raises `InvalidRequest`."""
        if len(self.request.body) > MAX_BODY_BYTES:
            raise InvalidRequest("The body is too large.")
        if not self.is_json:
            # A password may begin or end with a space.
            return {
                name: self.get_body_argument(name, "", strip="password" not in name)
                for name in self.request.body_arguments
            }
        try:
            body = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("The body is not JSON.") from error
        if not isinstance(body, dict) or not all(isinstance(v, str) for v in body.values()):
            raise InvalidRequest("Send a JSON object with the texts `username` and `password`.")
        return body

    def next_url(self, fields: dict[str, str], caller: Caller) -> str:
        """Where to go on: a path of this server that the caller can open, whatever was asked for."""
        listing = url_path_join(self.base_url, "dashboards")
        wanted = fields.get("next") or self.get_query_argument("next", "") or listing
        # A browser takes a backslash for a slash, and leaves out control characters.
        try:
            parts = urlparse(wanted)
        except ValueError:
            return listing
        within = parts.path == self.base_url.rstrip("/") or parts.path.startswith(self.base_url)
        if (
            parts.scheme
            or parts.netloc
            or not within
            or wanted.startswith("//")
            or "\\" in wanted
            or not wanted.isprintable()
            # The server's own pages would send a viewer back to the form, and that on to them again.
            or (caller.kind == "viewer" and not self._is_dashboard(parts.path))
        ):
            return listing
        return wanted

    def _is_dashboard(self, path: str) -> bool:
        roots = (url_path_join(self.base_url, root) for root in ("dashboards", "dashboards-plain"))
        return any(path == root or path.startswith(f"{root}/") for root in roots)

    @property
    def owners_log_in_elsewhere(self) -> bool:
        """Whether the server's users log in at a place of the identity provider's own, as JupyterHub's do."""
        provider = self.settings["identity_provider"]
        return bool(provider.auth_enabled) and not any(
            pattern.strip("/") == "login" for pattern, *_ in provider.get_handlers()
        )

    def set_viewer_cookie(self, secret: str) -> None:
        """Gives the browser a viewer's session."""
        provider = self.settings["identity_provider"]
        secure = provider.secure_cookie
        self.set_secure_cookie(
            viewer_cookie_name(self.request.host),
            secret,
            expires_days=self.access.session_hours / 24,
            httponly=True,
            samesite="Lax",
            secure=self.request.protocol == "https" if secure is None else secure,
            path=self.base_url,
        )

    def clear_viewer_cookie(self) -> None:
        """Takes the viewer's session from the browser."""
        self.clear_cookie(viewer_cookie_name(self.request.host), path=self.base_url)

    def answer(self, url: str, **told: Any) -> None:
        """Goes on to a page, or tells a program."""
        self.set_header("Cache-Control", "no-store")
        if self.is_json:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({**told, "next": url}))
        else:
            self.redirect(url)


class LoginHandler(_LoginPage):
    """`/login`: the form, and what it sends. A `username` makes it a viewer's login, none an owner's."""

    logging_in = False

    @property
    def logs_in(self) -> bool:
        # The form's own login; a token in the URL only opens the pages that it is sent to.
        return self.logging_in

    @allow_unauthenticated
    async def get(self) -> None:
        if self.caller.kind in ("owner", "viewer"):
            self.redirect(self.next_url({}, self.caller))
            return
        if self.owners_log_in_elsewhere and self.get_query_argument("server", ""):
            # The provider has put the address of its own form in the place of this one's.
            self.refuse_anonymous()
        # Raises 400 for what is no text.
        self.get_query_argument("next", "")
        self._show()

    head = get

    @allow_unauthenticated
    async def post(self) -> None:
        fields = self.fields()
        username, password = fields.get("username", ""), fields.get("password", "")
        address = self.request.remote_ip or ""
        try:
            if username:
                caller = await self._log_viewer_in(username, password, address)
            else:
                caller = await self._log_owner_in(fields, address)
        except Exception as error:
            # What is no name may be a password that was typed into the wrong field.
            known = username and await self.access.knows_name(username)
            self.audit("login_failed", caller=Caller("nobody", username if known else ""))
            if self.is_json or not isinstance(error, Unauthorized):
                raise
            self.set_status(401)
            self._show(error.message, username)
            return
        self.audit("login", caller=caller)
        self.answer(self.next_url(fields, caller), username=caller.name)

    async def _log_viewer_in(self, username: str, password: str, address: str) -> Caller:
        viewer, secret = await self.access.logins.log_in(username, password, address)
        # Whoever logs in last is who it is: the owner's cookie must not outlast that.
        self.settings["identity_provider"].clear_login_cookie(self)
        await self._end_session()
        self.set_viewer_cookie(secret)
        if not self.is_json:
            # The next page brings one that lasts: under JupyterHub it ends after an hour for who isn't logged in.
            self.clear_cookie("_xsrf", path=self.base_url)
        return Caller("viewer", viewer.username)

    async def _log_owner_in(self, fields: dict[str, str], address: str) -> Caller:
        if self.owners_log_in_elsewhere:
            raise Unauthorized("Give a name and a password.")
        provider = self.settings["identity_provider"]
        found: list[Any] = []

        async def check() -> bool:
            found.append(await self._owner_of(provider, fields))
            return found[0] is not None

        if not await self.access.logins.check_owner(check, address):
            raise Unauthorized("Wrong name or password.")
        self.logging_in = True
        provider.set_login_cookie(self, found[0])
        await self._end_session()
        self.clear_viewer_cookie()
        return Caller("owner", self.access.token_user)

    async def _end_session(self) -> None:
        """Ends the viewer's session that the browser had before this login."""
        if self.caller.kind == "viewer":
            await self.access.sessions.end(self.caller.credential_id)
            self.access.watch.rights_changed()

    async def _owner_of(self, provider: Any, fields: dict[str, str]) -> Any:
        """The server's user for what was sent; None if it is wrong."""
        if self.is_json:
            # Providers read the form.
            self.request.arguments = {
                name: [value.encode(errors="replace")] for name, value in fields.items()
            }
        if type(provider) not in (PasswordIdentityProvider, IdentityProvider) or (
            not provider.auth_enabled
        ):
            return await ensure_async(provider.process_login_form(self))
        # Without the spaces around it, as the provider reads and sets it.
        password = fields.get("password", "").strip()
        knows_token = same_secret(password, provider.token)
        if type(provider) is IdentityProvider:
            # Its own fails for the right token in version 2.21.
            return provider.generate_anonymous_user(self) if knows_token else None
        if not knows_token:
            # A new password is set with the token alone. It hashes, and would hold the event loop.
            if (
                provider.hashed_password
                and not fields.get("new_password")
                and await asyncio.to_thread(provider.passwd_check, password)
            ):
                return provider.generate_anonymous_user(self)
            return None
        if fields.get("new_password"):
            return await asyncio.to_thread(provider.process_login_form, self)
        return provider.generate_anonymous_user(self)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if self.is_json or "text/html" not in self.request.headers.get("Accept", "text/html"):
            super().write_error(status_code, **kwargs)
            return
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self._show(self.error_message(status_code, kwargs.get("exc_info")))

    def _show(self, message: str = "", username: str = "") -> None:
        self.set_header("Cache-Control", "no-store")
        provider = self.settings["identity_provider"]
        # Not `get_argument`, which raises: the page may be there to say so.
        wanted = self.request.arguments.get("next", [b""])[-1]
        next_page = wanted.decode(errors="replace")
        elsewhere = self.owners_log_in_elsewhere
        self.finish(
            self.page(
                "login.html.j2",
                title="Log in",
                message=message,
                username=username,
                action=self.request.path,
                next=next_page,
                xsrf=self.xsrf_form_html(),
                server_login=f"?{urlencode({'server': 1, 'next': next_page})}" if elsewhere else "",
                may_set_password=bool(
                    not elsewhere
                    and getattr(provider, "allow_password_change", False)
                    and getattr(provider, "token", "")
                ),
            )
        )


class LogoutHandler(_LoginPage):
    """`/logout`: a POST logs out; a GET asks for it, since a link on another site can make a browser send that."""

    @allow_unauthenticated
    async def get(self) -> None:
        if self.caller.kind not in ("owner", "viewer"):
            self.redirect(self._login_url())
            return
        self.set_header("Cache-Control", "no-store")
        self.finish(
            self.page(
                "logout.html.j2",
                title="Log out",
                action=self.request.path,
                xsrf=self.xsrf_form_html(),
                # The form's own button is enough.
                xsrf_field=None,
                crumbs=self.way_back,
            )
        )

    head = get

    @allow_unauthenticated
    async def post(self) -> None:
        caller, fields = self.caller, self.fields()
        if caller.kind == "viewer":
            if fields.get("everywhere"):
                await self.access.sessions.end_all(caller.name)
            else:
                await self.access.sessions.end(caller.credential_id)
            self.access.watch.rights_changed()
        self.clear_viewer_cookie()
        self.settings["identity_provider"].clear_login_cookie(self)
        if caller is not NOBODY:
            self.audit("logout")
        if caller.kind == "owner" and provider_logout(self.settings["identity_provider"]):
            # Its cookies are its own business.
            self.answer(url_path_join(self.base_url, PROVIDER_LOGOUT))
            return
        self.answer(self._login_url())

    def _login_url(self) -> str:
        return url_path_join(self.base_url, "login")
