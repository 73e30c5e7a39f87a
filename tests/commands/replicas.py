"""Servers of one queue as processes that are killed, frozen and cut off, and what must hold whatever happens to them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from jupyter_dashboards_api.commands.models import FINAL
from jupyter_dashboards_api.database.command_tables import Command, CommandAttempt, CommandResult
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.errors import Unavailable

from .replica import main

# Started from one process that has loaded everything already, and has no threads.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([main.__module__, "pytest"])

SECONDS = 60.0
"""How long anything may take. Nothing that is asserted hangs on how long it takes."""

BEAT, STALLED = 0.5, 2.0
"""Seconds between two signs of life of a replica, and after which one without them counts as dead."""

_SHOWN = 200

NEVER = 1000.0
"""Of a heartbeat: then nothing is found by looking for it now and then, and only what replicas tell each other is left."""

AGAIN = 0.5
"""Seconds after which a database that did not answer is asked again."""


class Gone(Exception):
    """The replica has ended before it answered."""


@dataclass(frozen=True)
class Line:
    """What a command did, or what befell a replica.

    `begun`, `told` (to cancel), `done`, `cancelled`, `failed`; `killed`, `frozen`.
    """

    what: str
    replica: str
    command: int = 0
    attempt: int = 0

    @property
    def of(self) -> tuple[int, int]:
        """The command and its attempt."""
        return self.command, self.attempt


@dataclass(frozen=True)
class Ended:
    """A command as its rows have it."""

    status: str
    error: str
    attempt: int
    outcomes: list[str]
    result: str


class Replica:
    """A process of `replica.py`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.name = settings["name"]
        self._numbers = 0
        self._asked: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._is_gone = False
        self._line, theirs = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(target=main, args=(settings, theirs))
        self.process.start()
        # Only the process itself keeps that end open.
        theirs.close()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ask(self, what: str, **fields: Any) -> Future[Any]:
        """The answer to an instruction. Raises `Gone` when there is none any more."""
        answer: Future[Any] = Future()
        with self._lock:
            if self._is_gone:
                answer.set_exception(Gone())
                return answer
            self._numbers += 1
            self._asked[self._numbers] = answer
        # If it is gone by now, the listener says so.
        with contextlib.suppress(OSError):
            self._line.send((self._numbers, what, fields))
        return answer

    def submit(self, *steps: float | str, **fields: Any) -> int:
        """A new command, once it is acknowledged."""
        number: int = self.send(*steps, **fields).result(SECONDS)
        return number

    def send(self, *steps: float | str, **fields: Any) -> Future[Any]:
        """A new command; its number is the answer."""
        return self.ask("submit", **submission(*steps, **fields))

    def cancel(self, command: int) -> bool:
        cancelled: bool = self.ask("cancel", command_id=command).result(SECONDS)
        return cancelled

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, answer, error = self._line.recv()
                with self._lock:
                    asked = self._asked.pop(number)
                if error is None:
                    asked.set_result(answer)
                else:
                    asked.set_exception(RuntimeError(error))
        with self._lock:
            self._is_gone = True
            left, self._asked = self._asked, {}
            self._line.close()
        for asked in left.values():
            asked.set_exception(Gone())


def submission(*steps: float | str, **fields: Any) -> dict[str, Any]:
    """What a new command is made of."""
    return {
        "command_type": "test",
        "owner": "ann",
        "path": "a.ipynb",
        "notebook_id": None,
        "payload": {"steps": steps},
        "request_hash": "",
        **fields,
    }


def row(*steps: float | str, **columns: Any) -> Command:
    """The same, of which no replica is told."""
    return Command(**submission(*steps), tags=[], **columns)


class Fleet:
    """Replicas of one database; on SQLite there is only one at a time."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        """`settings` are those of every replica: `places`, limits by `labels` and of a `notebook`."""
        self.is_shared = not url.startswith("sqlite")
        self.pause = 2.25 * STALLED if self.is_shared else BEAT
        """Seconds in which a replica without a sign of life is thought dead, where others look for that."""
        self.url = url
        self._folder = folder
        self._settings = {
            "folder": str(folder),
            "places": 4,
            "labels": {},
            "notebook": 0,
            "busy_timeout": 5.0,
            "beat": BEAT,
            "stalled": STALLED,
            "again": AGAIN,
            **settings,
        }
        self._journal = folder / "journal"
        self._journal.touch()
        self._alive: list[Replica] = []
        self._starts: Counter[str] = Counter()
        self.database = Database(url=url, busy_timeout=5.0)
        self.database.open()

    def close(self) -> None:
        """Ends all replicas. What is printed is shown when a test fails."""
        for each in self._alive:
            each.process.kill()
            each.process.join(SECONDS)
        self.database.close()
        for file in sorted([*self._folder.glob("*.log"), self._journal]):
            print(f"--- {file.name}", *file.read_text().splitlines()[-_SHOWN:], sep="\n")

    def start(self, *names: str, url: str = "") -> list[Replica]:
        """New replicas, one for each name, that take commands; on SQLite only the first. `url`: another way to the database."""
        started = [self._new(name, url) for name in names[: None if self.is_shared else 1]]
        for answer in [replica.ask("start") for replica in started]:
            answer.result(SECONDS)
        return started

    def settings(self, name: str, url: str = "") -> dict[str, Any]:
        """What makes a new replica."""
        self._starts[name] += 1
        return {
            **self._settings,
            "name": f"{name}{self._starts[name]}",
            "url": url or self.url,
            "log": str(self._folder / f"{name}.log"),
        }

    def _new(self, name: str, url: str) -> Replica:
        self._alive.append(Replica(self.settings(name, url)))
        return self._alive[-1]

    def kill(self, replica: Replica) -> None:
        """As `kill -9` does."""
        replica.process.kill()
        replica.process.join(SECONDS)
        self._alive.remove(replica)
        self._note("killed", replica)

    def stop(self, replica: Replica) -> None:
        """As a server stops that is asked to."""
        replica.ask("stop").result(SECONDS)
        replica.process.join(SECONDS)
        self._alive.remove(replica)

    def freeze(self, replica: Replica) -> None:
        """As a machine that sleeps. From now on its commands may be run by others, though it lives."""
        process = psutil.Process(replica.process.pid)
        process.suspend()
        until(lambda: process.status() == psutil.STATUS_STOPPED)
        self._note("frozen", replica)

    def thaw(self, replica: Replica) -> None:
        psutil.Process(replica.process.pid).resume()

    def cut_off(self, replica: Replica) -> None:
        """Notes that others may run its commands though it lives."""
        self._note("frozen", replica)

    def _note(self, what: str, replica: Replica) -> None:
        with self._journal.open("a") as file:
            file.write(json.dumps([what, replica.name]) + "\n")

    def open(self, gate: str) -> None:
        """Lets those go on that wait at a gate."""
        (self._folder / gate).touch()

    def journal(self) -> list[Line]:
        """What has happened, in order."""
        lines = self._journal.read_text().splitlines(keepends=True)
        return [Line(*json.loads(line)) for line in lines if line.endswith("\n")]

    def noted(self, what: str, commands: Collection[int]) -> Counter[int]:
        """How often the journal has a word, by command."""
        lines = self.journal()
        return Counter(x.command for x in lines if x.what == what and x.command in commands)

    def until_noted(self, what: str, *commands: int, times: int = 1) -> None:
        """Waits until the journal has a word of each so often."""
        until(lambda: all(self.noted(what, [each])[each] >= times for each in commands))

    def until_begun(self, *commands: int, times: int = 1) -> None:
        """Waits until each has begun so often."""
        self.until_noted("begun", *commands, times=times)

    def statuses(self) -> dict[int, str]:
        wanted = select(Command.id, Command.status)
        with self.database.transaction(write=False) as session:
            return {row.id: row.status for row in session.execute(wanted)}

    def until(self, status: str, *commands: int) -> None:
        """Waits until each has a status."""
        until(lambda: all(self.statuses()[each] == status for each in commands))

    def settled(self) -> dict[int, Ended]:
        """All commands, once all have ended. Fails unless everything that they did is accounted for."""
        until(lambda: FINAL.issuperset(self.statuses().values()))
        ended = self._ended()
        assert faults(self.journal(), ended) == []
        return ended

    def _ended(self) -> dict[int, Ended]:
        outcomes: dict[int, list[str]] = {}
        attempts = select(CommandAttempt).order_by(CommandAttempt.command_id, CommandAttempt.number)
        with self.database.transaction(write=False) as session:
            for row in session.scalars(attempts):
                outcomes.setdefault(row.command_id, []).append(row.outcome)
                assert row.number == len(outcomes[row.command_id])
            results = {row.command_id: row.text for row in session.scalars(select(CommandResult))}
            return {
                row.id: Ended(
                    row.status,
                    (row.error or {}).get("message", ""),
                    row.attempt,
                    outcomes.get(row.id, []),
                    results.get(row.id, ""),
                )
                for row in session.scalars(select(Command))
            }


def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; a database that is away does not answer."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if holds():
                return
        except Unavailable:
            pass
        time.sleep(0.03)
    raise AssertionError("it never came")


def most_at_once(lines: Iterable[Line], commands: Collection[int]) -> int:
    """How many of some commands were under way at the same time, at most."""
    most = 0
    under_way: set[Line] = set()
    for line in lines:
        _follow(under_way, line)
        most = max(most, sum(each.command in commands for each in under_way))
    return most


def faults(lines: Sequence[Line], ended: Mapping[int, Ended]) -> list[str]:
    """What must never be: an attempt run twice or not counted, two at the same time, an outcome that was not, or another's."""
    begun = Counter(line.of for line in lines if line.what == "begun")
    done = {line.of for line in lines if line.what == "done"}
    found = [f"begun {times} times: {of}" for of, times in begun.items() if times > 1]
    for number, command in ended.items():
        tries = len(command.outcomes)
        most = max((attempt for each, attempt in begun if each == number), default=0)
        if not most <= tries == command.attempt:
            found.append(f"not counted: {number} {command}")
        if any(outcome != "lost" for outcome in command.outcomes[:-1]):
            found.append(f"begun again: {number} {command}")
        if command.status == "done" and not (
            command.outcomes[-1] == "done"
            and (number, tries) in done
            and command.result.endswith(f" {tries}")
        ):
            found.append(f"not done: {number} {command}")
    return found + _overlaps(lines, ended)


def _overlaps(lines: Sequence[Line], ended: Mapping[int, Ended]) -> list[str]:
    frozen = {line.replica for line in lines if line.what == "frozen"}

    def is_zombie(line: Line) -> bool:
        # It wakes, and does what it can't know is another's by now.
        outcomes = ended[line.command].outcomes
        return line.replica in frozen and outcomes[line.attempt - 1] == "lost"

    found = []
    under_way: set[Line] = set()
    for line in lines:
        if line.what == "begun" and not is_zombie(line):
            others = [each for each in under_way if each.command == line.command]
            found += [f"at the same time: {line} {each}" for each in others if not is_zombie(each)]
        _follow(under_way, line)
    return found


def _follow(under_way: set[Line], line: Line) -> None:
    if line.what == "begun":
        under_way.add(line)
    elif line.what in ("done", "cancelled", "failed"):
        under_way.discard(Line("begun", line.replica, *line.of))
    elif line.what == "killed":
        under_way -= {each for each in under_way if each.replica == line.replica}
