"""Which of several servers is dead, and what becomes of a server that is taken for dead and lives."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import procrastinate
import psycopg
import pytest
from sqlalchemy import text

from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome
from jupyter_dashboards_api.commands.peers import Sight, UnderWay, Watch, id_of, name_of
from jupyter_dashboards_api.commands.shared_queue import SharedQueue
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from tests.postgres import Postgres

from .submissions import until, wanted

SECONDS = 20.0
BEAT, NEVER = 0.2, 1000.0
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def sight(*under_way: str, **ages: tuple[datetime, float]) -> Sight:
    """Attempts of servers by their names; heartbeats of servers by `s` and their ids."""
    attempts = tuple(UnderWay(n, 1, "running", name) for n, name in enumerate(under_way))
    return Sight(attempts, {int(key[1:]): age for key, age in ages.items()}, False, None)


def test_a_server_is_dead_when_two_looks_apart_have_seen_the_same_old_heartbeat() -> None:
    watch = Watch(5, 15)
    old = sight("a:1:7", s7=(EARLY, 20.0), s1=(LATE, 1.0))
    assert watch.dead(old, 1, 100.0) == {}
    assert watch.dead(old, 1, 105.0) == {}
    assert watch.dead(old, 1, 110.0) == {7: EARLY}


def test_a_server_that_has_shown_itself_between_two_looks_lives() -> None:
    watch = Watch(5, 15)
    assert watch.dead(sight(s7=(EARLY, 20.0)), 1, 100.0) == {}
    # After a time without a database all heartbeats are old.
    assert watch.dead(sight(s7=(LATE, 20.0)), 1, 110.0) == {}
    assert watch.dead(sight(s7=(LATE, 1.0)), 1, 120.0) == {}
    assert watch.dead(sight(s7=(LATE, 20.0)), 1, 130.0) == {}


def test_what_was_seen_before_a_failed_look_or_a_long_pause_does_not_count() -> None:
    watch = Watch(5, 15)
    old = sight(s7=(EARLY, 20.0))
    watch.dead(old, 1, 100.0)
    watch.forget()
    assert watch.dead(old, 1, 110.0) == {}
    # The one that looks was frozen itself.
    assert watch.dead(old, 1, 200.0) == {}
    assert watch.dead(old, 1, 208.0) == {7: EARLY}


def test_a_server_that_stays_without_a_row_is_dead_too_and_oneself_never_is() -> None:
    watch = Watch(5, 15)
    seen = sight("a:1:7", "b:1:8", "from an older version", s1=(EARLY, 99.0))
    assert watch.dead(seen, 1, 100.0) == {}
    assert watch.dead(seen, 1, 110.0) == {}
    assert watch.dead(seen, 1, 115.0) == {7: None, 8: None, -1: None}


@pytest.mark.parametrize(
    ("name", "number"), [("host:12:7", 7), ("host:12", -1), ("test", -1), ("a:b:c", -1)]
)
def test_a_server_is_known_by_the_last_part_of_its_name(name: str, number: int) -> None:
    assert id_of(name) == number
    assert id_of(name_of("host:12", 7)) == 7


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    opened = Database(url=postgres.new_database())
    opened.open()
    yield opened
    opened.close()


class Server:
    """One of several; its commands run until `go` is set, or they are told to end."""

    def __init__(self, database: Database, name: str, beat: float = BEAT, **limits: Any) -> None:
        self.ran: list[int] = []
        self.told = 0
        self.go = asyncio.Event()
        self.heard: set[int] = set()
        self.store = CommandStore(database, lambda command_id: self.queue.tell(command_id))
        self.queue = SharedQueue(
            database,
            self.store,
            self._run,
            worker=f"{name}:1",
            limits=Limits(**{"places": 2, **limits}),
            log=logging.getLogger(name),
            heartbeat=beat,
            stalled=1.0,
            again=0.05,
            changed=self.heard.add,
        )

    async def _run(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        self.ran.append(command.id)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.told += 1
            raise
        return Outcome("done")

    async def submit(self, **fields: Any) -> int:
        command, _ = await self.store.submit(wanted(**fields))
        self.queue.wake()
        return command.id


New = Callable[..., Any]


@pytest.fixture
def new_server(database: Database, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[New]:
    """Starts servers, which are stopped when the test ends."""
    started = []

    async def new(name: str, beat: float = BEAT, **limits: Any) -> Server:
        server = Server(database, name, beat, **limits)
        await server.queue.start()
        started.append(server.queue)
        return server

    yield new
    for queue in started:
        jp_asyncio_loop.run_until_complete(queue.stop())


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_servers_share_what_is_to_be_done_and_either_cancels_what_the_other_runs(
    new_server: New,
) -> None:
    one, two = await new_server("one"), await new_server("two")
    numbers = [await one.submit() for _ in range(6)]
    await reached(lambda: len(one.ran) == len(two.ran) == 2)
    await reached(lambda: one.queue.places == 4)
    for server, other in ((one, two), (two, one)):
        (number, *_) = server.ran
        assert (await other.store.cancel(number))[0]
        await other.queue.cancel(number)
        await until(one.store, number, "cancelled")
        assert server.told == 1
    for server in (one, two):
        server.go.set()
    for number in numbers:
        await until(one.store, number, "done", "cancelled")
    assert sorted(one.ran + two.ran) == numbers


class Opening:
    """Servers can't get or send tokens until `go` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        open_it = procrastinate.App.open_async

        async def late(app: procrastinate.App) -> None:
            # In the loop of the carrier's thread.
            while not self.go.is_set():
                await asyncio.sleep(0.01)
            await open_it(app)

        monkeypatch.setattr(procrastinate.App, "open_async", late)


async def looked(server: Server) -> None:
    await reached(lambda: server.queue._looking is not None and server.queue._looking.done())


async def test_what_is_submitted_before_there_is_a_way_to_tell_of_it_is_told_then(
    new_server: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = Opening(monkeypatch)
    one = await new_server("one", NEVER)
    await looked(one)
    number = await one.submit()
    await asyncio.sleep(0.1)
    assert (await one.store.get(number)).status == "waiting"
    opening.go.set()
    await until(one.store, number, "running")


async def test_a_token_that_comes_to_a_full_server_is_passed_on(
    new_server: New, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tokens() -> list[str]:
        wanted = text("SELECT status FROM dashboards_queue.procrastinate_jobs ORDER BY id")
        return await database.read(lambda session: list(map(str, session.scalars(wanted))))

    opening = Opening(monkeypatch)
    first = (await CommandStore(database).submit(wanted()))[0].id
    # What its first look finds runs without a token.
    one = await new_server("one", NEVER, places=1)
    await until(one.store, first, "running")
    opening.go.set()
    async with asyncio.timeout(SECONDS):
        while await tokens() != ["doing", "todo"]:
            await asyncio.sleep(0.01)
    second = await one.submit()
    two = await new_server("two", NEVER, places=1)
    await until(two.store, second, "running")
    await reached(lambda: (one.ran, two.ran) == ([first], [second]))
    third = await two.submit()
    one.go.set()
    await until(one.store, third, "done")


async def test_what_one_server_changes_the_others_hear_of(new_server: New) -> None:
    one, two = await new_server("one"), await new_server("two")
    await reached(lambda: one.queue.places == two.queue.places == 4)
    number = await one.submit()
    await reached(lambda: number in one.ran + two.ran)
    server, other = (one, two) if one.ran else (two, one)
    await reached(lambda: number in other.heard)
    other.heard.clear()
    server.heard.clear()
    server.go.set()
    await until(one.store, number, "done")
    await reached(lambda: number in other.heard)
    # It knows of itself.
    assert server.heard == set()


async def test_a_limit_counts_what_runs_on_all_servers(new_server: New) -> None:
    limits = {"labels": {"small": 1}}
    one, two = await new_server("one", **limits), await new_server("two", **limits)
    numbers = [await one.submit(label="small") for _ in range(3)]
    other = await two.submit()
    await reached(lambda: other in one.ran + two.ran and len(one.ran + two.ran) == 2)
    for server in (one, two):
        server.go.set()
    for number in (*numbers, other):
        assert (await until(one.store, number, "done")).attempt == 1


async def test_a_server_that_starts_clears_away_tokens_whose_server_is_gone(
    new_server: New, database: Database
) -> None:
    left = (
        "INSERT INTO dashboards_queue.procrastinate_jobs (queue_name, task_name, status)"
        " VALUES ('dashboards', 'look for commands', 'doing')"
    )
    with database.transaction() as session:
        # Its triggers name its tables without their schema.
        session.execute(text("SET LOCAL search_path TO dashboards_queue"))
        session.execute(text(left))
    await new_server("one")
    count = text("SELECT count(*) FROM dashboards_queue.procrastinate_jobs")
    async with asyncio.timeout(SECONDS):
        while await database.read(lambda session: session.scalar(count)):
            await asyncio.sleep(0.02)


async def test_a_server_hears_of_what_is_new_again_when_the_database_was_away_for_a_moment() -> (
    None
):
    with Postgres() as own:
        database = Database(url=own.new_database())
        database.open()
        server = Server(database, "one")
        await server.queue.start()
        await reached(lambda: listeners(database.url) == 1)
        # So short that only who listens notices.
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(own.start)
        await reached(lambda: listeners(database.url) == 1)
        server.go.set()
        assert (await until(server.store, await server.submit(), "done")).attempt == 1
        await server.queue.stop()
        database.close()


def listeners(url: str) -> int:
    """How many servers wait for tokens."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%procrastinate%'"
            " AND datname = current_database()"
        )
        return int((found.fetchone() or (0,))[0])


async def test_what_a_server_leaves_that_stops_is_taken_by_another_one(new_server: New) -> None:
    one = await new_server("one")
    number = await one.submit(retry=1)
    await reached(lambda: one.ran == [number])
    two = await new_server("two")
    await one.queue.stop()
    await reached(lambda: two.ran == [number])
    two.go.set()
    assert (await until(two.store, number, "done")).attempt == 2


async def test_a_server_whose_row_is_gone_goes_on_with_what_it_runs(
    new_server: New, database: Database
) -> None:
    one, two = await new_server("one"), await new_server("two")
    number = await one.submit()
    await reached(lambda: bool(one.ran or two.ran))
    server = one if one.ran else two
    for _ in range(2):
        await database.execute(text("DELETE FROM dashboards_queue.procrastinate_workers"))
        # By its next heartbeats it has a row again, and its attempt bears the name of that one.
        await asyncio.sleep(5 * BEAT)
    assert server.told == 0
    for each in (one, two):
        each.go.set()
    done = await until(one.store, number, "done")
    assert done.attempt == 1
    # And it still gets what is to be done.
    second = await server.submit()
    assert (await until(one.store, second, "done")).attempt == 1


async def test_a_server_that_shows_itself_in_time_is_left_alone(database: Database) -> None:
    store = CommandStore(database)
    await store.submit(wanted())
    enter = text("INSERT INTO dashboards_queue.procrastinate_workers DEFAULT VALUES RETURNING id")
    number = await database.write(lambda session: session.scalar(enter))
    assert number is not None
    await store.claim(name_of("host:1", number), 1, Limits(9))
    (beat, _age) = (await store.look()).heartbeats[number]
    before = {number: beat - timedelta(seconds=5)}
    assert await store.take_over("It was thought dead.", before) == []
    (orphan,) = await store.take_over("It was stopped.", {number: beat})
    assert orphan.command.status == "error"
    assert (await store.look()).heartbeats == {}


async def test_a_running_command_that_was_taken_over_is_interrupted_and_its_outcome_refused(
    new_server: New,
) -> None:
    one = await new_server("one", places=1)
    number = await one.submit(retry=1)
    await reached(lambda: one.ran == [number])
    await one.store.orphans("It was thought dead.")
    await reached(lambda: one.told == 1)
    one.go.set()
    assert (await until(one.store, number, "done")).attempt == 2
    outcomes = [each.outcome for each in await one.store.attempts(number)]
    assert outcomes == ["lost", "done"]
