"""The standalone server of `jupyter dashboards`: a Jupyter server that offers dashboards and nothing else.

Its defaults are traits of a `ServerApp` subclass, not `serverapp_config`: that would win over the command line and the
configuration files (jupyter_server 2.21).
"""

from __future__ import annotations

from jupyter_server.auth.identity import User
from jupyter_server.serverapp import ServerApp
from tornado.web import RequestHandler
from traitlets import default

from .commands.wire import MAX_BODY_BYTES


class DashboardsServerApp(ServerApp):
    """A server without the REST routes of contents, kernels, sessions and terminals, for owners too."""

    # The name stays `jupyter-server`: it decides the configuration file, and `jupyter server password` writes there.
    description = "Serves the notebooks of a folder as live dashboards."

    # The managers of contents and kernels exist all the same; only their routes are not there. Nor are those of events,
    # which would tell whoever listens what everybody opens.
    default_services = ("auth", "security")  # type: ignore[assignment]

    port_default_value = 8866

    def init_configurables(self) -> None:
        """Makes the managers; none of them brings a route."""
        super().init_configurables()
        # A contents manager's own routes, `/files`, would hand out the notebooks with their sources.
        self.contents_manager.get_extra_handlers = list  # type: ignore[method-assign]
        self._guard_login()

    def _guard_login(self) -> None:
        """Sees to it that a token with which one may look at dashboards is worth no more than that."""
        provider = self.identity_provider
        names = [cls.__name__ for cls in type(provider).__mro__]
        if provider.has_trait("allow_password_change") and not any(
            "allow_password_change" in self.config[name] for name in names if name in self.config
        ):
            # The login form could set a password with it, written into the configuration that every Jupyter server
            # of this account reads, those with a terminal too.
            provider.set_trait("allow_password_change", False)
        if not provider.cookie_options:
            provider.cookie_options = {"samesite": "Lax"}
        set_login_cookie = provider.set_login_cookie

        def unless_by_header(handler: RequestHandler, user: User) -> None:
            # A proxy that adds the token would give each viewer the cookie of an owner, on the first route that is
            # not this project's own (there, see handlers/base.py).
            if "Authorization" not in handler.request.headers:
                set_login_cookie(handler, user)

        provider.set_login_cookie = unless_by_header  # type: ignore[method-assign]

    @default("max_body_size")
    def _default_max_body_size(self) -> int:
        # A body is read before it is known who sends it. Uploads have a limit of their own, and are asked for first. What
        # is beyond this one ends the connection without an answer, so it is more than any other route takes.
        return 2 * MAX_BODY_BYTES

    @default("default_url")
    def _default_default_url(self) -> str:
        return "/dashboards"

    @default("open_browser")
    def _default_open_browser(self) -> bool:
        return True

    @default("reraise_server_extension_failures")
    def _default_reraise_server_extension_failures(self) -> bool:
        # A server whose one extension failed to load would look alive and serve nothing.
        return True

    @default("allow_unauthenticated_access")
    def _default_allow_unauthenticated_access(self) -> bool:
        return False
