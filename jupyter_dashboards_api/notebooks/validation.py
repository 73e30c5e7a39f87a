"""Decides whether uploaded bytes are a notebook that this server can store and show. Pure."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.validator import NotebookValidationError, normalize

from ..errors import InvalidRequest

_MAX_DEPTH = 100
"""Deeper JSON is no notebook of this world, and whoever writes it out again would run out of stack."""

_MAX_REASON = 200
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def read_notebook(data: bytes, what: str = "The notebook") -> NotebookNode:
    """The notebook in `data`, in nbformat 4, valid against its schema.

    Notebooks of nbformat 1 to 3 are converted; missing and repeated cell ids are mended, as Jupyter itself does it.
    Raises `InvalidRequest` with a message that begins with `what`.
    """
    if not data.strip():
        raise InvalidRequest(f"{what} is empty.")
    raw = _parse(data, what)
    if not isinstance(raw, dict) or not ("cells" in raw or "worksheets" in raw):
        raise InvalidRequest(f"{what} is JSON, but not a Jupyter notebook: it has no cells.")
    major = raw.get("nbformat")
    if not isinstance(major, int) or major not in nbformat.versions:
        known = max(nbformat.versions)
        raise InvalidRequest(
            f"{what} is not in a notebook format that this server knows (nbformat 1 to {known})."
        )
    try:
        with warnings.catch_warnings():
            # What they say is mended, not stored.
            warnings.simplefilter("ignore")
            minor = raw.get("nbformat_minor", 0)
            notebook = nbformat.versions[major].to_notebook_json(raw, minor=minor)
            _, mended = normalize(nbformat.convert(notebook, 4))
            nbformat.validate(mended)
    except NotebookValidationError as error:
        reason = str(error.message).splitlines()[0][:_MAX_REASON]
        raise InvalidRequest(f"{what} is not a valid Jupyter notebook: {reason}") from error
    except Exception as error:
        # The readers of old formats trip over whatever they do not expect.
        raise InvalidRequest(f"{what} is not a valid Jupyter notebook.") from error
    result: NotebookNode = nbformat.from_dict(mended)
    return result


def _parse(data: bytes, what: str) -> Any:
    try:
        text = data.decode("utf-8-sig")
        # The C scanner holds the interpreter's lock from end to end; a hook in Python gives the event loop its turn.
        raw = json.loads(text, object_pairs_hook=lambda pairs: dict(pairs))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{what} is not UTF-8 text.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{what} is not JSON.") from error
    _check_values(raw, what, surrogates=bool(_SURROGATE_ESCAPE.search(text)))
    return raw


def _check_values(raw: Any, what: str, *, surrogates: bool) -> None:
    """Refuses what JSON can say and a file cannot hold; strings only when `surrogates` says that there is cause."""
    level: list[Any] = [raw]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.keys() if surrogates else ()
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif surrogates and isinstance(value, str) and not _encodable(value):
                raise InvalidRequest(f"{what} holds text that is not valid Unicode.")
        if not below:
            return
        level = below
    raise InvalidRequest(f"{what} is nested too deeply.")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
