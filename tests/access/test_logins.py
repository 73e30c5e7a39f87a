"""Logging in, and how often it may be tried."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.accounts import Accounts
from jupyter_dashboards_api.access.authenticators import (
    AccountAuthenticator,
    Authenticator,
    Viewer,
)
from jupyter_dashboards_api.access.login_sessions import LoginSessions
from jupyter_dashboards_api.access.logins import Logins, same_secret
from jupyter_dashboards_api.access.passwords import HashingThreads
from jupyter_dashboards_api.access.throttle import FailureLimit
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.errors import (
    DashboardsError,
    TooManyAttempts,
    Unauthorized,
    Unavailable,
)

PASSWORD = "correct horse"
HOME, CAFE = "10.0.0.1", "10.9.9.9"
NAMES, ADDRESSES, SECONDS = 5, 12, 300.0

LogIns = Callable[[Authenticator], Logins]


class InMemory(Authenticator):
    """A directory that answers at once, and notes what it was asked."""

    def __init__(self, **passwords: str) -> None:
        super().__init__()
        self.passwords = passwords
        self.asked: list[str] = []

    def authenticate(self, username: str, password: str) -> Viewer | None:
        self.asked.append(username)
        return Viewer(username) if self.passwords.get(username) == password else None


class Broken(Authenticator):
    def authenticate(self, username: str, password: str) -> Viewer | None:
        raise ConnectionError("ldap.example.org has no answer")


@pytest.fixture
def sessions(database: Database) -> LoginSessions:
    return LoginSessions(database, timedelta(days=1), timedelta(days=1))


@pytest.fixture
def logins(sessions: LoginSessions, threads: HashingThreads) -> LogIns:
    def of(authenticator: Authenticator) -> Logins:
        return Logins(
            authenticator,
            sessions,
            threads,
            FailureLimit(NAMES, SECONDS),
            FailureLimit(ADDRESSES, SECONDS),
            logging.getLogger("logins"),
        )

    return of


async def outcome(logins: Logins, name: str, password: str, address: str = CAFE) -> type:
    try:
        await logins.log_in(name, password, address)
    except DashboardsError as error:
        return type(error)
    return Viewer


async def test_a_login_begins_a_session(
    logins: LogIns, sessions: LoginSessions, database: Database
) -> None:
    Accounts(database).add("ann", PASSWORD, ["sales"])
    authenticator = AccountAuthenticator()
    authenticator.database = database
    viewer, secret = await logins(authenticator).log_in("ann", PASSWORD, HOME)
    assert viewer == Viewer("ann", ("sales",))
    found = await sessions.find(secret)
    assert found is not None
    assert (found.username, found.groups) == ("ann", {"sales"})
    assert await sessions.knows("ann", HOME)


async def test_a_wrong_name_and_a_wrong_password_are_told_alike(logins: LogIns) -> None:
    trying, told = logins(InMemory(ann=PASSWORD)), set()
    for name, password in (("ann", "wrong"), ("bob", PASSWORD), ("a:b", PASSWORD), ("", "")):
        with pytest.raises(Unauthorized) as caught:
            await trying.log_in(name, password, CAFE)
        told.add(caught.value.message)
    assert told == {"Wrong name or password."}


@pytest.mark.parametrize("name", ["a\0nn", "\ud800", "x" * 100_000, "an\nn", " "])
async def test_a_name_that_nobody_can_have_asks_nobody(logins: LogIns, name: str) -> None:
    directory = InMemory(ann=PASSWORD)
    trying = logins(directory)
    tried = [await outcome(trying, name, PASSWORD) for _ in range(ADDRESSES + 1)]
    assert tried == [Unauthorized] * ADDRESSES + [TooManyAttempts]
    assert directory.asked == []
    # Nor does it fill the memory.
    assert not trying._by_name._failures


async def test_a_password_longer_than_any_asks_nobody(logins: LogIns) -> None:
    directory = InMemory(ann=PASSWORD)
    assert await outcome(logins(directory), "ann", "x" * 2000) is Unauthorized
    assert directory.asked == []


async def test_a_name_is_the_same_in_both_forms_of_its_accents(logins: LogIns) -> None:
    directory = InMemory()
    directory.passwords["andr\u00e9"] = PASSWORD
    assert await outcome(logins(directory), "andre\u0301", PASSWORD) is Viewer


async def test_after_so_many_failures_a_name_has_to_wait_from_everywhere(logins: LogIns) -> None:
    directory = InMemory(ann=PASSWORD, bob=PASSWORD)
    trying = logins(directory)
    for number in range(NAMES):
        assert await outcome(trying, "ann", f"guess {number}", f"10.0.0.{number}") is Unauthorized
    with pytest.raises(TooManyAttempts) as caught:
        await trying.log_in("ann", PASSWORD, "10.0.1.1")
    assert SECONDS - 60 < caught.value.retry_after <= SECONDS
    assert len(directory.asked) == NAMES
    assert await outcome(trying, "bob", PASSWORD, "10.0.0.1") is Viewer


async def test_directories_that_take_ann_for_ann_give_no_further_guesses(logins: LogIns) -> None:
    trying = logins(InMemory(ann=PASSWORD))
    spellings = ["ann", "Ann", "aNN", "ANN", "anN", "aNn"]
    tried = [await outcome(trying, name, "guess", f"10.1.0.{len(name)}") for name in spellings]
    assert tried == [Unauthorized] * NAMES + [TooManyAttempts]


async def test_after_so_many_failures_an_address_has_to_wait_for_everybody(
    logins: LogIns,
) -> None:
    trying = logins(InMemory(ann=PASSWORD))
    for number in range(ADDRESSES):
        assert await outcome(trying, f"name{number}", "guess", CAFE) is Unauthorized
    assert await outcome(trying, "ann", PASSWORD, CAFE) is TooManyAttempts
    assert await outcome(trying, "ann", PASSWORD, HOME) is Viewer


async def test_a_success_makes_a_names_failures_good(logins: LogIns) -> None:
    trying = logins(InMemory(ann=PASSWORD))
    for _ in range(2):
        for _ in range(NAMES - 1):
            assert await outcome(trying, "ann", "wrong", HOME) is Unauthorized
        assert await outcome(trying, "ann", PASSWORD, HOME) is Viewer


async def test_whoever_guesses_does_not_keep_the_viewer_out_of_where_they_are_logged_in(
    logins: LogIns,
) -> None:
    trying = logins(InMemory(ann=PASSWORD))
    assert await outcome(trying, "ann", PASSWORD, HOME) is Viewer
    for number in range(NAMES):
        await outcome(trying, "ann", f"guess {number}", CAFE)
    assert await outcome(trying, "ann", "guess", CAFE) is TooManyAttempts
    assert await outcome(trying, "ann", PASSWORD, "10.0.0.2") is TooManyAttempts
    assert await outcome(trying, "ann", PASSWORD, HOME) is Viewer


async def test_the_limit_of_an_address_has_no_exemption(logins: LogIns) -> None:
    trying = logins(InMemory(ann=PASSWORD))
    assert await outcome(trying, "ann", PASSWORD, HOME) is Viewer
    tried = [await outcome(trying, "ann", f"{number}", HOME) for number in range(ADDRESSES + 1)]
    assert tried == [Unauthorized] * ADDRESSES + [TooManyAttempts]


async def test_many_attempts_at_once_are_no_way_round_the_limits(logins: LogIns) -> None:
    directory = InMemory(ann=PASSWORD)
    trying = logins(directory)
    at_a_name = await asyncio.gather(
        *(outcome(trying, "ann", f"guess {n}", f"10.0.{n // 4}.{n}") for n in range(100))
    )
    # Two are checked at a time, so one may have begun before the last failure.
    assert Counter(at_a_name)[Unauthorized] in (NAMES, NAMES + 1)
    assert Counter(at_a_name)[TooManyAttempts] == 100 - Counter(at_a_name)[Unauthorized]
    from_an_address = await asyncio.gather(
        *(outcome(trying, f"name{n}", "guess", CAFE) for n in range(100))
    )
    assert Counter(from_an_address)[Unauthorized] in (ADDRESSES, ADDRESSES + 1)
    assert len(directory.asked) <= NAMES + ADDRESSES + 2


async def test_an_authenticator_that_fails_is_told_to_nobody_but_the_log(
    logins: LogIns, caplog: pytest.LogCaptureFixture
) -> None:
    trying = logins(Broken())
    for _ in range(NAMES + ADDRESSES):
        with pytest.raises(Unavailable) as caught:
            await trying.log_in("ann", PASSWORD, CAFE)
    assert caught.value.message == "Logging in does not work now: try again later."
    assert caught.value.retry_after > 0
    assert "Broken failed" in caplog.text
    assert PASSWORD not in caplog.text


async def test_an_authenticator_without_the_method_fails(logins: LogIns) -> None:
    assert await outcome(logins(Authenticator()), "ann", PASSWORD) is Unavailable


async def test_the_time_of_an_attempt_does_not_tell_whether_there_is_such_a_viewer(
    logins: LogIns, database: Database
) -> None:
    Accounts(database).add("ann", PASSWORD)
    authenticator = AccountAuthenticator()
    authenticator.database = database
    ratios = []
    for number in range(15):
        # Fresh ones: a name may fail only so often.
        trying, seconds = logins(authenticator), {}
        for name in ("ann", "bob"):
            start = time.perf_counter()
            assert await outcome(trying, name, f"guess {number}") is Unauthorized
            seconds[name] = time.perf_counter() - start
        ratios.append(seconds["bob"] / seconds["ann"])
    assert 0.5 < statistics.median(ratios) < 2


async def test_the_servers_own_login_is_limited_by_address(logins: LogIns) -> None:
    trying = logins(InMemory())
    answers = {"right": True, "wrong": False}

    async def check(password: str, address: str) -> bool:
        async def answer() -> bool:
            return answers[password]

        return await trying.check_owner(answer, address)

    assert await check("right", CAFE)
    for _ in range(ADDRESSES):
        assert not await check("wrong", CAFE)
    with pytest.raises(TooManyAttempts):
        await check("right", CAFE)
    assert await check("right", HOME)


@settings(deadline=None)
@given(st.text(), st.text(st.characters(exclude_categories=["Cs"])))
def test_secrets_are_the_same_if_they_are_equal_and_not_empty(one: str, other: str) -> None:
    assert same_secret(one, other) == (one == other != "")
    assert same_secret(other, other) == (other != "")
