"""What logging in withstands: guessing, eavesdropping on logs and time, slow and broken authenticators."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from jupyter_server.auth.security import passwd
from nbformat.v4 import new_markdown_cell

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.access.authenticators import Authenticator, Viewer
from tests.conftest import Write

from .callers import PASSWORD, SHARED, Callers, Client

HOME, OFFICE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAME_LIMIT, ADDRESS_LIMIT = 3, 8
LIMITS = {"login_failures": NAME_LIMIT, "address_failures": ADDRESS_LIMIT}
MANY = {"login_failures": 1000, "address_failures": 1000}


class Directory(Authenticator):
    """A directory of the company's, as PAM is one: names in any case, groups of its own."""

    entered = threading.Event()
    answers = threading.Event()

    def authenticate(self, username: str, password: str) -> Viewer | None:
        if username == "broken":
            raise OSError("The directory does not answer.")
        if username == "slow":
            self.entered.set()
            return Viewer("slow") if self.answers.wait(60) else None
        return Viewer(username.lower(), ("finance",)) if password == PASSWORD else None


@pytest.fixture
def extension_config(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The traits of `AccessManager` are the test's parameter."""
    rules = tmp_path / "access.toml"
    rules.write_text('[rules]\n"sales" = ["group:finance", "ann"]\n')
    return {"AccessRules": {"file": str(rules)}, "AccessManager": getattr(request, "param", LIMITS)}


@pytest.fixture
def browser(callers: Callers, write_notebook: Write, http_server: Any) -> Any:
    """Logs in from an address, behind a proxy that names it."""
    http_server.xheaders = True
    write_notebook(SHARED, new_markdown_cell("# Board"))
    for name in ("ann", "bob", "émile"):
        Accounts(callers.app.database).add(name, PASSWORD)

    async def log_in(username: str, password: str, address: str = HOME) -> Any:
        body = {"username": username, "password": password}
        return await callers.nobody().send(
            "POST", "/login", body, headers={"X-Forwarded-For": address}, request_timeout=60
        )

    return log_in


def is_refused(response: Any) -> bool:
    """Whether it is a refusal to try at all, as it must be said."""
    if response.code != 429:
        return False
    body = json.loads(response.body)
    assert 1 <= int(response.headers["Retry-After"]) <= 300
    assert body["status"] == 429
    assert "Too many attempts" in body["message"]
    return True


async def test_guessing_at_a_name_is_stopped_from_everywhere(browser: Any) -> None:
    for number in range(NAME_LIMIT):
        assert (await browser("ann", "wrong", f"198.51.100.{number}")).code == 401
    for name in ("ann", "ANN"):
        assert is_refused(await browser(name, "wrong", HOME))
        assert is_refused(await browser(name, PASSWORD, ELSEWHERE))
    # The others are not in question.
    assert (await browser("bob", PASSWORD, ELSEWHERE)).code == 200


async def test_who_is_logged_in_from_an_address_can_log_in_from_there_again(browser: Any) -> None:
    assert (await browser("ann", PASSWORD, OFFICE)).code == 200
    for _ in range(NAME_LIMIT):
        assert (await browser("ann", "wrong", ELSEWHERE)).code == 401
    assert is_refused(await browser("ann", PASSWORD, ELSEWHERE))
    assert (await browser("ann", PASSWORD, OFFICE)).code == 200


async def test_a_right_password_forgives_the_wrong_ones_before(browser: Any) -> None:
    for _ in range(3):
        assert (await browser("ann", "wrong", ELSEWHERE)).code == 401
        assert (await browser("ann", "wrong", HOME)).code == 401
        assert (await browser("ann", PASSWORD, OFFICE)).code == 200


async def test_guessing_from_an_address_is_stopped_whatever_the_names(
    browser: Any, callers: Callers
) -> None:
    for number in range(ADDRESS_LIMIT):
        assert (await browser(f"somebody{number}", "wrong", HOME)).code == 401
    assert is_refused(await browser("bob", PASSWORD, HOME))
    assert is_refused(await browser("", callers.token, HOME))
    assert (await browser("bob", PASSWORD, OFFICE)).code == 200


async def test_guessing_at_the_owner_s_password_is_stopped_by_address(
    browser: Any, callers: Callers
) -> None:
    for _ in range(ADDRESS_LIMIT):
        assert (await browser("", "wrong", HOME)).code == 401
    assert is_refused(await browser("", callers.token, HOME))
    assert (await browser("", callers.token, OFFICE)).code == 200


async def test_many_guesses_at_once_are_as_few(browser: Any) -> None:
    responses = await asyncio.gather(
        *(browser("ann", f"wrong {n}", f"198.51.100.{n}") for n in range(30))
    )
    codes = sorted(response.code for response in responses)
    # Two may be under way when the last one fails.
    assert codes.count(401) <= NAME_LIMIT + 2
    assert codes.count(429) == 30 - codes.count(401)


async def test_a_form_that_comes_too_often_is_the_form_with_a_word_about_it(
    browser: Any, callers: Callers
) -> None:
    for _ in range(NAME_LIMIT):
        await browser("ann", "wrong")
    client = callers.nobody()
    page = await client.send("GET", "/login")
    assert page.code == 200
    response = await client.send("POST", "/login", "username=ann&password=x")
    assert response.code == 429
    assert int(response.headers["Retry-After"]) >= 1
    assert b"Too many attempts" in response.body
    assert b'name="password"' in response.body


@pytest.mark.parametrize("extension_config", [MANY], indirect=True)
async def test_nothing_that_was_typed_is_in_the_log(
    browser: Any, callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    typed = "Correct.Horse-Battery"
    for username, password in (
        ("ann", typed),
        (typed, "ann"),
        (f"{typed}:", PASSWORD),
        (typed, ""),
        ("", typed),
        ("ann", PASSWORD),
        ("", callers.token),
    ):
        await browser(username, password)
    client = callers.nobody()
    await client.send("GET", "/login")
    for form in (f"username=ann&password={typed}", f"username={typed}&password="):
        assert (await client.send("POST", "/login", form)).code == 401
    await client.send(
        "POST", "/login", f'{{"password": "{typed}"', headers={"Content-Type": "application/json"}
    )
    assert "POST /a%40b/login" in caplog.text
    for secret in (typed, PASSWORD, callers.token):
        assert secret not in caplog.text


@pytest.mark.parametrize("extension_config", [MANY], indirect=True)
async def test_a_name_that_does_not_exist_costs_as_much_as_one_that_does(
    browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: str | bytes) -> bool:
        # Algorithm, version and parameters: what the time depends on.
        hashes.append(stored.rpartition("$")[0].rpartition("$")[0])
        return bool(verify(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    costs = []
    for name in ("ann", "nobody's", "émile", "x" * 100):
        hashes.clear()
        assert (await browser(name, "wrong")).code == 401
        costs.append(list(hashes))
    assert len(costs[0]) == 1
    assert all(cost == costs[0] for cost in costs)


@pytest.mark.parametrize("extension_config", [{"authenticator_class": Directory}], indirect=True)
async def test_the_server_goes_on_while_a_password_is_checked(
    browser: Any, callers: Callers
) -> None:
    Directory.entered.clear()
    Directory.answers.clear()
    login = asyncio.ensure_future(browser("slow", PASSWORD))
    while not Directory.entered.is_set():
        await asyncio.sleep(0.01)
    for _ in range(3):
        assert (await callers.owner().send("GET", "/dashboards/sales/board")).code == 200
    assert (await browser("ann", PASSWORD)).code == 200
    assert not login.done()
    Directory.answers.set()
    assert (await login).code == 200


@pytest.mark.parametrize("extension_config", [MANY], indirect=True)
async def test_hashing_holds_nothing_up(
    browser: Any, callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = callers.app.serverapp.identity_provider
    provider.hashed_password = passwd("the owner's password")
    threads: list[int] = []
    verify = PasswordHasher.verify

    def noting(self: PasswordHasher, stored: str, password: str | bytes) -> bool:
        threads.append(threading.get_ident())
        return bool(verify(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", noting)
    for username in ("ann", ""):
        threads.clear()
        await asyncio.gather(*(browser(username, "wrong", f"198.51.100.{n}") for n in range(5)))
        assert len(threads) >= 5, username
        # That of the event loop, and of this test.
        assert threading.get_ident() not in threads


@pytest.mark.parametrize("extension_config", [{"authenticator_class": Directory}], indirect=True)
async def test_an_authenticator_of_one_s_own_decides_and_says_the_groups(
    browser: Any, callers: Callers
) -> None:
    for name, code in (("ZOE", 200), ("eve", 200)):
        response = await browser(name, PASSWORD)
        assert response.code == code
        assert json.loads(response.body)["username"] == name.lower()
    # The accounts of the database count no more.
    assert (await browser("ann", "wrong")).code == 401
    client = callers.nobody()
    await client.send("POST", "/login", {"username": "ZOE", "password": PASSWORD})
    assert (await client.send("GET", "/dashboards/sales/board")).code == 200


@pytest.mark.parametrize("extension_config", [{"authenticator_class": Directory}], indirect=True)
async def test_an_authenticator_that_breaks_is_told_as_such_and_counts_as_no_guess(
    browser: Any, callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(12):
        response = await browser("broken", "a password")
        assert response.code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert "try again later" in json.loads(response.body)["message"]
        assert "directory" not in response.body.decode().lower()
    assert "Directory failed" in caplog.text
    assert "a password" not in caplog.text
    client: Client = callers.nobody()
    await client.send("GET", "/login")
    page = await client.send("POST", "/login", "username=broken&password=x")
    assert page.code == 503
    assert b'name="password"' in page.body
