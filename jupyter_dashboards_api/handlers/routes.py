"""Every route of this project, and the permission that each of its methods needs. There is no other list.

The documentation's table of routes is made from this one; tests walk it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tornado.web import RequestHandler

from .base import PUBLIC, READ, WRITE, Permission
from .kernels import KernelChannelsHandler, KernelHandler, KernelsHandler
from .pages import CacheHandler, DashboardHandler, ImageHandler
from .static import LabExtensionFileHandler, LabExtensionsHandler, StaticHandler
from .uploads import NotebookHandler

_KERNEL_ID = r"(?P<kernel_id>[0-9A-Za-z_.-]+)"
_PATH = r"(?P<path>(?:/.*)?)"


@dataclass(frozen=True)
class Route:
    """A URL pattern below the server's base URL, what answers it, and who may ask."""

    pattern: str
    handler: type[RequestHandler]
    permissions: Mapping[str, Permission]
    summary: str
    options: Mapping[str, Any] | None = None

    @property
    def template(self) -> str:
        """The pattern as a person writes it, such as `/_api/kernels/{kernel_id}`."""
        text = self.pattern
        for group, name in (
            (_KERNEL_ID, "{kernel_id}"),
            (_PATH, "[/PATH]"),
            (r"/(?P<path>.*)", "/PATH"),
            (r"/(?P<name>[^/]+)", "/NAME"),
        ):
            text = text.replace(group, name)
        return text


ROUTES: tuple[Route, ...] = (
    Route(
        rf"/dashboards{_PATH}",
        DashboardHandler,
        {"GET": READ, "HEAD": READ},
        "A dashboard, the listing of a folder, or a resource beside a dashboard.",
        {"plain": False},
    ),
    Route(
        rf"/dashboards-plain{_PATH}",
        DashboardHandler,
        {"GET": READ, "HEAD": READ},
        "The same without the bar at the top, made for frames.",
        {"plain": True},
    ),
    Route(
        r"/_api/images/(?P<name>[^/]+)",
        ImageHandler,
        {"GET": READ, "HEAD": READ},
        "An image of a dashboard's stored outputs, named by its content.",
    ),
    Route(
        r"/_api/notebooks/(?P<path>.*)",
        NotebookHandler,
        {"POST": WRITE, "DELETE": WRITE},
        "Upload a notebook or a zip bundle; delete a dashboard.",
    ),
    Route(
        rf"/_api/cache{_PATH}",
        CacheHandler,
        {"DELETE": WRITE},
        "Forget rendered dashboards.",
    ),
    Route(
        r"/_api/kernels",
        KernelsHandler,
        {"POST": READ},
        "Start a dashboard's kernel.",
    ),
    Route(
        rf"/_api/kernels/{_KERNEL_ID}",
        KernelHandler,
        {"GET": READ, "DELETE": READ},
        "A kernel that the caller started: its state, its end.",
    ),
    Route(
        rf"/_api/kernels/{_KERNEL_ID}/channels",
        KernelChannelsHandler,
        {"GET": READ},
        "The websocket to a kernel that the caller started; runs the notebook's own cells only.",
    ),
    Route(
        r"/_api/labextensions",
        LabExtensionsHandler,
        {"GET": READ},
        "The prebuilt JupyterLab extensions whose widgets and renderers a page can load.",
    ),
    Route(
        r"/static/dashboards/labextensions/(?P<path>.*)",
        LabExtensionFileHandler,
        {"GET": PUBLIC, "HEAD": PUBLIC},
        "A file of an installed prebuilt JupyterLab extension.",
    ),
    Route(
        r"/static/dashboards/(?P<path>.*)",
        StaticHandler,
        {"GET": PUBLIC, "HEAD": PUBLIC},
        "A file of this project's built frontend.",
    ),
)


def tornado_handlers() -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The routes as an extension hands them to the server."""
    return [
        (
            route.pattern,
            route.handler,
            {"permissions": route.permissions, **(route.options or {})},
        )
        for route in ROUTES
    ]
