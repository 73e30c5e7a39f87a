"""Every route by every kind of caller. Generated from the table of routes: a new route without a request here fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_markdown_cell

from jupyter_dashboards_api.access.scopes import grants
from jupyter_dashboards_api.handlers.permissions import Audience, Permission
from jupyter_dashboards_api.handlers.routes import ROUTES
from tests.conftest import Fetch, Write
from tests.notebooks.archives import FORM, form

from .callers import NAMES, RULES, SHARED, Callers

NOTEBOOK = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
QUERY = f"?path={SHARED}"


@dataclass(frozen=True)
class Asked:
    """A request, and the status that a caller gets who may send it."""

    path: str
    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


def upload() -> Asked:
    return Asked("/_api/notebooks/new", 201, form(("a.ipynb", NOTEBOOK)), tuple(FORM.items()))


def link(kind: str, token: str) -> dict[str, Asked]:
    page = Asked(f"/{kind}/{token}", 200)
    return {
        f"GET /{kind}/{{token}}[.json]": page,
        f"HEAD /{kind}/{{token}}[.json]": page,
        # There is no password that is right.
        f"POST /{kind}/{{token}}[.json]": Asked(f"/{kind}/{token}", 401, {"password": "?"}),
        f"GET /{kind}/{{token}}/~/{{file_token}}/FILE": Asked(f"/{kind}/{token}/~/x/y", 404),
        f"HEAD /{kind}/{{token}}/~/{{file_token}}/FILE": Asked(f"/{kind}/{token}/~/x/y", 404),
    }


def commands() -> dict[str, Asked]:
    api = "/api/v1.2"
    parts = (
        "results",
        "status_with_results",
        "logs",
        "stream",
        "error_logs",
        "file",
        "jobs",
        "notebook",
        "notifications",
    )
    return {
        f"GET {api}/commands": Asked(f"{api}/commands/", 200),
        # Far from a run, but past the permission.
        f"PUT {api}/jupyter_notebooks/contents/PATH": Asked(
            f"{api}/jupyter_notebooks/contents/a.ipynb", 422, {}
        ),
        f"POST {api}/commands": Asked(f"{api}/commands", 422, {"command_type": "SparkCommand"}),
        f"GET {api}/commands/{{command_id}}": Asked("/api/latest/commands/999/", 404),
        f"PUT {api}/commands/{{command_id}}": Asked(f"{api}/commands/999", 404, {}),
        f"DELETE {api}/commands/{{command_id}}": Asked(f"{api}/commands/999", 404),
        f"POST {api}/commands/{{command_id}}/rerun": Asked(f"{api}/commands/999/rerun", 404, {}),
        **{
            f"GET {api}/commands/{{command_id}}/{part}": Asked(f"{api}/commands/999/{part}", 404)
            for part in parts
        },
        f"POST {api}/commands/{{command_id}}/notifications/{{notification_id}}/retry": Asked(
            f"{api}/commands/999/notifications/1/retry", 404
        ),
        f"GET {api}/labels": Asked(f"{api}/labels", 200),
        **scheduler(),
        f"GET {api}/notebooks": Asked(f"{api}/notebooks{QUERY}", 200),
        f"GET {api}/notebook_dashboard": Asked(f"{api}/notebook_dashboard{QUERY}", 200),
        f"GET {api}/notebooks/{{notebook_id}}/parameters": Asked(
            f"{api}/notebooks/999/parameters", 404
        ),
        **{
            f"{method} {api}[/PATH]": Asked(f"{api}/nothing/", 404)
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        },
    }


def scheduler() -> dict[str, Asked]:
    api = "/api/v1.2"
    one = f"{api}/scheduler/{{schedule_id}}"
    instance = f"{one}/instances/{{command_id}}"
    return {
        f"GET {api}/scheduler": Asked(f"{api}/scheduler/", 200),
        # Far from a schedule, but past the permission.
        f"POST {api}/scheduler": Asked(f"{api}/scheduler", 422, {}),
        f"GET {api}/scheduler/preview": Asked(f"{api}/scheduler/preview?frequency=1", 200),
        f"POST {api}/scheduler/preview": Asked(f"{api}/scheduler/preview", 200, {"frequency": 1}),
        **{
            f"{method} {pattern}": Asked(
                pattern.replace("{schedule_id}", "999")
                .replace("{command_id}", "999")
                .replace("{sequence}", "1"),
                404,
                {} if method != "GET" else None,
            )
            for method, pattern in (
                ("GET", one),
                ("PUT", one),
                ("GET", f"{one}/preview"),
                ("POST", f"{one}/duplicate"),
                ("PUT", f"{one}/duplicate"),
                ("PUT", f"{one}/owner"),
                ("POST", f"{one}/run"),
                ("GET", f"{one}/actions"),
                ("GET", f"{one}/actions/{{sequence}}"),
                ("GET", f"{one}/notifications"),
                ("GET", f"{one}/instances"),
                ("GET", instance),
                ("GET", f"{instance}/logs"),
                ("GET", f"{instance}/results"),
                ("POST", f"{instance}/rerun"),
            )
        },
        f"GET {api}/actions": Asked("/api/latest/actions", 200),
        f"GET {api}/actions/{{action_id}}": Asked(f"{api}/actions/999/", 404),
        f"PUT {api}/actions/{{action_id}}/kill": Asked(f"{api}/actions/999/kill", 404),
        f"POST {api}/actions/{{action_id}}/rerun": Asked(f"{api}/actions/999/rerun", 404),
        f"POST {api}/notifications/{{notification_id}}/retry": Asked(
            f"{api}/notifications/999/retry", 404
        ),
    }


def notebooks() -> dict[str, Asked]:
    api, no_id = "/_notebooks/notebooks", "603d4b06-be33-41bd-b610-34b41df9653a"
    return {
        f"POST {api}": Asked(f"{api}/", 200),
        f"DELETE {api}": Asked(api, 400),
        f"PUT {api}": Asked(f"{api}/", 400),
        f"GET {api}/{{notebook_id}}": Asked(f"{api}/{no_id}", 400),
        f"PUT {api}/{{notebook_id}}": Asked(f"{api}/{no_id}", 400, {}),
        f"GET {api}/_all": Asked(f"{api}/_all", 200),
        f"GET {api}/_count": Asked(f"{api}/_count/", 200),
        f"GET {api}/_run": Asked(f"{api}/_run", 400),
        f"POST {api}/_run": Asked(f"{api}/_run", 400, {}),
        **{
            f"{method} /_notebooks[/PATH]": Asked("/_notebooks/nothing", 404)
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        },
        # Without a body a GET changes nothing.
        **{
            f"GET {api}/{name}": Asked(f"{api}/{name}", 405)
            for name in ("_schedule", "_unschedule")
        },
        **{
            f"POST {api}/{name}": Asked(f"{api}/{name}", 400, {})
            for name in ("_schedule", "_unschedule")
        },
    }


def requests(token: str) -> dict[str, Asked]:
    """What is asked of each route. 404 where what is named is not there, which only the permitted are told."""
    static = Asked("/static/dashboards/nothing.js", 404)
    extension = Asked("/static/dashboards/labextensions/nothing/static/x.js", 404)
    page, plain = Asked("/dashboards/sales/board", 200), Asked("/dashboards-plain/sales/board", 200)
    image = Asked(f"/_api/images/none.png{QUERY}", 404)
    return {
        "GET /dashboards[/PATH]": page,
        "HEAD /dashboards[/PATH]": page,
        "GET /dashboards-plain[/PATH]": plain,
        "HEAD /dashboards-plain[/PATH]": plain,
        "GET /_api/images/NAME": image,
        "HEAD /_api/images/NAME": image,
        "POST /_api/notebooks/PATH": upload(),
        "DELETE /_api/notebooks/PATH": Asked("/_api/notebooks/nothing", 400),
        "DELETE /_api/cache[/PATH]": Asked("/_api/cache", 200),
        # Far from a kernel's start, but past the permission.
        "POST /_api/kernels": Asked(
            "/_api/kernels", 400, {"path": SHARED, "session_id": "not an id"}
        ),
        "GET /_api/kernels/{kernel_id}": Asked("/_api/kernels/none", 404),
        "DELETE /_api/kernels/{kernel_id}": Asked("/_api/kernels/none", 404),
        "GET /_api/kernels/{kernel_id}/channels": Asked(
            "/_api/kernels/none/channels", 404, None, (("Upgrade", "websocket"),)
        ),
        # No websocket is asked for.
        "GET /_api/refresh[/PATH]": Asked(f"/_api/refresh/{SHARED}", 400),
        "GET /_api/results[/PATH]": Asked(f"/_api/results/{SHARED}", 200),
        # Only pages with a token have one to renew.
        "POST /_api/page_token": Asked("/_api/page_token", 400),
        "GET /_api/sharing": Asked(f"/_api/sharing{QUERY}", 200),
        "PATCH /_api/sharing": Asked(f"/_api/sharing{QUERY}", 200, {"enabled": True}),
        "POST /_api/sharing/refresh": Asked(f"/_api/sharing/refresh{QUERY}", 200, {}),
        "POST /_api/sharing/passwords": Asked(
            f"/_api/sharing/passwords{QUERY}", 201, {"password_required": True}
        ),
        "DELETE /_api/sharing/passwords/{id}": Asked(f"/_api/sharing/passwords/99{QUERY}", 404),
        "GET /_api/activity": Asked("/_api/activity", 200),
        "GET /api/personal_api_keys": Asked("/api/personal_api_keys/", 200),
        "POST /api/personal_api_keys": Asked(
            "/api/personal_api_keys", 201, {"label": "new", "scopes": ["*"]}
        ),
        "GET /api/personal_api_keys/{id}": Asked("/api/personal_api_keys/none", 404),
        "PATCH /api/personal_api_keys/{id}": Asked("/api/personal_api_keys/none", 404, {}),
        "DELETE /api/personal_api_keys/{id}": Asked("/api/personal_api_keys/none/", 404),
        **commands(),
        **notebooks(),
        "GET /_api/openapi.json": Asked("/_api/openapi.json", 200),
        "GET /_api/labextensions": Asked("/_api/labextensions", 200),
        "GET /static/dashboards/labextensions/PATH": extension,
        "HEAD /static/dashboards/labextensions/PATH": extension,
        "GET /static/dashboards/PATH": static,
        "HEAD /static/dashboards/PATH": static,
        "POST /login": Asked("/login", 401, {"username": "x", "password": "wrong"}),
        **link("shared", token),
        **link("embedded", token),
    }


# Their answers depend on who is logged in, and are tested in test_login.py.
BY_WHO = {"GET /login", "HEAD /login", "GET /logout", "HEAD /logout", "POST /logout"}

NAMED_SCOPES = {
    "key without scope": {"notebook:read"},
    "key to view": {"dashboard:read"},
    "key to do everything": {"*"},
}

# What the access rules open, of the paths that are asked for here.
RIGHTLESS = {
    "GET /_api/images/NAME",
    "HEAD /_api/images/NAME",
    "POST /_api/kernels",
    "GET /_api/refresh[/PATH]",
    "GET /_api/results[/PATH]",
}


def expected(name: str, route: str, permission: Permission, asked: Asked) -> int:
    """The status that this caller must get, by the rules of access alone."""
    audience = permission.audience
    is_page = route.partition(" ")[2].startswith("/dashboards")
    if audience is Audience.EVERYBODY:
        return asked.status
    if name in ("nobody", "wrong token"):
        return 302 if is_page else 401
    if name in NAMED_SCOPES:
        may = grants(NAMED_SCOPES[name], permission.scope) and audience is not Audience.NO_KEYS
        return asked.status if may else 403
    if name.startswith("owner"):
        return asked.status
    if audience not in (Audience.BY_PATH, Audience.VIEWERS):
        return 403
    if name == "viewer without right" and (is_page or route in RIGHTLESS):
        return 404
    if name == "share link" and route == "POST /_api/page_token":
        return 200
    return asked.status


@pytest.fixture
def extension_config(tmp_path: Path) -> dict[str, Any]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    return {"AccessRules": {"file": str(rules)}, "AccessManager": {"max_keys": 1000}}


@pytest.fixture
def callers(fetch: Fetch, dashboards: Any, write_notebook: Write) -> Callers:
    write_notebook(SHARED, new_markdown_cell("# Board"))
    return Callers(fetch, dashboards)


def table() -> list[tuple[str, Permission]]:
    return [
        (f"{method} {route.template}", permission)
        for route in ROUTES
        for method, permission in route.permissions.items()
    ]


def test_every_method_of_every_route_has_a_request_here() -> None:
    assert {name for name, _ in table()} == requests("x").keys() | BY_WHO


@pytest.mark.parametrize("name", NAMES)
async def test_each_caller_gets_what_the_table_says(name: str, callers: Callers) -> None:
    wrong = []
    for route, permission in table():
        if route in BY_WHO:
            continue
        asked = requests(await callers.share(password_required=False))[route]
        client = await callers.by_name(name)
        method = route.partition(" ")[0]
        response = await client.send(method, asked.path, asked.body, headers=dict(asked.headers))
        status = expected(name, route, permission, asked)
        if response.code != status:
            wrong.append((route, response.code, status, response.body[:100]))
        assert b"Traceback" not in response.body
        assert b"XSRF" not in response.body
    assert wrong == []


@pytest.mark.parametrize("name", ["viewer", "owner cookie"])
async def test_what_a_browser_sends_by_itself_changes_nothing_without_the_xsrf_field(
    name: str, callers: Callers
) -> None:
    client = await callers.by_name(name)
    asked_for = requests(await callers.share(password_required=False))
    checked = 0
    for route, permission in table():
        method = route.partition(" ")[0]
        if (
            method in ("GET", "HEAD")
            or route in BY_WHO
            or permission.audience is Audience.EVERYBODY
        ):
            continue
        asked = asked_for[route]
        # Not JSON: another site's form can't send that without leave.
        headers = {"Content-Type": "text/plain", "Origin": "https://elsewhere.example"}
        body = json.dumps(asked.body) if isinstance(asked.body, dict) else asked.body
        response = await client.send(method, asked.path, body, headers=headers, forged=True)
        assert response.code in (403, 404), (route, response.code)
        checked += 1
    assert checked > 8


@pytest.mark.parametrize(
    "form_of",
    [
        lambda token: {"Authorization": f"token {token}"},
        lambda token: {"Authorization": f"Bearer {token}"},
        lambda token: {"Authorization": f"Basic {token}"},
        lambda token: {"X-AUTH-TOKEN": token},
        lambda token: {"X-AUTH-TOKEN": token, "Authorization": "Basic Zm9yOnRoZSBwcm94eQ=="},
        lambda token: {"Authorization": f"Basic {basic('user', token)}"},
        lambda token: {"Authorization": f"Basic {basic('', token)}"},
    ],
    ids=["token", "Bearer", "Basic", "X-AUTH-TOKEN", "beside a proxy's", "user:T", ":T"],
)
async def test_the_token_counts_in_every_form_and_never_becomes_a_cookie(
    callers: Callers, form_of: Callable[[str], dict[str, str]]
) -> None:
    for path in ("/dashboards/sales/board", "/_api/labextensions", "/api/personal_api_keys"):
        response = await callers.nobody().send("GET", path, headers=form_of(callers.token))
        assert response.code == 200
        cookies = response.headers.get_list("Set-Cookie")
        assert not [cookie for cookie in cookies if not cookie.startswith("_xsrf=")]
        refused = await callers.nobody().send("GET", path, headers=form_of("wrong"))
        assert refused.code in (302, 401)
    # From anywhere, and without the XSRF field.
    response = await callers.nobody().send(
        "DELETE",
        "/_api/cache",
        headers={**form_of(callers.token), "Origin": "https://elsewhere.example"},
    )
    assert response.code == 200


async def test_callers_with_the_token_are_one_person_with_a_stable_name(callers: Callers) -> None:
    name = callers.app.access.token_user
    for client in (callers.owner(), callers.owner(), await callers.owner_cookie()):
        body = {"label": "k", "scopes": ["*"]}
        response = await client.send("POST", "/api/personal_api_keys", body)
        assert json.loads(response.body)["user_id"] == name


async def test_a_missing_or_wrong_credential_is_401_in_each_api_s_own_shape(
    callers: Callers,
) -> None:
    for client in (callers.nobody(), callers.bearer("wrong"), callers.bearer("jda_wrong")):
        for method, path in (("POST", "/_api/kernels"), ("DELETE", "/_api/cache")):
            response = await client.send(method, path)
            assert response.code == 401
            assert json.loads(response.body).keys() == {"message", "status"}
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        response = await client.send("POST", "/api/personal_api_keys", {})
        assert response.code == 401
        body = json.loads(response.body)
        assert body["type"] == "authentication_error"
        assert body["attr"] is None
        sent = bool(client.headers)
        assert body["code"] == ("authentication_failed" if sent else "not_authenticated")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def basic(user: str, token: str) -> str:
    import base64

    return base64.b64encode(f"{user}:{token}".encode()).decode()
