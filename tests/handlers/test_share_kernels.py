"""The kernels of links' pages: by the page's token alone, for one notebook, as long as the link is open."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_code_cell
from tornado.websocket import WebSocketClosedError

from jupyter_dashboards_api.handlers.identity import PAGE_TOKEN_HEADER
from tests.conftest import Write

from .callers import Callers, Client, page_config
from .live import Join, by_page, is_ended, is_shut_out, start
from .shared import BOARD, FOLDER, Link, write_board


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {
        "AccessManager": {"check_interval": 60.0},
        "KernelBindings": {"max_visitor_kernels": 3, "max_kernels_per_viewer": 2},
    }


@pytest.fixture
def board(write_notebook: Write) -> str:
    write_board(write_notebook)
    write_notebook("other.ipynb", new_code_cell("print('other')"))
    return BOARD


async def page_of(link: Link, **options: Any) -> Client:
    return by_page(link.callers.nobody(), await link.get(**options))


async def test_a_page_s_token_runs_its_notebook_without_any_cookie(
    board: str, callers: Callers, join: Join
) -> None:
    page = await page_of(await Link.to(callers))
    assert page.cookies == {}
    response = await page.send("POST", "/_api/kernels", {})
    assert response.code == 201
    model = json.loads(response.body)
    # A link says nothing of where its notebook lies.
    assert model["path"] == ""
    assert FOLDER not in response.body.decode()
    assert FOLDER not in str(list(response.headers.get_all()))
    channel = await join(page, model["id"])
    assert "ran" in await channel.run("1")
    seen = await page.send("GET", f"/_api/kernels/{model['id']}")
    assert json.loads(seen.body)["path"] == ""
    assert (await page.send("DELETE", f"/_api/kernels/{model['id']}")).code == 204
    await is_ended(callers.app, model["id"])


async def test_the_notebook_is_the_link_s_whatever_the_client_names(
    board: str, callers: Callers, join: Join
) -> None:
    page = await page_of(await Link.to(callers))
    headers = {"X-jupyter-notebook-path": "/a%40b/dashboards/other"}
    response = await page.send("POST", "/_api/kernels", {"path": "other.ipynb"}, headers=headers)
    assert response.code == 201
    channel = await join(page, json.loads(response.body)["id"])
    assert "ran" in await channel.run("1")


async def test_a_link_s_parameters_reach_the_kernel_whatever_the_page_s_query(
    board: str, callers: Callers, join: Join
) -> None:
    link = await Link.to(callers, parameters="?region=north")
    page = await page_of(link)
    channel = await join(page, await start(page, query="region=south&all=1"))
    assert (await channel.run("2")).split()[0] == "region=north"
    # Without them the query is the page's own.
    await link.change(parameters="")
    channel = await join(page, await start(page, query="region=south"))
    assert (await channel.run("2")).split()[0] == "region=south"


async def test_a_link_that_is_not_live_has_no_kernel(
    board: str, callers: Callers, join: Join
) -> None:
    link = await Link.to(callers)
    page = await page_of(link)
    kernel_id = await start(page)
    channel = await join(page, kernel_id)
    await link.change(live=False)
    assert page_config(await link.get())["live"] is False
    for each in (page, await page_of(link)):
        response = await each.send("POST", "/_api/kernels", {})
        assert response.code == 404
        assert "live" in json.loads(response.body)["message"]
    # One that runs is ended.
    await is_shut_out(channel)
    await is_ended(callers.app, kernel_id)
    # The page's stored outputs are still to be had.
    assert b"s3cret output" in (await link.get()).body


async def test_a_page_s_token_is_for_its_own_kernels_alone(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    page, other = await page_of(link), await page_of(link)
    kernel_id = await start(page)
    owner_s = await start(callers.owner(), "other.ipynb")
    for client, theirs in ((other, kernel_id), (page, owner_s)):
        for method in ("GET", "DELETE"):
            response = await client.send(method, f"/_api/kernels/{theirs}")
            assert response.code == 404
    assert (await page.send("GET", f"/_api/kernels/{kernel_id}")).code == 200


async def test_a_page_s_token_opens_nothing_else(board: str, callers: Callers) -> None:
    page = await page_of(await Link.to(callers))
    nobody = callers.nobody()
    for method, path, body in (
        ("GET", "/dashboards", None),
        ("GET", "/dashboards/other", None),
        ("GET", "/api/contents", None),
        ("GET", "/api/kernels", None),
        ("POST", "/api/kernels", {}),
        ("GET", "/files/other.ipynb", None),
        ("GET", "/_api/activity", None),
        ("GET", f"/_api/sharing?path={quote(board)}", None),
        ("DELETE", "/_api/cache", None),
        ("GET", "/api/personal_api_keys", None),
    ):
        response = await page.send(method, path, body)
        assert response.code in (302, 401, 403, 404), path
        token = page.headers[PAGE_TOKEN_HEADER]
        for headers in ({"Authorization": f"Bearer {token}"}, {"X-AUTH-TOKEN": token}):
            response = await nobody.send(method, path, body, headers=headers)
            assert response.code in (302, 401, 403), path


async def test_a_page_renews_its_token_for_as_long_as_its_link_is_open(
    board: str, callers: Callers, join: Join
) -> None:
    link = await Link.to(callers)
    page = await page_of(link)
    kernel_id = await start(page)
    response = await page.send("POST", "/_api/page_token")
    assert response.code == 200
    assert response.headers["Cache-Control"] == "no-store"
    told = json.loads(response.body)
    assert told.keys() == {"token", "expires_in"}
    assert 0 < told["expires_in"] <= callers.app.access.page_token_seconds
    renewed = Client(callers.fetch, {PAGE_TOKEN_HEADER: told["token"]})
    # It is the same visitor's.
    channel = await join(renewed, kernel_id)
    assert "ran" in await channel.run("1")
    await link.change(enabled=False)
    for each in (page, renewed):
        response = await each.send("POST", "/_api/page_token")
        assert response.code == 401


@pytest.mark.parametrize("how", ["disabled", "deleted", "expired", "locked", "password deleted"])
async def test_a_link_s_end_ends_its_kernels(
    board: str, callers: Callers, join: Join, how: str
) -> None:
    link = await Link.to(callers)
    headers, number = {}, 0
    if how == "password deleted":
        number = await link.add_password("open, sesame")
        headers = {"Authorization": f"Bearer {await link.share_token('open, sesame')}"}
    page = await page_of(link, headers=headers)
    kernel_id = await start(page)
    channel = await join(page, kernel_id)
    if how == "disabled":
        await link.change(enabled=False)
    elif how == "expired":
        await link.change(expires_at="2020-01-01T00:00:00Z")
    elif how == "locked":
        await link.change(password_required=True)
    elif how == "deleted":
        await callers.owner().send("DELETE", f"/api/contents/{quote(board)}")
    else:
        await link.ask("DELETE", f"/passwords/{number}")
    await is_shut_out(channel)
    await is_ended(callers.app, kernel_id)
    assert (await page.send("POST", "/_api/kernels", {})).code == 401
    with pytest.raises((WebSocketClosedError, AssertionError)):
        await channel.run("1")


async def test_a_change_that_takes_nothing_away_leaves_kernels_be(
    board: str, callers: Callers, join: Join
) -> None:
    link = await Link.to(callers)
    page = await page_of(link)
    channel = await join(page, await start(page))
    await link.change(settings={"theme": "dark"}, parameters="a=b")
    await link.ask("POST", "/refresh", {})
    body = {"path": "moved.ipynb"}
    await callers.owner().send("PATCH", f"/api/contents/{quote(board)}", body)
    assert "ran" in await channel.run("1")
    assert not channel.closed.is_set()


async def test_a_link_to_an_expired_token_ends_after_its_time(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    page = await page_of(link)
    callers.app.access.tokens.longest = callers.app.access.tokens.lifetime * 0
    response = await page.send("POST", "/_api/page_token")
    assert response.code == 401
    assert "load it again" in json.loads(response.body)["message"]


async def test_the_kernels_of_visitors_are_counted(
    board: str, callers: Callers, http_server: Any
) -> None:
    http_server.xheaders = True
    link = await Link.to(callers)

    async def visit(address: str, page: Client | None = None) -> Any:
        page = page or await page_of(link)
        headers = {"X-Forwarded-For": address}
        return await page.send("POST", "/_api/kernels", {}, headers=headers, request_timeout=60)

    first = await asyncio.gather(*(visit("192.0.2.1") for _ in range(3)))
    codes = sorted(response.code for response in first)
    # Two for those of one address together, however many pages they have.
    assert codes == [201, 201, 503]
    assert (await visit("192.0.2.2")).code == 201
    # Three for strangers in all.
    full = await visit("192.0.2.3")
    assert full.code == 503
    assert int(full.headers["Retry-After"]) >= 1
    assert "at capacity" in json.loads(full.body)["message"]
    # Others are not in their way.
    assert await start(callers.owner(), "other.ipynb")
