"""`/logout`, and what a session's cookie is worth: nothing once the session has ended, nothing if it is not the server's."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from nbformat.v4 import new_code_cell
from tornado.web import create_signed_value

from jupyter_dashboards_api.access.accounts import Accounts
from tests.conftest import Write

from .callers import PASSWORD, RULES, SHARED, Callers, Client
from .live import Join, is_ended, is_shut_out, start

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def extension_config(tmp_path: Path) -> dict[str, Any]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    # Whoever is shut out sooner than after half of it is so at once.
    return {"AccessRules": {"file": str(rules)}, "AccessManager": {"check_interval": 60.0}}


@pytest.fixture
def board(write_notebook: Write) -> str:
    write_notebook(SHARED, new_code_cell("print('ran')"))
    return SHARED


def copied(client: Client) -> Client:
    """Somebody who has got hold of the browser's cookies."""
    return Client(client.fetch, dict(client.headers), dict(client.cookies))


def cookie_of(client: Client) -> str:
    (name,) = [name for name in client.cookies if name.startswith("dashboards-viewer-")]
    return name


async def is_dead(client: Client) -> bool:
    """Whether a client is nobody for pages and for APIs."""
    page = await client.send("GET", "/dashboards/sales/board")
    api = await client.send("GET", "/_api/labextensions")
    kernel = await client.send("POST", "/_api/kernels", {"path": SHARED})
    codes = page.code, api.code, kernel.code
    assert codes in ((302, 401, 401), (200, 200, 201)), codes
    return codes[0] == 302


async def log_out(client: Client, **fields: str) -> Any:
    return await client.send("POST", "/logout", fields)


async def test_a_form_logs_out_and_leads_to_the_login(board: str, callers: Callers) -> None:
    ann = await callers.viewer("ann")
    thief = copied(ann)
    page = await ann.send("GET", "/logout")
    assert page.code == 200
    assert b'name="_xsrf"' in page.body
    assert page.headers["Cache-Control"] == "no-store"
    response = await ann.send(
        "POST", "/logout", urlencode({"_xsrf": ann.cookies["_xsrf"]}), headers=FORM, forged=True
    )
    assert (response.code, response.headers["Location"]) == (302, "/a%40b/login")
    assert not [name for name in ann.cookies if name.startswith("dashboards-viewer-")]
    assert await is_dead(ann)
    assert await is_dead(thief)


async def test_json_logs_out_and_says_where_to_go_on(board: str, callers: Callers) -> None:
    ann = await callers.viewer("ann")
    thief = copied(ann)
    response = await log_out(ann)
    assert response.code == 200
    assert json.loads(response.body) == {"next": "/a%40b/login"}
    assert await is_dead(thief)


async def test_an_open_kernel_websocket_is_closed_at_once(
    board: str, callers: Callers, join: Join
) -> None:
    ann = await callers.viewer("ann")
    kernel_id = await start(ann, board)
    channel = await join(ann, kernel_id)
    other = await callers.viewer("ann")
    await log_out(other)
    # Another session's end is not this one's.
    assert "ran" in await channel.run("0")
    began = time.monotonic()
    await log_out(ann)
    await is_shut_out(channel)
    # Not at the next look.
    assert time.monotonic() - began < callers.app.access.check_interval / 2
    await is_ended(callers.app, kernel_id)


async def test_a_logout_ends_one_session_and_everywhere_ends_all(
    board: str, callers: Callers
) -> None:
    here, there, elsewhere = [await callers.viewer("ann") for _ in range(3)]
    await callers.viewer("bob")
    await log_out(here)
    assert await is_dead(here)
    assert not await is_dead(there)
    response = await log_out(there, everywhere="yes")
    assert response.code == 200
    assert await is_dead(there)
    assert await is_dead(elsewhere)
    again = await callers.viewer("ann")
    assert not await is_dead(again)


async def test_everywhere_ends_nobody_else(board: str, callers: Callers) -> None:
    ann, bob = await callers.viewer("ann"), await callers.viewer("bob")
    await log_out(bob, everywhere="yes")
    assert not await is_dead(ann)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_asking_for_the_page_logs_nobody_out(
    board: str, callers: Callers, method: str
) -> None:
    ann, owner = await callers.viewer("ann"), await callers.owner_cookie()
    for client in (ann, owner):
        for query in ("", "?everywhere=yes"):
            response = await client.send(method, f"/logout{query}")
            assert response.code == 200
            assert "dashboards-viewer" not in str(response.headers.get_list("Set-Cookie"))
    assert not await is_dead(ann)
    assert (await owner.send("GET", "/_api/activity")).code == 200


async def test_who_is_not_logged_in_is_led_to_the_login(callers: Callers) -> None:
    for send in (callers.nobody().send("GET", "/logout"), log_out(callers.nobody())):
        response = await send
        assert response.code in (200, 302)
        assert "/a%40b/login" in response.headers.get("Location", response.body.decode())


async def test_no_other_site_can_log_somebody_out(board: str, callers: Callers) -> None:
    ann = await callers.viewer("ann")
    response = await ann.send("POST", "/logout", "everywhere=yes", headers=FORM, forged=True)
    assert response.code == 403
    headers = {"Origin": "https://elsewhere.example"}
    response = await ann.send("POST", "/logout", {}, headers=headers, forged=True)
    assert response.code == 403
    assert not await is_dead(ann)


async def test_the_owner_logs_out_in_this_browser(callers: Callers) -> None:
    owner = await callers.owner_cookie()
    assert (await log_out(owner)).code == 200
    assert (await owner.send("GET", "/_api/activity")).code == 401
    assert (await owner.send("GET", "/api/contents")).code == 403


async def test_a_login_ends_the_session_that_the_browser_had(board: str, callers: Callers) -> None:
    ann = await callers.viewer("ann")
    before = copied(ann)
    response = await ann.send("POST", "/login", {"username": "ann", "password": PASSWORD})
    assert response.code == 200
    assert await is_dead(before)
    assert not await is_dead(ann)


async def test_an_owner_s_login_ends_the_viewer_s_session_too(board: str, callers: Callers) -> None:
    ann = await callers.viewer("ann")
    before = copied(ann)
    assert (await ann.send("POST", "/login", {"password": callers.token})).code == 200
    assert await is_dead(before)


async def test_cookies_that_are_not_the_server_s_own_are_nobody_s(
    board: str, callers: Callers
) -> None:
    ann = await callers.viewer("ann")
    name, secret = cookie_of(ann), callers.app.serverapp.web_app.settings["cookie_secret"]
    good = ann.cookies[name]
    hours = callers.app.access.session_hours
    session = good.split("|")[4].split(":")[1]

    def signed(key: bytes, *, hours_ago: float = 0, of: str = name) -> str:
        clock = time.time() - hours_ago * 3600
        value = create_signed_value(key, of, b64decode(session), clock=lambda: clock)
        return value.decode()

    worthless = {
        "tampered": good[:-2] + ("00" if good[-2:] != "00" else "11"),
        "other session": good.replace(session, session[::-1]),
        "unsigned": session,
        "empty": "",
        "garbage": "2|1:0|garbage",
        "foreign": signed(b"another server's"),
        "of another name": signed(secret, of="dashboards-viewer-elsewhere"),
        "old": signed(secret, hours_ago=hours + 1),
        "not text": create_signed_value(secret, name, b"\xff\xfe").decode(),
    }
    for case, value in worthless.items():
        assert await is_dead(Client(callers.fetch, {}, {**ann.cookies, name: value})), case
    for value in (good, signed(secret), signed(secret, hours_ago=hours - 1)):
        assert not await is_dead(Client(callers.fetch, {}, {**ann.cookies, name: value}))


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.set_password("ann", "another password"),
        lambda accounts: accounts.remove("ann"),
    ],
    ids=["another password", "removed"],
)
async def test_an_operator_s_change_of_the_account_ends_its_sessions(
    board: str, callers: Callers, change: Callable[[Accounts], None]
) -> None:
    ann = await callers.viewer("ann")
    change(Accounts(callers.app.database))
    assert await is_dead(ann)
