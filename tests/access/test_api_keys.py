"""API keys: shown once, kept as a hash, and only as long and as far as they are good."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import select, update

from jupyter_dashboards_api.access.api_keys import MAX_KEYS, APIKeys, KeyChange
from jupyter_dashboards_api.access.secret_values import KEY_PREFIX, hashed, masked
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import APIKey, now
from jupyter_dashboards_api.errors import InvalidRequest, NotFound

from .conftest import Run

SCOPES = ["notebook:read", "dashboard:write"]
HOUR = timedelta(hours=1)


@pytest.fixture
def keys(database: Database) -> APIKeys:
    return APIKeys(database)


async def test_a_key_is_found_by_its_secret(keys: APIKeys) -> None:
    made, secret = await keys.create("ann", " nightly job ", SCOPES)
    assert secret.startswith(KEY_PREFIX)
    assert (made.label, made.owner, made.mask) == ("nightly job", "ann", masked(secret))
    assert made.scopes == ("dashboard:write", "notebook:read")
    assert (made.expires_at, made.last_used_at) == (None, None)
    found = await keys.find(secret)
    assert found == made
    assert await keys.scopes_of(made.id) == set(SCOPES)


async def test_the_database_has_the_secrets_hash_alone(keys: APIKeys, run: Run) -> None:
    _, secret = await keys.create("ann", "job", SCOPES)
    row = run(select(APIKey.__table__))
    assert hashed(secret) in row
    assert not any(secret in str(value) or secret[8:-4] in str(value) for value in row)


@pytest.mark.parametrize("secret", ["", KEY_PREFIX, f"{KEY_PREFIX}unknown", "a\0b", "\ud800"])
async def test_an_unknown_secret_is_no_key(keys: APIKeys, secret: str) -> None:
    await keys.create("ann", "job", SCOPES)
    assert await keys.find(secret) is None
    assert await keys.find(f"{KEY_PREFIX}{secret}") is None


async def test_neither_the_id_nor_the_mask_nor_the_hash_opens_anything(keys: APIKeys) -> None:
    made, secret = await keys.create("ann", "job", SCOPES)
    for known in (made.id, made.mask, hashed(secret)):
        assert await keys.find(known) is None
        assert await keys.find(KEY_PREFIX + known) is None


async def test_a_key_expires(keys: APIKeys, run: Run) -> None:
    made, secret = await keys.create("ann", "job", SCOPES, now() + HOUR)
    assert await keys.find(secret) is not None
    run(update(APIKey).values(expires_at=now()))
    assert await keys.find(secret) is None
    assert await keys.scopes_of(made.id) is None
    # Still to be seen, and to be revoked.
    assert [each.id for each in await keys.of("ann")] == [made.id]


async def test_a_revoked_key_is_gone(keys: APIKeys) -> None:
    made, secret = await keys.create("ann", "job", SCOPES)
    await keys.revoke("ann", made.id)
    assert await keys.find(secret) is None
    assert await keys.scopes_of(made.id) is None
    with pytest.raises(NotFound):
        await keys.revoke("ann", made.id)


async def test_the_command_line_revokes_anybodys_key(keys: APIKeys) -> None:
    made, secret = keys.create_now("ann", "job", SCOPES)
    keys.revoke_now(made.id)
    assert await keys.find(secret) is None
    with pytest.raises(NotFound, match="There is no such key"):
        keys.revoke_now(made.id)


async def test_when_a_key_was_used_is_known_to_the_minute(keys: APIKeys, run: Run) -> None:
    made, secret = await keys.create("ann", "job", SCOPES)
    await keys.find(secret)
    used = (await keys.get("ann", made.id)).last_used_at
    assert used is not None
    assert now() - used < timedelta(minutes=1)
    await keys.find(secret)
    assert (await keys.get("ann", made.id)).last_used_at == used
    run(update(APIKey).values(last_used_at=used - HOUR))
    await keys.find(secret)
    again = (await keys.get("ann", made.id)).last_used_at
    assert again is not None
    assert again >= used


async def test_an_owner_has_at_most_ten_keys(keys: APIKeys) -> None:
    for number in range(MAX_KEYS):
        last, _ = await keys.create("ann", f"job {number}", SCOPES)
    with pytest.raises(InvalidRequest, match="You can only have 10 personal API keys"):
        await keys.create("ann", "one too many", SCOPES)
    await keys.create("bob", "his first", SCOPES)
    await keys.revoke("ann", last.id)
    await keys.create("ann", "in its place", SCOPES)
    assert len(await keys.of("ann")) == MAX_KEYS


async def test_an_owner_has_at_most_ten_keys_however_many_are_made_at_once(keys: APIKeys) -> None:
    for number in range(MAX_KEYS - 1):
        await keys.create("ann", f"job {number}", SCOPES)
    made = await asyncio.gather(
        *(keys.create("ann", f"at once {number}", SCOPES) for number in range(12)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, InvalidRequest) for each in made) == 11
    assert len(await keys.of("ann")) == MAX_KEYS


async def test_keys_are_listed_the_oldest_first(keys: APIKeys) -> None:
    made = [keys.create_now(owner, "job", SCOPES)[0] for owner in ("ann", "bob", "ann")]
    assert await keys.of("ann") == [made[0], made[2]]
    assert keys.list_now("bob") == [made[1]]
    assert keys.list_now() == made


async def test_anothers_key_is_not_there(keys: APIKeys) -> None:
    made, secret = await keys.create("ann", "job", SCOPES)
    for attempt in (
        keys.get("bob", made.id),
        keys.change("bob", made.id, KeyChange(label="mine")),
        keys.revoke("bob", made.id),
        keys.get("ann", "no such key"),
    ):
        with pytest.raises(NotFound, match=r"Not found\."):
            await attempt
    assert await keys.of("bob") == []
    found = await keys.find(secret)
    assert found is not None
    assert found.label == "job"


async def test_a_change_sets_what_it_names_and_leaves_the_rest(keys: APIKeys) -> None:
    end = now() + HOUR
    made, secret = await keys.create("ann", "job", SCOPES, end)
    renamed = await keys.change("ann", made.id, KeyChange(label="other"))
    assert (renamed.label, renamed.scopes, renamed.expires_at) == ("other", made.scopes, end)
    less = await keys.change("ann", made.id, KeyChange(scopes=["notebook:read"]))
    assert (less.label, less.scopes, less.expires_at) == ("other", ("notebook:read",), end)
    for_ever = await keys.change("ann", made.id, KeyChange(expires=True))
    assert for_ever.expires_at is None
    assert await keys.scopes_of(made.id) == {"notebook:read"}
    assert (await keys.find(secret)) is not None


@pytest.mark.parametrize(
    "change",
    [
        KeyChange(label="fine", scopes=["nothing:read"]),
        KeyChange(label="fine", scopes=[]),
        KeyChange(label="fine", expires=True, expires_at=now() - HOUR),
        KeyChange(label=" "),
    ],
)
async def test_a_change_with_a_mistake_changes_nothing(keys: APIKeys, change: KeyChange) -> None:
    made, _ = await keys.create("ann", "job", SCOPES)
    with pytest.raises(InvalidRequest):
        await keys.change("ann", made.id, change)
    assert await keys.get("ann", made.id) == made


@pytest.mark.parametrize("label", ["", "  ", "x" * 41, "two\nlines", "a\0b", "\ud800"])
async def test_a_label_is_a_line_of_up_to_40_characters(keys: APIKeys, label: str) -> None:
    with pytest.raises(InvalidRequest, match="A label has between 1 and 40 characters"):
        await keys.create("ann", label, SCOPES)
    assert await keys.of("ann") == []


@pytest.mark.parametrize(
    "end",
    [
        datetime(2000, 1, 1, tzinfo=timezone.utc),  # noqa: UP017
        datetime(3000, 1, 1),  # noqa: DTZ001
        datetime.max.replace(tzinfo=timezone(-HOUR)),
    ],
)
async def test_a_key_ends_at_a_time_to_come_with_its_zone(keys: APIKeys, end: datetime) -> None:
    with pytest.raises(InvalidRequest):
        await keys.create("ann", "job", SCOPES, end)
    assert await keys.of("ann") == []


async def test_a_time_may_be_of_any_zone(keys: APIKeys) -> None:
    end = datetime(2999, 6, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    made, _ = await keys.create("ann", "job", SCOPES, end)
    assert (await keys.get("ann", made.id)).expires_at == end
