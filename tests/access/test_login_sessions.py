"""Viewers' sessions: how long one lasts, and all that ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from jupyter_dashboards_api.access.authenticators import Viewer
from jupyter_dashboards_api.access.login_sessions import LoginSessions
from jupyter_dashboards_api.access.secret_values import hashed
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import LoginSession, now

from .conftest import Run

ANN = Viewer("ann", ("sales", "board"))
LIFETIME, IDLE = timedelta(days=14), timedelta(days=3)


@pytest.fixture
def sessions(database: Database) -> LoginSessions:
    return LoginSessions(database, LIFETIME, IDLE)


async def test_the_cookies_secret_finds_the_session(sessions: LoginSessions) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    found = await sessions.find(secret)
    assert found is not None
    assert (found.username, found.groups) == ("ann", {"sales", "board"})
    assert await sessions.groups_of(found.id) == {"sales", "board"}
    assert await sessions.find(secret + "x") is None
    assert await sessions.find(found.id) is None
    assert await sessions.find("") is None


async def test_the_database_has_the_secrets_hash_alone(sessions: LoginSessions, run: Run) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    row = run(select(LoginSession.__table__))
    assert hashed(secret) in row
    assert secret not in map(str, row)


async def test_each_login_is_a_session_of_its_own(sessions: LoginSessions) -> None:
    first = await sessions.begin(ANN, "10.0.0.1")
    second = await sessions.begin(ANN, "10.0.0.1")
    found = await sessions.find(first)
    assert found is not None
    await sessions.end(found.id)
    assert await sessions.find(first) is None
    assert await sessions.groups_of(found.id) is None
    assert await sessions.find(second) is not None


async def test_ending_a_session_that_has_ended_is_no_error(sessions: LoginSessions) -> None:
    await sessions.end("no such session")


async def test_end_all_ends_those_of_one_viewer(sessions: LoginSessions) -> None:
    anns = [await sessions.begin(ANN, "10.0.0.1") for _ in range(3)]
    bobs = await sessions.begin(Viewer("bob"), "10.0.0.1")
    assert await sessions.end_all("ann") == 3
    assert await sessions.end_all("ann") == 0
    assert [await sessions.find(secret) for secret in anns] == [None] * 3
    assert await sessions.find(bobs) is not None


async def test_a_session_lasts_as_long_as_configured_however_much_it_is_used(
    sessions: LoginSessions, run: Run
) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    (end,) = run(select(LoginSession.expires_at))
    assert abs(end - now() - LIFETIME) < timedelta(minutes=1)
    assert await sessions.find(secret) is not None
    assert run(select(LoginSession.expires_at)) == (end,)
    run(update(LoginSession).values(expires_at=now() - timedelta(seconds=1)))
    assert await sessions.find(secret) is None


async def test_a_session_that_is_not_used_ends(sessions: LoginSessions, run: Run) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    found = await sessions.find(secret)
    assert found is not None
    run(update(LoginSession).values(last_seen_at=now() - IDLE + timedelta(minutes=1)))
    assert await sessions.find(secret) is not None
    run(update(LoginSession).values(last_seen_at=now() - IDLE))
    assert await sessions.find(secret) is None
    assert await sessions.groups_of(found.id) is None
    assert not await sessions.knows("ann", "10.0.0.1")


async def test_using_a_session_keeps_it(sessions: LoginSessions, run: Run) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    long_unused = now() - timedelta(days=2)
    run(update(LoginSession).values(last_seen_at=long_unused))
    await sessions.find(secret)
    (seen,) = run(select(LoginSession.last_seen_at))
    assert now() - seen < timedelta(minutes=1)


async def test_that_it_is_used_is_not_written_at_every_request(
    sessions: LoginSessions, run: Run
) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    a_minute_ago = now() - timedelta(minutes=1)
    run(update(LoginSession).values(last_seen_at=a_minute_ago))
    await sessions.find(secret)
    assert run(select(LoginSession.last_seen_at)) == (a_minute_ago,)


async def test_a_login_clears_up_what_has_ended(sessions: LoginSessions, run: Run) -> None:
    for _ in range(3):
        await sessions.begin(ANN, "10.0.0.1")
    run(update(LoginSession).values(expires_at=now()))
    await sessions.begin(Viewer("bob"), "10.0.0.1")
    assert run(select(func.count()).select_from(LoginSession)) == (1,)


async def test_an_address_is_known_while_its_viewer_has_a_session_there(
    sessions: LoginSessions,
) -> None:
    secret = await sessions.begin(ANN, "10.0.0.1")
    assert await sessions.knows("ann", "10.0.0.1")
    assert not await sessions.knows("ann", "10.0.0.2")
    assert not await sessions.knows("bob", "10.0.0.1")
    found = await sessions.find(secret)
    assert found is not None
    await sessions.end(found.id)
    assert not await sessions.knows("ann", "10.0.0.1")


async def test_an_address_of_any_length_is_known_again(sessions: LoginSessions) -> None:
    address = "2001:db8::" + "1" * 100
    await sessions.begin(ANN, address)
    assert await sessions.knows("ann", address)
