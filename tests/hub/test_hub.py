"""Under a real JupyterHub: its users are owners of their server, and our viewers come in beside it."""

from __future__ import annotations

import base64
from urllib.parse import urljoin

import pytest
import requests

from tests.kernels.client import Channel
from tests.visitor import Visitor, basic, page_config

from .conftest import HUB_PASSWORD, PASSWORD, Hub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(300)]

SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
"""What a browser adds to the requests of a page's script; JupyterHub decides by it whether to look for a forged request."""

BOARD = {"path": "board.ipynb"}


def log_in_at_hub(
    hub: Hub, name: str, page: str = "/user/ann/dashboards/secret"
) -> tuple[Visitor, requests.Response]:
    """A browser that asked for a page, gave name and password to the hub's form, and what it got then."""
    browser = hub.visitor()
    form = browser.follow(page)
    assert "/hub/login" in form.url
    sent = browser.post(
        form.url.removeprefix(hub.process.url), data={"username": name, "password": HUB_PASSWORD}
    )
    assert sent.status_code == 302, sent.text
    return browser, browser.follow(urljoin(form.url, sent.headers["Location"]))


def log_in_as_viewer(browser: Visitor) -> requests.Response:
    """Sends the form of our login page."""
    assert browser.get("/user/ann/login").status_code == 200
    fields = {"username": "vera", "password": PASSWORD, "next": "/user/ann/dashboards/board"}
    return browser.post("/user/ann/login", data=fields)


async def output(hub: Hub, browser: Visitor, kernel: str, **headers: str) -> str:
    """What the only cell of a kernel's notebook prints."""
    address = f"/user/ann/_api/kernels/{kernel}/channels"
    sent = {"Cookie": browser.cookies(address), "Sec-Fetch-Mode": "websocket", **headers}
    channel = await Channel.open(hub.websockets + address, headers=sent)
    printed = await channel.run(0)
    channel.close()
    return printed


def test_nobody_is_sent_to_the_hub_for_a_page_and_told_so_by_an_api(hub: Hub) -> None:
    nobody = hub.visitor()
    page = nobody.get("/user/ann/dashboards/board")
    assert page.status_code == 302
    assert "/hub/api/oauth2/authorize?" in page.headers["Location"]
    for answer in (
        nobody.post("/user/ann/_api/kernels", json=BOARD),
        nobody.get("/user/ann/_api/activity"),
    ):
        assert answer.status_code == 401
        assert answer.json()["status"] == 401


async def test_a_hub_user_opens_dashboards_with_a_live_kernel_under_the_hubs_name(hub: Hub) -> None:
    browser, page = log_in_at_hub(hub, "ann")
    assert (page.status_code, page.url) == (200, f"{hub.url}/dashboards/secret")
    assert "/user/ann/dashboards/secret" in browser.get("/user/ann/dashboards").text
    forged = browser.post(
        "/user/ann/_api/kernels", json=BOARD, headers={**SCRIPT, "X-XSRFToken": ""}
    )
    # JupyterHub takes the cookie of such a request for none.
    assert forged.status_code == 401
    started = browser.post("/user/ann/_api/kernels", json=BOARD, headers=SCRIPT)
    assert started.status_code == 201, started.text
    kernel = started.json()["id"]
    assert browser.get(f"/user/ann/_api/kernels/{kernel}", headers=SCRIPT).status_code == 200
    assert await output(hub, browser, kernel) == "board for ann\n"
    ended = browser.ask("DELETE", f"/user/ann/_api/kernels/{kernel}", headers=SCRIPT)
    assert ended.status_code == 204


@pytest.mark.parametrize("form", ["token", "Bearer", "Basic", "Basic user:", "X-AUTH-TOKEN"])
async def test_a_token_of_the_hub_works_in_every_form_and_gives_no_cookie(
    hub: Hub, form: str
) -> None:
    encoded = base64.b64encode(f"ann:{hub.token}".encode()).decode()
    assert basic("ann", hub.token) == f"Basic {encoded}"
    headers = {
        "X-AUTH-TOKEN": {"X-AUTH-TOKEN": hub.token},
        "Basic user:": {"Authorization": f"Basic {encoded}"},
    }.get(form, {"Authorization": f"{form} {hub.token}"})
    program = hub.visitor(**headers)
    answers = [
        program.get("/user/ann/dashboards/board"),
        program.get("/user/ann/_api/activity"),
        # JupyterHub would make a cookie of a token in the address, whichever token was the right one.
        program.get("/user/ann/_api/activity?token=another"),
        program.post("/user/ann/_api/kernels", json=BOARD),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 201]
    assert not [c.name for c in program.session.cookies if c.name != "_xsrf"]
    kernel = answers[-1].json()["id"]
    assert await output(hub, program, kernel, **headers) == "board for ann\n"
    assert program.ask("DELETE", f"/user/ann/_api/kernels/{kernel}").status_code == 204


def test_a_wrong_token_opens_nothing(hub: Hub) -> None:
    program = hub.visitor(Authorization="token no-token-of-this-hub")
    assert program.get("/user/ann/_api/activity").status_code == 401
    assert program.post("/user/ann/_api/kernels", json=BOARD).status_code == 401


def test_an_api_key_of_ours_works_through_the_hub_on_our_api_alone(hub: Hub) -> None:
    asked = {"label": "hub", "scopes": ["dashboard:read"]}
    made = hub.program().post("/user/ann/api/personal_api_keys", json=asked)
    assert made.status_code == 201, made.text
    program = hub.visitor(Authorization=f"Bearer {made.json()['value']}")
    # Before any page: JupyterHub's own look for forged requests knows nothing of our credentials.
    started = program.post("/user/ann/_api/kernels", json=BOARD)
    assert started.status_code == 201, started.text
    assert program.get("/user/ann/dashboards/board").status_code == 200
    program.ask("DELETE", f"/user/ann/_api/kernels/{started.json()['id']}")
    assert program.get("/user/ann/api/contents").status_code == 403
    assert program.get("/hub/api/users/ann").status_code == 403


async def test_a_viewer_of_ours_logs_in_through_the_hub_and_sees_what_the_access_file_allows(
    hub: Hub,
) -> None:
    browser = hub.visitor()
    sent = log_in_as_viewer(browser)
    assert (sent.status_code, sent.headers.get("Location")) == (302, "/user/ann/dashboards/board")
    assert browser.get("/user/ann/dashboards/board").status_code == 200
    (against_forgery,) = (c for c in browser.session.cookies if c.name == "_xsrf")
    assert against_forgery.expires is None
    assert browser.get("/user/ann/dashboards/secret").status_code == 404
    listing = browser.get("/user/ann/dashboards").text
    assert "/user/ann/dashboards/board" in listing
    assert "/user/ann/dashboards/secret" not in listing
    started = browser.post("/user/ann/_api/kernels", json=BOARD, headers=SCRIPT)
    assert started.status_code == 201, started.text
    kernel = started.json()["id"]
    assert await output(hub, browser, kernel) == "board for vera\n"
    for path in ("contents", "kernels", f"kernels/{kernel}", "sessions", "terminals", "me"):
        assert browser.get(f"/user/ann/api/{path}").status_code == 403, path
    assert browser.get("/user/ann/files/board.ipynb").status_code in (302, 403)
    assert browser.get("/user/ann/lab").status_code == 302
    assert browser.get("/user/ann/metrics").status_code == 403
    assert browser.get("/hub/home").status_code == 302


def test_a_viewers_wrong_password_is_refused_and_the_logout_ends_the_session(hub: Hub) -> None:
    browser = hub.visitor()
    wrong = browser.post("/user/ann/login", json={"username": "vera", "password": "not this one"})
    assert wrong.status_code == 401
    log_in_as_viewer(browser)
    (cookie,) = (c for c in browser.session.cookies if "viewer" in c.name)
    assert browser.get("/user/ann/logout").status_code == 200
    assert browser.post("/user/ann/logout").status_code == 302
    assert browser.get("/user/ann/dashboards/board").status_code == 302
    # The session is over, not only the cookie gone.
    browser.session.cookies.set_cookie(cookie)
    assert browser.get("/user/ann/dashboards/board").status_code == 302


def test_a_hub_user_logs_out_of_the_server_and_of_the_hub_on_our_page(hub: Hub) -> None:
    browser, _ = log_in_at_hub(hub, "ann")
    assert browser.get("/user/ann/api/me").status_code == 200
    asked = browser.get("/user/ann/logout")
    assert (asked.status_code, "Log out" in asked.text) == (200, True)
    sent = browser.post("/user/ann/logout")
    assert sent.status_code == 302, sent.text
    last = browser.follow(urljoin(hub.process.url, sent.headers["Location"]))
    assert last.url.startswith(f"{hub.process.url}/hub/")
    assert browser.get("/user/ann/api/me").status_code == 403
    assert browser.get("/user/ann/dashboards/secret").status_code == 302
    assert "/hub/login" in browser.follow("/user/ann/dashboards/secret").url


def test_the_login_form_sends_the_servers_owner_to_the_hub(hub: Hub) -> None:
    browser = hub.visitor()
    form = browser.get("/user/ann/login?next=/user/ann/dashboards/secret").text
    assert "Leave the name empty" not in form
    assert 'href="/user/ann/login?server=1&amp;next=' in form
    # A password without a name is no login: the hub asks for those of its users.
    assert browser.post("/user/ann/login", json={"password": hub.token}).status_code == 401
    _, back = log_in_at_hub(hub, "ann", "/user/ann/login?server=1&next=/user/ann/dashboards/secret")
    assert (back.status_code, back.url) == (200, f"{hub.url}/dashboards/secret")


def test_a_hub_user_without_access_to_the_server_can_still_be_a_viewer(hub: Hub) -> None:
    browser, _ = log_in_at_hub(hub, "bob", "/hub/home")
    assert browser.follow("/user/ann/dashboards/board").status_code == 403
    assert browser.get("/user/ann/dashboards/public").status_code == 200
    assert log_in_as_viewer(browser).status_code == 302
    assert browser.get("/user/ann/dashboards/board").status_code == 200
    assert browser.get("/user/ann/api/contents").status_code == 403


async def test_a_share_link_opens_its_live_dashboard_through_the_hub_without_a_login(
    hub: Hub,
) -> None:
    changed = hub.program().ask(
        "PATCH", "/user/ann/_api/sharing?path=secret.ipynb", json={"enabled": True, "live": True}
    )
    assert changed.status_code == 200, changed.text
    link = changed.json()["shared_url"]
    assert link.startswith(f"{hub.url}/shared/")
    guest = hub.visitor()
    page = guest.get(link)
    assert page.status_code == 200
    token = {"X-Dashboards-Page-Token": page_config(page.text)["pageToken"]}
    # As in a frame of another site, whose cookies browsers don't keep.
    guest.session.cookies.clear()
    started = guest.post("/user/ann/_api/kernels", json={}, headers={**SCRIPT, **token})
    assert started.status_code == 201, started.text
    printed = await output(hub, guest, started.json()["id"], **token)
    assert printed == "secret for visitor\n"
    assert guest.get("/user/ann/dashboards/secret").status_code == 302
    assert guest.get("/user/ann/api/contents", headers=token).status_code == 403
