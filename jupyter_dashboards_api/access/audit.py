"""Who did what, as events of jupyter_events, for whoever listens: a file, a log collector, a SIEM.

Every event has `actor` (whose name, or `visitor`), `kind` (what sort of caller, `callers.py`), `address` and `path` (the
dashboard's contents path, or empty). Credentials are never among them, and what was typed as a name only as far as it is one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from jupyter_events import EventLogger

from .callers import Caller

EVENTS: Mapping[str, str] = {
    "login": "A viewer or an owner has logged in.",
    "login_failed": "A login failed: a wrong name or password, or too many attempts.",
    "logout": "Somebody has logged out.",
    "view": "A dashboard's page was sent.",
    "kernel_started": "A kernel was started for a dashboard.",
    "kernel_stopped": "A dashboard's kernel was ended.",
    "denied": "A request was refused: the caller is known, and may not do this.",
    "upload": "A dashboard was uploaded.",
    "delete": "A dashboard was deleted.",
    "notebook_created": "A notebook was made by the notebooks API.",
    "notebook_renamed": "A notebook was renamed by the notebooks API.",
    "notebook_deleted": "A notebook was deleted by the notebooks API.",
    "share_opened": "A share link's page was sent.",
    "share_unlocked": "A share link's password was entered, rightly.",
    "share_failed": "A share link's password was entered, wrongly.",
    "share_changed": "How a notebook is shared was changed.",
    "key_created": "An API key was made.",
    "key_revoked": "An API key was revoked.",
}
"""Event → what has happened. The documentation's table is made from this one."""

_PROPERTIES = {
    "actor": "Who did it.",
    "kind": "What sort of caller: owner, key, viewer, visitor or nobody.",
    "address": "The address that the request came from.",
    "path": "The contents path of the dashboard, or empty.",
}


def schema_id(event: str) -> str:
    """The URI by which listeners name an event."""
    return f"https://schema.jupyter.org/jupyter_dashboards_api/{event}/v1"


def schema(event: str) -> dict[str, Any]:
    """The event's JSON schema, as jupyter_events takes it."""
    return {
        "$id": schema_id(event),
        "version": "1",
        "title": event,
        "personal-data": True,
        "description": EVENTS[event],
        "type": "object",
        "properties": {
            name: {"type": "string", "title": name, "description": text}
            for name, text in _PROPERTIES.items()
        },
        "required": list(_PROPERTIES),
        "additionalProperties": False,
    }


class Audit:
    """Emits the events. Never raises: who listens must not decide whether a request succeeds."""

    def __init__(self, logger: EventLogger, log: logging.Logger) -> None:
        self._logger = logger
        self._log = log
        for event in EVENTS:
            logger.register_event_schema(schema(event))

    def emit(self, event: str, caller: Caller, address: str | None, path: str = "") -> None:
        """Says what a caller did."""
        data = {
            "actor": _plain(caller.name or caller.kind),
            "kind": caller.kind,
            "address": address or "",
            "path": _plain(path),
        }
        try:
            self._logger.emit(schema_id=schema_id(event), data=data)
        except Exception:
            self._log.exception("The event %s was not told", event)


def _plain(text: str) -> str:
    """What every listener can write: no lone surrogates."""
    return text.encode(errors="replace").decode()
