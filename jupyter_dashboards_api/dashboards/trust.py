"""Whose scripts may run in viewers' browsers: the folders that the operator vouches for. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidRequest
from .contents import clean_path


class Trust:
    """The trusted part of the contents: folders with all below them, and single notebooks.

    `folders` are contents paths such as `reports` or `team/board.ipynb`; `"/"` stands for everything. Raises
    `ValueError` for what is no such path: a typing error must not trust something else.
    """

    def __init__(self, folders: Iterable[str] = ()) -> None:
        self._folders = frozenset(map(_folder, folders))

    def covers(self, path: str) -> bool:
        """Whether what lies at a clean contents path is trusted. Whole segments count: `a` covers `a/b`, not `ab`."""
        segments = path.split("/") if path else []
        return any(
            "/".join(segments[:count]) in self._folders for count in range(len(segments) + 1)
        )


def _folder(text: str) -> str:
    if text == "/":
        return ""
    try:
        path = clean_path(text)
    except InvalidRequest:
        path = ""
    # Nothing at all, as an unset variable of a shell leaves it, must not be everything.
    if not path:
        raise ValueError(
            f"{text!r} is no contents path: write it like 'folder/sub' or 'folder/one.ipynb', or '/' for everything."
        )
    return path
