"""A viewer's credential opens nothing of the server's own, nor of other extensions: on a real server with JupyterLab."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.kernels.client import Channel
from tests.visitor import Visitor

from .addresses import meaningful, simplest
from .conftest import Lab

OURS = "jupyter_dashboards_api."
REPORT = "tests.lab.route_report."

PUBLIC = {
    "jupyter_server.base.handlers.APIVersionHandler": "the version, by which clients find a server",
    "jupyter_server.base.handlers.FileFindHandler": "scripts and styles of the server's own pages",
    "jupyter_server.base.handlers.PublicStaticFileHandler": "robots.txt and favicon.ico",
}
"""Handlers that may answer nobody with 2xx. OPTIONS may too: a preflight is answered without content."""

SILENT = ("jupyterlab_server.licenses_handler.LicensesHandler",)
"""Handlers that leave callers whom they refuse without any answer (jupyterlab_server 2.28)."""

WITHOUT_LOGIN = {401, 403, 404, 405}


@dataclass(frozen=True)
class Answer:
    """What must be the same for a viewer and for nobody. No answer at all is the status 0."""

    status: int
    location: str
    body: bytes
    """Only of what succeeded: errors have the time or an id in them."""


@dataclass(frozen=True)
class Place:
    """One address of a route that isn't ours."""

    handler: str
    methods: tuple[str, ...]
    websocket: bool
    address: str


def places(lab: Lab) -> Iterator[Place]:
    """Two addresses of each route of the running server that isn't ours: of things that exist, and of none."""
    routes = lab.nobody.get("/tests/routes").json()
    others = ("board.ipynb", "/board.ipynb", lab.things["term_name"])
    for route in routes:
        if route["handler"].startswith((OURS, REPORT)):
            continue
        pattern = route["pattern"]
        for address in {meaningful(pattern, lab.things, others), simplest(pattern)}:
            first = next(each for each in routes if re.match(each["pattern"], address))
            if first["handler"].startswith(OURS):
                # Our /login and /logout stand before the server's.
                continue
            yield Place(
                route["handler"], tuple(route["methods"]) or ("GET",), route["websocket"], address
            )


def second_class(lab: Lab) -> dict[str, Visitor]:
    """Whoever may open a dashboard, and is not the owner."""
    login_cookie = next(name for name in owner_cookies(lab) if name.startswith("username-"))
    (viewer_cookie,) = (c for c in lab.vera.session.cookies if "viewer" in c.name)
    posing = lab.nobody
    posing.session.cookies.set(login_cookie, viewer_cookie.value, path="/")
    return {
        "viewer": lab.vera,
        "viewer posing as owner": posing,
        "key": with_headers(lab, {"Authorization": f"Bearer {lab.key}"}),
        "reading key": with_headers(lab, {"Authorization": f"Bearer {lab.reading_key}"}),
        "key as a token": with_headers(lab, {"Authorization": f"token {lab.key}"}),
        "key of a tool": with_headers(lab, {"X-AUTH-TOKEN": lab.key}),
        "page token": with_headers(lab, {"X-Dashboards-Page-Token": lab.page_token}),
    }


def owner_cookies(lab: Lab) -> Mapping[str, str]:
    """The cookies of an owner's browser."""
    browser = Visitor(lab.server.url)
    token = lab.owner.session.headers["Authorization"].removeprefix("Bearer ")
    assert browser.post("/login", json={"password": token}).status_code == 200
    assert browser.get("/api/contents").status_code == 200
    return dict(browser.session.cookies)


def with_headers(lab: Lab, headers: Mapping[str, str]) -> Visitor:
    visitor = lab.nobody
    visitor.session.headers.update(headers)
    return visitor


def answer(visitor: Visitor, method: str, place: Place) -> Answer:
    """The answer to a request with a body that asks for nothing."""
    silent = place.handler in SILENT
    try:
        response = visitor.ask(
            method,
            place.address,
            json=None if method in ("GET", "HEAD", "OPTIONS") else {},
            timeout=1 if silent else 60,
        )
    except requests.ReadTimeout:
        assert silent, f"{method} {place.address} was not answered"
        return Answer(0, "", b"")
    body = response.content if response.ok else b""
    return Answer(response.status_code, response.headers.get("Location", ""), body)


@pytest.mark.timeout(300)
def test_every_route_that_is_not_ours_answers_viewers_keys_and_visitors_as_it_answers_nobody(
    lab: Lab,
) -> None:
    callers = {"nobody": lab.nobody, **second_class(lab)}
    wrong, asked = [], 0
    for place in places(lab):
        if place.websocket:
            continue
        for method in place.methods:
            answers = answers_to(callers, method, place)
            asked += 1
            wrong += [
                f"{method} {place.address}: {name} gets {found}, not {answers['nobody']}"
                for name, found in answers.items()
                if found != answers["nobody"]
            ]
            if not closed(method, place, answers["nobody"]):
                wrong.append(f"{method} {place.address}: nobody gets {answers['nobody']}")
    assert not wrong, "\n".join(wrong)
    # Contents, kernels, sessions, terminals, Lab, scheduler: fewer means that the server told us of none.
    assert asked > 150


def answers_to(callers: Mapping[str, Visitor], method: str, place: Place) -> dict[str, Answer]:
    """What each caller gets; all at once where each would wait in vain."""
    with ThreadPoolExecutor(len(callers) if place.handler in SILENT else 1) as threads:
        found = threads.map(lambda visitor: answer(visitor, method, place), callers.values())
        return dict(zip(callers, found, strict=True))


def closed(method: str, place: Place, found: Answer) -> bool:
    """Whether nobody learns anything by an answer."""
    if found.status in WITHOUT_LOGIN or (found.status == 0 and place.handler in SILENT):
        return True
    if found.status in (301, 302):
        # To the login, or from one address to another that is tested as well.
        return True
    return place.handler in PUBLIC or (method == "OPTIONS" and not found.body)


def test_the_owner_gets_what_the_others_do_not(lab: Lab) -> None:
    # Without this, a server that refuses everybody would pass the test above.
    kernel, terminal = lab.kernel, lab.things["term_name"]
    for address in (
        *(
            "/api/contents",
            "/api/contents/secret.ipynb",
            "/files/secret.ipynb",
            "/view/board.ipynb",
        ),
        *("/api/kernels", f"/api/kernels/{kernel}", "/api/kernelspecs", "/api/sessions"),
        *("/api/terminals", f"/api/terminals/{terminal}", "/api/me", "/api/status", "/metrics"),
        *("/nbconvert/html/secret.ipynb", "/api/nbconvert", "/api/spec.yaml", "/lab"),
        *("/scheduler/jobs", "/scheduler/config", "/lab/api/workspaces", "/lab/api/settings"),
        *("/lsp/status", "/api/config/notebook"),
    ):
        assert lab.owner.get(address).status_code == 200, address
        assert lab.vera.get(address).status_code in (302, 403), address


async def handshake(lab: Lab, address: str, visitor: Visitor, protocols: list[str]) -> int:
    """The status that a websocket's handshake gets."""
    headers = {
        name: str(value)
        for name, value in visitor.session.headers.items()
        if name in ("Authorization", "X-AUTH-TOKEN", "X-Dashboards-Page-Token")
    }
    headers["Cookie"] = visitor.cookies(address)
    request = HTTPRequest(lab.websockets + address, headers=headers, request_timeout=60)
    try:
        socket = await websocket_connect(request, subprotocols=protocols or None)
    except HTTPClientError as error:
        return error.code
    socket.close()
    return 101


@pytest.mark.timeout(300)
async def test_every_websocket_that_is_not_ours_is_closed_to_viewers_keys_and_visitors(
    lab: Lab,
) -> None:
    page = lab.nobody
    callers = {"nobody": lab.nobody, **second_class(lab), "page token of a socket": page}
    opened = set()
    for place in places(lab):
        if not place.websocket:
            continue
        for name, visitor in callers.items():
            protocols = [f"dashboards.page-token.{lab.page_token}"] if visitor is page else []
            status = await handshake(lab, place.address, visitor, protocols)
            assert status == 403, f"{name} gets {status} for {place.address}"
        if await handshake(lab, place.address, lab.owner, []) == 101:
            opened.add(place.address)
    assert {
        f"/api/kernels/{lab.kernel}/channels",
        f"/terminals/websocket/{lab.things['term_name']}",
        "/api/events/subscribe",
    } <= opened


async def test_a_viewer_reaches_the_kernel_of_the_page_by_our_route_alone(lab: Lab) -> None:
    address = f"/_api/kernels/{lab.kernel}/channels"
    channel = await Channel.open(
        lab.websockets + address, headers={"Cookie": lab.vera.cookies(address)}
    )
    assert await channel.run(0) == "this is board\n"
    channel.close()
    assert await handshake(lab, f"/api/kernels/{lab.kernel}/channels", lab.vera, []) == 403


async def test_nobody_else_reaches_a_viewers_kernel(lab: Lab) -> None:
    address = f"/_api/kernels/{lab.kernel}/channels"
    refused: dict[str, Any] = {
        name: await handshake(lab, address, visitor, [])
        for name, visitor in {
            "otto": lab.otto,
            "nobody": lab.nobody,
            "owner": lab.owner,
            **second_class(lab),
        }.items()
        if name != "viewer"
    }
    assert refused == {
        "otto": 404,
        "owner": 404,
        "nobody": 401,
        "viewer posing as owner": 401,
        "key": 404,
        "reading key": 404,
        "key as a token": 404,
        "key of a tool": 404,
        "page token": 404,
    }


def test_a_viewers_credentials_open_only_what_the_access_file_says(lab: Lab) -> None:
    assert lab.vera.get("/dashboards/board").status_code == 200
    assert lab.vera.get("/dashboards/secret").status_code == 404
    assert lab.vera.post("/_api/kernels", json={"path": "secret.ipynb"}).status_code == 404
    assert lab.vera.ask("DELETE", "/_api/notebooks/board").status_code == 403
    assert lab.vera.get("/api/personal_api_keys").status_code == 403
