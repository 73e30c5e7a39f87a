"""What schedules cost while nothing is due: CPU of an idle server, and the time of a look at what is due.

`python -m benchmarks.schedules` starts real Jupyter servers with this extension, on SQLite and on a PostgreSQL of its own,
without schedules and with ten thousand that are due in a year, and counts their CPU seconds. Then it looks for what is due
among 100, 1,000 and 10,000 schedules that are not, and asks the database how it finds out. `--output FILE` writes the tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Schedule, ScheduleAction
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.triggers import cron
from tests.postgres import Postgres
from tests.servers import TOKEN, ServerProcess

from .queue import DURABILITY

SIZES = (100, 1_000, 10_000)
RUNS = 100_000
LOOKS = 200
SECONDS, SETTLING = 60.0, 20.0
TARGET = 1.0
"""Per cent of a core."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the tables")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="how long servers are watched"
    )
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    with tempfile.TemporaryDirectory() as folder, Postgres() as postgres:
        idle, itself = idle_servers(Path(folder), postgres, options.seconds)
        looks = {
            "SQLite": asyncio.run(looked(f"sqlite:///{folder}/looks.sqlite")),
            "PostgreSQL": asyncio.run(looked(postgres.new_database())),
        }
    text = "\n".join(
        [
            "# Schedules of which nothing is due",
            "",
            f"`python -m benchmarks.schedules`, {len(os.sched_getaffinity(0))} cores, load at the start {load}.",
            DURABILITY,
            "",
            *idle_table(idle, options.seconds),
            "",
            f"PostgreSQL itself, of which both its servers ask: {itself:.2f} CPU s.",
            "",
            *looks_table(looks),
            "",
        ]
    )
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


# --- what an idle server costs


def idle_servers(
    home: Path, postgres: Postgres, seconds: float
) -> tuple[dict[tuple[str, int], float], float]:
    """Database and number of schedules → CPU seconds; and those of PostgreSQL itself. All are watched at the same time."""
    spent: dict[tuple[str, int], float] = {}
    with ExitStack() as stack:
        processes = {}
        for kind in ("SQLite", "PostgreSQL"):
            for size in (0, SIZES[-1]):
                own = home / f"{kind}-{size}"
                own.mkdir()
                url = (
                    f"sqlite:///{own}/dashboards.sqlite"
                    if kind == "SQLite"
                    else postgres.new_database()
                )
                with opened(url) as database, database.transaction() as session:
                    fill(session, size)
                server = stack.enter_context(jupyter_server(own, url))
                processes[kind, size] = psutil.Process(server.process.pid)
                require(server, size)
        own_children = psutil.Process().children()
        processes["PostgreSQL itself", 0] = next(
            each for each in own_children if each.name() == "postgres"
        )
        time.sleep(SETTLING)
        before = {key: cpu(process) for key, process in processes.items()}
        time.sleep(seconds)
        for key, process in processes.items():
            spent[key] = cpu(process) - before[key]
    return spent, spent.pop(("PostgreSQL itself", 0))


def require(server: ServerProcess, size: int) -> None:
    """Raises `RuntimeError` unless the server has schedules, or none for 0."""
    request = urllib.request.Request(f"{server.url}/api/v1.2/scheduler?per_page=1")
    request.add_header("Authorization", f"token {TOKEN}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        if bool(json.load(answer)["schedules"]) != bool(size):
            raise RuntimeError("The server does not have the schedules that it was to have.")


def jupyter_server(home: Path, url: str) -> ServerProcess:
    root = home / "root"
    root.mkdir()
    return ServerProcess(
        [
            "jupyter_server",
            "--port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={root}",
            "--ServerApp.jpserver_extensions={'jupyter_dashboards_api': True}",
            "--no-browser",
            "--allow-root",
        ],
        home,
        environment={"JUPYTER_DASHBOARDS_DATABASE_URL": url},
    )


def cpu(process: psutil.Process) -> float:
    """Its CPU seconds, and those of its children."""
    return sum(
        each.cpu_times().user + each.cpu_times().system
        for each in (process, *process.children(recursive=True))
    )


def idle_table(spent: Mapping[tuple[str, int], float], seconds: float) -> Iterator[str]:
    yield f"CPU of an idle `jupyter server`, of {seconds:g} s (all four at the same time):"
    yield ""
    yield "| database | schedules | CPU s | % of a core | target |"
    yield "| --- | --- | --- | --- | --- |"
    for (kind, size), used in spent.items():
        part = 100 * used / seconds
        verdict = f"≤ {TARGET:g} % {'' if part <= TARGET else '**missed**'}".strip()
        yield f"| {kind} | {size:,} | {used:.2f} | {part:.2f} | {verdict} |"


# --- how long it takes to find what is due


async def looked(url: str) -> dict[str, Any]:
    """What is measured → milliseconds (least, median, p95) of a look; and how the database finds what it is asked."""
    found: dict[str, Any] = {}
    with opened(url) as database:
        store = ScheduleStore(database, Bounds())
        there = 0
        for size in SIZES:
            with database.transaction() as session:
                fill(session, size - there)
            there = size
            found[f"{size:,} schedules"] = await times(database, store)
        with database.transaction() as session:
            past_runs(session, RUNS)
        found[f"{SIZES[-1]:,} schedules, {RUNS:,} past runs"] = await times(database, store)
        found["plans"] = await plans(database, store)
    return found


async def times(database: Database, store: ScheduleStore) -> tuple[float, float, float]:
    """Milliseconds of a look at what is due, which brings nothing: the least, the median, the 95th of a hundred."""
    analyze(database)
    spent = []
    for _ in range(LOOKS):
        begun = time.perf_counter()
        look = await store.look(now())
        spent.append((time.perf_counter() - begun) * 1000)
        assert not look.command_ids
    spent.sort()
    return spent[0], median(spent), spent[len(spent) * 95 // 100]


async def plans(database: Database, store: ScheduleStore) -> dict[str, str]:
    """Each query of a look → how the database carries it out."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    await store.look(now())
    event.remove(database.engine, "before_cursor_execute", note)
    word = "EXPLAIN" if database.is_shared else "EXPLAIN QUERY PLAN"
    found = {}
    with database.engine.connect() as connection:
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"{word} {statement}", parameters).all()
            what = " ".join(statement.split())
            found[what] = "\n".join(str(row[-1]) for row in rows)
    return found


def analyze(database: Database) -> None:
    """As the database does itself now and then."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def looks_table(looks: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    yield f"A look at what is due while nothing is, ms (least / median / p95 of {LOOKS}):"
    yield ""
    yield f"| | {' | '.join(looks)} |"
    yield f"| --- |{' --- |' * len(looks)}"
    for row in next(iter(looks.values())):
        if row != "plans":
            cells = ("{:.1f} / {:.1f} / {:.1f}".format(*column[row]) for column in looks.values())
            yield f"| {row} | {' | '.join(cells)} |"
    for name, column in looks.items():
        yield ""
        yield f"How {name} finds it, with {SIZES[-1]:,} schedules and {RUNS:,} past runs:"
        yield ""
        yield "```"
        for statement, plan in column["plans"].items():
            yield f"-- {shortened(statement)}"
            yield plan
        yield "```"


def shortened(statement: str) -> str:
    """A query without the names of its columns."""
    return f"SELECT … {statement[statement.index(' FROM ') + 1 :]}"


# --- what is looked at


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url=url)
    database.open()
    try:
        yield database
    finally:
        database.close()


def fill(session: Session, count: int) -> None:
    """Adds schedules that are due in a year, at different times."""
    if not count:
        return
    notebook = Notebook(path=os.urandom(8).hex(), uuid=os.urandom(8).hex(), short_id="")
    notebook.short_id = notebook.uuid[:12]
    session.add(notebook)
    session.flush()
    trigger = cron(cron_expression="0 12 * * *", end_time=None, time_zone="UTC").as_dict()
    later = now() + timedelta(days=365)
    shared = {
        "kind": "scheduler",
        "owner": "ann",
        "name": "nightly",
        "notebook_id": notebook.id,
        "body": {"command_type": "SparkCommand", "note_id": notebook.id},
        "fields": {},
        "trigger": trigger,
        "since": now(),
    }
    add(
        session,
        Schedule,
        [
            {**shared, "next_time": moment, "look_at": moment}
            for moment in (later + timedelta(seconds=number) for number in range(count))
        ],
    )


def past_runs(session: Session, count: int) -> None:
    """Adds runs that everybody has been told of, over all schedules."""
    moment = now()
    numbers = [number for (number,) in session.execute(text("SELECT id FROM schedules"))]
    add(
        session,
        ScheduleAction,
        [
            {
                "schedule_id": numbers[each % len(numbers)],
                "sequence_id": each,
                "nominal_time": moment - timedelta(seconds=each),
                "status": "error",
                "told_at": moment,
            }
            for each in range(count)
        ],
    )


def add(session: Session, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for begin in range(0, len(rows), 5_000):
        session.execute(insert(table), [dict(row) for row in rows[begin : begin + 5_000]])


if __name__ == "__main__":
    raise SystemExit(main())
