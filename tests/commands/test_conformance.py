"""What a queue keeps to whatever happens to its servers: one at a time on SQLite, several on PostgreSQL.

The servers are processes (`replica.py`) whose commands keep a journal of their own, so that what was lost, run twice or run
at the same time is seen without asking the queue. `Fleet.settled` checks that at the end of each test.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, literal, select, text

from jupyter_dashboards_api.commands.attempts import LOST
from jupyter_dashboards_api.commands.models import Limits
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.database.tables import Notebook
from tests.postgres import Postgres

from .replica import Server
from .replicas import (
    AGAIN,
    NEVER,
    SECONDS,
    Fleet,
    Gone,
    most_at_once,
    row,
    submission,
    until,
)

NewFleet = Callable[..., Fleet]

COMMANDS, KILLS = 300, 5


@pytest.fixture
def fleet(database_url: str, tmp_path: Path) -> Iterator[NewFleet]:
    """Opens a fleet on a new database: `fleet(places=2)`."""
    opened: list[Fleet] = []

    def new(url: str = database_url, folder: Path = tmp_path, **settings: Any) -> Fleet:
        opened.append(Fleet(url, folder, **settings))
        return opened[-1]

    yield new
    for each in opened:
        each.close()


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> str:
    """The URL of a second database of the same kind."""
    if database_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'other.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


def test_a_killed_server_loses_nothing_that_it_took_and_runs_again_only_what_may(
    fleet: NewFleet,
) -> None:
    ours = fleet(places=2)
    (server,) = ours.start("a")
    may = server.submit("never", 0, retry=1)
    must_not = server.submit("never")
    ours.until_begun(may, must_not)
    waits = [server.submit(0) for _ in range(20)]
    ours.kill(server)
    ours.start("a")
    ended = ours.settled()
    assert ended[may].outcomes == ["lost", "done"]
    assert ended[must_not].outcomes == ["lost"]
    assert (ended[must_not].status, ended[must_not].error) == ("error", LOST)
    assert [ended[each].outcomes for each in waits] == [["done"]] * 20


def test_of_many_none_is_lost_or_run_twice_however_servers_are_killed(fleet: NewFleet) -> None:
    ours = fleet()
    chance = random.Random(7)
    servers = ours.start("a", "b", "c")
    keys = [f"{number}" for number in range(COMMANDS)]
    retries = {key: 9 if chance.random() < 0.8 else 0 for key in keys}
    numbers: dict[str, int] = {}
    kills = 0
    while len(numbers) < COMMANDS:
        left = [key for key in keys if key not in numbers][: COMMANDS // KILLS]
        answers = {
            key: chance.choice(servers).send(
                chance.uniform(0, 0.05), idempotency_key=key, retry=retries[key]
            )
            for key in left
        }
        if kills < KILLS:
            time.sleep(chance.uniform(0, 0.4))
            victim = servers.pop(chance.randrange(len(servers)))
            ours.kill(victim)
            servers += ours.start(victim.name[0])
            kills += 1
        for key, answer in answers.items():
            # Whoever gets no answer asks again, with the same key.
            with suppress(Gone):
                numbers[key] = answer.result(SECONDS)
    ended = ours.settled()
    assert sorted(ended) == sorted(numbers.values())
    for key, number in numbers.items():
        if retries[key]:
            assert ended[number].status == "done"
        elif ended[number].status != "done":
            assert (ended[number].outcomes, ended[number].error) == (["lost"], LOST)
    assert any(each.attempt > 1 for each in ended.values())


def test_a_server_that_was_frozen_goes_on_with_what_it_ran(fleet: NewFleet) -> None:
    ours = fleet()
    (server,) = ours.start("a")
    numbers = [server.submit("gate", retry=1) for _ in range(3)]
    ours.until_begun(*numbers)
    ours.freeze(server)
    time.sleep(ours.pause / 1.5)
    ours.thaw(server)
    # Long enough for a look at who is dead.
    ours.until("done", server.submit(ours.pause / 3, retry=1))
    ours.open("gate")
    assert [each.outcomes for each in ours.settled().values()] == [["done"]] * 4


def test_a_server_whose_loop_is_held_up_is_not_thought_dead(fleet: NewFleet) -> None:
    ours = fleet(places=2)
    (server,) = ours.start("a")
    numbers = [server.submit("gate", retry=1) for _ in range(2)]
    ours.until_begun(*numbers)
    ours.start("b")
    server.ask("block", seconds=ours.pause).result(SECONDS)
    time.sleep(ours.pause)
    ours.open("gate")
    assert [each.outcomes for each in ours.settled().values()] == [["done"]] * 2


def test_what_waits_is_cancelled_at_once_and_what_runs_is_told_once_by_any_server(
    fleet: NewFleet,
) -> None:
    ours = fleet(places=1, beat=NEVER)
    servers = ours.start("a", "b")
    holders = [servers[0].submit("never") for _ in servers]
    ours.until_begun(*holders)
    waits = servers[0].submit(0)
    assert servers[-1].cancel(waits)
    where = {each.command: each.replica for each in ours.journal() if each.what == "begun"}
    for number in holders:
        peers = [each for each in servers if each.name != where[number]]
        assert (peers or servers)[0].cancel(number)
        ours.until_noted("told", number)
        assert not any(each.cancel(number) for each in servers)
    ended = ours.settled()
    assert {each.status for each in ended.values()} == {"cancelled"}
    assert ended[waits].outcomes == []
    assert ours.noted("begun", [waits]) == {}
    assert ours.noted("told", ended) == dict.fromkeys(holders, 1)


def test_a_cancellation_while_the_outcome_is_noted_leaves_nothing_behind(fleet: NewFleet) -> None:
    ours = fleet()
    servers = ours.start("a", "b")
    number = servers[0].submit("gate")
    ours.until_begun(number)
    with ours.database.transaction() as session:
        # Nobody can write what became of it.
        session.get(Command, number, with_for_update=True)
        ours.open("gate")
        ours.until_noted("done", number)
        answers = [each.ask("cancel", command_id=number) for each in servers]
        time.sleep(0.3)
    cancelled = [answer.result(SECONDS) for answer in answers]
    ended = ours.settled()[number]
    assert ended.status == ("cancelled" if any(cancelled) else "done")
    assert ended.outcomes == [ended.status]
    assert ours.noted("told", [number]) == {}


def test_an_outcome_waits_for_a_database_that_takes_no_more(fleet: NewFleet) -> None:
    ours = fleet(busy_timeout=0.3)
    # Not by the servers, which do not wait long enough for a busy disk.
    with ours.database.transaction() as session:
        rows = [row("gate", retry=1) for _ in range(4)]
        session.add_all(rows)
        session.flush()
        numbers = [each.id for each in rows]
    ours.start("a", "b")
    ours.until_begun(*numbers)
    with ours.database.transaction() as session:
        session.execute(select(Command).with_for_update()).all()
        ours.open("gate")
        ours.until_noted("done", *numbers)
        time.sleep(3 * AGAIN)
    assert [each.outcomes for each in ours.settled().values()] == [["done"]] * 4


def test_a_server_that_stops_hands_back_what_it_ran(fleet: NewFleet) -> None:
    ours = fleet()
    (server,) = ours.start("a")
    may, must_not = server.submit("never", 0, retry=1), server.submit("never")
    ours.until_begun(may, must_not)
    ours.stop(server)
    statuses = ours.statuses()
    assert (statuses[may], statuses[must_not]) == ("waiting", "error")
    ours.start("a")
    ended = ours.settled()
    assert ended[may].outcomes == ["lost", "done"]
    assert ended[must_not].error == LOST


def test_when_one_of_two_servers_is_killed_the_other_takes_over(fleet: NewFleet) -> None:
    ours = fleet(places=2)
    (first,) = ours.start("a")
    may, must_not = first.submit("never", 0, retry=1), first.submit("never")
    ours.until_begun(may, must_not)
    waits = first.submit(0)
    ours.start("b")
    ours.kill(first)
    ended = ours.settled()
    assert ended[may].outcomes == ["lost", "done"]
    assert (ended[must_not].outcomes, ended[must_not].error) == (["lost"], LOST)
    assert ended[waits].outcomes == ["done"]
    assert {each.result for each in ended.values()} == {"", "b1 1", "b1 2"}


def test_limits_hold_over_all_servers_and_hold_up_no_other_command(fleet: NewFleet) -> None:
    ours = fleet(places=6, labels={"small": 3}, notebook=2, beat=NEVER)
    with ours.database.transaction() as session:
        notebook = Notebook(path="a.ipynb", uuid="a", short_id="a")
        session.add(notebook)
        session.flush()
        notebook_id = notebook.id
    servers = ours.start("a", "b")
    labelled, of_notebook, others = [], [], []
    for turn in range(40):
        server = servers[turn % len(servers)]
        # Those that come first fill the limits, until all are there.
        labelled.append(server.submit("gate" if turn < 3 else 0.03, label="small"))
        step: float | str = "gate" if turn < 2 else 0.03
        of_notebook.append(server.submit(step, notebook_id=notebook_id))
        others.append(server.submit(0.01))
    # More of either wait, and all of these get past them.
    ours.until("done", *others)
    until(lambda: ours.noted("begun", labelled).total() >= 3)
    until(lambda: ours.noted("begun", of_notebook).total() >= 2)
    ours.open("gate")
    assert {each.outcomes[0] for each in ours.settled().values()} == {"done"}
    assert most_at_once(ours.journal(), labelled) == 3
    assert most_at_once(ours.journal(), of_notebook) == 2


async def test_with_many_old_commands_the_next_one_is_found_by_the_index_of_those_that_wait(
    fleet: NewFleet,
) -> None:
    ours = fleet()
    database = ours.database
    store = CommandStore(database)
    with database.transaction() as session:
        session.add(row(0, status="done"))
        session.flush()
        # Each turn doubles them, and more.
        columns = [each for each in Command.__table__.columns if each.name != "id"]
        numbers = select(literal(1).label("n")).cte("numbers", recursive=True)
        numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < 200_000))
        session.execute(
            insert(Command).from_select(columns, select(*columns).join(numbers, literal(True)))
        )
    with database.transaction() as session:
        session.add_all(row(0) for _ in range(50))
        if ours.is_shared:
            # By itself it does so a minute later.
            session.execute(text("ANALYZE commands"))
    asked: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: asked.append(
            (statement, parameters)
        ),
    )
    assert len(await store.claim("a", 2, Limits(4))) == 2
    looks = [each for each in asked if each[0].startswith("SELECT") and "FROM commands" in each[0]]
    explain = "EXPLAIN" if ours.is_shared else "EXPLAIN QUERY PLAN"
    with database.engine.connect() as connection:
        plans = [
            "\n".join(map(str, connection.exec_driver_sql(f"{explain} {statement}", parameters)))
            for statement, parameters in looks
        ]
    # Either one of them holds no row that does not wait, where this query looks.
    assert any("waiting_commands" in plan or "ix_commands_status" in plan for plan in plans)
    assert not any("Seq Scan on commands" in plan or "SCAN commands" in plan for plan in plans)


async def test_two_apps_of_one_process_run_each_its_own_commands(
    fleet: NewFleet, other_url: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    fleets = [fleet(), fleet(url=other_url, folder=tmp_path / "other")]
    servers = [Server(each.settings("a")) for each in fleets]
    for server in servers:
        await server.start()
    for number in range(5):
        for server in servers:
            assert await server.submit(**submission(0)) == number + 1
    for each in fleets:
        await asyncio.to_thread(each.settled)
        assert sorted(each.noted("begun", range(9)).elements()) == [1, 2, 3, 4, 5]
    for server in servers:
        await server.stop()
