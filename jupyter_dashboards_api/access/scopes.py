"""The one table of scopes. Checks, the documentation and the description of the API are made from it. Pure.

A scope is `object:action`; `write` includes `read`, and `*` grants everything. (API document: personal API keys.)
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidRequest

ALL = "*"

OBJECTS = {
    "dashboard": (
        "Open dashboards and run them.",
        "Upload and delete dashboards, clear the cache.",
    ),
    "notebook": ("Read notebooks.", "Create, change and run notebooks."),
    "sharing_configuration": ("See how notebooks are shared.", "Change how notebooks are shared."),
    "activity_log": ("Read who did what.", "Nothing more: the activity log is only ever read."),
    "command": ("See commands, their results and logs.", "Run, cancel and delete commands."),
    "schedule": (
        "See schedules and their runs.",
        "Make, change and end schedules, and so run any notebook with any arguments.",
    ),
}
"""Object → what its two scopes let a key do: read, write."""

SCOPES = {
    f"{name}:{action}": text
    for name, texts in OBJECTS.items()
    for action, text in zip(("read", "write"), texts, strict=True)
}
"""Every scope but `*`, with what it lets a key do."""


def grants(scopes: Iterable[str], needed: str) -> bool:
    """Whether a key with these scopes may do what `needed` names. Unknown scopes grant nothing."""
    if needed not in SCOPES:
        return False
    name, _, action = needed.partition(":")
    accepted = {ALL, f"{name}:write"} | ({needed} if action == "read" else set())
    return not accepted.isdisjoint(scopes)


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in the table's order, each once. Raises `InvalidRequest` for an unknown one and for none."""
    wanted = set(scopes)
    unknown = wanted - SCOPES.keys() - {ALL}
    if unknown:
        raise InvalidRequest(f"Invalid scope: {min(unknown)[:64]}")
    if not wanted:
        raise InvalidRequest("Name at least one scope.")
    return [scope for scope in (ALL, *SCOPES) if scope in wanted]
