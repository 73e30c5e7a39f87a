"""Links with a password: nothing of the notebook before it, and what a right one is worth.

API: "public viewer" of the projects API (§1.7 of its specification).
"""

from __future__ import annotations

import asyncio
import json
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tests.conftest import Write

from .callers import Callers, Client, page_config
from .shared import BOARD, FOLDER, SECRET, Link, told, write_board

PASSWORD, OTHER = "open, sesame", "another one"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def board(write_notebook: Write, jp_root_dir: Any) -> str:
    write_board(write_notebook)
    (jp_root_dir / FOLDER / "data.csv").write_bytes(SECRET)
    return BOARD


def share_cookie(response: Any) -> Morsel[str]:
    cookies: SimpleCookie = SimpleCookie()
    for line in response.headers.get_list("Set-Cookie"):
        cookies.load(line)
    (found,) = [cookie for name, cookie in cookies.items() if name.startswith("dashboards-share-")]
    return found


async def is_open(link: Link, client: Client | None = None, **headers: str) -> bool:
    """Whether a client sees the notebook; else it must be asked for the password."""
    response = await link.get(client=client, headers=headers)
    assert response.code == 200
    opened = b"s3cret prose" in response.body
    assert opened != (b'{"type":"unlock"}' in response.body)
    assert opened or SECRET not in told(response)
    return opened


async def test_nothing_of_a_locked_notebook_leaves_the_server(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    page = await link.get()
    base = page.body.decode().partition('<base href="')[2].partition('"')[0].removeprefix("/a%40b")
    image = page.body.decode().partition('src="_images/')[2].partition('"')[0]
    visitor = Client(callers.fetch, {"X-Dashboards-Page-Token": page_config(page)["pageToken"]})
    files = [f"{base}_images/{image}", f"{base}data.csv"]
    for file in files:
        assert (await callers.nobody().send("GET", file)).code == 200
    await link.add_password(PASSWORD)
    asked: list[tuple[str, str, Any, dict[str, str]]] = []
    for path in (f"/{kind}/{link.token}" for kind in ("shared", "embedded")):
        for form in ("", ".json", "?view=grid", "?password=x", "?token=x"):
            asked += [(method, path + form, None, {}) for method in ("GET", "HEAD")]
            asked += [("GET", path + form, None, {"Accept": "application/json"})]
            asked += [("GET", path + form, None, {"Authorization": "Bearer x"})]
            asked += [("POST", path + form, body, {}) for body in (None, {}, {"password": "wrong"})]
            asked += [("POST", path + form, "password=wrong", FORM)]
            asked += [("POST", path + form, "[1]", {"Content-Type": "application/json"})]
        asked += [(method, path, None, {}) for method in ("PUT", "DELETE", "PATCH", "OPTIONS")]
    asked += [(method, file, None, {}) for method in ("GET", "HEAD") for file in files]
    asked += [("GET", f"/_api/images/{image}?path={quote(board)}", None, {})]
    for method, path, body, headers in asked:
        response = await callers.nobody().send(method, path, body, headers=headers)
        assert SECRET not in told(response), (method, path)
        assert quote(FOLDER).encode() not in told(response), (method, path)
        expected = {"GET": (200, 401, 404), "HEAD": (200, 404), "POST": (400, 401, 429)}
        assert response.code in expected.get(method, (405,)), (method, path)
        assert "dashboards-share" not in str(response.headers.get_list("Set-Cookie"))
    # A page that was open before is shut too.
    assert (await visitor.send("POST", "/_api/kernels", {})).code == 401


async def test_a_locked_link_asks_for_its_password_as_a_page_even_for_json(
    board: str, callers: Callers
) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    for form in ("", ".json"):
        response = await link.get(form, headers={"Accept": "application/json"})
        assert response.code == 200
        assert response.headers["Content-Type"].startswith("text/html")
        assert b'{"type":"unlock"}' in response.body
        assert b'name="password"' in response.body
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "form-action" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("kind", ["shared", "embedded"])
async def test_the_right_password_gives_a_token_and_a_cookie_for_a_day(
    board: str, callers: Callers, kind: str
) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    browser = callers.nobody()
    response = await browser.send("POST", f"/{kind}/{link.token}", {"password": PASSWORD})
    assert response.code == 200
    assert json.loads(response.body).keys() == {"shareToken"}
    assert response.headers["Cache-Control"] == "no-store"
    cookie = share_cookie(response)
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert int(cookie["max-age"]) == 24 * 60 * 60
    assert cookie["path"].startswith(f"/a%40b/{kind}")
    assert not cookie["secure"]
    assert link.token not in cookie.key
    page = await browser.send("GET", f"/{kind}/{link.token}")
    assert b"s3cret prose" in page.body
    payload = await browser.send("GET", f"/{kind}/{link.token}.json")
    assert json.loads(payload.body)["notebook"]["title"] == "s3cret title"


async def test_the_cookie_is_secure_over_https(
    board: str, callers: Callers, http_server: Any
) -> None:
    http_server.xheaders = True
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    response = await link.guess(PASSWORD, headers={"X-Forwarded-Proto": "https"})
    assert share_cookie(response)["secure"]


async def test_the_share_token_opens_the_link_in_a_header(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    bearer = f"Bearer {await link.share_token(PASSWORD)}"
    assert await is_open(link, Authorization=bearer)
    headers = {"Authorization": bearer, "Accept": "application/json"}
    response = await link.get(headers=headers)
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(response.body)["type"] == "scene"
    # It opens nothing else of the server's.
    client = Client(callers.fetch, {"Authorization": bearer})
    for path in ("/dashboards", "/_api/activity", "/_api/labextensions", "/api/contents"):
        assert (await client.send("GET", path)).code in (302, 401, 403)
    token = bearer.partition(" ")[2]
    page = Client(callers.fetch, {"X-Dashboards-Page-Token": token})
    assert (await page.send("POST", "/_api/kernels", {})).code == 401


@pytest.mark.parametrize(
    "body", [{"password": "wrong"}, {"password": ""}, {}, {"password": 1}, {"password": None}, None]
)
async def test_a_wrong_password_and_none_are_401(board: str, callers: Callers, body: Any) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    response = await callers.nobody().send(
        "POST", f"/shared/{link.token}", body, headers={"Content-Type": "application/json"}
    )
    assert response.code == 401
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(response.body) == {"error": "Incorrect password"}
    assert "dashboards-share" not in str(response.headers.get_list("Set-Cookie"))


async def test_a_form_gets_the_page_again_until_it_is_right(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    browser, path = callers.nobody(), f"/shared/{link.token}"
    wrong = await browser.send("POST", path, "password=wrong", headers=FORM)
    assert wrong.code == 401
    assert b"Incorrect password" in wrong.body
    assert b'name="password"' in wrong.body
    right = urlencode({"password": PASSWORD})
    response = await browser.send("POST", f"{path}?view=grid", right, headers=FORM)
    # So that loading the page again does not send the password again.
    assert (response.code, response.headers["Location"]) == (303, f"/a%40b{path}?view=grid")
    assert await is_open(link, browser)


async def test_a_form_in_another_site_s_frame_gets_the_dashboard(
    board: str, callers: Callers
) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    headers = {**FORM, "Sec-Fetch-Dest": "iframe", "Origin": "null"}
    right = urlencode({"password": PASSWORD})
    browser = callers.nobody()
    page = await browser.send("POST", f"/embedded/{link.token}", right, headers=headers)
    assert page.code == 200
    assert b"s3cret prose" in page.body
    assert page_config(page)["pageToken"]


async def test_any_active_password_opens_and_deleting_one_shuts_out_only_its_own(
    board: str, callers: Callers
) -> None:
    link = await Link.to(callers)
    one, _ = await link.add_password(PASSWORD), await link.add_password(OTHER)
    by_one, by_other = callers.nobody(), callers.nobody()
    assert (await link.guess(PASSWORD, by_one)).code == 200
    assert (await link.guess(OTHER, by_other)).code == 200
    pages = [page_config(await link.get(client=each))["pageToken"] for each in (by_one, by_other)]
    bearer = f"Bearer {await link.share_token(PASSWORD)}"
    assert (await link.ask("DELETE", f"/passwords/{one}")).code == 204
    assert not await is_open(link, by_one)
    assert not await is_open(link, Authorization=bearer)
    assert await is_open(link, by_other)
    assert (await link.guess(PASSWORD)).code == 401
    assert (await link.guess(OTHER)).code == 200
    codes = [
        (
            await Client(callers.fetch, {"X-Dashboards-Page-Token": token}).send(
                "POST", "/_api/page_token"
            )
        ).code
        for token in pages
    ]
    assert codes == [401, 200]


async def test_a_link_that_needs_a_password_and_has_none_is_open_to_nobody(
    board: str, callers: Callers
) -> None:
    link = await Link.to(callers, password_required=True)
    assert not await is_open(link)
    for password in ("", "x", PASSWORD):
        assert (await link.guess(password)).code == 401
    await link.change(password_required=False)
    assert await is_open(link)


async def test_what_opens_one_link_opens_no_other(
    board: str, callers: Callers, write_notebook: Write
) -> None:
    write_board(write_notebook, "other.ipynb")
    link, other = await Link.to(callers), await Link.to(callers, "other.ipynb")
    await link.add_password(PASSWORD)
    await other.add_password(PASSWORD)
    browser = callers.nobody()
    share_token = json.loads((await link.guess(PASSWORD, browser)).body)["shareToken"]
    (name,) = [name for name in browser.cookies if name.startswith("dashboards-share-")]
    assert not await is_open(other, browser)
    assert not await is_open(other, Authorization=f"Bearer {share_token}")
    theirs = share_cookie(await other.guess(PASSWORD)).key
    assert not await is_open(other, Client(callers.fetch, {}, {theirs: browser.cookies[name]}))
    # Nor the same notebook by its next link.
    response = await link.ask("POST", "/refresh", {})
    link.token = json.loads(response.body)["access_token"]
    assert not await is_open(link, browser)
    assert not await is_open(link, Authorization=f"Bearer {share_token}")


async def test_a_share_token_that_was_changed_opens_nothing(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    head, claims, signature = (await link.share_token(PASSWORD)).split(".")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for forged in (
        f"{head}.{claims}.{signature[::-1]}",
        f"{head}.{claims[:-4]}AAAA.{signature}",
        f"{unsigned}.{claims}.",
        f"{unsigned}.{claims}.{signature}",
        "x",
    ):
        assert not await is_open(link, Authorization=f"Bearer {forged}")


@pytest.fixture
def many(jp_asyncio_loop: Any, jp_http_port: int) -> Any:
    """A client that asks more at once than the tests' own would."""

    async def make() -> SimpleAsyncHTTPClient:
        return SimpleAsyncHTTPClient(force_instance=True, max_clients=250)

    client = jp_asyncio_loop.run_until_complete(make())
    yield client
    client.close()


async def test_a_thousand_guesses_are_ten_and_keep_the_right_password_out_nowhere(
    board: str, callers: Callers, many: SimpleAsyncHTTPClient, jp_http_port: int, http_server: Any
) -> None:
    http_server.xheaders = True
    # However long a thousand take here: after it ten more are let in.
    callers.app.access.share_passwords._guesses.seconds = 3600
    link = await Link.to(callers)
    await link.add_password(PASSWORD)
    url = f"http://127.0.0.1:{jp_http_port}/a%40b/shared/{link.token}"

    async def guess(password: str, address: str) -> Any:
        return await many.fetch(
            url,
            method="POST",
            body=json.dumps({"password": password}),
            headers={"X-Forwarded-For": address, "Content-Type": "application/json"},
            raise_error=False,
            request_timeout=60,
        )

    codes: list[int] = []
    for batch in range(5):
        garbage = asyncio.gather(*(guess(f"guess {batch} {n}", "198.51.100.1") for n in range(200)))
        # In the midst of them, from elsewhere.
        right = await guess(PASSWORD, "192.0.2.7")
        assert right.code == 200
        assert json.loads(right.body)["shareToken"]
        for response in await garbage:
            codes.append(response.code)
            if response.code == 429:
                assert 1 <= int(response.headers["Retry-After"]) <= 60
                assert "Too many attempts" in json.loads(response.body)["error"]
        # And from the same address, once they are answered.
        assert (await guess(PASSWORD, "198.51.100.1")).code == 200
    assert len(codes) == 1000
    assert set(codes) == {401, 429}
    assert codes.count(401) == 10
    # Nor does the log of activities grow by them.
    activity = await callers.owner().send("GET", "/_api/activity?limit=500")
    failed = [
        each
        for each in json.loads(activity.body)["results"]
        if each["activity"] == "share_login_failed"
    ]
    assert len(failed) == 10
