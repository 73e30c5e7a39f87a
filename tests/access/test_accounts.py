"""Viewers' accounts, as `jupyter dashboards users` makes and ends them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from jupyter_dashboards_api.access.accounts import (
    MAX_NAME_LENGTH,
    Accounts,
    clean_groups,
    clean_username,
)
from jupyter_dashboards_api.access.authenticators import AccountAuthenticator, Viewer
from jupyter_dashboards_api.access.login_sessions import LoginSessions
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Account, now
from jupyter_dashboards_api.errors import Conflict, DashboardsError, InvalidRequest, NotFound

from .conftest import Run

PASSWORD = "correct horse"
COMPOSED, DECOMPOSED = "andr\u00e9", "andre\u0301"


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)


@pytest.fixture
def authenticator(database: Database) -> AccountAuthenticator:
    checking = AccountAuthenticator()
    checking.database = database
    return checking


@pytest.fixture
def sessions(database: Database) -> LoginSessions:
    return LoginSessions(database, timedelta(days=1), timedelta(days=1))


def test_an_account_is_a_name_a_password_and_groups(
    accounts: Accounts, authenticator: AccountAuthenticator, run: Run
) -> None:
    accounts.add("ann", PASSWORD, ["sales", "board", "sales"])
    (told,) = accounts.list_all()
    assert (told.username, told.groups) == ("ann", ("board", "sales"))
    assert abs(told.created_at - now()) < timedelta(minutes=1)
    assert authenticator.authenticate("ann", PASSWORD) == Viewer("ann", ("board", "sales"))
    (stored,) = run(select(Account.password_hash))
    assert stored.startswith("$argon2id$")


def test_a_wrong_name_or_password_is_nobody(
    accounts: Accounts, authenticator: AccountAuthenticator
) -> None:
    accounts.add("ann", PASSWORD)
    assert authenticator.authenticate("ann", PASSWORD + "x") is None
    assert authenticator.authenticate("Ann", PASSWORD) is None
    assert authenticator.authenticate("bob", PASSWORD) is None
    assert authenticator.authenticate("ann", "") is None


def test_accounts_are_listed_by_name(accounts: Accounts) -> None:
    for name in ("carl", "ann", "bob"):
        accounts.add(name, PASSWORD)
    assert [each.username for each in accounts.list_all()] == ["ann", "bob", "carl"]


def test_a_name_is_given_once(accounts: Accounts, authenticator: AccountAuthenticator) -> None:
    accounts.add("ann", PASSWORD)
    with pytest.raises(Conflict, match="There is a viewer ann already"):
        accounts.add("ann", "another password")
    assert authenticator.authenticate("ann", PASSWORD) is not None


def test_of_several_who_add_a_name_at_once_one_does(accounts: Accounts) -> None:
    def add(number: int) -> bool:
        try:
            accounts.add("ann", f"{PASSWORD} {number}")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(4))) == 1


def test_a_name_is_the_same_in_both_forms_of_its_accents(
    accounts: Accounts, authenticator: AccountAuthenticator
) -> None:
    accounts.add(DECOMPOSED, PASSWORD)
    assert [each.username for each in accounts.list_all()] == [COMPOSED]
    with pytest.raises(Conflict):
        accounts.add(COMPOSED, PASSWORD)
    assert authenticator.authenticate(DECOMPOSED, PASSWORD) is not None
    accounts.set_groups(DECOMPOSED, ["sales"])
    accounts.set_password(DECOMPOSED, "another password")
    accounts.remove(DECOMPOSED)
    assert accounts.list_all() == []


@pytest.mark.parametrize(
    "name",
    ["", " ", "ann ", " ann", "a:b", "a\nb", "a\0b", "\ud800", "x" * (MAX_NAME_LENGTH + 1)],
)
def test_some_names_nobody_can_have(name: str) -> None:
    with pytest.raises(InvalidRequest, match="A viewer's name has up to 128 characters"):
        clean_username(name)


@pytest.mark.parametrize(
    "name", ["ann", "Ann Lee", "ann@example.org", "CORP\\ann", "安", "a" * 128]
)
def test_names_may_be_of_any_letters(name: str) -> None:
    assert clean_username(name) == name


@pytest.mark.parametrize("group", ["", "a b", "group:a", "a" * 129, "a\n", "\ud800"])
def test_some_groups_there_can_be_none_of(group: str) -> None:
    with pytest.raises(InvalidRequest, match="A group's name"):
        clean_groups(["sales", group])


def test_an_account_with_a_mistake_is_not_made(accounts: Accounts) -> None:
    for name, password, groups in (
        ("a:b", PASSWORD, []),
        ("ann", "short", []),
        ("ann", PASSWORD, ["no group"]),
    ):
        with pytest.raises(InvalidRequest):
            accounts.add(name, password, groups)
    assert accounts.list_all() == []


async def test_a_new_password_ends_the_sessions_of_that_viewer_alone(
    accounts: Accounts, authenticator: AccountAuthenticator, sessions: LoginSessions
) -> None:
    accounts.add("ann", PASSWORD)
    anns = [await sessions.begin(Viewer("ann"), f"10.0.0.{i}") for i in range(2)]
    bobs = await sessions.begin(Viewer("bob"), "10.0.0.1")
    accounts.set_password("ann", "another password")
    assert [await sessions.find(secret) for secret in anns] == [None, None]
    assert await sessions.find(bobs) is not None
    assert authenticator.authenticate("ann", PASSWORD) is None
    assert authenticator.authenticate("ann", "another password") == Viewer("ann")


async def test_a_password_that_is_refused_changes_nothing(
    accounts: Accounts, authenticator: AccountAuthenticator, sessions: LoginSessions
) -> None:
    accounts.add("ann", PASSWORD)
    secret = await sessions.begin(Viewer("ann"), "10.0.0.1")
    with pytest.raises(InvalidRequest, match="at least 8 characters"):
        accounts.set_password("ann", "short")
    assert await sessions.find(secret) is not None
    assert authenticator.authenticate("ann", PASSWORD) is not None


async def test_removing_an_account_ends_its_sessions(
    accounts: Accounts, authenticator: AccountAuthenticator, sessions: LoginSessions
) -> None:
    accounts.add("ann", PASSWORD)
    secret = await sessions.begin(Viewer("ann"), "10.0.0.1")
    accounts.remove("ann")
    assert await sessions.find(secret) is None
    assert authenticator.authenticate("ann", PASSWORD) is None
    accounts.add("ann", PASSWORD)
    assert await sessions.find(secret) is None


async def test_groups_count_for_open_sessions_too(
    accounts: Accounts, authenticator: AccountAuthenticator, sessions: LoginSessions
) -> None:
    accounts.add("ann", PASSWORD, ["sales"])
    secret = await sessions.begin(Viewer("ann", ("sales",)), "10.0.0.1")
    accounts.set_groups("ann", ["board"])
    found = await sessions.find(secret)
    assert found is not None
    assert found.groups == {"board"}
    assert authenticator.authenticate("ann", PASSWORD) == Viewer("ann", ("board",))


def test_who_is_not_there_cannot_be_changed(accounts: Accounts) -> None:
    for change in (
        lambda: accounts.set_password("ann", PASSWORD),
        lambda: accounts.set_groups("ann", []),
        lambda: accounts.remove("ann"),
    ):
        with pytest.raises(NotFound, match="There is no viewer ann"):
            change()


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 1000])
def test_a_name_that_cannot_be_stored_is_a_fault_of_the_caller(
    accounts: Accounts, name: str
) -> None:
    with pytest.raises(DashboardsError) as caught:
        accounts.remove(name)
    assert caught.value.status in (400, 404)
