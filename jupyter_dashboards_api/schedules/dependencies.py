"""Files that a run waits for: which ones, of which nominal time, and until when. Pure. API: `dependency_info`, §3 of `specs/commands.md`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..dashboards.contents import clean_path
from ..errors import InvalidRequest

MAX_FILES = 100
DEFAULT_TIME_OUT = 24 * 60
"""Minutes."""

_PART_OF_TIME = re.compile("%[YmdHM]")
_WINDOW = ("window_start", "window_end")
_MISSING = "Not there in time:"


class InvalidFiles(InvalidRequest):
    """The dependencies can't be waited for as they are."""


def read_files(given: Any) -> tuple[str, ...]:
    """The paths of a schedule's `dependency_info`, as they were sent. Raises `InvalidFiles`."""
    if given is None or given in ("", {}):
        return ()
    if not isinstance(given, Mapping):
        raise InvalidFiles("dependency_info must be an object.")
    if given.get("hive_tables"):
        raise InvalidFiles("dependency_info: hive_tables are not supported; files are.")
    files = given.get("files") or []
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise InvalidFiles(f"dependency_info: files must be a list of at most {MAX_FILES}.")
    return tuple(dict.fromkeys(_file(item) for item in files))


def _file(item: Any) -> str:
    path = item.get("path") if isinstance(item, Mapping) else item
    if isinstance(item, Mapping) and any(
        item.get(name) not in (None, "", 0, "0") for name in _WINDOW
    ):
        raise InvalidFiles("dependency_info: windows of files are not supported; name each file.")
    try:
        clean = clean_path(path) if isinstance(path, str) else ""
    except InvalidRequest as error:
        raise InvalidFiles(
            f"dependency_info: each file must be a path of this server. {error.message}"
        ) from error
    if not clean:
        raise InvalidFiles("dependency_info: each file must be a path of this server.")
    return clean


def files_at(files: Sequence[str], nominal: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    """The paths of one nominal time: `%Y`, `%m`, `%d`, `%H` and `%M` in them are those of the zone's clock."""
    local = nominal.astimezone(zone)

    def put(match: re.Match[str]) -> str:
        return f"{local.year:04}" if match[0] == "%Y" else local.strftime(match[0])

    return tuple(_PART_OF_TIME.sub(put, file) for file in files)


def time_out(fields: Mapping[str, Any]) -> int:
    """How many minutes an action waits for its files; with 0 they must be there at the first look."""
    given = fields.get("time_out")
    return DEFAULT_TIME_OUT if given is None or given == "" else int(given)


def until(created_at: datetime, fields: Mapping[str, Any]) -> datetime:
    """How long an action waits for its files."""
    return created_at + timedelta(minutes=time_out(fields))


def not_there(missing: Sequence[str]) -> str:
    """The reason of an action that has waited in vain."""
    return "\n".join((_MISSING, *missing))


def missing_of(reason: str) -> tuple[str, ...]:
    """The files of a reason that `not_there` wrote."""
    first, *files = reason.split("\n")
    return tuple(files) if first == _MISSING else ()
