"""Sharing a notebook by link: its configuration, and who gets in by a token."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from jupyter_dashboards_api.access.shares import (
    GRACE,
    MAX_FRAME_ANCESTORS,
    MAX_PARAMETERS_LENGTH,
    SETTINGS,
    ShareConfiguration,
    Shares,
    clean_changes,
    clean_settings,
)
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook, Share, ShareToken, now
from jupyter_dashboards_api.errors import InvalidRequest, NotFound

from .conftest import NewNotebook, Run

MINUTE = timedelta(minutes=1)


class Changes:
    """Counts how often it was said that a right may have ended."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def shares(database: Database, changes: Changes) -> Shares:
    return Shares(database, changes)


@pytest.fixture
def notebook(new_notebook: NewNotebook) -> int:
    return new_notebook("sales/board.ipynb")


async def opened(shares: Shares, notebook: int, **more: Any) -> str:
    """The token of the notebook's link, which is open now."""
    configuration = await shares.change(notebook, {"enabled": True, **more}, "ann")
    assert configuration.access_token is not None
    return configuration.access_token


async def test_a_notebook_that_was_never_shared_has_a_configuration_that_is_not_stored(
    shares: Shares, notebook: int, run: Run
) -> None:
    assert await shares.configuration(notebook) == ShareConfiguration(notebook)
    assert ShareConfiguration(notebook).access_token is None
    assert run(select(func.count()).select_from(Share)) == (0,)


async def test_the_first_change_makes_the_share(shares: Shares, notebook: int) -> None:
    made = await shares.change(notebook, {"password_required": True}, "ann")
    assert made.access_token is not None
    assert len(made.access_token) == 30
    assert (made.enabled, made.password_required, made.live) == (False, True, True)
    assert made.created_at is not None
    assert await shares.configuration(notebook) == made


async def test_a_change_sets_what_it_names_and_leaves_the_rest(
    shares: Shares, notebook: int
) -> None:
    token = await opened(
        shares,
        notebook,
        settings={"theme": "dark"},
        parameters="?region=north",
        frame_ancestors=["https://intranet.example.org"],
        live=False,
        expires_at="2999-01-01T00:00:00+02:00",
    )
    changed = await shares.change(notebook, {"password_required": True, "unknown": 1}, "bob")
    assert changed == await shares.configuration(notebook)
    assert changed.access_token == token
    assert (changed.enabled, changed.password_required, changed.live) == (True, True, False)
    assert changed.settings == {"theme": "dark"}
    assert changed.parameters == "region=north"
    assert changed.frame_ancestors == ("https://intranet.example.org",)
    assert changed.expires_at == datetime.fromisoformat("2998-12-31T22:00:00+00:00")
    cleared = await shares.change(notebook, {"settings": None, "expires_at": None}, "bob")
    assert (cleared.settings, cleared.expires_at) == (None, None)


async def test_several_first_changes_at_once_make_one_share(
    shares: Shares, notebook: int, run: Run
) -> None:
    fields = [{"enabled": True}, {"live": False}, {"password_required": True}] * 3
    made = await asyncio.gather(*(shares.change(notebook, field, "ann") for field in fields))
    assert len({each.access_token for each in made}) == 1
    assert run(select(func.count()).select_from(Share)) == (1,)
    stored = await shares.configuration(notebook)
    assert (stored.enabled, stored.live, stored.password_required) == (True, False, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled": "yes"},
        {"enabled": None},
        {"password_required": 1},
        {"live": "false"},
        {"settings": []},
        {"settings": "dark"},
        {"parameters": None},
        {"parameters": "a\nb"},
        {"parameters": "x" * (MAX_PARAMETERS_LENGTH + 1)},
        {"frame_ancestors": "https://a.example"},
        {"frame_ancestors": ["https://a.example; script-src *"]},
        {"frame_ancestors": [None]},
        {"frame_ancestors": ["https://a.example"] * (MAX_FRAME_ANCESTORS + 1)},
        {"expires_at": "tomorrow"},
        {"expires_at": "2030-01-01"},
        {"expires_at": 1_900_000_000},
    ],
)
async def test_a_change_with_a_mistake_names_the_field_and_changes_nothing(
    shares: Shares, notebook: int, wrong: dict[str, Any]
) -> None:
    (name,) = wrong
    with pytest.raises(InvalidRequest) as caught:
        await shares.change(notebook, {"enabled": True, **wrong}, "ann")
    assert name in caught.value.message or caught.value.message == "Invalid settings format"
    assert await shares.configuration(notebook) == ShareConfiguration(notebook)


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
async def test_a_time_that_no_calendar_has_is_refused(
    shares: Shares, notebook: int, end: str
) -> None:
    with pytest.raises(InvalidRequest):
        await shares.change(notebook, {"expires_at": end}, "ann")


def test_settings_that_are_known_stay_and_others_go_without_a_word() -> None:
    known: dict[str, Any] = dict.fromkeys(SETTINGS, True) | {"theme": "system"}
    assert clean_settings(known) == known
    assert clean_settings(known | {"more": 1, "script": "x"}) == known
    assert clean_settings({"legend": None, "detailed": "yes", "noHeader": 1}) == {}
    assert clean_settings({"theme": "blue"}) == {}
    assert clean_settings({"theme": ["dark"], "legend": False}) == {"legend": False}
    assert clean_settings({}) == {}
    assert clean_settings(None) is None


def test_what_cannot_be_set_is_not_among_the_changes() -> None:
    assert clean_changes({"access_token": "mine", "notebook_id": 5, "created_by": "me"}) == {}


# Opening


async def test_the_token_opens_the_notebook(shares: Shares, notebook: int) -> None:
    token = await opened(shares, notebook, settings={"legend": True}, parameters="a=1")
    share = await shares.open(token)
    assert share is not None
    assert (share.token, share.notebook_id, share.path) == (token, notebook, "sales/board.ipynb")
    assert (share.settings, share.parameters) == ({"legend": True}, "a=1")
    assert share.is_unlocked_by(None)


@pytest.mark.parametrize("token", ["", "x", "x" * 30, "x" * 65, "a b", "a\0b", "\ud800", "ä", "%"])
async def test_an_unknown_token_opens_nothing(shares: Shares, notebook: int, token: str) -> None:
    await opened(shares, notebook)
    assert await shares.open(token) is None


async def test_a_link_opens_nothing_while_it_is_disabled(shares: Shares, notebook: int) -> None:
    token = await opened(shares, notebook)
    await shares.change(notebook, {"enabled": False}, "ann")
    assert await shares.open(token) is None
    await shares.change(notebook, {"enabled": True}, "ann")
    assert await shares.open(token) is not None


async def test_a_link_expires(shares: Shares, notebook: int, run: Run) -> None:
    token = await opened(shares, notebook, expires_at=(now() + MINUTE).isoformat())
    assert await shares.open(token) is not None
    run(update(Share).values(expires_at=now()))
    assert await shares.open(token) is None


async def test_a_link_follows_its_notebook_and_ends_with_it(
    shares: Shares, notebook: int, run: Run
) -> None:
    token = await opened(shares, notebook)
    run(update(Notebook).values(path="elsewhere.ipynb"))
    share = await shares.open(token)
    assert share is not None
    assert share.path == "elsewhere.ipynb"
    run(update(Notebook).values(deleted_at=now()))
    assert await shares.open(token) is None


async def test_every_change_that_may_end_a_right_is_said(
    shares: Shares, notebook: int, changes: Changes
) -> None:
    await opened(shares, notebook)
    assert changes.count == 1
    with pytest.raises(InvalidRequest):
        await shares.change(notebook, {"enabled": 1}, "ann")
    assert changes.count == 1
    share_id, _ = await shares.share_id(notebook, "ann")
    password = await shares.password(share_id, "", "ann", "hash", 10)
    await shares.delete_password(notebook, password.id)
    assert changes.count == 2


# Refreshing


async def test_a_refresh_gives_a_new_token_and_the_old_one_works_five_minutes_longer(
    shares: Shares, notebook: int, run: Run
) -> None:
    old = await opened(shares, notebook, settings={"legend": True}, password_required=True)
    share_id, _ = await shares.share_id(notebook, "ann")
    await shares.password(share_id, "for the board", "ann", "hash", 10)
    refreshed = await shares.refresh(notebook, "ann")
    new = refreshed.access_token
    assert new is not None
    assert new != old
    assert refreshed == await shares.configuration(notebook)
    assert (refreshed.enabled, refreshed.password_required) == (True, True)
    assert refreshed.settings == {"legend": True}
    assert [each.note for each in refreshed.passwords] == ["for the board"]
    for token in (old, new):
        share = await shares.open(token)
        assert share is not None
        assert share.token == token

    of_old = ShareToken.token == old
    (end,) = run(select(ShareToken.expires_at).where(of_old))
    assert timedelta(minutes=4) < end - now() <= GRACE == timedelta(minutes=5)
    run(update(ShareToken).where(of_old).values(expires_at=now()))
    assert await shares.open(old) is None
    assert await shares.open(new) is not None


async def test_an_old_token_does_not_get_more_time_by_another_refresh(
    shares: Shares, notebook: int, run: Run
) -> None:
    old = await opened(shares, notebook)
    await shares.refresh(notebook, "ann")
    of_old = ShareToken.token == old
    run(update(ShareToken).where(of_old).values(expires_at=now() + MINUTE))
    await shares.refresh(notebook, "ann")
    (end,) = run(select(ShareToken.expires_at).where(of_old))
    assert end <= now() + MINUTE


async def test_a_refresh_clears_up_the_tokens_that_have_ended(
    shares: Shares, notebook: int, run: Run
) -> None:
    old = await opened(shares, notebook)
    await shares.refresh(notebook, "ann")
    run(update(ShareToken).where(ShareToken.token == old).values(expires_at=now()))
    await shares.refresh(notebook, "ann")
    assert run(select(func.count()).select_from(ShareToken)) == (2,)


async def test_a_notebook_that_was_never_shared_can_be_refreshed(
    shares: Shares, notebook: int
) -> None:
    made = await shares.refresh(notebook, "ann")
    assert made.access_token is not None
    assert not made.enabled
    assert await shares.open(made.access_token) is None


@pytest.mark.parametrize("shared", [True, False])
async def test_of_many_refreshes_at_once_one_token_stays(
    shares: Shares, notebook: int, run: Run, shared: bool
) -> None:
    if shared:
        await opened(shares, notebook)
    made = await asyncio.gather(*(shares.refresh(notebook, "ann") for _ in range(20)))
    assert len({each.access_token for each in made}) == 20
    present = ShareToken.expires_at.is_(None)
    assert run(select(func.count()).where(present)) == (1,)
    stored = await shares.configuration(notebook)
    assert stored.access_token in {each.access_token for each in made}
    assert run(select(func.count()).select_from(Share)) == (1,)


async def test_refreshes_by_several_servers_at_once_leave_one_token(
    database: Database, notebook: int, run: Run
) -> None:
    others = [Database(url=database.url) for _ in range(3)]
    try:
        await asyncio.gather(
            *(Shares(other).refresh(notebook, "ann") for other in others for _ in range(5))
        )
    finally:
        for other in others:
            other.close()
    assert run(select(func.count()).where(ShareToken.expires_at.is_(None))) == (1,)


# Passwords


async def test_an_open_share_knows_its_active_passwords(shares: Shares, notebook: int) -> None:
    token = await opened(shares, notebook, password_required=True)
    share_id, required = await shares.share_id(notebook, "ann")
    assert required
    first = await shares.password(share_id, "one", "ann", "hash 1", 10)
    second = await shares.password(share_id, "two", "bob", "hash 2", 10)
    share = await shares.open(token)
    assert share is not None
    assert share.hashes == ((first.id, "hash 1"), (second.id, "hash 2"))
    assert share.notes == {first.id: "one", second.id: "two"}
    assert share.is_unlocked_by(first.id)
    assert not share.is_unlocked_by(None)
    assert not share.is_unlocked_by(second.id + 1)

    assert await shares.delete_password(notebook, first.id) == first
    share = await shares.open(token)
    assert share is not None
    assert share.hashes == ((second.id, "hash 2"),)
    assert not share.is_unlocked_by(first.id)
    assert (await shares.configuration(notebook)).passwords == (second,)


async def test_a_password_that_is_gone_or_anothers_cannot_be_deleted(
    shares: Shares, notebook: int, new_notebook: NewNotebook
) -> None:
    other = new_notebook("other.ipynb")
    share_id, _ = await shares.share_id(notebook, "ann")
    await shares.share_id(other, "ann")
    password = await shares.password(share_id, "", "ann", "hash", 10)
    for place, number in ((other, password.id), (notebook, password.id + 1), (other + 1, 1)):
        with pytest.raises(NotFound, match="Password not found"):
            await shares.delete_password(place, number)
    await shares.delete_password(notebook, password.id)
    with pytest.raises(NotFound, match="Password not found"):
        await shares.delete_password(notebook, password.id)


async def test_a_share_has_so_many_passwords_at_most_however_many_are_made_at_once(
    shares: Shares, notebook: int
) -> None:
    share_id, _ = await shares.share_id(notebook, "ann")
    made = await asyncio.gather(
        *(shares.password(share_id, "", "ann", "hash", 3) for _ in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, InvalidRequest) for each in made) == 5
    configuration = await shares.configuration(notebook)
    assert len(configuration.passwords) == 3
    await shares.delete_password(notebook, configuration.passwords[0].id)
    await shares.password(share_id, "", "ann", "hash", 3)
