"""The queue of one server when its machine or its database lets it down, and two servers on one SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_dashboards_api.commands import claims
from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome
from jupyter_dashboards_api.commands.queue import LocalQueue
from jupyter_dashboards_api.commands.runner_lock import RunnerLock
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from tests.database.others import writing

from .submissions import LOG, said, until, wanted

SHORT = RuntimeError("can't start new thread")


class ShortOfThreads(CommandStore):
    """A store whose methods of these names fail once, as everything does on a machine that has no thread left."""

    def __init__(self, database: Database, *names: str) -> None:
        super().__init__(database)
        self.left = set(names)

    def _fail_once(self, name: str) -> None:
        if name in self.left:
            self.left.remove(name)
            raise SHORT

    async def claim(self, *arguments: Any, **options: Any) -> list[CommandInfo]:
        self._fail_once("claim")
        return await super().claim(*arguments, **options)

    async def orphans(self, *arguments: Any, **options: Any) -> Any:
        self._fail_once("orphans")
        return await super().orphans(*arguments, **options)

    async def finish(self, *arguments: Any, **options: Any) -> Any:
        self._fail_once("finish")
        return await super().finish(*arguments, **options)


class UnopenableLock(RunnerLock):
    """A lock whose file can't be opened the first time."""

    failed = False

    def take(self) -> bool:
        if not self.failed:
            self.failed = True
            raise OSError(24, "Too many open files")
        return super().take()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(url=f"sqlite:///{tmp_path / 'a.sqlite'}", log=LOG)
    opened.open()
    yield opened
    opened.close()


async def at_once(command: CommandInfo, log: CommandLogger) -> Outcome:
    return Outcome("done")


def queue(store: CommandStore, lock: RunnerLock | None = None) -> LocalQueue:
    return LocalQueue(
        *(store, at_once),
        worker="test:1",
        limits=Limits(2),
        log=LOG,
        lock=lock,
        again=0.05,
        look=0.05,
    )


@pytest.mark.parametrize("name", ["claim", "orphans", "finish"])
async def test_a_machine_that_was_short_of_threads_once_runs_what_waits(
    database: Database, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = ShortOfThreads(database, name)
    number = (await store.submit(wanted()))[0].id
    server = queue(store)
    await server.start()
    await until(store, number, "done")
    assert not store.left
    assert str(SHORT) in caplog.text
    await server.stop()


async def test_a_lock_that_can_not_be_opened_is_asked_again(
    database: Database, tmp_path: Path
) -> None:
    store = CommandStore(database)
    number = (await store.submit(wanted()))[0].id
    lock = UnopenableLock(tmp_path / "lock")
    server = queue(store, lock)
    await server.start()
    assert not server.accepts
    await until(store, number, "done")
    assert server.accepts
    await server.stop()


async def test_a_database_that_is_locked_while_the_server_starts_delays_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    store = CommandStore(database)
    number = (await store.submit(wanted()))[0].id
    (taken,) = await store.claim("gone:1", 1, Limits(1))
    assert taken.id == number
    following = (await store.submit(wanted()))[0].id
    impatient = Database(url=str(database.engine.url), busy_timeout=0.3, log=LOG)
    impatient.open()
    server = queue(CommandStore(impatient))
    with writing(str(database.engine.url), "commands"):
        await server.start()
        assert not server.accepts
        await said("does not answer", caplog)
    await until(store, following, "done")
    assert (await store.get(number)).status == "error"
    assert server.accepts
    await server.stop()
    impatient.close()


async def test_a_clock_that_was_set_back_holds_up_nothing_but_retries(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CommandStore(database)
    first = (await store.submit(wanted(retry=1)))[0]
    assert await store.claim("test:1", 1, Limits(1))
    await store.finish(
        (await store.some([first.id]))[0], Outcome("error", {"message": "x"}, retryable=True)
    )
    fresh = (await store.submit(wanted()))[0].id
    monkeypatch.setattr(claims, "now", lambda: now() - timedelta(hours=1))
    assert [each.id for each in await store.claim("test:1", 2, Limits(2))] == [fresh]


def test_one_server_at_a_time_runs_the_commands_of_a_database(tmp_path: Path) -> None:
    first, second = RunnerLock(tmp_path / "lock"), RunnerLock(tmp_path / "lock")
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


async def test_with_sqlite_a_server_takes_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    database = Database(url=f"sqlite:///{tmp_path / 'dashboards.sqlite'}")
    store = CommandStore(database)
    ran: list[str] = []

    def server(name: str) -> LocalQueue:
        async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
            ran.append(name)
            return Outcome("done")

        return LocalQueue(
            *(store, run),
            worker=f"{name}:1",
            limits=Limits(2),
            log=LOG,
            look=0.05,
            lock=RunnerLock(tmp_path / "lock"),
        )

    first, second = server("first"), server("second")
    await first.start()
    await second.start()
    assert (first.accepts, second.accepts) == (True, False)
    for queue in (first, second):
        number = (await store.submit(wanted()))[0].id
        queue.wake()
        if queue is second:
            await first.stop()
        await until(store, number, "done")
    assert second.accepts
    await second.stop()
    assert ran[0] == "first"
    database.close()
