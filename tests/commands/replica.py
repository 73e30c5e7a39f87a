"""One server of the conformance suite: the real queue in a process of its own, whose commands keep a journal.

`replicas.py` starts it, tells it what to do, and reads the journal. A command's payload says in
`steps` what each attempt does (the last one stands for all later ones): a number is seconds, a text a gate, a file that
it waits for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jupyter_dashboards_api.commands.attempts import CommandQueue
from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome, Submission
from jupyter_dashboards_api.commands.queue import LocalQueue
from jupyter_dashboards_api.commands.runner_lock import RunnerLock
from jupyter_dashboards_api.commands.shared_queue import SharedQueue
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database

CLEARING_UP = 0.3
"""Seconds that a cancelled command needs; a second cancellation would land in them."""


class Journal:
    """What the commands of one replica do, line by line, in a file that all replicas share."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        # One write to it is one line, whoever writes at the same time, and stays when its writer is killed.
        self._file = os.open(folder / "journal", os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def note(self, what: str, command: CommandInfo) -> None:
        line = json.dumps([what, self._name, command.id, command.attempt])
        os.write(self._file, f"{line}\n".encode())


class Server:
    """The queue, and what it can be told. For one event loop."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._folder = Path(settings["folder"])
        self._name = settings["name"]
        self._journal = Journal(self._folder, self._name)
        self._database = Database(url=settings["url"], busy_timeout=settings["busy_timeout"])
        self._store = CommandStore(self._database)
        self._queue = self._new_queue(settings)

    def _new_queue(self, settings: dict[str, Any]) -> CommandQueue:
        parts: dict[str, Any] = {
            "commands": self._store,
            "run": self._run,
            "worker": f"test:{os.getpid()}",
            "limits": Limits(settings["places"], settings["labels"], settings["notebook"]),
            "log": logging.getLogger(self._name),
            "again": settings["again"],
        }
        if not self._database.is_shared:
            lock = RunnerLock(self._folder / "lock")
            return LocalQueue(**parts, lock=lock, look=settings["beat"])
        beat, stalled = settings["beat"], settings["stalled"]
        return SharedQueue(self._database, **parts, heartbeat=beat, stalled=stalled)

    async def start(self) -> None:
        await self._queue.start()

    async def submit(self, **fields: Any) -> int:
        """Stores a command and tells the queue; its id."""
        command, _ = await self._store.submit(Submission(**fields))
        self._queue.wake()
        return command.id

    async def cancel(self, command_id: int) -> bool:
        """Whether this call has cancelled it, or asked for it."""
        cancelled, _ = await self._store.cancel(command_id)
        await self._queue.cancel(command_id)
        return cancelled

    async def block(self, seconds: float) -> None:
        """Holds the event loop, after the answer."""
        asyncio.get_running_loop().call_later(0.05, time.sleep, seconds)

    async def stop(self) -> None:
        await self._queue.stop()
        self._database.close()

    async def _run(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        steps = command.payload["steps"]
        how = "failed"
        self._journal.note("begun", command)
        try:
            await self._take(steps[min(command.attempt, len(steps)) - 1])
            how = "done"
        except asyncio.CancelledError:
            how = "cancelled"
            self._journal.note("told", command)
            try:
                await asyncio.sleep(CLEARING_UP)
            except asyncio.CancelledError:
                self._journal.note("told", command)
            raise
        finally:
            self._journal.note(how, command)
        # Whose outcome it is that was noted.
        return Outcome("done", text=f"{self._name} {command.attempt}", notebook=b"-")

    async def _take(self, step: float | str) -> None:
        if not isinstance(step, str):
            await asyncio.sleep(step)
            return
        while not (self._folder / step).exists():
            await asyncio.sleep(0.02)


async def obey(server: Server, told: Connection) -> None:
    """Carries out what comes, each with its answer, until it is to stop."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    async def carry_out(number: int, what: str, fields: dict[str, Any]) -> None:
        answer: tuple[int, Any, str | None]
        try:
            answer = (number, await getattr(server, what)(**fields), None)
        except Exception as error:
            answer = (number, None, repr(error))
        told.send(answer)
        if what == "stop":
            stopped.set()

    def listen() -> None:
        with suppress(EOFError, OSError):
            while True:
                asyncio.run_coroutine_threadsafe(carry_out(*told.recv()), loop)
        # The tests are gone.
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    await stopped.wait()


def main(settings: dict[str, Any], told: Connection) -> None:
    """Of a process of its own."""
    log = os.open(settings["log"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    for each in (1, 2):
        os.dup2(log, each)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(obey(Server(settings), told))
    # Its thread still listens.
    os._exit(0)
