"""What nbclient does for one cell of a run: its outputs, as they come, are put into the notebook, within bounds."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from nbclient import NotebookClient
from nbclient.output_widget import OutputWidget
from nbformat import NotebookNode, ValidationError

from .held import Held, Place
from .results import plain

_IOPUB_SECONDS = 60
"""How long a cell's outputs may come after its end; nbclient would drop them after 4."""

MAX_OUTPUT_BYTES = 128 * 1024 * 1024
"""Roughly; of one run's outputs and its widgets' state, which are held in memory and in the database."""

_EACH_BYTES = 300
"""About what an output takes beside its texts."""

ERROR_BYTES = 1024 * 1024
"""For what a cell has raised, which is wanted most where there is no room any more."""

TOLD_BYTES = 1024 * 1024
"""What an output widget holds is sent back to its kernel, if it is not more: for code that looks at it."""

_OUTPUTS = frozenset(("stream", "display_data", "execute_result", "update_display_data", "error"))


class CellClient(NotebookClient):
    """nbclient's way with one cell, which also tells what is printed as it comes, and bounds what is kept."""

    def __init__(
        self, notebook: NotebookNode, kernel: Any, on_text: Callable[[str, str], None]
    ) -> None:
        super().__init__(
            notebook,
            km=kernel,
            timeout=None,
            iopub_timeout=_IOPUB_SECONDS,
            record_timing=True,
            # Widgets' state is kept with the notebook, so that it can be shown without a kernel.
            store_widget_state=True,
        )
        self.widget_registry["@jupyter-widgets/output"] = {"OutputModel": _OutputWidget}
        self._on_text = on_text
        self._held = Held(MAX_OUTPUT_BYTES)
        self._serial = itertools.count()
        # Where the outputs with a display id are, which are replaced together.
        self._shown: dict[str, list[Place]] = {}
        self._is_full = False
        self.is_busy = False
        """Whether the kernel runs the present cell."""
        self.began = asyncio.Event()
        """Set once it has begun to."""

    def process_message(self, msg: Any, cell: NotebookNode, cell_index: int) -> Any:
        kind, content = msg["msg_type"], msg["content"]
        if kind == "status":
            self.is_busy = content["execution_state"] == "busy"
        elif kind == "execute_input":
            self.began.set()
        elif kind == "stream":
            self._on_text(content["name"], content["text"])
        elif kind == "error":
            lines = "\n".join(map(str, content.get("traceback", [])))
            self._on_text("stderr", plain(lines) + "\n")
        if kind in _OUTPUTS and not self._has_room(msg, cell, cell_index):
            self._leave_out()
            return None
        try:
            return super().process_message(msg, cell, cell_index)
        except ValidationError:
            self._on_text("stderr", "\n[An output is left out: notebooks can't hold such data.]\n")
            return None

    def clear_output(self, outs: list[NotebookNode], msg: Any, cell_index: int) -> None:
        super().clear_output(outs, msg, cell_index)
        if not msg["content"].get("wait"):
            self._held.clear(self._owner(msg, cell_index)[0])

    def handle_comm_msg(self, outs: list[NotebookNode], msg: Any, cell_index: int) -> None:
        if self._held.put(_state_sizes(msg)):
            super().handle_comm_msg(outs, msg, cell_index)
            return
        self._leave_out()
        widget = self.comm_objects.get(msg["content"]["comm_id"])
        if widget is not None and msg["msg_type"] == "comm_msg":
            # An output widget, which is told whose outputs it takes.
            widget.handle_msg(msg)

    def tell_outputs(self) -> None:
        """Tells the kernel what its output widgets hold since a cell has run."""
        for widget in self.comm_objects.values():
            if widget.is_changed and self._held.of(("widget", widget.comm_id)) <= TOLD_BYTES:
                widget.tell()

    def _owner(self, msg: Any, cell_index: int) -> tuple[Hashable, Any]:
        """Who holds the output: the cell, or an output widget. And whose `clear_before_next_output` counts."""
        hooks = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        return (("widget", hooks[-1].comm_id), hooks[-1]) if hooks else (("cell", cell_index), self)

    def _has_room(self, msg: Any, cell: NotebookNode, cell_index: int) -> bool:
        """Counts an output, if there is room for it."""
        kind, content = msg["msg_type"], msg["content"]
        owner, clearing = self._owner(msg, cell_index)
        if kind != "update_display_data" and clearing.clear_before_next_output:
            # What would go when this comes goes now, and makes room.
            clearing.clear_before_next_output = False
            self.clear_output(cell.outputs, {**msg, "content": {}}, cell_index)
        display = (content.get("transient") or {}).get("display_id") or ""
        places = [place for place in self._shown.get(display, ()) if place in self._held]
        if kind != "update_display_data":
            places.append((owner, next(self._serial)))
        spare = ERROR_BYTES if kind == "error" else 0
        if not self._held.put(dict.fromkeys(places, _size(content)), spare):
            return False
        if display and clearing is self:
            self._shown[display] = places
        return True

    def _leave_out(self) -> None:
        if not self._is_full:
            self._is_full = True
            self._on_text("stderr", "\n[The outputs are too large: some are left out.]\n")


class _OutputWidget(OutputWidget):
    """nbclient's, which sent all that it holds with each output, while the cell runs.

    That takes ever longer, and a reply that arrives while something is sent is not noticed: the run would wait for ever.
    """

    is_changed = False

    def sync_state(self) -> None:
        self.is_changed = True

    def tell(self) -> None:
        """Sends what it holds; only between two cells, when no reply is awaited."""
        self.is_changed = False
        super().sync_state()


def _size(content: Mapping[str, Any]) -> int:
    """About how many bytes an output takes."""
    fields = {**content, **(content.get("data") or {})}
    fields.pop("data", None)
    return _EACH_BYTES + sum(map(_length, fields.values()))


def _state_sizes(msg: Any) -> dict[Place, int]:
    """About how many bytes of a widget's state a message brings, by key and by buffer."""
    content = msg["content"]
    data, owner = content["data"], ("state", content["comm_id"])
    if "state" not in data:
        return {}
    sizes: dict[Place, int] = {
        (owner, key): len(key) + _length(value) for key, value in data["state"].items()
    }
    sizes[owner, ""] = _EACH_BYTES
    for path, buffer in zip(data.get("buffer_paths") or (), msg.get("buffers") or (), strict=False):
        # They are kept as base64.
        sizes[owner, tuple(path)] = _EACH_BYTES + len(buffer) * 4 // 3
    return sizes


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(json.dumps(value))


def merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one output: a line is printed in several, thousands of lines in thousands."""
    found: list[NotebookNode] = []
    texts: list[str] = []

    def end() -> None:
        if texts:
            found[-1]["text"] = "".join(texts)
            texts.clear()

    for output in outputs:
        is_stream = output["output_type"] == "stream"
        if not (texts and is_stream and found[-1]["name"] == output["name"]):
            end()
            found.append(output)
        if is_stream:
            texts.append(output["text"])
    end()
    return found
