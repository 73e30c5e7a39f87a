"""The queues: order, limits, retries, cancelling, and a database that breaks off. Each on its database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import update

from jupyter_dashboards_api.commands.attempts import LOST, CommandQueue, Run
from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome
from jupyter_dashboards_api.commands.queue import LocalQueue
from jupyter_dashboards_api.commands.shared_queue import SharedQueue
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from tests.database.others import writing
from tests.postgres import Postgres

from .proxy import Proxy
from .submissions import LOG, SECONDS, said, until, wanted


@pytest.fixture
def patience() -> float:
    """Seconds that the queue waits for a database that others are writing to."""
    return 15.0


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test's own: whatever it asks it waits for."""
    opened = Database(url=database_url, log=LOG)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def its_database(database_url: str, patience: float) -> Iterator[Database]:
    """That of the queue."""
    opened = Database(url=database_url, busy_timeout=patience, log=LOG)
    opened.open()
    yield opened
    opened.close()


@asynccontextmanager
async def running(queue: CommandQueue) -> AsyncIterator[CommandQueue]:
    await queue.start()
    yield queue
    await queue.stop()


@pytest.fixture
def queue_of(its_database: Database) -> Any:
    """The queue that a server has on this database, started for a block."""
    store = CommandStore(its_database)

    def new(run: Run, places: int = 2, notebook: int = 0, **labels: int) -> Any:
        limits = Limits(places, labels, notebook)
        queue: CommandQueue
        if its_database.is_shared:
            queue = SharedQueue(
                *(its_database, store, run),
                worker="test:1",
                limits=limits,
                log=LOG,
                heartbeat=0.3,
                stalled=5,
                again=0.05,
            )
        else:
            queue = LocalQueue(store, run, worker="test:1", limits=limits, log=LOG, again=0.05)
        return running(queue)

    return new


async def test_commands_run_in_their_order_those_of_higher_priority_first(
    store: CommandStore,
    queue_of: Any,
) -> None:
    ran: list[int] = []

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        ran.append(command.id)
        return Outcome("done")

    numbers = [(await store.submit(wanted()))[0].id for _ in range(3)]
    urgent = (await store.submit(wanted(priority=5)))[0].id
    async with queue_of(run, places=1):
        for number in (*numbers, urgent):
            await until(store, number, "done")
    assert ran == [urgent, *numbers]


async def test_no_more_run_at_once_than_there_are_places_and_none_is_run_twice(
    store: CommandStore,
    queue_of: Any,
) -> None:
    running = most = 0
    ran: list[int] = []
    go = asyncio.Event()

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        ran.append(command.id)
        await go.wait()
        running -= 1
        return Outcome("done")

    async with queue_of(run, places=3) as queue:
        numbers = []
        for _ in range(20):
            numbers.append((await store.submit(wanted()))[0].id)
            queue.wake()
        async with asyncio.timeout(SECONDS):
            while running < 3:
                await asyncio.sleep(0.01)
        go.set()
        for number in numbers:
            await until(store, number, "done")
    assert most == 3
    assert sorted(ran) == numbers


async def test_a_label_that_is_full_holds_up_no_other(store: CommandStore, queue_of: Any) -> None:
    go = asyncio.Event()

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        if command.label == "small":
            await go.wait()
        return Outcome("done")

    first = (await store.submit(wanted(label="small")))[0].id
    second = (await store.submit(wanted(label="small")))[0].id
    other = (await store.submit(wanted(label="large")))[0].id
    async with queue_of(run, places=3, small=1):
        await until(store, other, "done")
        assert (await store.get(first)).status == "running"
        assert (await store.get(second)).status == "waiting"
        go.set()
        await until(store, second, "done")


async def test_what_failed_is_tried_again_as_often_as_it_may_and_each_attempt_is_kept(
    store: CommandStore,
    queue_of: Any,
) -> None:
    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        if command.attempt < 3:
            return Outcome("error", {"message": f"attempt {command.attempt}"})
        return Outcome("done")

    number = (await store.submit(wanted(retry=2)))[0].id
    hopeless = (await store.submit(wanted(retry=1)))[0].id
    async with queue_of(run):
        assert (await until(store, number, "done", "error")).status == "done"
        failed = await until(store, hopeless, "done", "error")
    assert failed.status == "error"
    assert [each.outcome for each in await store.attempts(number)] == ["error", "error", "done"]
    assert [each.reason for each in await store.attempts(hopeless)] == ["attempt 1", "attempt 2"]


async def test_a_retry_waits_for_its_delay_and_is_then_woken_by_itself(
    store: CommandStore, queue_of: Any, database: Database
) -> None:
    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        return Outcome("done" if command.attempt > 1 else "error", {"message": "no"})

    number = (await store.submit(wanted(retry=1, retry_delay=1)))[0].id
    async with queue_of(run) as queue:
        waiting = await until(store, number, "waiting")
        async with asyncio.timeout(SECONDS):
            while (waiting := await store.get(number)).attempt < 1 or waiting.status == "running":
                await asyncio.sleep(0.01)
        assert waiting.status == "waiting"
        assert 50 < (waiting.not_before - now()).total_seconds() <= 60
        assert waiting.error == {"message": "no"}
        # As if the minute were over.
        await database.execute(update(Command).values(not_before=now()))
        queue.wake()
        await until(store, number, "done")


async def test_a_retry_that_is_cancelled_while_it_waits_has_no_error(
    store: CommandStore, queue_of: Any
) -> None:
    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        return Outcome("error", {"message": "no"}, retryable=True)

    number = (await store.submit(wanted(retry=1, retry_delay=60)))[0].id
    async with queue_of(run):
        async with asyncio.timeout(SECONDS):
            while (await store.get(number)).error is None:
                await asyncio.sleep(0.01)
        assert (await store.cancel(number))[0]
    cancelled = await store.get(number)
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert (await store.log_of(number)).splitlines()[-1].endswith(" Cancelled.")


async def test_what_can_never_succeed_is_not_tried_again(
    store: CommandStore, queue_of: Any
) -> None:
    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        return Outcome("error", {"message": "gone"}, retryable=False)

    number = (await store.submit(wanted(retry=3)))[0].id
    async with queue_of(run):
        assert (await until(store, number, "error")).attempt == 1


async def test_a_command_that_waits_is_cancelled_at_once_and_one_that_runs_is_told(
    store: CommandStore,
    queue_of: Any,
) -> None:
    begun, told = asyncio.Event(), 0

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        nonlocal told
        begun.set()
        try:
            await asyncio.sleep(SECONDS)
        except asyncio.CancelledError:
            told += 1
            await asyncio.sleep(0.05)
            raise
        return Outcome("done")

    first = (await store.submit(wanted()))[0].id
    second = (await store.submit(wanted()))[0].id
    async with queue_of(run, places=1) as queue:
        await asyncio.wait_for(begun.wait(), SECONDS)
        cancelled, command = await store.cancel(second)
        assert cancelled
        assert command.status == "cancelled"
        for _ in range(3):
            await store.cancel(first)
            await queue.cancel(first)
        await until(store, first, "cancelled")
    # However often it was asked for: a second one would fall into the clearing up of the first.
    assert told == 1


@pytest.mark.parametrize("patience", [0.3])
async def test_an_outcome_outlasts_a_database_that_is_away(
    store: CommandStore, queue_of: Any, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        await go.wait()
        return Outcome("done")

    number = (await store.submit(wanted()))[0].id
    async with queue_of(run):
        await until(store, number, "running")
        with writing(database_url, "commands"):
            go.set()
            await said("does not answer", caplog)
        await until(store, number, "done")


async def test_a_server_that_stops_hands_back_what_runs(store: CommandStore, queue_of: Any) -> None:
    begun = asyncio.Semaphore(0)

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        begun.release()
        await asyncio.sleep(SECONDS)
        return Outcome("done")

    may = (await store.submit(wanted(retry=1)))[0].id
    must_not = (await store.submit(wanted()))[0].id
    async with queue_of(run):
        for _ in range(2):
            await asyncio.wait_for(begun.acquire(), SECONDS)
    assert (await store.get(may)).status == "waiting"
    lost = await store.get(must_not)
    assert lost.status == "error"
    assert lost.error == {"message": LOST}
    assert [each.outcome for each in await store.attempts(may)] == ["lost"]
    assert await store.orphans("none is left") == []


async def test_owners_take_turns_however_many_commands_one_has_waiting(
    store: CommandStore,
    queue_of: Any,
) -> None:
    ran: list[str] = []

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        ran.append(command.owner)
        return Outcome("done")

    numbers = [(await store.submit(wanted()))[0].id for _ in range(5)]
    numbers += [(await store.submit(wanted(owner="bob")))[0].id for _ in range(2)]
    async with queue_of(run, places=1):
        for number in numbers:
            await until(store, number, "done")
    assert ran == ["ann", "bob", "ann", "bob", "ann", "ann", "ann"]


@pytest.mark.parametrize("patience", [0.3])
async def test_a_cancellation_while_the_outcome_is_being_noted_leaves_no_command_behind(
    store: CommandStore, queue_of: Any, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        await go.wait()
        return Outcome("done")

    number = (await store.submit(wanted()))[0].id
    async with queue_of(run) as queue:
        await until(store, number, "running")
        # Before the outcome comes the rest of the log. SQLite has one lock for all that is written.
        with writing(database.url, "command_logs"):
            go.set()
            await said("does not answer", caplog)
            if database.is_shared:
                assert (await store.cancel(number))[0]
        await store.cancel(number)
        await queue.cancel(number)
        await until(store, number, "cancelled", *([] if database.is_shared else ["done"]))


async def test_a_cancellation_at_any_moment_of_a_start_leaves_no_command_behind(
    store: CommandStore,
    queue_of: Any,
) -> None:
    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        await asyncio.sleep(SECONDS)
        return Outcome("done")

    async with queue_of(run, places=3) as queue:

        async def one(turn: int) -> None:
            number = (await store.submit(wanted()))[0].id
            queue.wake()
            for _ in range(turn):
                await asyncio.sleep(0)
            await asyncio.sleep(turn / 5000)
            await store.cancel(number)
            await queue.cancel(number)
            await until(store, number, "cancelled")

        for turn in range(20):
            await asyncio.gather(one(turn), one(turn // 2), one(0))


@pytest.mark.parametrize("kind", [LocalQueue, SharedQueue])
async def test_what_was_taken_when_the_database_broke_off_is_run_and_counted_once(
    kind: type, postgres: Postgres
) -> None:
    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        return Outcome("done")

    url = postgres.new_database()
    with Proxy(postgres.port) as proxy:
        database = Database(url=url.replace(f":{postgres.port}/", f":{proxy.port}/"))
        database.open()
        store = CommandStore(database)
        options: dict[str, Any] = {"worker": "test:1", "limits": Limits(2), "log": LOG}
        if kind is SharedQueue:
            queue: Any = SharedQueue(database, store, run, heartbeat=0.3, **options)
        else:
            queue = LocalQueue(store, run, again=0.05, **options)
        number = (await store.submit(wanted()))[0].id
        proxy.keep_back_commit_of("INSERT INTO command_attempts")
        async with running(queue):
            done = await until(store, number, "done", "error")
        assert proxy.has_cut.is_set()
        assert done.status == "done"
        assert done.attempt == 1
        assert [each.outcome for each in await store.attempts(number)] == ["done"]
        database.close()
