"""Live dashboards from the notebooks of a Jupyter server, for people who must not get a shell."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Where jupyter_server finds the extension."""
    # Imported here so that the build can read the version without the dependencies.
    from .app import DashboardsApp

    return [{"module": "jupyter_dashboards_api", "app": DashboardsApp}]
