from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, StatementError

from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import APIKey, Notebook, Share, ShareToken, now
from jupyter_dashboards_api.errors import InvalidRequest

from .others import account


def notebook(number: int, *, deleted: bool = False) -> Notebook:
    """A notebook that differs from others in its ids, not in its path."""
    return Notebook(
        path="a.ipynb",
        uuid=f"uuid-{number}",
        short_id=f"short-{number}",
        deleted_at=now() if deleted else None,
    )


def shared(*tokens: ShareToken) -> Share:
    return Share(notebook=notebook(1), created_by="ada", frame_ancestors=[], tokens=list(tokens))


def store(database: Database, *rows: object) -> None:
    with database.transaction() as session:
        session.add_all(rows)


def test_a_path_has_one_notebook_that_is_there_and_any_number_of_deleted_ones(
    database: Database,
) -> None:
    store(database, notebook(1, deleted=True), notebook(2, deleted=True), notebook(3))
    with pytest.raises(IntegrityError):
        store(database, notebook(4))
    with database.transaction(write=False) as session:
        assert session.query(Notebook).count() == 3


def test_a_deleted_notebook_does_not_come_back_where_another_is(database: Database) -> None:
    store(database, notebook(1, deleted=True), notebook(2))
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.query(Notebook).filter_by(short_id="short-1").one().deleted_at = None


def test_a_link_has_one_present_token_and_any_number_of_ending_ones(database: Database) -> None:
    share = shared(
        ShareToken(token="a", expires_at=now()),
        ShareToken(token="b", expires_at=now()),
        ShareToken(token="c"),
    )
    store(database, share)
    with pytest.raises(IntegrityError):
        store(database, ShareToken(share_id=share.id, token="d"))


def test_a_new_token_takes_the_place_of_the_old_one_in_one_transaction(
    database: Database,
) -> None:
    share = shared(ShareToken(token="old"))
    store(database, share)
    with database.transaction() as session:
        old = session.scalars(select(ShareToken)).one()
        old.expires_at = now()
        session.flush()
        session.add(ShareToken(share_id=share.id, token="new"))
    with database.transaction(write=False) as session:
        present = session.scalars(select(ShareToken).where(ShareToken.expires_at.is_(None)))
        assert [token.token for token in present] == ["new"]


def test_a_reference_to_what_is_not_there_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError):
        store(database, ShareToken(share_id=77, token="a"))


def test_a_time_keeps_its_moment_whatever_zone_it_was_given_in(database: Database) -> None:
    moment = datetime(
        2026, 3, 29, 2, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45))
    )
    key = APIKey(
        id="a", label="", owner="ada", secret_hash="h", mask="", scopes=[], expires_at=moment
    )
    store(database, key)
    with database.transaction(write=False) as session:
        found = session.scalars(select(APIKey)).one()
        assert found.expires_at == moment
        assert found.expires_at.tzinfo is UTC
        assert found.created_at.tzinfo is UTC
        assert found.last_used_at is None


def test_times_are_compared_as_moments(database: Database) -> None:
    moment = now()
    elsewhere = moment.astimezone(timezone(timedelta(hours=-11)))
    key = APIKey(
        id="a", label="", owner="ada", secret_hash="h", mask="", scopes=[], expires_at=moment
    )
    store(database, key)
    tick = timedelta(microseconds=1)
    with database.transaction(write=False) as session:

        def number(condition: object) -> int:
            return session.query(APIKey).filter(condition).count()  # type: ignore[arg-type]

        assert number(APIKey.expires_at == elsewhere) == 1
        assert number(APIKey.expires_at > elsewhere - tick) == 1
        assert number(APIKey.expires_at > elsewhere) == 0


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    row = account("ada")
    row.created_at = datetime(2026, 3, 29)  # noqa: DTZ001
    with pytest.raises(StatementError, match="without a zone"):
        store(database, row)


def test_json_comes_back_as_it_was(database: Database) -> None:
    settings = {"a": [1, 2.5, None, True, "é🙂"], "b": {}}
    share = shared()
    share.settings = settings
    share.frame_ancestors = ["https://example.org"]
    store(database, share)
    with database.transaction(write=False) as session:
        found = session.scalars(select(Share)).one()
        assert found.settings == settings
        assert found.frame_ancestors == ["https://example.org"]


@pytest.mark.parametrize("username", ["é" * 128, "名前🙂", "Ada", "ada "])
def test_text_comes_back_as_it_was(database: Database, username: str) -> None:
    store(database, account("ada"), account(username))
    with database.transaction(write=False) as session:
        assert session.get_one(type(account("")), 2).username == username


def test_a_value_that_cannot_be_stored_is_the_callers_fault(database: Database) -> None:
    with pytest.raises(InvalidRequest, match="can't be stored"):
        store(database, account("\ud800"))
    store(database, account("ada"))
