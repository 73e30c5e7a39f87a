"""Names of the notebooks API's files: of new ones, of users' folders, and what may be a new name. Pure."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import datetime

from ..dashboards.contents import clean_path
from ..errors import InvalidRequest

EXTENSION = ".ipynb"

_MAX_NAME = 255
"""Bytes: what file systems take."""

_MAX_USER = 80
"""Bytes."""

_ALLOWED = "._-@+="


def user_segment(user: str) -> str:
    """A user's name as a folder, and a part of file names, can have it. Two names never become the same one.

    Letters, digits and `._-@+=` stay, so that ordinary names and mail addresses are as they were.
    """
    composed = unicodedata.normalize("NFC", user)
    kept = "".join(c if c.isalnum() or c in _ALLOWED else "_" for c in composed).lstrip(".")
    short = kept.encode()[:_MAX_USER].decode(errors="ignore")
    if short == user and short:
        return short
    # Names that are changed alike stay apart.
    return f"{short}-{hashlib.sha256(user.encode(errors='surrogatepass')).hexdigest()[:8]}"


def new_name(moment: datetime, user: str, number: int) -> str:
    """The name of a notebook that a user makes at a moment; `number` counts those of the same second from 0."""
    more = f"_{number}" if number else ""
    return f"{moment:%Y-%m-%d_%H:%M:%S}_{user_segment(user)}{more}{EXTENSION}"


def renamed(name: object) -> str:
    """The file name of what a client wants a notebook to be called. Raises `InvalidRequest` for what is no plain name."""
    if not isinstance(name, str):
        raise InvalidRequest("The new name must be a text.")
    wanted = name.strip(" ")
    wanted = wanted if wanted.endswith(EXTENSION) else wanted + EXTENSION
    if "/" in wanted or wanted == EXTENSION:
        raise InvalidRequest("The new name must be a plain name, without a folder.")
    if clean_path(wanted) != wanted or len(wanted.encode()) > _MAX_NAME:
        raise InvalidRequest(f"The new name must have at most {_MAX_NAME} bytes.")
    return wanted
