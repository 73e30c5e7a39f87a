"""What the handlers of the commands API share: its error body, its times, its command object.

API: `specs/commands.md` §1.0 and §1.4. The same routes are served below `/api/v1.2` and `/api/latest`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ..commands.manager import CommandsManager
from ..commands.models import CommandInfo
from ..commands.wire import (
    json_object,
    nominal_time,
    read_flag,
    read_number,
    seconds,
    timestamp,
    user_id,
)
from ..dashboards.budget import SMALL
from ..errors import NotFound, Unavailable
from .base import DashboardsAPIHandler
from .delivery import DeliveryMixin

_PIECE_CHARACTERS = 256 * 1024


class CommandsAPIHandler(DeliveryMixin, DashboardsAPIHandler):
    """A handler whose errors are `{"error": {"error_code", "error_message"}}`, the code being the HTTP status."""

    @property
    def commands(self) -> CommandsManager:
        """The manager of commands."""
        return self.dashboards.commands

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        message = self.error_message(status_code, kwargs.get("exc_info"))
        self.finish(json.dumps({"error": {"error_code": status_code, "error_message": message}}))

    async def command(self, command_id: str) -> CommandInfo:
        """The command of the URL; anyone who may see commands may see any. Raises `NotFound`."""
        number = read_number(command_id)
        if number is None:
            raise NotFound("There is no such command.")
        return await self.commands.store.get(number)

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent, whatever the client says that it is."""
        return json_object(self.request.body)

    def send(self, value: Any) -> None:
        """Answers with JSON."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))

    async def send_bytes(self, data: bytes, media_type: str = "application/json") -> None:
        """Answers with bytes, which may be many. Raises `Unavailable` when too much is under way."""
        self.set_header("Cache-Control", "no-store")
        if len(data) <= SMALL:
            self.finish(data, set_content_type=media_type)
            return
        sending = self.deliver(data, set_content_type=media_type)
        del data
        await sending

    async def send_new(self, command: CommandInfo) -> None:
        """Answers with a command that was just made, or found by its key."""
        try:
            throttled = bool(await self.commands.throttled([command]))
        except Unavailable:
            # Clients take a 503 for leave to send it again, and it is made already.
            throttled = False
        model = command_model(command, throttled=throttled)
        if command.callback_secret is not None:
            # This once.
            model["callback_secret"] = command.callback_secret
        self.send(model)

    def flag(self, name: str) -> bool:
        """A query argument that says yes, in any client's spelling."""
        return read_flag(self.get_query_argument(name, ""))


def json_with(model: Mapping[str, Any], name: str, text: str) -> bytes:
    """The JSON of a model with one more field, whose text may be long.

    A step over a whole text would keep the event loop from running, from another thread too.
    """
    head = json.dumps(model)[:-1] + (", " if model else "")
    pieces = (
        json.dumps(text[at : at + _PIECE_CHARACTERS])[1:-1].encode()
        for at in range(0, len(text), _PIECE_CHARACTERS)
    )
    return b"".join([f'{head}"{name}": "'.encode(), *pieces, b'"}'])


def nominal_text(iso: str | None) -> str | None:
    """When a scheduled command was due, as actions of schedules tell it."""
    return nominal_time(datetime.fromisoformat(iso)) if iso else None


def content_disposition(name: str) -> str:
    """The header that saves an answer as a file of this name, whatever is in it (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def command_model(
    command: CommandInfo, *, with_properties: bool = False, throttled: bool = False
) -> dict[str, Any]:
    """The command object, field by field as the API documents it, and what is ours after `error`."""
    schedule = command.payload.get("schedule") or {}
    waiting_for_retry = command.status == "waiting" and command.attempt > 0
    model: dict[str, Any] = {
        "id": command.id,
        "path": f"/tmp/{command.created_at:%Y-%m-%d}/1/{command.id}",  # noqa: S108
        "status": command.status,
        "created_at": timestamp(command.created_at),
        "updated_at": timestamp(command.updated_at),
        "command_type": command.command_type,
        "progress": command.progress,
        "qbol_session_id": None,
        "qlog": None,
        "resolved_macros": command.payload.get("resolved_macros") or None,
        "pid": None,
        "template": "generic",
        "submit_time": seconds(command.created_at),
        "start_time": seconds(command.started_at),
        "end_time": seconds(command.ended_at),
        "can_notify": bool(command.payload.get("can_notify", False)),
        "num_result_dir": 0,
        "pool": command.payload.get("pool"),
        "timeout": command.timeout,
        "name": command.name,
        "command_source": command.source,
        "account_id": 1,
        "saved_query_mutable_id": None,
        "user_id": user_id(command.owner),
        "label": command.label,
        "meta_data": {
            "results_resource": f"commands/{command.id}/results",
            "logs_resource": f"commands/{command.id}/logs",
        },
        "uid": user_id(command.owner),
        "perms": None,
        "command": command.payload.get("command", {}),
        "instance": None,
        "nominal_time": nominal_text(schedule.get("nominal_time")),
        "sequence_id": schedule.get("sequence_id"),
        "throttled": throttled,
        "error": command.error,
        "user": command.owner,
        "attempt": command.attempt,
        "retrying": waiting_for_retry,
        "cell_index": command.cell_index,
        "cell_name": command.payload.get("cell_names", {}).get(str(command.cell_index)),
        "cells": command.cells,
        "cells_done": command.cells_done,
        "unknown_arguments": command.payload.get("unknown_arguments", []),
        "is_rerun_of": command.payload.get("rerun_of"),
        "callback_url": command.callback_url,
    }
    if with_properties:
        model["tags"] = list(command.tags)
        model["comments"] = []
        model["user_actions"] = []
    return model
