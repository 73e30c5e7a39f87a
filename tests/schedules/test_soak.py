"""A thousand schedules due at the same moment, two servers, one PostgreSQL: each runs once, though a server is killed meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import func, select

from jupyter_dashboards_api.commands.models import FINAL
from jupyter_dashboards_api.database.command_tables import Command, CommandAttempt
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Schedule, ScheduleAction
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.schedules.models import Bounds, NewSchedule
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.triggers import cron
from tests.postgres import Postgres

from .test_firing import hourly, notebook

ROOT = Path(__file__).parents[2]
SCHEDULES = 1000
SECONDS = 90.0
"""How long anything may take. Nothing that is asserted hangs on how long it takes."""


class Line(NamedTuple):
    """What a server has done: `fired`, `begun` or `done`, with a command and its attempt."""

    what: str
    server: str
    command: int
    attempt: int


class Servers:
    """Processes of `soak_server.py`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._journal = folder / "journal"
        self._journal.touch()
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, *names: str) -> None:
        """Servers that are ready when this returns."""
        for name in names:
            with (self._folder / f"{name}.log").open("w") as log:
                self._running[name] = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "tests.schedules.soak_server"),
                        *(self._url, str(self._folder), name),
                    ],
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        for name in names:
            output = self._running[name].stdout
            assert output is not None
            assert output.readline() == "ready\n", (self._folder / f"{name}.log").read_text()

    def kill(self, name: str) -> int:
        """As `kill -9` does; the id of the process."""
        process = self._running.pop(name)
        process.kill()
        process.wait(SECONDS)
        return process.pid

    def close(self) -> None:
        """Ends them as servers end. What they have said is shown when the test fails."""
        for process in self._running.values():
            process.terminate()
        for name, process in self._running.items():
            assert process.wait(SECONDS) == 0, name
        for file in sorted(self._folder.glob("*.log")):
            print(f"--- {file.name}", *file.read_text().splitlines()[-50:], sep="\n")

    def under_way(self) -> list[str]:
        """The server of each command that has begun and is not done, in order."""
        lines = self.journal()
        done = {line[2:] for line in lines if line.what == "done"}
        return [line.server for line in lines if line.what == "begun" and line[2:] not in done]

    def journal(self) -> list[Line]:
        """What they have done, in order."""
        return [Line(*json.loads(line)) for line in self._journal.read_text().splitlines()]


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url=url)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def servers(url: str, database: Database, tmp_path: Path) -> Iterator[Servers]:
    started = Servers(url, tmp_path)
    yield started
    started.close()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def daily(notebook_id: int, due: datetime) -> NewSchedule:
    """At this second of each day."""
    trigger = cron(
        cron_expression=f"{due.second} {due.minute} {due.hour} * * ?",
        end_time=None,
        time_zone="UTC",
    )
    # Who is interrupted by the end of a server is to run again.
    body = {"command_type": "SparkCommand", "note_id": notebook_id, "retry": 3}
    return hourly(notebook_id, trigger=trigger.as_dict(), since=now(), body=body)


@pytest.mark.timeout(300)
async def test_a_thousand_at_once_run_once_each_though_a_server_is_killed(
    database: Database, servers: Servers
) -> None:
    number = await notebook(database)
    servers.start("a", "b")
    due = (now() + timedelta(seconds=3)).replace(microsecond=0)
    store = ScheduleStore(database, Bounds())
    await store.create([daily(number, due) for _ in range(SCHEDULES)])

    def actions() -> int:
        with database.transaction(write=False) as session:
            return session.scalar(select(func.count()).select_from(ScheduleAction)) or 0

    def has_done(count: int) -> bool:
        return sum(line.what == "done" for line in servers.journal()) >= count

    # In the middle of it: some have been made, and some of those run.
    until(lambda: actions() >= SCHEDULES // 4 and has_done(20))
    until(lambda: bool(servers.under_way()))
    # Of the latest: it has the longest way to go.
    killed = servers.under_way()[-1]
    process = servers.kill(killed)

    def all_have_ended() -> bool:
        with database.transaction(write=False) as session:
            statuses = list(session.scalars(select(Command.status)))
            return len(statuses) == SCHEDULES and FINAL.issuperset(statuses)

    until(all_have_ended)
    lines = servers.journal()
    with database.transaction(write=False) as session:
        # Each schedule has come once, at its time, and waits for the next one.
        made = session.execute(select(ScheduleAction.schedule_id, ScheduleAction.nominal_time))
        times = [tuple(row) for row in made]
        assert len(times) == len({schedule for schedule, _ in times}) == SCHEDULES
        assert {nominal for _, nominal in times} == {due}
        following = session.execute(select(Schedule.sequence, Schedule.next_time))
        assert {tuple(row) for row in following} == {(1, due + timedelta(days=1))}
        # Each action has a command of its own, and each of those is done.
        commands = list(session.scalars(select(ScheduleAction.command_id)))
        assert len(set(commands)) == SCHEDULES
        assert Counter(session.scalars(select(Command.status))) == {"done": SCHEDULES}
        outcomes: dict[int, list[str]] = {}
        losers = set()
        for attempt in session.scalars(select(CommandAttempt).order_by(CommandAttempt.number)):
            outcomes.setdefault(attempt.command_id, []).append(attempt.outcome)
            if attempt.outcome == "lost":
                losers.add(int(attempt.worker.split(":")[1]))
    begun = Counter((line.command, line.attempt) for line in lines if line.what == "begun")
    assert set(begun.values()) == {1}
    again = {number for number, found in outcomes.items() if len(found) > 1}
    # What was run again the server had taken that was killed, and it did not count.
    assert all(outcomes[number] == ["lost", "done"] for number in again)
    assert losers == {process}
    fired = Counter(line.command for line in lines if line.what == "fired")
    assert set(fired.values()) == {1}
    assert again
