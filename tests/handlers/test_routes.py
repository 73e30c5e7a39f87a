"""The one table of routes: it names all that the extension answers, and every method that is answered."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from jupyter_server.base.handlers import RedirectWithParams
from tornado.web import RequestHandler

from jupyter_dashboards_api.handlers.base import DashboardsHandlerMixin
from jupyter_dashboards_api.handlers.permissions import Audience
from jupyter_dashboards_api.handlers.routes import ROUTES, Route, tornado_handlers
from tests.conftest import Fetch, Write

# APIHandler's answer to a browser that asks before it sends; our table doesn't permit it.
_UPSTREAM = {"OPTIONS"}


def implemented(handler: type[RequestHandler]) -> set[str]:
    """The HTTP methods that a handler class answers otherwise than with tornado's own 405."""
    return {
        method
        for method in RequestHandler.SUPPORTED_METHODS
        if getattr(handler, method.lower()) is not getattr(RequestHandler, method.lower())
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
def test_each_method_that_a_handler_answers_has_a_permission_and_the_other_way_round(
    route: Route,
) -> None:
    assert implemented(route.handler) - _UPSTREAM == set(route.permissions)
    assert issubclass(route.handler, DashboardsHandlerMixin)
    assert route.summary.endswith(".")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
def test_each_method_says_to_the_server_whether_it_needs_a_login(route: Route) -> None:
    for method, permission in route.permissions.items():
        function = getattr(route.handler, method.lower())
        if permission.audience in (Audience.EVERYBODY, Audience.BY_PATH):
            # The handler itself asks, once it knows the path.
            assert getattr(function, "__allow_unauthenticated", False)
        else:
            assert not getattr(function, "__allow_unauthenticated", False)
            # `web.authenticated` and `ws_authenticated` wrap.
            assert inspect.unwrap(function) is not function


def of_audience(*audiences: Audience) -> set[str]:
    return {
        f"{method} {route.template}"
        for route in ROUTES
        for method, permission in route.permissions.items()
        if permission.audience in audiences and method != "HEAD"
    }


def test_only_static_files_logins_links_and_the_description_are_open_to_everybody() -> None:
    assert of_audience(Audience.EVERYBODY) == {
        "GET /static/dashboards/labextensions/PATH",
        "GET /static/dashboards/PATH",
        "GET /_api/openapi.json",
        *(f"{method} /{page}" for method in ("GET", "POST") for page in ("login", "logout")),
        *(
            f"{m} /{kind}/{{token}}[.json]"
            for m in ("GET", "POST")
            for kind in ("shared", "embedded")
        ),
        *(f"GET /{kind}/{{token}}/~/{{file_token}}/FILE" for kind in ("shared", "embedded")),
    }


def test_viewers_reach_pages_and_the_kernel_proxy_and_nothing_else() -> None:
    assert of_audience(Audience.BY_PATH, Audience.VIEWERS) == {
        "GET /dashboards[/PATH]",
        "GET /dashboards-plain[/PATH]",
        "GET /_api/images/NAME",
        "POST /_api/kernels",
        "GET /_api/kernels/{kernel_id}",
        "DELETE /_api/kernels/{kernel_id}",
        "GET /_api/kernels/{kernel_id}/channels",
        "GET /_api/labextensions",
        "GET /_api/refresh[/PATH]",
        "GET /_api/results[/PATH]",
        "POST /_api/page_token",
    }


async def test_the_table_is_all_that_the_extension_answers(jp_serverapp: Any) -> None:
    ours = [
        (rule.matcher.regex.pattern, rule.target)
        for group in jp_serverapp.web_app.default_router.rules
        for rule in getattr(group.target, "rules", ())
        if isinstance(rule.target, type)
        and rule.target.__module__.startswith("jupyter_dashboards_api")
    ]
    assert [(p, t) for p, t in ours if not issubclass(t, RedirectWithParams)] == [
        (f"{re.escape('/a%40b')}{route.pattern}$".replace(r"\%", "%"), route.handler)
        for route in ROUTES
    ]
    assert len(tornado_handlers()) == len(ROUTES)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/dashboards", {"GET", "HEAD"}),
        ("/dashboards-plain/a", {"GET", "HEAD"}),
        ("/_api/images/x.png", {"GET", "HEAD"}),
        ("/_api/cache", {"DELETE"}),
        ("/_api/kernels", {"POST"}),
        ("/_api/labextensions", {"GET"}),
        ("/_api/refresh/a.ipynb", {"GET"}),
        ("/_api/results/a.ipynb", {"GET"}),
        ("/_api/page_token", {"POST"}),
        ("/_api/sharing?path=a", {"GET", "PATCH"}),
        ("/_api/sharing/refresh?path=a", {"POST"}),
        ("/_api/sharing/passwords?path=a", {"POST"}),
        ("/_api/sharing/passwords/1?path=a", {"DELETE"}),
        ("/_api/activity", {"GET"}),
        ("/api/personal_api_keys/", {"GET", "POST"}),
        ("/api/personal_api_keys/x", {"GET", "PATCH", "DELETE"}),
        ("/api/v1.2/commands", {"GET", "POST"}),
        ("/api/latest/commands/1/", {"DELETE", "GET", "PUT"}),
        ("/api/v1.2/commands/1/rerun/", {"POST"}),
        ("/api/v1.2/commands/1/results", {"GET"}),
        ("/api/v1.2/commands/1/logs/", {"GET"}),
        ("/api/v1.2/commands/1/stream", {"GET"}),
        ("/api/v1.2/commands/1/file", {"GET"}),
        ("/api/v1.2/commands/1/notifications", {"GET"}),
        ("/api/v1.2/commands/1/notifications/1/retry", {"POST"}),
        ("/api/v1.2/labels", {"GET"}),
        ("/api/v1.2/jupyter_notebooks/contents/a.ipynb", {"PUT"}),
        ("/api/v1.2/scheduler", {"GET", "POST"}),
        ("/api/latest/scheduler/1/", {"GET", "PUT"}),
        ("/api/v1.2/scheduler/preview", {"GET", "POST"}),
        ("/api/v1.2/scheduler/1/duplicate", {"POST", "PUT"}),
        ("/api/v1.2/scheduler/1/owner", {"PUT"}),
        ("/api/v1.2/scheduler/1/run", {"POST"}),
        ("/api/v1.2/scheduler/1/actions/1", {"GET"}),
        ("/api/v1.2/scheduler/1/instances/1/rerun", {"POST"}),
        ("/api/v1.2/actions", {"GET"}),
        ("/api/v1.2/actions/1/kill", {"PUT"}),
        ("/api/v1.2/actions/1/rerun/", {"POST"}),
        ("/api/v1.2/scheduler/1/notifications", {"GET"}),
        ("/api/v1.2/notifications/1/retry", {"POST"}),
        ("/api/v1.2/notebooks?path=a", {"GET"}),
        ("/api/v1.2/notebooks/1/parameters", {"GET"}),
        ("/api/latest/notebook_dashboard?path=a", {"GET"}),
        ("/api/v1.2/nothing", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("/_notebooks/notebooks/", {"POST", "PUT", "DELETE"}),
        ("/_notebooks/notebooks/_all", {"GET"}),
        ("/_notebooks/notebooks/_count", {"GET"}),
        ("/_notebooks/notebooks/_run", {"GET", "POST"}),
        ("/_notebooks/notebooks/_unschedule/", {"GET", "POST"}),
        ("/_notebooks/notebooks/x", {"GET", "PUT"}),
        ("/_notebooks/x", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("/shared/x", {"GET", "HEAD", "POST"}),
        ("/embedded/x.json", {"GET", "HEAD", "POST"}),
        ("/shared/x/~/y/z", {"GET", "HEAD"}),
        ("/login", {"GET", "HEAD", "POST"}),
        ("/logout", {"GET", "HEAD", "POST"}),
        ("/static/dashboards/x.js", {"GET", "HEAD"}),
        ("/static/dashboards/labextensions/x/static/x.js", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_the_table_does_not_name_is_405(
    fetch: Fetch, path: str, allowed: set[str]
) -> None:
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - allowed:
        body = "{}" if method in ("POST", "PUT", "PATCH") else None
        response = await fetch(path, method=method, body=body)
        assert response.code == 405, method


async def test_paths_that_only_begin_like_a_route_are_not_ours(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb")
    for path in (
        "/dashboardsx",
        "/dashboards-plainx/a",
        "/dashboards.ipynb",
        "/_api",
        "/_api/cachex",
        "/_api/images",
        "/x/dashboards/a",
        "/_api/kernels/a/b/channels",
    ):
        assert (await fetch(path)).code == 404, path
