"""What is done to files on the contents manager's disk for which it has no operation. For threads."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from .staging import staging_path


def give_file(file: str, user_id: int, group_id: int) -> None:
    """Gives a file or folder to an account. Raises `OSError`."""
    # Whoever may write to the folder must not get other files by a link that is put in its place.
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(opened)
        if not stat.S_ISDIR(found.st_mode) and (
            not stat.S_ISREG(found.st_mode) or found.st_nlink > 1
        ):
            raise PermissionError
        os.fchown(opened, user_id, group_id)
    finally:
        os.close(opened)


def replace_file(file: str, parts: Sequence[bytes | memoryview]) -> None:
    """Gives a file other bytes, all at once; its mode and owner stay. Raises `OSError`."""
    # What a link leads to is replaced, not the link.
    place = Path(file).resolve(strict=True)
    there = place.stat()
    # A file that is renamed into its place needs no permission of the old one's.
    if not stat.S_ISREG(there.st_mode) or not os.access(place, os.W_OK):
        raise PermissionError
    staged = Path(staging_path(str(place), "uploading"))
    opened = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(opened, "wb") as new:
            # Only root may give a file away; others may to groups that they are in.
            with contextlib.suppress(PermissionError):
                os.fchown(opened, -1, there.st_gid)
                os.fchown(opened, there.st_uid, -1)
            os.fchmod(opened, stat.S_IMODE(there.st_mode))
            for part in parts:
                new.write(part)
            new.flush()
            os.fsync(opened)
        staged.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            staged.unlink()
        raise
