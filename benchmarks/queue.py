"""The queue of commands by itself, on SQLite and on a PostgreSQL of its own: how soon a command starts, how many a second.

`python -m benchmarks.queue`: commands that do nothing, one at a time into an idle queue, then a thousand at once. Meanwhile
the event loop is watched. The queue, the store and the database are the server's own; there are no kernels and no HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_dashboards_api.commands.attempts import CommandQueue
from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome, Submission
from jupyter_dashboards_api.commands.queue import LocalQueue
from jupyter_dashboards_api.commands.shared_queue import SharedQueue
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from tests.postgres import Postgres

SINGLE, MANY, CALLERS, PLACES = 200, 1000, 10, 16
TARGET_MS = 15.0
_TICK = 0.005

DURABILITY = (
    "PostgreSQL is the tests' own, which waits for no disk (`fsync=off`, `synchronous_commit=off`); SQLite waits for it at each\n"
    "commit (`synchronous=FULL`)."
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Postgres() as postgres:
        columns = {
            "SQLite": asyncio.run(measure(f"sqlite:///{folder}/dashboards.sqlite")),
            "PostgreSQL": asyncio.run(measure(postgres.new_database())),
        }
    names = list(columns)
    lines = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for row in columns[names[0]]:
        lines.append(f"| {row} | {' | '.join(columns[name][row] for name in names)} |")
    text = "\n".join([*lines, "", DURABILITY]) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


async def measure(url: str) -> dict[str, str]:
    """One column of the table."""
    database = Database(url=url)
    database.open()
    store = CommandStore(database)
    started: dict[int, float] = {}

    async def run(command: CommandInfo, log: CommandLogger) -> Outcome:
        started[command.id] = time.perf_counter()
        return Outcome("done")

    options: dict[str, Any] = {
        "worker": "here:1",
        "limits": Limits(PLACES),
        "log": logging.getLogger("benchmark"),
    }
    queue: CommandQueue
    if database.is_shared:
        queue = SharedQueue(database, store, run, **options)
    else:
        queue = LocalQueue(store, run, **options)
    await queue.start()

    async def submit() -> tuple[float, int]:
        begun = time.perf_counter()
        command, _ = await store.submit(Submission("SparkCommand", "ann", "a.ipynb", None, {}, "x"))
        queue.wake()
        return begun, command.id

    delays = []
    for _ in range(SINGLE):
        begun, number = await submit()
        while number not in started:
            await asyncio.sleep(0.0005)
        delays.append((started[number] - begun) * 1000)
        await asyncio.sleep(random.uniform(0.01, 0.03))
    async with loop_lag() as lags:
        begun = time.perf_counter()
        todo = iter(range(MANY))

        async def caller() -> None:
            for _ in todo:
                await submit()

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        stored = time.perf_counter() - begun
        while len(started) < SINGLE + MANY:
            await asyncio.sleep(0.01)
        all_started = time.perf_counter() - begun
    await queue.stop()
    await asyncio.to_thread(database.close)
    p50 = percentile(delays, 0.5)
    verdict = "reached" if p50 <= TARGET_MS else "**missed**"
    return {
        "submit → start, idle queue, p50 / p95 (ms)": f"{p50:.1f} / {percentile(delays, 0.95):.1f}",
        f"target: p50 ≤ {TARGET_MS:g} ms": verdict,
        f"{MANY} by {CALLERS} callers, all stored: a second": f"{MANY / stored:.0f}",
        f"{MANY} by {CALLERS} callers, all started (places: {PLACES}): a second": f"{MANY / all_started:.0f}",
        "event loop held up meanwhile, p99 / most (ms)": f"{percentile(lags, 0.99):.1f} / {max(lags):.1f}",
    }


def percentile(values: list[float], part: float) -> float:
    """Of values in any order."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


@asynccontextmanager
async def loop_lag() -> AsyncIterator[list[float]]:
    """Milliseconds by which a timer of the event loop was late, again and again."""
    lags: list[float] = []

    async def watch() -> None:
        while True:
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            lags.append((time.perf_counter() - due) * 1000)

    task = asyncio.ensure_future(watch())
    try:
        yield lags
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    raise SystemExit(main())
