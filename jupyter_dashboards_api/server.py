"""The standalone server of `jupyter dashboards`: a Jupyter server that offers dashboards and nothing else.

Its defaults are traits of a `ServerApp` subclass, not `serverapp_config`: that would win over the command line and the
configuration files (jupyter_server 2.21).
"""

from __future__ import annotations

from jupyter_server.serverapp import ServerApp
from traitlets import default


class DashboardsServerApp(ServerApp):
    """A server without the REST routes of contents, kernels, sessions and terminals, for owners too."""

    # The name stays `jupyter-server`: it decides the configuration file, and `jupyter server password` writes there.
    description = "Serves the notebooks of a folder as live dashboards."

    # The managers of contents and kernels exist all the same; only their routes are not there.
    default_services = ("auth", "security", "events")  # type: ignore[assignment]

    port_default_value = 8866

    def init_configurables(self) -> None:
        """Makes the managers; none of them brings a route."""
        super().init_configurables()
        # A contents manager's own routes, `/files`, would hand out the notebooks with their sources.
        self.contents_manager.get_extra_handlers = list  # type: ignore[method-assign]
        provider = self.identity_provider
        names = [cls.__name__ for cls in type(provider).__mro__]
        if provider.has_trait("allow_password_change") and not any(
            "allow_password_change" in self.config[name] for name in names if name in self.config
        ):
            # Whoever got the token to see dashboards could set a password with it, which is written into the
            # configuration that every Jupyter server of this account reads, those with a terminal too.
            provider.set_trait("allow_password_change", False)

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
