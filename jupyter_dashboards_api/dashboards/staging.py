"""Names of what an upload puts beside a dashboard while it replaces it.

`NAME.uploading-HEX` is new and not yet complete, `NAME.replaced-HEX` is old and about to be deleted; notebooks keep their
extension (`NAME.uploading-HEX.ipynb`). None of them is shown to viewers. A server that dies in the middle of an upload
leaves them behind; the first eight digits are the time in seconds, so that the next upload knows what was abandoned.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_PATTERN = re.compile(
    r"(?P<name>.+)\.(?:uploading|replaced)-(?P<time>[0-9a-f]{8})[0-9a-f]{8}(?P<extension>\.ipynb)?",
    re.DOTALL,
)


_REPLACING_SECONDS = 60


@dataclass(frozen=True)
class StagingName:
    """What a staging name says: the dashboard's name without extension, and when it was made, in Unix seconds."""

    dashboard: str
    made: int


def staging_path(path: str, state: Literal["uploading", "replaced"]) -> str:
    """A new path beside `path`, which is a notebook's or a folder's; never the same twice."""
    stem = path.removesuffix(".ipynb")
    extension = path[len(stem) :]
    stamp = f"{int(time.time()) & 0xFFFFFFFF:08x}{secrets.token_hex(4)}"
    return f"{stem}.{state}-{stamp}{extension}"


def parse_staging(name: str) -> StagingName | None:
    """What a file or folder name says when it is a staging name, else None."""
    match = _PATTERN.fullmatch(name)
    return StagingName(match["name"], int(match["time"], 16)) if match else None


def is_staging(name: str) -> bool:
    """Whether a file or folder name (not a path) is one that only an upload under way uses."""
    return parse_staging(name) is not None


def is_being_replaced(name: str, names: Iterable[str]) -> bool:
    """Whether an upload, of this server or another, is just putting something in the place of `name`, by what is beside it."""
    stem, oldest = name.removesuffix(".ipynb"), time.time() - _REPLACING_SECONDS
    return any(
        staging is not None and staging.dashboard == stem and staging.made >= oldest
        for staging in map(parse_staging, names)
    )
