"""`/api/v1.2/commands/ID/stream`: a command's log and progress as they come, as server-sent events.

===========  =======================================================================================
``log``      ``{"text"}``: what is new in the log; its id is the log's length in bytes up to there
``status``   ``{"id", "status", "progress", "cell_index", "cells", "cells_done", "attempt", "error"}``
===========  =======================================================================================

The stream ends with the status that the command has ended with. Whoever comes back with the last id (header
`Last-Event-ID`, or `last_event_id` of the query) gets the log from there on.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from ..access.scopes import grants
from ..commands.feed import Bell, LogPiece, news
from ..commands.models import CommandInfo
from ..errors import DashboardsError, InvalidRequest
from .commands import _CommandHandler

_STUCK = 60.0
"""Seconds after which a client that takes nothing is left."""


class CommandStreamHandler(_CommandHandler):
    """A command, live. For any client of server-sent events."""

    _bell: Bell | None = None

    @authenticated
    async def get(self, command_id: str) -> None:
        """Answers until the command has ended."""
        command = await self.command(command_id)
        offset = self._offset()
        with self.commands.feed.follow(command.id) as self._bell:
            self.set_header("Content-Type", "text/event-stream; charset=UTF-8")
            self.set_header("Cache-Control", "no-store, no-transform")
            # nginx would gather the events.
            self.set_header("X-Accel-Buffering", "no")
            self.set_header("X-Content-Type-Options", "nosniff")
            heartbeat = self.commands.stream_heartbeat
            found = news(
                self.commands.store, command.id, self._bell, offset=offset, heartbeat=heartbeat
            )
            loop = asyncio.get_running_loop()
            looked = loop.time()
            try:
                async with aclosing(found) as events:
                    async for event in events:
                        # A stream that is never silent has no heartbeats.
                        if event is None or loop.time() - looked >= heartbeat:
                            if not await self._still_permitted():
                                break
                            looked = loop.time()
                        self.write(_text_of(event))
                        await asyncio.wait_for(asyncio.ensure_future(self.flush()), _STUCK)
            except (StreamClosedError, TimeoutError):
                pass
        if not self._finished:
            self.finish(set_content_type="text/event-stream; charset=UTF-8")

    def on_connection_close(self) -> None:
        """The client has gone."""
        if self._bell is not None:
            self._bell.end()
        super().on_connection_close()

    async def _still_permitted(self) -> bool:
        """Whether the key that opened the stream is still there, with its scope."""
        if self.caller.kind != "key":
            return True
        try:
            scopes = await self.access.keys.scopes_of(self.caller.credential_id)
        except DashboardsError:
            # Not known now is not ended.
            return True
        return scopes is not None and grants(scopes, self.permissions["GET"].scope)

    def _offset(self) -> int:
        text = self.request.headers.get("Last-Event-ID") or self.get_query_argument(
            "last_event_id", ""
        )
        text = text or "0"
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise InvalidRequest("The last event's id must be a whole number from 0.")
        return int(text)


def _text_of(event: LogPiece | CommandInfo | None) -> str:
    if event is None:
        return ": still here\n\n"
    if isinstance(event, LogPiece):
        return _event("log", {"text": event.text}, f"id: {event.end}\n")
    return _event(
        "status",
        {
            "id": event.id,
            "status": event.status,
            "progress": event.progress,
            "cell_index": event.cell_index,
            "cells": event.cells,
            "cells_done": event.cells_done,
            "attempt": event.attempt,
            "error": event.error,
        },
    )


def _event(name: str, data: dict[str, Any], head: str = "") -> str:
    return f"event: {name}\n{head}data: {json.dumps(data)}\n\n"
