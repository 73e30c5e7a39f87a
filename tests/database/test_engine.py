from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from traitlets.config import Config

from jupyter_dashboards_api.database.engine import URL_VARIABLE, Database
from jupyter_dashboards_api.database.tables import Account
from jupyter_dashboards_api.errors import Unavailable
from tests.ports import free_port
from tests.postgres import Postgres

from .others import account, at_once, usernames, writing

SECRET = "pass-w0rd"


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "dashboards.sqlite"


def add(username: str) -> Any:
    """Work that stores an account."""

    def work(session: Session) -> str:
        session.add(account(username))
        return username

    return work


def pragma(database: Database, name: str) -> Any:
    with database.transaction() as session:
        return session.execute(text(f"PRAGMA {name}")).scalar_one()


async def test_what_work_returns_is_what_the_caller_gets(database: Database) -> None:
    assert await database.write(add("ada")) == "ada"
    assert await database.read(lambda session: session.query(Account).count()) == 1
    assert await database.execute(delete(Account)) == 1
    assert usernames(database) == []


async def test_work_that_fails_leaves_nothing_behind(database: Database) -> None:
    def work(session: Session) -> None:
        session.add(account("ada"))
        session.flush()
        raise LookupError("not that one")

    with pytest.raises(LookupError, match="not that one"):
        await database.write(work)
    assert usernames(database) == []


async def test_a_savepoint_keeps_what_came_before_it(database: Database) -> None:
    def work(session: Session) -> None:
        session.add(account("ada"))
        session.flush()
        with pytest.raises(DBAPIError), session.begin_nested():
            session.add(account("ada"))
        session.add(account("ben"))

    await database.write(work)
    assert usernames(database) == ["ada", "ben"]


async def test_a_session_that_only_reads_can_change_nothing(database: Database) -> None:
    await database.write(add("ada"))
    with pytest.raises(DBAPIError):
        await database.read(lambda session: session.execute(delete(Account)) and None)
    assert usernames(database) == ["ada"]
    # The connection that it had can write again.
    assert await database.execute(delete(Account)) == 1


async def test_the_loop_and_those_who_read_go_on_while_a_write_waits(database: Database) -> None:

    with writing(database.url):
        waiting = [asyncio.ensure_future(database.write(add(f"user-{n}"))) for n in range(8)]
        for _ in range(1000):
            await asyncio.sleep(0)
        for _ in range(20):
            assert await database.read(lambda session: session.query(Account).count()) == 0
        assert not any(each.done() for each in waiting)
    await asyncio.gather(*waiting)
    assert len(usernames(database)) == 8


async def test_a_write_is_given_up_when_others_write_for_too_long(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:

    database = Database(url=database_url, busy_timeout=1.0)
    database.open()
    with writing(database_url):
        writes = [database.write(add(f"user-{n}")) for n in range(12)]
        answers = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    assert "The database does not answer" in caplog.text
    # Those behind them were not made to wait once more.
    assert "too much is waiting" in caplog.text
    assert "accounts" not in caplog.text
    database.close()
    patient = Database(url=database_url)
    await patient.write(add("ada"))
    assert usernames(patient) == ["ada"]
    patient.close()


async def test_many_writers_of_one_process_take_turns(database_url: str) -> None:
    # Longer than a slow disk takes for them all.
    database = Database(url=database_url, busy_timeout=60)
    database.open()
    await asyncio.gather(*(database.write(add(f"user-{n:03}")) for n in range(200)))
    assert usernames(database) == [f"user-{n:03}" for n in range(200)]
    database.close()


def test_writers_in_threads_of_several_processes_do_not_lock_each_other_out(
    database: Database,
) -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
database = Database(url=url)
def store(number):
    with database.transaction() as session:
        # Reads first: this is what makes SQLite fail at once where a transaction is not known to write.
        assert session.query(Account).filter_by(username="nobody").count() == 0
        session.add(Account(username=f"{name}-{number}", password_hash="hash", groups=[]))
with ThreadPoolExecutor(4) as threads:
    list(threads.map(store, range(100)))
database.close()
"""
    at_once(database.url, program)
    assert len(usernames(database)) == 200


async def test_work_that_has_begun_is_finished_though_its_caller_was_cancelled(
    database: Database,
) -> None:

    begun, end = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        session.add(account("ada"))
        begun.set()
        assert end.wait(60)

    task = asyncio.ensure_future(database.write(work))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    end.set()
    database.close()
    assert usernames(database) == ["ada"]


async def test_work_that_waits_for_its_turn_is_dropped_when_its_caller_is_cancelled(
    database: Database,
) -> None:

    with writing(database.url):
        before = [asyncio.ensure_future(database.write(add(f"user-{n}"))) for n in range(4)]
        late = asyncio.ensure_future(database.write(add("late")))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
    await asyncio.gather(*before)
    await database.write(add("after"))
    assert usernames(database) == ["after", "user-0", "user-1", "user-2", "user-3"]


async def test_a_cancelled_read_leaves_its_connection_usable(database: Database) -> None:

    reads = [
        asyncio.ensure_future(database.read(lambda session: session.query(Account).count()))
        for _ in range(50)
    ]
    await asyncio.sleep(0)
    for task in reads:
        task.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    assert await database.read(lambda session: session.query(Account).count()) == 0


async def test_a_database_that_stops_is_unavailable_until_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Postgres() as server:
        database = Database(url=server.new_database())
        database.open()
        await database.write(add("ada"))
        server.stop()
        for _ in range(6):
            with pytest.raises(Unavailable) as refused:
                await database.write(add("ben"))
            with pytest.raises(Unavailable):
                await database.read(lambda session: session.query(Account).count())
        assert refused.value.status == 503
        assert refused.value.retry_after > 0
        assert "127.0.0.1" not in caplog.text + str(refused.value)
        server.start()
        await database.write(add("eve"))
        assert usernames(database) == ["ada", "eve"]
        database.close()


async def test_nobody_notices_that_a_database_was_restarted_in_between() -> None:
    with Postgres() as server:
        database = Database(url=server.new_database())
        await database.write(add("ada"))
        server.stop()
        server.start()
        await database.write(add("ben"))
        assert usernames(database) == ["ada", "ben"]
        database.close()


async def test_a_database_that_stops_during_a_transaction_is_unavailable() -> None:
    with Postgres() as server:
        database = Database(url=server.new_database())

        def work(session: Session) -> None:
            session.add(account("ada"))
            session.flush()
            server.stop()

        with pytest.raises(Unavailable):
            await database.write(work)
        server.start()
        assert usernames(database) == []
        database.close()


async def test_a_postgresql_that_can_only_be_read_for_a_while_is_unavailable_to_writers(
    postgres: Postgres,
) -> None:
    database = Database(url=postgres.new_database())
    await database.write(add("ada"))

    def work(session: Session) -> None:
        # What all transactions of a server that follows another one are.
        session.execute(text("SET TRANSACTION READ ONLY"))
        session.add(account("ben"))

    with pytest.raises(Unavailable):
        await database.write(work)
    await database.write(add("eve"))
    assert usernames(database) == ["ada", "eve"]
    database.close()


async def test_a_database_that_was_not_there_at_the_start_is_used_once_it_is() -> None:
    with Postgres() as server:
        url = server.new_database()
        server.stop()
        database = Database(url=url)
        with pytest.raises(OperationalError):
            database.open()
        with pytest.raises(Unavailable):
            await database.write(add("ada"))
        server.start()
        await database.write(add("ada"))
        assert usernames(database) == ["ada"]
        database.close()


def test_the_file_and_its_companions_are_for_nobody_else(sqlite_file: Path) -> None:
    before = os.umask(0)
    try:
        database = Database(url=f"sqlite:///{sqlite_file}")
        with database.transaction() as session:
            session.add(account("ada"))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in sqlite_file.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("dashboards.sqlite", "dashboards.sqlite-wal", "dashboards.sqlite-shm"), 0o600
    )
    assert sqlite_file.parent.stat().st_mode & 0o777 == 0o700
    database.close()
    assert [path.name for path in sqlite_file.parent.iterdir()] == ["dashboards.sqlite"]


def test_sqlite_has_a_write_ahead_log_that_reaches_the_disk_and_checks_references(
    sqlite_file: Path,
) -> None:
    database = Database(url=f"sqlite:///{sqlite_file}")
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2
    assert pragma(database, "foreign_keys") == 1
    database.close()


def test_the_default_is_a_file_in_jupyters_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    database = Database()
    database.open()
    database.close()
    assert (tmp_path / "data" / "dashboards.sqlite").is_file()


def test_the_environment_names_a_database_and_the_configuration_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(URL_VARIABLE, "sqlite:///environment.sqlite")
    assert Database().url == "sqlite:///environment.sqlite"
    config = Config({"Database": {"url": "sqlite:///configured.sqlite"}})
    assert Database(config=config).url == "sqlite:///configured.sqlite"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_the_url_may_be_as_other_programs_write_it(postgres: Postgres, scheme: str) -> None:
    database = Database(url=postgres.new_database().replace("postgresql+psycopg", scheme))
    database.open()
    assert usernames(database) == []
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"ada:{SECRET}",
        f"postgresql://ada:{SECRET}@127.0.0.1:{SECRET}/x",
        f"postgresql://ada:p@{SECRET}@127.0.0.1/x",
        f"postgresql://ad/a:{SECRET}@127.0.0.1/x",
        f"postgresql+asyncpg://ada:{SECRET}@127.0.0.1/x",
        f"mysql://ada:{SECRET}@127.0.0.1/x",
        f"nothing+known://ada:{SECRET}@127.0.0.1/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_a_bad_url_is_refused_without_its_password(url: str) -> None:
    database = Database(url=url)
    with pytest.raises(ValueError, match=r"^Database\.url") as refused:
        database.open()
    assert SECRET not in str(refused.value)
    database.close()


def test_a_missing_driver_is_named_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    database = Database(url=f"postgresql+psycopg://ada:{SECRET}@127.0.0.1/x")
    with pytest.raises(ValueError, match=r"pip install 'jupyter_dashboards_api\[postgres\]'") as no:
        database.open()
    assert SECRET not in str(no.value) + str(no.value.__cause__)
    database.close()


async def test_a_server_that_does_not_let_us_in_is_told_of_without_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database(url=f"postgresql://ada:{SECRET}@127.0.0.1:{free_port()}/x")
    with pytest.raises(OperationalError) as refused:
        database.open()
    with pytest.raises(Unavailable):
        await database.write(add("ada"))
    assert SECRET not in str(refused.value) + repr(refused.value) + caplog.text
    database.close()
