"""`/login`: the form and JSON, of viewers and of the server's owner, and the cookies that come of it."""

from __future__ import annotations

import asyncio
import html
import json
import re
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from jupyter_server.auth import IdentityProvider, User
from nbformat.v4 import new_markdown_cell

from jupyter_dashboards_api.access.accounts import Accounts
from tests.conftest import Write

from .callers import PASSWORD, RULES, Callers, Client

LISTING = "/a%40b/dashboards"
UNSAFE = (
    "https://elsewhere.example/",
    "//elsewhere.example/",
    "///elsewhere.example/",
    "/\\elsewhere.example",
    "\\\\elsewhere.example",
    "/a%40b/\\..\\x",
    "javascript:alert(1)",
    "/\t/elsewhere.example",
    "/a%40b/\r\nSet-Cookie: a=b",
    "/elsewhere",
    "a%40b/dashboards",
    "//[",
    "http://[/a%40b/",
    "/a%40bc",
    "\ud800",
)


@pytest.fixture
def extension_config(tmp_path: Path) -> dict[str, Any]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    return {"AccessRules": {"file": str(rules)}}


@pytest.fixture
def ann(callers: Callers, write_notebook: Write) -> Client:
    """A browser; the viewer ann has an account, and is not logged in."""
    write_notebook("sales/board.ipynb", new_markdown_cell("# Board"))
    Accounts(callers.app.database).add("ann", PASSWORD)
    return callers.nobody()


async def submit(client: Client, query: str = "", **fields: str) -> Any:
    """Sends the login form as a browser does: with the hidden fields that the page has."""
    page = await client.send("GET", f"/login{query}")
    assert page.code == 200
    hidden = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html.unescape(page.body.decode()))
    )
    return await client.send(
        "POST",
        "/login",
        urlencode({**hidden, **fields}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        forged=True,
    )


async def log_in(client: Client, **fields: Any) -> Any:
    return await client.send("POST", "/login", fields)


def given(response: Any) -> dict[str, Morsel[str]]:
    """The cookies that a response sets, or takes away with an empty value."""
    cookies: dict[str, Morsel[str]] = {}
    for line in response.headers.get_list("Set-Cookie"):
        cookies.update(SimpleCookie(line))
    return cookies


def one(cookies: dict[str, Morsel[str]], beginning: str) -> Morsel[str]:
    (found,) = [cookie for name, cookie in cookies.items() if name.startswith(beginning)]
    return found


async def reads_board(client: Client) -> bool:
    return bool((await client.send("GET", "/dashboards/sales/board")).code == 200)


async def is_owner(client: Client) -> bool:
    return bool((await client.send("GET", "/_api/activity")).code == 200)


async def test_a_form_logs_a_viewer_in_and_leads_to_the_listing(ann: Client) -> None:
    response = await submit(ann, username="ann", password=PASSWORD)
    assert (response.code, response.headers["Location"]) == (302, LISTING)
    assert await reads_board(ann)
    assert not await is_owner(ann)


async def test_json_logs_a_viewer_in_and_says_so(ann: Client) -> None:
    response = await log_in(ann, username="ann", password=PASSWORD)
    assert response.code == 200
    assert json.loads(response.body) == {"username": "ann", "next": LISTING}
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["Cache-Control"] == "no-store"
    assert await reads_board(ann)


async def test_the_form_leads_to_the_page_that_was_asked_for_first(ann: Client) -> None:
    refused = await ann.send("GET", "/dashboards/sales/board?view=grid&x=a%20b")
    assert refused.code == 302
    where = refused.headers["Location"]
    assert where.startswith("/a%40b/login?next=")
    response = await submit(
        ann, where.removeprefix("/a%40b/login"), username="ann", password=PASSWORD
    )
    assert response.code == 302
    assert response.headers["Location"] == "/a%40b/dashboards/sales/board?view=grid&x=a%20b"


async def test_json_names_the_page_to_go_on_to(ann: Client) -> None:
    where = "/a%40b/dashboards/sales/board"
    response = await log_in(ann, username="ann", password=PASSWORD, next=where)
    assert json.loads(response.body)["next"] == where


@pytest.mark.parametrize("unsafe", UNSAFE)
async def test_nobody_is_led_off_the_server(ann: Client, unsafe: str) -> None:
    response = await log_in(ann, username="ann", password=PASSWORD, next=unsafe)
    assert response.code == 200
    assert json.loads(response.body)["next"] == LISTING
    query = urlencode({"next": unsafe.encode(errors="replace")})
    response = await ann.send("GET", f"/login?{query}")
    assert (response.code, response.headers["Location"]) == (302, LISTING)


async def test_who_is_logged_in_gets_no_form(ann: Client, callers: Callers) -> None:
    await log_in(ann, username="ann", password=PASSWORD)
    for client in (ann, await callers.owner_cookie()):
        response = await client.send("GET", "/login?next=%2Fa%2540b%2Fdashboards%2Fsales")
        assert (response.code, response.headers["Location"]) == (302, "/a%40b/dashboards/sales")


async def test_the_form_s_page_is_not_stored_and_shown_by_no_other_site(ann: Client) -> None:
    response = await ann.send("GET", '/login?next="><script>')
    assert response.code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'self'" in response.headers["Content-Security-Policy"]
    assert b'"><script>' not in response.body
    assert (await ann.send("HEAD", "/login")).code == 200
    assert (await ann.send("GET", "/login?next=%ff")).code == 400


async def test_the_viewer_s_cookie_is_for_this_server_s_pages_alone(ann: Client) -> None:
    cookie = one(given(await log_in(ann, username="ann", password=PASSWORD)), "dashboards-viewer-")
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/a%40b/"
    assert not cookie["secure"]
    assert not cookie["domain"]
    assert cookie["expires"]


async def test_the_cookie_is_secure_behind_a_proxy_that_speaks_https(
    ann: Client, http_server: Any
) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    body = {"username": "ann", "password": PASSWORD}
    for trusted in (False, True):
        # As the server does for `ServerApp.trust_xheaders`.
        http_server.xheaders = trusted
        response = await ann.send("POST", "/login", body, headers=headers)
        cookie = one(given(response), "dashboards-viewer-")
        assert bool(cookie["secure"]) is trusted


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_owner_logs_in_with_the_server_s_token(
    ann: Client, callers: Callers, as_json: bool
) -> None:
    send = log_in if as_json else submit
    response = await send(ann, username="", password=callers.token)
    assert response.code == (200 if as_json else 302)
    if as_json:
        assert json.loads(response.body)["username"] == callers.app.access.token_user
    assert await is_owner(ann)
    # The server's own handlers know the cookie too.
    assert (await ann.send("GET", "/api/contents")).code == 200


class OwnProvider(IdentityProvider):
    """A provider of the operator's own, that knows the owner by a word."""

    async def process_login_form(self, handler: Any) -> User | None:  # type: ignore[override]
        return User("boss") if handler.get_argument("password", "") == "the word" else None


@pytest.mark.parametrize("provider", [IdentityProvider, OwnProvider])
@pytest.mark.parametrize("as_json", [True, False])
async def test_the_owner_logs_in_as_whatever_provider_the_server_has_says(
    ann: Client, callers: Callers, provider: type[IdentityProvider], as_json: bool
) -> None:
    settings = callers.app.serverapp.web_app.settings
    settings["identity_provider"] = provider(parent=callers.app.serverapp)
    settings["identity_provider"].token = callers.token
    right = "the word" if provider is OwnProvider else callers.token
    send = log_in if as_json else submit
    for wrong in ("wrong", ""):
        assert (await send(ann, username="", password=wrong)).code == 401
    assert (await send(ann, username="", password=right)).code in (200, 302)
    assert await is_owner(ann)


async def test_json_needs_no_name_for_the_owner(ann: Client, callers: Callers) -> None:
    assert (await log_in(ann, password=callers.token)).code == 200
    assert await is_owner(ann)


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_owner_logs_in_with_a_password_set_by_the_form(
    ann: Client, callers: Callers, as_json: bool
) -> None:
    send = log_in if as_json else submit
    response = await send(ann, username="", password=callers.token, new_password="of my own")
    assert response.code in (200, 302)
    for password, code in (("of my own", {200, 302}), ("not that", {401}), ("", {401})):
        assert (await send(callers.nobody(), username="", password=password)).code in code
    wrong = await send(
        callers.nobody(), password="of my own", new_password="another's", username=""
    )
    assert wrong.code == 401


async def test_the_form_offers_to_set_a_password_only_where_it_can(callers: Callers) -> None:
    page = await callers.nobody().send("GET", "/login")
    assert b'name="new_password"' in page.body
    callers.app.serverapp.identity_provider.allow_password_change = False
    page = await callers.nobody().send("GET", "/login")
    assert b'name="new_password"' not in page.body


async def test_an_owner_s_login_ends_the_viewer_s_in_that_browser(
    ann: Client, callers: Callers
) -> None:
    await log_in(ann, username="ann", password=PASSWORD)
    response = await log_in(ann, password=callers.token)
    assert one(given(response), "dashboards-viewer-").value == ""
    assert one(given(response), "dashboards-viewer-")["path"] == "/a%40b/"
    assert not [name for name in ann.cookies if name.startswith("dashboards-viewer-")]
    assert await is_owner(ann)


async def test_a_viewer_s_login_ends_the_owner_s_in_that_browser(
    ann: Client, callers: Callers
) -> None:
    await log_in(ann, password=callers.token)
    assert await is_owner(ann)
    await log_in(ann, username="ann", password=PASSWORD)
    assert [name for name in ann.cookies if name.startswith("username-")] == []
    assert not await is_owner(ann)
    assert (await ann.send("GET", "/api/contents")).code == 403
    assert await reads_board(ann)


async def test_a_wrong_form_is_the_form_again(ann: Client) -> None:
    for username, password in (
        ("ann", "wrong"),
        ("nobody's", PASSWORD),
        ("", "wrong"),
        ("a:b", "c"),
    ):
        response = await submit(ann, "?next=%2Fa%2540b%2Fx", username=username, password=password)
        assert response.code == 401
        assert b"Wrong name or password." in response.body
        assert b'name="next" value="/a%40b/x"' in response.body
        assert b'name="password"' in response.body
        assert b'value="wrong"' not in response.body
        assert "dashboards-viewer" not in str(response.headers.get_list("Set-Cookie"))


async def test_wrong_json_is_401_in_json(ann: Client) -> None:
    answers = set()
    for fields in (
        {"username": "ann", "password": "wrong"},
        {"username": "nobody's", "password": "wrong"},
        {"username": "ann", "password": ""},
        {"username": "ann"},
        {"username": "a:b", "password": "x" * 5000},
        {"password": "wrong"},
        {},
    ):
        response = await log_in(ann, **fields)
        assert response.code == 401
        assert not [name for name in given(response) if name != "_xsrf"]
        answers.add(response.body)
    # Whether there is such a viewer is not told.
    (told,) = answers
    assert json.loads(told) == {"message": "Wrong name or password.", "status": 401}


@pytest.mark.parametrize(
    "body", ["{", "[1]", '"text"', '{"username": 1}', '{"username": null}', "[" * 9000, "x" * 20000]
)
async def test_a_body_that_is_no_login_is_400(ann: Client, body: str) -> None:
    response = await ann.send("POST", "/login", body, headers={"Content-Type": "application/json"})
    assert response.code == 400
    assert json.loads(response.body)["status"] == 400


async def test_a_password_counts_with_all_its_spaces(ann: Client, callers: Callers) -> None:
    password = "  before and after\t "
    await asyncio.to_thread(Accounts(callers.app.database).add, "eve", password)
    for send, code in ((log_in, 200), (submit, 302)):
        assert (await send(callers.nobody(), username="eve", password=password)).code == code
        wrong = await send(callers.nobody(), username="eve", password=password.strip())
        assert wrong.code == 401


async def test_a_form_from_elsewhere_logs_nobody_in(ann: Client) -> None:
    fields = urlencode({"username": "ann", "password": PASSWORD})
    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        response = await ann.send(
            "POST", "/login", fields, headers={"Content-Type": kind}, forged=True
        )
        assert response.code == 403
        assert "dashboards-viewer" not in str(response.headers.get_list("Set-Cookie"))


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
async def test_json_from_elsewhere_logs_nobody_in(ann: Client, origin: str) -> None:
    headers = {"Origin": origin}
    body = {"username": "ann", "password": PASSWORD}
    response = await ann.send("POST", "/login", body, headers=headers)
    assert response.code == 403
    assert "dashboards-viewer" not in str(response.headers.get_list("Set-Cookie"))


async def test_json_of_this_server_s_own_pages_logs_in(ann: Client, jp_http_port: int) -> None:
    headers = {"Origin": f"http://127.0.0.1:{jp_http_port}"}
    body = {"username": "ann", "password": PASSWORD}
    assert (await ann.send("POST", "/login", body, headers=headers)).code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_are_refused(ann: Client, method: str) -> None:
    body = None if method == "DELETE" else "{}"
    for path in ("/login", "/logout"):
        response = await ann.send(method, path, body)
        assert response.code == 405
