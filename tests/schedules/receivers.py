"""A receiver of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler


class Receiver:
    """A server for webhooks: what came, and what it answers next (200 after those), the first when `first` is set."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.first = asyncio.Event()
        self.first.set()
        self.followed: list[str] = []


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()

    class Hook(RequestHandler):
        async def post(self) -> None:
            found.calls.append((dict(self.request.headers), self.request.body))
            status = found.answers.pop(0) if found.answers else 200
            if len(found.calls) == 1:
                await found.first.wait()
            if status == 302:
                self.redirect(f"{found.url}/elsewhere")
                return
            self.set_status(status)

        def get(self) -> None:
            found.followed.append(self.request.path)

    socket, port = bind_unused_port()
    server = HTTPServer(Application([(r"/hook.*", Hook)]))
    server.add_socket(socket)
    found.url = f"http://127.0.0.1:{port}/hook"
    yield found
    server.stop()
    await server.close_all_connections()
