"""When a run has written a notebook's outputs: a stamp in its metadata that holds for these outputs alone. Pure.

`metadata.dashboards` is `{"executed_at": "2026-11-26T06:00:00.000000Z", "outputs": "sha256 …"}`. Editors keep what they
don't know, so the stamp survives an edit; whoever changes an output makes it void, since the hash doesn't fit any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nbformat import NotebookNode

STAMP = "dashboards"
"""Where it is, in a notebook's metadata; others may have written there too."""

_PARTS = ("executed_at", "outputs")


def stamp(notebook: NotebookNode, executed_at: datetime) -> None:
    """Notes in a notebook of nbformat 4 that all its outputs are of a run that ended at `executed_at`."""
    ours = notebook.metadata.get(STAMP)
    notebook.metadata[STAMP] = {
        **(ours if isinstance(ours, Mapping) else {}),
        "executed_at": utc_text(executed_at),
        "outputs": digest(notebook),
    }


def utc_text(time: datetime) -> str:
    """A time as it is told: in UTC, all of the same length, so that later ones are greater."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def executed_at(notebook: NotebookNode) -> datetime | None:
    """When a run has computed the outputs that a notebook has now; None where nothing says so, or not of these outputs."""
    ours = notebook.metadata.get(STAMP)
    if not isinstance(ours, Mapping):
        return None
    try:
        time = datetime.fromisoformat(ours.get("executed_at"))  # type: ignore[arg-type]
        # Converted here: a time at the end of all times may be none in UTC.
        found = time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
    return found if ours.get("outputs") == digest(notebook) else None


def unstamped(notebook: NotebookNode) -> dict[str, Any]:
    """What the stamp's place has besides the stamp."""
    there = notebook.metadata.get(STAMP)
    others = there if isinstance(there, Mapping) else {}
    return {name: value for name, value in others.items() if name not in _PARTS}


def digest(notebook: NotebookNode) -> str:
    """Of what cells show, in their order; cells without outputs, all sources and counts don't count."""
    told = [
        [_told(output) for output in cell.get("outputs", ())]
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.get("outputs")
    ]
    text = json.dumps(told, sort_keys=True, default=str)
    return "sha256 " + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _told(output: Any) -> Any:
    """An output without what editors write anew: the count of the run, and how a text is cut into lines."""
    if not isinstance(output, Mapping):
        return output
    told = {name: value for name, value in output.items() if name != "execution_count"}
    if isinstance(told.get("data"), Mapping):
        told["data"] = {
            mime: value if _is_json(mime) else _joined(value)
            for mime, value in told["data"].items()
        }
    if "text" in told:
        told["text"] = _joined(told["text"])
    return told


def _is_json(mime: str) -> bool:
    return mime == "application/json" or mime.endswith("+json")


def _joined(value: Any) -> Any:
    return "".join(map(str, value)) if isinstance(value, list) else value
