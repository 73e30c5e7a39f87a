"""What the queue keeps to with several servers on one PostgreSQL; what it keeps to on both databases: `test_conformance.py`."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.engine import make_url

from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.database.queue_schema import SCHEMA
from tests.postgres import Postgres

from .proxy import Proxy
from .replicas import BEAT, NEVER, SECONDS, Fleet, Replica, row, until


@pytest.fixture
def settings() -> dict[str, float]:
    """Of the fleet; a parametrisation overrides it."""
    return {}


@pytest.fixture
def fleet(postgres: Postgres, tmp_path: Path, settings: dict[str, float]) -> Iterator[Fleet]:
    opened = Fleet(postgres.new_database(), tmp_path, **settings)
    yield opened
    opened.close()


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    """A way to the database that can be cut off."""
    with Proxy(postgres.port) as opened:
        yield opened


def through(fleet: Fleet, proxy: Proxy) -> str:
    """The URL of the fleet's database through a proxy."""
    return make_url(fleet.url).set(port=proxy.port).render_as_string(hide_password=False)


def until_seen(fleet: Fleet, count: int, seconds: float) -> None:
    """Waits until so many servers have shown themselves in the latest seconds."""
    seen = text(
        f"SELECT count(*) FROM {SCHEMA}.procrastinate_workers"
        f" WHERE last_heartbeat > clock_timestamp() - interval '{seconds} seconds'"
    )

    def are_there() -> bool:
        with fleet.database.transaction(write=False) as session:
            return bool(session.scalar(seen) == count)

    until(are_there)


def until_begun_by(fleet: Fleet, replica: Replica, least: int) -> None:
    """Waits until a replica has begun so many commands."""
    name = replica.name
    until(lambda: sum(x.what == "begun" and x.replica == name for x in fleet.journal()) >= least)


@pytest.mark.parametrize("settings", [{"beat": NEVER}])
def test_two_servers_share_what_one_of_them_is_sent(fleet: Fleet) -> None:
    servers = fleet.start("a", "b")
    numbers = [servers[0].submit("gate") for _ in range(200)]
    # As many as each has places for.
    for each in servers:
        until_begun_by(fleet, each, 4)
    fleet.open("gate")
    ended = fleet.settled()
    assert sorted(ended) == numbers
    assert {(each.status, each.attempt) for each in ended.values()} == {("done", 1)}


def test_what_a_frozen_server_ran_is_run_by_another_and_changes_nothing_when_it_wakes(
    fleet: Fleet,
) -> None:
    (first,) = fleet.start("a")
    endless = first.submit("never", 0, retry=1)
    ending = first.submit("gate", retry=1)
    long = first.submit("gate", "second gate", retry=1)
    must_not = first.submit("gate")
    fleet.until_begun(endless, ending, long, must_not)
    (second,) = fleet.start("b")
    fleet.freeze(first)
    fleet.open("gate")
    # Nothing waits for the one that is frozen.
    fleet.until("done", endless, ending)
    fleet.until_begun(long, times=2)
    fleet.thaw(first)
    fleet.until_noted("told", endless)
    fleet.until("done", *[first.submit(0) for _ in range(5)])
    # What the one that was frozen makes of it by now is not asked for.
    assert fleet.statuses()[long] == "running"
    fleet.open("second gate")
    ended = fleet.settled()
    for number in (endless, ending, long):
        assert ended[number].outcomes == ["lost", "done"]
        assert ended[number].result == f"{second.name} 2"
    assert (ended[must_not].status, ended[must_not].outcomes) == ("error", ["lost"])
    # It is as good as before.
    fleet.kill(second)
    fleet.until("done", first.submit(0))


def test_servers_that_freeze_in_the_middle_of_their_work_hold_up_no_other(fleet: Fleet) -> None:
    chance = random.Random(11)
    first, second, third = fleet.start("a", "b", "c")
    sent = []
    for victim in (first, second):
        sent += [third.send(chance.uniform(0, 0.02), retry=9) for _ in range(60)]
        time.sleep(chance.uniform(0.1, 0.3))
        fleet.freeze(victim)
    numbers = [answer.result(SECONDS) for answer in sent]
    ended = fleet.settled()
    assert sorted(ended) == sorted(numbers)
    assert {each.status for each in ended.values()} == {"done"}
    for victim in (first, second):
        fleet.thaw(victim)
    fleet.until("done", first.submit(0), second.submit(0))
    assert {number: fleet.settled()[number] for number in numbers} == ended


@pytest.mark.parametrize("settings", [{"busy_timeout": 1.0}])
def test_a_server_that_is_cut_off_in_the_middle_of_taking_a_command_holds_up_no_other(
    fleet: Fleet, proxy: Proxy
) -> None:
    (first,) = fleet.start("a", url=through(fleet, proxy))
    fleet.until("done", first.submit(0))
    proxy.hold_after("INSERT INTO command_attempts ")
    with fleet.database.transaction() as session:
        session.add_all(row(0) for _ in range(5))
    assert proxy.has_cut.wait(SECONDS)
    fleet.start("b")
    ended = fleet.settled()
    assert {(each.status, each.attempt) for each in ended.values()} == {("done", 1)}
    proxy.mend()
    fleet.until("done", sent_again(first))
    assert {number: fleet.settled()[number] for number in ended} == ended


@pytest.mark.parametrize("how", ["hang_up", "hold"])
def test_what_a_server_ran_that_is_cut_off_is_run_by_another_and_it_comes_back(
    fleet: Fleet, proxy: Proxy, how: str
) -> None:
    (first,) = fleet.start("a", url=through(fleet, proxy))
    endless, ending = first.submit("never", 0, retry=1), first.submit("gate", 0, retry=1)
    fleet.until_begun(endless, ending)
    (second,) = fleet.start("b")
    getattr(proxy, how)()
    fleet.cut_off(first)
    fleet.open("gate")
    fleet.until_noted("done", ending, times=2)
    ended = fleet.settled()
    assert ended[endless].outcomes == ended[ending].outcomes == ["lost", "done"]
    proxy.mend()
    fleet.until_noted("told", endless)
    fleet.kill(second)
    fleet.until("done", sent_again(first))
    assert {number: fleet.settled()[number] for number in ended} == ended


def test_connections_that_break_at_any_moment_cost_no_command_and_no_attempt(
    fleet: Fleet, proxy: Proxy
) -> None:
    chance = random.Random(13)
    with fleet.database.transaction() as session:
        session.add_all(row(chance.uniform(0, 0.03)) for _ in range(150))
    (server,) = fleet.start("a", url=through(fleet, proxy))
    for part in range(1, 11):
        until_begun_by(fleet, server, 12 * part)
        proxy.hang_up()
        time.sleep(chance.uniform(0, 0.05))
        proxy.mend()
    ended = fleet.settled()
    assert len(ended) == 150
    assert {(each.status, each.attempt) for each in ended.values()} == {("done", 1)}


@pytest.mark.parametrize(
    "statement",
    [f"INSERT INTO {table} " for table in ("commands", "command_attempts", "command_results")],
)
def test_what_was_committed_without_an_answer_is_done_once(
    fleet: Fleet, proxy: Proxy, statement: str
) -> None:
    (server,) = fleet.start("a", url=through(fleet, proxy))
    fleet.until("done", server.submit(0))
    proxy.keep_back_commit_of(statement)
    sent = [
        sent_again(server, retry=1, idempotency_key=str(number), request_hash="same")
        for number in range(5)
    ]
    assert proxy.has_cut.wait(SECONDS)
    ended = fleet.settled()
    assert sorted(ended) == [1, *sent]
    assert {(each.status, each.attempt) for each in ended.values()} == {("done", 1)}
    assert set(fleet.noted("begun", ended).values()) == {1}


def sent_again(replica: Replica, **fields: Any) -> int:
    """A command that a replica has stored; its database may not be back at once."""
    while True:
        answer = replica.send(0, **fields)
        if answer.exception(SECONDS) is None:
            number: int = answer.result()
            return number


def test_servers_outlast_their_database_and_take_nothing_from_each_other(tmp_path: Path) -> None:
    beat = 3 * BEAT
    with Postgres() as server, Proxy(server.port) as late, Proxy(server.port) as early:
        fleet = Fleet(server.new_database(), tmp_path, beat=beat, stalled=2 * beat)
        try:
            (first,) = fleet.start("a", url=through(fleet, early))
            (second,) = fleet.start("b", url=through(fleet, late))
            ending = [each.submit("early", retry=1) for each in (first, second) for _ in range(2)]
            numbers = [each.submit("gate", retry=1) for each in (first, second) for _ in range(2)]
            fleet.until_begun(*ending, *numbers)
            numbers += [first.submit(0, retry=1) for _ in range(4)]
            late.hang_up()
            server.stop()
            fleet.open("early")
            fleet.until_noted("done", *ending)
            time.sleep(2.5 * beat)
            # One is back before the other, looks, is away again for longer than a second look has to wait, and looks.
            server.start()
            until_seen(fleet, 1, 1.5 * beat)
            time.sleep(BEAT)
            early.hang_up()
            time.sleep(2 * beat)
            early.mend()
            until_seen(fleet, 1, 1.5 * beat)
            time.sleep(BEAT)
            late.mend()
            until_seen(fleet, 2, 1.5 * beat)
            fleet.until("done", *ending)
            fleet.until("done", sent_again(first), sent_again(second))
            fleet.open("gate")
            ended = fleet.settled()
            assert {(each.status, each.attempt) for each in ended.values()} == {("done", 1)}
            assert {*numbers, *ending} < set(ended)
        finally:
            fleet.close()


def test_what_nobody_was_told_of_is_found(fleet: Fleet) -> None:
    first, second = fleet.start("a", "b")
    numbers = [server.submit("gate") for server in (first, second, first)]
    fleet.until_begun(*numbers)
    with fleet.database.transaction() as session:
        untold = row(0)
        session.add(untold)
        session.flush()
        found = untold.id
    fleet.until("done", found)
    with fleet.database.transaction() as session:
        asked = update(Command).where(Command.id == numbers[0])
        session.execute(asked.values(status="cancelling"))
    fleet.until("cancelled", numbers[0])
    fleet.open("gate")
    assert [fleet.settled()[each].status for each in numbers] == ["cancelled", "done", "done"]
    assert fleet.noted("told", numbers) == {numbers[0]: 1}
