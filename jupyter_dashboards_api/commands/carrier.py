"""Procrastinate, in a thread of its own: it carries the word that there is something to do to a server that has room.

Words of this module:

token
    A job of Procrastinate's. It names no command: whoever gets it takes whatever is next (`claims.py`). One waits at most:
    who gets it sends the next one if there is more to do.
line
    This server's own connection: it keeps the server's row fresh, and hears what others tell. It comes back by itself.

The thread has its own loop, so that a server whose loop is held up for a while is not taken for dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, func, select

from ..database.queue_schema import SCHEMA
from .worker_row import with_row

if TYPE_CHECKING:
    from procrastinate import App
    from psycopg import AsyncConnection

_CANCELLED = "dashboards_cancelled"
_CHANGED = "dashboards_changed"
_QUEUE = "dashboards"
_TASK = "look for commands"

_BEAT = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %s"
_ENTER = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
_LEAVE = "DELETE FROM procrastinate_workers WHERE id = %s"

_CONNECTIONS = 4
_SECONDS = 5.0


def word_of_cancelled(command_id: int) -> Executable:
    """The statement by which all servers hear that a command is to be cancelled."""
    return select(func.pg_notify(_CANCELLED, str(command_id)))


def word_of_changed(server: int, command_ids: Iterable[int]) -> Executable:
    """The statement by which all servers but the one that says it hear whose rows have changed."""
    return select(func.pg_notify(_CHANGED, " ".join(map(str, (server, *command_ids)))))


class Carrier:
    """For one event loop, that of the server; what it calls is called there."""

    def __init__(
        self,
        arguments: Mapping[str, Any],
        *,
        places: int,
        take: Callable[[], Awaitable[None]],
        cancel: Callable[[int], object],
        changed: Callable[[int], object],
        beaten: Callable[[bool], object],
        heartbeat: float,
        again: float,
        log: logging.Logger,
    ) -> None:
        """`arguments` are psycopg's. `take` is awaited for a token, as often at once as there are `places`.

        `cancel` gets the id of each command that a server has cancelled, `changed` of each that another one has changed;
        `beaten` is called after each heartbeat, every
        `heartbeat` seconds, with whether it is the first one of a connection. A database that is away is tried `again`.
        """
        self._arguments = {
            **arguments,
            # Soon after the database is back, this server must be seen.
            "connect_timeout": max(2, round(heartbeat)),
            "options": f"{arguments.get('options', '')} -c search_path={SCHEMA}".strip(),
        }
        self._places = places
        self._take = take
        self._cancel = cancel
        self._changed = changed
        self._beaten = beaten
        self._heartbeat = heartbeat
        self._again = again
        self._log = log
        self.id = -1
        """The id of this server's row; -1 while it has none."""
        self._server: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._app: App | None = None
        self._getting: asyncio.Future[None] | None = None
        self._is_paused = False
        self._is_away = False

    def start(self) -> None:
        """Begins; a database that is away is waited for."""
        _quieten()
        self._server = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        # A token that ends while the database is away raises where nobody waits for it.
        self._loop.set_exception_handler(lambda _loop, about: self._log.debug("%s", about))
        self._up = asyncio.Event()
        self._wanted = asyncio.Event()
        self._sending = asyncio.Lock()
        self._line = self._task(self._keep_line())
        self._worker = self._task(self._keep_worker())
        self._sender = self._task(self._keep_sending())
        self._thread = threading.Thread(target=self._run, name="dashboards-queue", daemon=True)
        self._thread.start()

    def send(self) -> None:
        """Sends a token, if none waits already. From any thread; what is lost, is found by `beaten`."""
        self._call(lambda: self._wanted.set())

    async def pause(self) -> None:
        """Gets no more tokens; they can still be sent."""

        async def pause() -> None:
            self._is_paused = True
            if self._getting is not None:
                await _ended(self._getting)

        await self._in_thread(pause())

    async def stop(self) -> None:
        """Ends it, when a token has been sent for what is left; this server's row is gone then."""
        if self._loop is None or self._thread is None:
            return
        await self._in_thread(self._send())
        for task in (self._sender, self._worker, self._line):
            await self._in_thread(_ended(task))
        self._call(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop = None

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._loop is not None
        return self._loop.create_task(work)

    def _run(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            # What Procrastinate and its pool have left.
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _call(self, work: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work)

    def _tell(self, heard: Callable[..., object], *arguments: object) -> None:
        if self._server is not None:
            with contextlib.suppress(RuntimeError):
                self._server.call_soon_threadsafe(heard, *arguments)

    async def _in_thread(self, work: Coroutine[Any, Any, None]) -> None:
        if self._loop is None:
            work.close()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _fault(self, error: BaseException) -> None:
        # Once, not every few seconds; and nothing of the text, which holds the address of the database.
        if not self._is_away:
            self._is_away = True
            self._log.error("Commands: the database does not answer: %s", type(error).__name__)

    async def _keep_line(self) -> None:
        import psycopg

        try:
            while True:
                try:
                    async with await psycopg.AsyncConnection.connect(
                        **self._arguments, autocommit=True
                    ) as connection:
                        await connection.execute(f"LISTEN {_CANCELLED}")
                        await connection.execute(f"LISTEN {_CHANGED}")
                        await self._hold(connection)
                except Exception as error:
                    self._fault(error)
                self._up.clear()
                await asyncio.sleep(min(self._again, self._heartbeat / 4))
        finally:
            if self.id >= 0:
                with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                    async with asyncio.timeout(_SECONDS):
                        await self._leave()

    async def _hold(self, connection: AsyncConnection[Any]) -> None:
        is_first = True
        loop = asyncio.get_running_loop()
        while True:
            async with asyncio.timeout(_SECONDS):
                beaten = await connection.execute(_BEAT, (self.id,))
            if not beaten.rowcount:
                entered = await connection.execute(_ENTER)
                (self.id,) = await entered.fetchone() or (-1,)
            self._up.set()
            if self._is_away:
                self._is_away = False
                self._log.warning("Commands: the database answers again.")
            self._tell(self._beaten, is_first)
            is_first = False
            end = loop.time() + self._heartbeat
            while (left := end - loop.time()) > 0:
                async for word in connection.notifies(timeout=left):
                    self._hear(word.channel, [int(each) for each in word.payload.split()])

    def _hear(self, channel: str, numbers: list[int]) -> None:
        if channel == _CANCELLED:
            for number in numbers:
                self._tell(self._cancel, number)
        elif numbers[0] != self.id:
            for number in numbers[1:]:
                self._tell(self._changed, number)

    async def _leave(self) -> None:
        import psycopg

        async with await psycopg.AsyncConnection.connect(
            **self._arguments, autocommit=True
        ) as connection:
            await connection.execute(_LEAVE, (self.id,))

    async def _keep_worker(self) -> None:
        while True:
            # A pool that fails waits ever longer until it tries again.
            await self._up.wait()
            try:
                await self._work()
            except Exception as error:
                self._fault(error)
            await asyncio.sleep(self._again)

    async def _work(self) -> None:
        """Gets tokens until the database is away."""
        from procrastinate import App, PsycopgConnector

        connector = PsycopgConnector(
            kwargs=self._arguments,
            configure=_one_by_one,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_SECONDS,
        )
        app = App(connector=connector)
        app.job_manager = with_row(connector, lambda: self.id, self._again)

        @app.task(name=_TASK, queue=_QUEUE)
        async def look() -> None:
            await self._serve()

        try:
            async with asyncio.timeout(_SECONDS):
                await app.open_async()
            self._app = app
            # For what was to be sent while there was no way to.
            self._wanted.set()
            await self._get(app)
        finally:
            self._app = None
            await app.close_async()

    async def _get(self, app: App) -> None:
        getting = app.run_worker_async(
            queues=[_QUEUE],
            name="dashboards",
            concurrency=self._places,
            install_signal_handlers=False,
            # Commands go on when the connection is lost; only their tokens end.
            shutdown_graceful_timeout=0,
            delete_jobs="always",
        )
        self._getting = asyncio.ensure_future(getting)
        try:
            if not self._is_paused:
                await asyncio.wait({self._getting})
            if self._is_paused:
                await _ended(self._getting)
                # Tokens are still sent.
                await asyncio.Event().wait()
        finally:
            await _ended(self._getting)
        if error := self._getting.exception():
            raise error

    async def _serve(self) -> None:
        assert self._server is not None
        taken = asyncio.run_coroutine_threadsafe(_awaited(self._take), self._server)
        await asyncio.shield(asyncio.wrap_future(taken))

    async def _keep_sending(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._send()

    async def _send(self) -> None:
        async with self._sending:
            app = self._app
            if app is None:
                return
            try:
                # The queueing lock would refuse a second one too, and fill PostgreSQL's log with that.
                if not await app.job_manager.list_jobs_async(queue=_QUEUE, status="todo"):
                    await app.configure_task(
                        _TASK, queue=_QUEUE, queueing_lock=_QUEUE
                    ).defer_async()
            except Exception as error:
                self._log.debug("Commands: no token was sent: %s", type(error).__name__)


def _quieten() -> None:
    """What these say of a database that is away has its address, many times over. We say it once; a set level stays."""
    for name in ("procrastinate", "psycopg.pool"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)


async def _ended(task: asyncio.Future[None]) -> None:
    """Cancels a task until it has ended: one that just gets an answer may not notice."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=1)


async def _one_by_one(connection: AsyncConnection[Any]) -> None:
    """Each statement is a transaction: one that is frozen in the middle of it would hold up others."""
    await connection.set_autocommit(True)


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
