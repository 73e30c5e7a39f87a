"""What the handlers of the commands API share: its error body, its times, its command object.

API: `specs/commands.md` §1.0 and §1.4. The same routes are served below `/api/v1.2` and `/api/latest`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zlib import crc32

from ..commands.manager import CommandsManager
from ..commands.models import CommandInfo
from ..errors import InvalidRequest, TooLarge
from .base import DashboardsAPIHandler

MAX_BODY_BYTES = 2 * 1024 * 1024


class CommandsAPIHandler(DashboardsAPIHandler):
    """A handler whose errors are `{"error": {"error_code", "error_message"}}`, the code being the HTTP status."""

    @property
    def commands(self) -> CommandsManager:
        """The manager of commands."""
        return self.dashboards.commands

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        message = self.error_message(status_code, kwargs.get("exc_info"))
        self.finish(json.dumps({"error": {"error_code": status_code, "error_message": message}}))

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent, whatever the client says that it is."""
        if len(self.request.body) > MAX_BODY_BYTES:
            raise TooLarge("The body is too large.")
        text = self.request.body.strip()
        if not text:
            return {}
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest("The body is not JSON.") from error
        if not isinstance(body, dict):
            raise InvalidRequest("The body is not a JSON object.")
        return body

    def send(self, value: Any) -> None:
        """Answers with JSON."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))

    def flag(self, name: str) -> bool:
        """A query argument that says yes, in any client's spelling."""
        return self.get_query_argument(name, "").strip().lower() in ("true", "1", "yes")


def command_model(command: CommandInfo, *, with_properties: bool = False) -> dict[str, Any]:
    """The command object, field by field as the API documents it, and what is ours after `error`."""
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
        "resolved_macros": None,
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
        "error": command.error,
        "user": command.owner,
        "attempt": command.attempt,
        "retrying": waiting_for_retry,
        "cell_index": command.cell_index,
        "cells": command.cells,
        "cells_done": command.cells_done,
    }
    if with_properties:
        model["tags"] = list(command.tags)
        model["comments"] = []
    return model


def timestamp(time: datetime | None) -> str | None:
    """`2016-10-03T07:14:39Z`, as the API's samples write times."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time is not None else None


def seconds(time: datetime | None) -> int | None:
    """Unix seconds."""
    return int(time.timestamp()) if time is not None else None


def user_id(name: str) -> int:
    """A number for a user's name: clients of this API know users by numbers."""
    return crc32(name.encode()) % 1_000_000 + 1
