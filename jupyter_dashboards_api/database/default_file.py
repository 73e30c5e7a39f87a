"""The default database: a file for each place that notebooks are in.

What is in a database names notebooks by their paths, which mean something else in another folder: a link would open another
notebook, and notebooks that are only elsewhere would count as deleted. The first place that is served gets the file that the
command line tools use, and a note beside it says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from pathlib import Path

FIRST = "dashboards.sqlite"
NOTE = f"{FIRST}.place"


def default_file(
    folder: Path, place: str | None, log: logging.Logger | logging.LoggerAdapter[logging.Logger]
) -> Path:
    """The file in `folder` for what is served from `place`; None: the first one's. Makes the note. Raises `OSError`.

    A place that has moved is another one.
    """
    first = folder / FIRST
    if place is None:
        return first
    owner = _owner(folder / NOTE, place)
    if owner == place:
        return first
    own = folder / f"dashboards-{hashlib.sha256(_encoded(place)).hexdigest()[:12]}.sqlite"
    log.warning(
        "%s belongs to the notebooks in %r; those in %r have a database of their own, %s. `jupyter dashboards users` and "
        "`keys` change it if they are given --Database.url=sqlite:///%s. Have the notebooks only moved? Then start this "
        "server with --Database.url=sqlite:///%s, or, once and for all, remove %s before.",
        first, owner, place, own, own, first, folder / NOTE,
    )  # fmt: skip
    return own


def _owner(note: Path, place: str) -> str:
    """The place that a note names; `place` if nobody has written it yet."""
    note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with note.open("a+b") as file:
        # Two servers may start at once.
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        there = file.read()
        if there.endswith(b"\n"):
            return there[:-1].decode(errors="surrogatepass")
        # New, or its writer died over it.
        file.truncate(0)
        file.write(_encoded(place) + b"\n")
        file.flush()
        os.fsync(file.fileno())
        return place


def _encoded(place: str) -> bytes:
    # The names of folders need not be valid text.
    return place.encode(errors="surrogatepass")
