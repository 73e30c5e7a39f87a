"""Every route of this project, and the permission that each of its methods needs. There is no other list.

The documentation's table of routes is made from this one; tests walk it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tornado.web import RequestHandler

from .activity import ActivityHandler
from .command_notifications import (
    CommandNotificationRetryHandler,
    CommandNotificationsHandler,
)
from .command_stream import CommandStreamHandler
from .commands import (
    CommandErrorLogsHandler,
    CommandFileHandler,
    CommandHandler,
    CommandJobsHandler,
    CommandLogsHandler,
    CommandNotebookHandler,
    CommandRerunHandler,
    CommandResultsHandler,
    CommandsHandler,
    CommandStatusResultsHandler,
)
from .commands_elsewhere import CommandsElsewhereHandler
from .kernels import KernelChannelsHandler, KernelHandler, KernelsHandler
from .keys import KeyHandler, KeysHandler
from .labels import LabelsHandler
from .login import LoginHandler, LogoutHandler
from .notebook_contents import NotebookContentsHandler
from .notebook_lookup import (
    DashboardLookupHandler,
    NotebookLookupHandler,
    NotebookParametersHandler,
)
from .notebooks import (
    NotebookRecordHandler,
    NotebookRunHandler,
    NotebookScheduleHandler,
    NotebooksCountHandler,
    NotebooksElsewhereHandler,
    NotebooksHandler,
    NotebooksListHandler,
    NotebookUnscheduleHandler,
)
from .openapi import OpenAPIHandler, describe
from .page_tokens import PageTokenHandler
from .pages import CacheHandler, DashboardHandler, ImageHandler
from .permissions import MANAGE_KEYS, OPEN, PUBLIC, PUBLISH, VIEW, Permission
from .refresh import RefreshHandler, ResultsHandler
from .scheduler_routes import (
    ACTION,
    NOTIFICATION,
    SCHEDULE,
    SCHEDULE_OR_NAME,
    SCHEDULER_ROUTES,
    SEQUENCE,
)
from .shares import ShareFileHandler, SharePageHandler
from .sharing import (
    SharingHandler,
    SharingPasswordHandler,
    SharingPasswordsHandler,
    SharingRefreshHandler,
)
from .static import LabExtensionFileHandler, LabExtensionsHandler, StaticHandler
from .uploads import NotebookHandler

_KERNEL_ID = r"(?P<kernel_id>[0-9A-Za-z_.-]+)"
_PATH = r"(?P<path>(?:/.*)?)"
_TOKEN = r"(?P<token>[0-9A-Za-z_-]{1,64})"  # noqa: S105
# All that follows, such as a full stop that was copied with a link: the server's own answer would log the token.
_LINK = r"(?P<token>.+?)"
_FORM = r"(?P<form>(?:\.json)?)"
_FILE_TOKEN = r"(?P<file_token>[0-9A-Za-z_.-]+)"  # noqa: S105
_ID = r"(?P<key_id>[0-9A-Za-z_@-]+)"
_NUMBER = r"(?P<password_id>[0-9]+)"
# Both spellings of the version, each with a slash at its end or without: clients of ten years send all of them.
_API = r"/api/(?:v1\.2|latest)"
_COMMAND = r"(?P<command_id>[0-9]+)"
_NOTE = r"(?P<notebook_id>[0-9]+)"

# A sample of the notebooks API has two slashes before it.
_MORE_SLASHES = r"(?:/*)"
# Clients put any word of theirs in the version's place, or none.
_ANY_API = rf"/{_MORE_SLASHES}api/{_MORE_SLASHES}(?i:v?[0-9.]+|latest|commands|scheduler|actions|notebook_dashboard)"
_ANY_NOTEBOOKS = rf"/{_MORE_SLASHES}_notebooks"
_NOTEBOOKS = rf"{_ANY_NOTEBOOKS}/notebooks"
_ANY_ID = r"(?P<notebook_id>[^/]+)"

_SHARE = Permission("sharing_configuration:write")
READ_COMMANDS, RUN_COMMANDS = Permission("command:read"), Permission("command:write")
READ_NOTEBOOKS, WRITE_NOTEBOOKS = Permission("notebook:read"), Permission("notebook:write")


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
            (_TOKEN, "{token}"),
            (_LINK, "{token}"),
            (_FORM, "[.json]"),
            (_FILE_TOKEN, "{file_token}"),
            (r"(?P<file>.+)", "FILE"),
            (_ID, "{id}"),
            (_NUMBER, "{id}"),
            (_API, "/api/v1.2"),
            (_ANY_API, "/api/v1.2"),
            (_COMMAND, "{command_id}"),
            (_NOTE, "{notebook_id}"),
            (SCHEDULE, "{schedule_id}"),
            (SCHEDULE_OR_NAME, "{schedule_id}"),
            (SEQUENCE, "{sequence}"),
            (ACTION, "{action_id}"),
            (NOTIFICATION, "{notification_id}"),
            (_MORE_SLASHES, ""),
            (_ANY_ID, "{notebook_id}"),
            ("/?", ""),
            (r"\.", "."),
        ):
            text = text.replace(group, name)
        return text


ROUTES: tuple[Route, ...] = (
    Route(
        rf"/dashboards{_PATH}",
        DashboardHandler,
        {"GET": OPEN, "HEAD": OPEN},
        "A dashboard, the listing of a folder, or a resource beside a dashboard.",
        {"plain": False},
    ),
    Route(
        rf"/dashboards-plain{_PATH}",
        DashboardHandler,
        {"GET": OPEN, "HEAD": OPEN},
        "The same without the bar at the top, made for frames.",
        {"plain": True},
    ),
    Route(
        r"/_api/images/(?P<name>[^/]+)",
        ImageHandler,
        {"GET": OPEN, "HEAD": OPEN},
        "An image of a dashboard's stored outputs, named by its content.",
    ),
    Route(
        r"/_api/notebooks/(?P<path>.*)",
        NotebookHandler,
        {"POST": PUBLISH, "DELETE": PUBLISH},
        "Upload a notebook or a zip bundle; delete a dashboard.",
    ),
    Route(
        rf"/_api/cache{_PATH}",
        CacheHandler,
        {"DELETE": PUBLISH},
        "Forget rendered dashboards.",
    ),
    Route(
        r"/_api/kernels",
        KernelsHandler,
        {"POST": VIEW},
        "Start a dashboard's kernel.",
    ),
    Route(
        rf"/_api/kernels/{_KERNEL_ID}",
        KernelHandler,
        {"GET": VIEW, "DELETE": VIEW},
        "A kernel that the caller started: its state, its end.",
    ),
    Route(
        rf"/_api/kernels/{_KERNEL_ID}/channels",
        KernelChannelsHandler,
        {"GET": VIEW},
        "The websocket to a kernel that the caller started; runs the notebook's own cells only.",
    ),
    Route(
        rf"/_api/refresh{_PATH}",
        RefreshHandler,
        {"GET": VIEW},
        "The websocket that tells an open page of newer stored results.",
    ),
    Route(
        rf"/_api/results{_PATH}",
        ResultsHandler,
        {"GET": VIEW},
        "The stored results of a dashboard, as its page shows them first.",
    ),
    Route(
        r"/_api/page_token",
        PageTokenHandler,
        {"POST": VIEW},
        "Renew the token that a shared or public page carries.",
    ),
    Route(
        r"/_api/sharing",
        SharingHandler,
        {"GET": Permission("sharing_configuration:read"), "PATCH": _SHARE},
        "How a notebook is shared by link.",
    ),
    Route(
        r"/_api/sharing/refresh",
        SharingRefreshHandler,
        {"POST": _SHARE},
        "Give a notebook's link a new address.",
    ),
    Route(
        r"/_api/sharing/passwords",
        SharingPasswordsHandler,
        {"POST": _SHARE},
        "Add a password to a notebook's link.",
    ),
    Route(
        rf"/_api/sharing/passwords/{_NUMBER}",
        SharingPasswordHandler,
        {"DELETE": _SHARE},
        "Delete a password; who came in by it is out.",
    ),
    Route(
        r"/_api/activity",
        ActivityHandler,
        {"GET": Permission("activity_log:read")},
        "The activity log, newest first.",
    ),
    Route(
        r"/api/personal_api_keys/?",
        KeysHandler,
        {"GET": MANAGE_KEYS, "POST": MANAGE_KEYS},
        "The caller's API keys; make one.",
    ),
    Route(
        rf"/api/personal_api_keys/{_ID}/?",
        KeyHandler,
        {"GET": MANAGE_KEYS, "PATCH": MANAGE_KEYS, "DELETE": MANAGE_KEYS},
        "One API key: see it, change it, revoke it.",
    ),
    *(
        route
        for kind, what in (("shared", "A shared dashboard"), ("embedded", "The same for frames"))
        for route in (
            Route(
                rf"/{kind}/{_TOKEN}/~/{_FILE_TOKEN}/(?P<file>.+)",
                ShareFileHandler,
                {"GET": PUBLIC, "HEAD": PUBLIC},
                "A file that a shared dashboard shows.",
                {"kind": kind},
            ),
            Route(
                rf"/{kind}/{_LINK}{_FORM}/?",
                SharePageHandler,
                {"GET": PUBLIC, "HEAD": PUBLIC, "POST": PUBLIC},
                f"{what}, by its link; with POST its password.",
                {"kind": kind},
            ),
        )
    ),
    Route(
        r"/login",
        LoginHandler,
        {"GET": PUBLIC, "HEAD": PUBLIC, "POST": PUBLIC},
        "The login form, of viewers and of the server's owner.",
    ),
    Route(
        r"/logout",
        LogoutHandler,
        {"GET": PUBLIC, "HEAD": PUBLIC, "POST": PUBLIC},
        "Log out, here or everywhere.",
    ),
    Route(
        rf"{_API}/commands/?",
        CommandsHandler,
        {"GET": READ_COMMANDS, "POST": RUN_COMMANDS},
        "The history of commands; submit one.",
    ),
    Route(
        rf"{_API}/commands/{_COMMAND}/?",
        CommandHandler,
        {"GET": READ_COMMANDS, "PUT": RUN_COMMANDS, "DELETE": RUN_COMMANDS},
        "A command; cancel it; delete it when it has ended.",
    ),
    Route(
        rf"{_API}/commands/{_COMMAND}/rerun/?",
        CommandRerunHandler,
        {"POST": RUN_COMMANDS},
        "Submit a command that has ended once more.",
    ),
    *(
        Route(rf"{_API}/commands/{_COMMAND}/{part}/?", handler, {"GET": READ_COMMANDS}, summary)
        for part, handler, summary in (
            ("results", CommandResultsHandler, "What a command that is done has put out, as text."),
            (
                "status_with_results",
                CommandStatusResultsHandler,
                "The status of a command, with its results once it is done.",
            ),
            ("logs", CommandLogsHandler, "A command's log, whole or what is new in it."),
            ("stream", CommandStreamHandler, "A command's log and progress as they come."),
            ("error_logs", CommandErrorLogsHandler, "The log of a command that has failed."),
            ("jobs", CommandJobsHandler, "The jobs of a cluster that a command has run."),
            ("notebook", CommandNotebookHandler, "The notebook as a command has executed it."),
            ("file", CommandFileHandler, "The file that a conversion has made."),
            (
                "notifications",
                CommandNotificationsHandler,
                "What was told of a command's end, and what could not be.",
            ),
        )
    ),
    Route(
        rf"{_API}/commands/{_COMMAND}/notifications/{NOTIFICATION}/retry/?",
        CommandNotificationRetryHandler,
        {"POST": RUN_COMMANDS},
        "Try once more what could not be told of a command.",
    ),
    Route(
        rf"{_API}/labels/?",
        LabelsHandler,
        {"GET": READ_COMMANDS},
        "The labels that commands can have.",
    ),
    *(
        Route(rf"{_API}/{pattern}/?", handler, permissions, summary)
        for pattern, handler, permissions, summary in SCHEDULER_ROUTES
    ),
    Route(
        rf"{_API}/notebooks/?",
        NotebookLookupHandler,
        {"GET": Permission("notebook:read")},
        "The ids of the notebook at a path.",
    ),
    Route(
        rf"{_API}/notebook_dashboard/?",
        DashboardLookupHandler,
        {"GET": Permission("notebook:read")},
        "The same for its dashboard.",
    ),
    Route(
        rf"{_API}/notebooks/{_NOTE}/parameters/?",
        NotebookParametersHandler,
        {"GET": Permission("notebook:read")},
        "The parameters that a notebook declares.",
    ),
    Route(
        rf"{_API}/jupyter_notebooks/contents/(?P<path>.*)",
        NotebookContentsHandler,
        {"PUT": Permission("notebook:write")},
        "Save a notebook, a new one or in the place of another.",
    ),
    Route(
        rf"{_ANY_API}{_PATH}",
        CommandsElsewhereHandler,
        {
            **dict.fromkeys(("GET", "HEAD"), READ_COMMANDS),
            **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), RUN_COMMANDS),
        },
        "What is not there: 404, never a redirect.",
    ),
    Route(
        rf"{_NOTEBOOKS}/?",
        NotebooksHandler,
        dict.fromkeys(("POST", "DELETE", "PUT"), WRITE_NOTEBOOKS),
        "Make a notebook; delete notebooks.",
    ),
    Route(
        rf"{_NOTEBOOKS}/_all/?",
        NotebooksListHandler,
        {"GET": READ_NOTEBOOKS},
        "The notebooks that this API has made.",
    ),
    Route(
        rf"{_NOTEBOOKS}/_count/?",
        NotebooksCountHandler,
        {"GET": READ_NOTEBOOKS},
        "How many they are.",
    ),
    Route(
        rf"{_NOTEBOOKS}/_run/?",
        NotebookRunHandler,
        {"GET": RUN_COMMANDS, "POST": RUN_COMMANDS},
        "Run notebooks, and wait for them.",
    ),
    *(
        Route(
            rf"{_NOTEBOOKS}/{name}/?",
            handler,
            dict.fromkeys(("GET", "POST"), Permission("schedule:write")),
            summary,
        )
        for name, handler, summary in (
            ("_schedule", NotebookScheduleHandler, "Schedule notebooks."),
            ("_unschedule", NotebookUnscheduleHandler, "End the schedules of notebooks."),
        )
    ),
    Route(
        rf"{_NOTEBOOKS}/{_ANY_ID}/?",
        NotebookRecordHandler,
        {"GET": READ_NOTEBOOKS, "PUT": WRITE_NOTEBOOKS},
        "A notebook; rename it.",
    ),
    Route(
        rf"{_ANY_NOTEBOOKS}{_PATH}",
        NotebooksElsewhereHandler,
        {
            **dict.fromkeys(("GET", "HEAD"), READ_NOTEBOOKS),
            **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), WRITE_NOTEBOOKS),
        },
        "What is not there: 404, never a redirect.",
    ),
    Route(
        r"/_api/openapi\.json",
        OpenAPIHandler,
        {"GET": PUBLIC},
        "This table, as a description of the API for programs.",
    ),
    Route(
        r"/_api/labextensions",
        LabExtensionsHandler,
        {"GET": VIEW},
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


def tornado_handlers(
    *, own_login: bool = True
) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """The routes as an extension hands them to the server; without `own_login` the server's login stays as it is."""
    return [
        (
            route.pattern,
            route.handler,
            {
                "permissions": route.permissions,
                **(route.options or {}),
                **({"document": _document} if route.handler is OpenAPIHandler else {}),
            },
        )
        for route in ROUTES
        if own_login or route.handler not in (LoginHandler, LogoutHandler)
    ]


@functools.cache
def _document() -> dict[str, Any]:
    # Most servers are never asked for it.
    return describe(ROUTES)
