"""Passwords of share links, and guessing at them."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from jupyter_dashboards_api.access import share_passwords
from jupyter_dashboards_api.access.activities import Activities, ActivityInfo
from jupyter_dashboards_api.access.page_tokens import PageTokens
from jupyter_dashboards_api.access.passwords import HashingThreads
from jupyter_dashboards_api.access.share_passwords import (
    GUESSES,
    GUESSING_SECONDS,
    MAX_NOTE_LENGTH,
    MAX_PASSWORDS,
    MAX_WAITING,
    SharePasswords,
)
from jupyter_dashboards_api.access.shares import OpenShare, Shares
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.errors import (
    InvalidRequest,
    TooManyAttempts,
    Unauthorized,
)

from .conftest import NewNotebook

PASSWORD = "correct horse"
HERE = "10.0.0.1"


@pytest.fixture
def shares(database: Database) -> Shares:
    return Shares(database)


@pytest.fixture
def activities(database: Database) -> Activities:
    return Activities(database, timedelta(days=400))


@pytest.fixture
def tokens() -> PageTokens:
    return PageTokens(b"s" * 32, timedelta(minutes=15), timedelta(hours=24))


@pytest.fixture
def passwords(
    shares: Shares, threads: HashingThreads, tokens: PageTokens, activities: Activities
) -> SharePasswords:
    return SharePasswords(shares, threads, tokens, activities)


@pytest.fixture
def notebook(new_notebook: NewNotebook) -> int:
    return new_notebook("sales/board.ipynb")


async def link(shares: Shares, notebook: int) -> str:
    """The token of a link that needs a password."""
    changes = {"enabled": True, "password_required": True}
    configuration = await shares.change(notebook, changes, "ann")
    assert configuration.access_token is not None
    return configuration.access_token


async def opened(shares: Shares, token: str) -> OpenShare:
    share = await shares.open(token)
    assert share is not None
    return share


async def log(activities: Activities) -> list[ActivityInfo]:
    entries, _ = await activities.page(10_000, 1)
    return entries


class Guesses:
    """What came of guesses: tokens of those that were right, and the others' errors, counted."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.refused: Counter[type] = Counter()
        self.at_once = 0

    async def guess(
        self, passwords: SharePasswords, share: OpenShare, password: str, address: str = HERE
    ) -> None:
        try:
            self.tokens.append(await passwords.unlock(share, password, address))
        except (Unauthorized, TooManyAttempts) as error:
            self.refused[type(error)] += 1
            self.at_once += "at once" in error.message


async def test_a_password_opens_its_link(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    token = await link(shares, notebook)
    info, chosen = await passwords.add(notebook, PASSWORD, "for the board", "ann")
    assert chosen == PASSWORD
    assert (info.note, info.created_by) == ("for the board", "ann")
    share = await opened(shares, token)
    assert PASSWORD not in repr(share)
    share_token = await passwords.unlock(share, PASSWORD, HERE)
    assert passwords.is_unlocked(share, share_token) == info.id


async def test_a_password_is_made_up_if_none_is_given(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    token = await link(shares, notebook)
    made = [(await passwords.add(notebook, given, "", "ann"))[1] for given in (None, "")]
    assert made[0] != made[1]
    assert {len(password) for password in made} == {22}
    share = await opened(shares, token)
    for password in made:
        assert await passwords.unlock(share, password, HERE)


async def test_a_link_that_needs_no_password_gets_none(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    await shares.change(notebook, {"enabled": True}, "ann")
    with pytest.raises(InvalidRequest, match="Password protection must be enabled"):
        await passwords.add(notebook, PASSWORD, "", "ann")
    assert (await shares.configuration(notebook)).passwords == ()


async def test_a_password_or_note_with_a_mistake_is_refused(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    await link(shares, notebook)
    with pytest.raises(InvalidRequest, match="at least 8 characters"):
        await passwords.add(notebook, "short", "", "ann")
    with pytest.raises(InvalidRequest, match="`note` has at most 100 characters"):
        await passwords.add(notebook, PASSWORD, "x" * (MAX_NOTE_LENGTH + 1), "ann")
    await passwords.add(notebook, PASSWORD, "x" * MAX_NOTE_LENGTH, "ann")


async def test_a_link_has_at_most_ten_passwords(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    await link(shares, notebook)
    share_id, _ = await shares.share_id(notebook, "ann")
    for _ in range(MAX_PASSWORDS):
        await shares.password(share_id, "", "ann", "hash", MAX_PASSWORDS)
    with pytest.raises(InvalidRequest, match="at most 10 passwords"):
        await passwords.add(notebook, PASSWORD, "", "ann")


async def test_any_of_several_passwords_opens_and_deleting_one_locks_out_those_who_came_by_it(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    token = await link(shares, notebook)
    first, _ = await passwords.add(notebook, "password one", "", "ann")
    second, _ = await passwords.add(notebook, "password two", "", "ann")
    share = await opened(shares, token)
    by_first = await passwords.unlock(share, "password one", HERE)
    by_second = await passwords.unlock(share, "password two", HERE)
    assert passwords.is_unlocked(share, by_first) == first.id
    assert passwords.is_unlocked(share, by_second) == second.id

    await shares.delete_password(notebook, first.id)
    share = await opened(shares, token)
    assert passwords.is_unlocked(share, by_first) is None
    assert passwords.is_unlocked(share, by_second) == second.id
    with pytest.raises(Unauthorized, match="Incorrect password"):
        await passwords.unlock(share, "password one", HERE)
    # The same words are another password.
    await passwords.add(notebook, "password one", "", "ann")
    assert passwords.is_unlocked(await opened(shares, token), by_first) is None


async def test_a_share_token_opens_no_other_link(
    passwords: SharePasswords, shares: Shares, notebook: int, new_notebook: NewNotebook
) -> None:
    other = new_notebook("other.ipynb")
    one, two = await link(shares, notebook), await link(shares, other)
    await passwords.add(notebook, PASSWORD, "", "ann")
    await passwords.add(other, PASSWORD, "", "ann")
    share, another = await opened(shares, one), await opened(shares, two)
    share_token = await passwords.unlock(share, PASSWORD, HERE)
    assert passwords.is_unlocked(share, share_token) is not None
    assert passwords.is_unlocked(another, share_token) is None


async def test_a_refresh_ends_what_was_unlocked_before(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    old = await link(shares, notebook)
    info, _ = await passwords.add(notebook, PASSWORD, "", "ann")
    share_token = await passwords.unlock(await opened(shares, old), PASSWORD, HERE)
    new = (await shares.refresh(notebook, "ann")).access_token
    assert new is not None
    assert passwords.is_unlocked(await opened(shares, new), share_token) is None
    # For as long as the old link works, so does what was unlocked by it.
    assert passwords.is_unlocked(await opened(shares, old), share_token) == info.id
    again = await passwords.unlock(await opened(shares, new), PASSWORD, HERE)
    assert passwords.is_unlocked(await opened(shares, new), again) == info.id


async def test_a_link_that_needs_a_password_and_has_none_stays_locked(
    passwords: SharePasswords, shares: Shares, notebook: int, tokens: PageTokens
) -> None:
    token = await link(shares, notebook)
    share = await opened(shares, token)
    assert not share.is_unlocked_by(None)
    for guess in ("", PASSWORD):
        with pytest.raises(Unauthorized):
            await passwords.unlock(share, guess, HERE)
    forged = tokens.share_token(token, 1, timedelta(hours=1))
    assert passwords.is_unlocked(share, forged) is None


@pytest.mark.parametrize("share_token", ["", "x", "a.b.c", "\ud800"])
async def test_garbage_unlocks_nothing(
    passwords: SharePasswords, shares: Shares, notebook: int, share_token: str
) -> None:
    share = await opened(shares, await link(shares, notebook))
    assert passwords.is_unlocked(share, share_token) is None


async def test_a_share_token_lasts_a_day(
    passwords: SharePasswords, shares: Shares, notebook: int, tokens: PageTokens
) -> None:
    token = await link(shares, notebook)
    info, _ = await passwords.add(notebook, PASSWORD, "", "ann")
    share = await opened(shares, token)
    over = tokens.share_token(token, info.id, timedelta(seconds=-1))
    assert passwords.is_unlocked(share, over) is None
    assert timedelta(hours=24) == share_passwords.LIFETIME


async def test_attempts_are_in_the_activity_log(
    passwords: SharePasswords, shares: Shares, activities: Activities, notebook: int
) -> None:
    token = await link(shares, notebook)
    info, _ = await passwords.add(notebook, PASSWORD, "for the board", "ann")
    share = await opened(shares, token)
    await passwords.unlock(share, PASSWORD, HERE)
    with pytest.raises(Unauthorized):
        await passwords.unlock(share, "a guess", "10.0.0.2")
    failure, success = await log(activities)
    assert (failure.activity, success.activity) == ("share_login_failed", "share_login_success")
    for entry in (failure, success):
        assert (entry.notebook_id, entry.path) == (notebook, "sales/board.ipynb")
    assert success.detail["authentication_attempt"] == {
        "access_token_suffix": token[-6:],
        "client_ip": HERE,
        "success": True,
        "resource_type": "notebook",
        "password_id": info.id,
        "password_note": "for the board",
    }
    assert failure.detail["authentication_attempt"] == {
        "access_token_suffix": token[-6:],
        "client_ip": "10.0.0.2",
        "success": False,
        "resource_type": "notebook",
        "password_id": None,
        "password_note": None,
    }
    assert "a guess" not in repr(failure)


async def test_after_ten_wrong_guesses_further_ones_are_put_off_and_the_right_one_is_not(
    passwords: SharePasswords, shares: Shares, activities: Activities, notebook: int
) -> None:
    token = await link(shares, notebook)
    await passwords.add(notebook, PASSWORD, "", "ann")
    share = await opened(shares, token)
    for number in range(GUESSES):
        with pytest.raises(Unauthorized, match="Incorrect password"):
            await passwords.unlock(share, f"guess {number}", f"10.0.0.{number}")
    for number in range(3):
        with pytest.raises(TooManyAttempts) as refused:
            await passwords.unlock(share, f"guess {number}", f"10.0.1.{number}")
        assert refused.value.retry_after == GUESSING_SECONDS == 60
    assert len(await log(activities)) == GUESSES
    assert passwords.is_unlocked(share, await passwords.unlock(share, PASSWORD, HERE))
    # Being right once is no licence to guess on.
    with pytest.raises(TooManyAttempts):
        await passwords.unlock(share, "guess", HERE)


async def test_guesses_at_one_link_do_not_count_for_another(
    passwords: SharePasswords, shares: Shares, notebook: int, new_notebook: NewNotebook
) -> None:
    share = await opened(shares, await link(shares, notebook))
    for number in range(GUESSES):
        with pytest.raises(Unauthorized):
            await passwords.unlock(share, f"guess {number}", HERE)
    other = await opened(shares, await link(shares, new_notebook("other.ipynb")))
    with pytest.raises(Unauthorized):
        await passwords.unlock(other, "guess", HERE)


async def test_one_address_has_a_few_guesses_waiting_at_most(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    share = await opened(shares, await link(shares, notebook))
    guesses = Guesses()
    await asyncio.gather(*(guesses.guess(passwords, share, "guess") for _ in range(100)))
    assert guesses.refused == {Unauthorized: GUESSES, TooManyAttempts: 100 - GUESSES}
    # These were not even looked at.
    assert guesses.at_once == 100 - MAX_WAITING
    # Nothing is kept of those that wait no more.
    assert not passwords._waiting
    assert not passwords._turns


async def test_a_guess_that_is_given_up_does_not_hold_up_the_others(
    passwords: SharePasswords, shares: Shares, notebook: int
) -> None:
    token = await link(shares, notebook)
    await passwords.add(notebook, PASSWORD, "", "ann")
    share = await opened(shares, token)
    given_up = [asyncio.ensure_future(passwords.unlock(share, "guess", HERE)) for _ in range(5)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    assert await passwords.unlock(share, PASSWORD, HERE)
    await asyncio.gather(*given_up, return_exceptions=True)
    assert not passwords._waiting
    assert not passwords._turns


async def test_brute_force_gets_nowhere_and_keeps_nobody_out(
    passwords: SharePasswords, shares: Shares, activities: Activities, notebook: int
) -> None:
    passwords._guesses.seconds = 3600
    token = await link(shares, notebook)
    info, _ = await passwords.add(notebook, PASSWORD, "", "ann")
    share = await opened(shares, token)
    attackers, owner = Guesses(), Guesses()

    async def attack(address: str, guesses: int, burst: int) -> None:
        for first in range(0, guesses, burst):
            await asyncio.gather(
                *(
                    attackers.guess(passwords, share, f"{PASSWORD}{number}", address)
                    for number in range(first, first + burst)
                )
            )

    async def come_by() -> None:
        while sum(attackers.refused.values()) < 800:
            await asyncio.sleep(0)
        await owner.guess(passwords, share, PASSWORD, "10.1.1.1")

    await asyncio.gather(
        attack("10.0.0.1", 40, 1),
        attack("10.0.0.2", 320, 160),
        attack("10.0.0.3", 320, 320),
        attack("10.0.0.4", 320, 320),
        come_by(),
    )
    assert sum(attackers.refused.values()) == 1000
    assert attackers.tokens == []
    # The log has not grown by those that were put off.
    assert attackers.refused[Unauthorized] == GUESSES
    assert len(await log(activities)) == GUESSES + 1
    assert [passwords.is_unlocked(share, each) for each in owner.tokens] == [info.id]
