"""The name of the time zone that this machine's clock shows."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from ..errors import InvalidRequest
from .fields import zone_named

_ZONES = "zoneinfo/"


def local_zone(
    variable: str | None = None,
    clock: Path = Path("/etc/localtime"),
    name: Path = Path("/etc/timezone"),
) -> str:
    """The IANA name of the server's zone: of the variable `TZ`, else as the system says it, else by its present offset.

    `variable` is the value of `TZ`; `clock` is the link to the zone's file, `name` a file with its name.
    """
    stated = os.environ.get("TZ", "") if variable is None else variable
    for found in (stated.removeprefix(":"), _linked(clock), _written(name)):
        # A whole path of a zone's file is a way to name it, too.
        candidate = found.rpartition(_ZONES)[2].strip()
        try:
            return zone_named(candidate).key
        except InvalidRequest:
            continue
    return _by_offset()


def _linked(clock: Path) -> str:
    try:
        target = str(clock.readlink())
    except OSError:
        return ""
    return target if _ZONES in target else ""


def _written(name: Path) -> str:
    try:
        return name.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _by_offset() -> str:
    """A zone that is always as far from UTC as this one is now; UTC where there is none."""
    offset = datetime.now().astimezone().utcoffset()
    hours, rest = divmod(int(offset.total_seconds()) if offset is not None else 0, 3600)
    # These names count the other way round.
    name = f"Etc/GMT{-hours:+d}" if hours and not rest else "UTC"
    try:
        return zone_named(name).key
    except InvalidRequest:
        return "UTC"
