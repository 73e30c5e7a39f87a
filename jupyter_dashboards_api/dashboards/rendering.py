"""A notebook as the HTML body of a dashboard, by an nbconvert template of ours that exports share.

CPU-bound and synchronous: callers run it in a thread (`cache.py` does).
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
from bs4 import BeautifulSoup
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode
from traitlets import Unicode
from traitlets.config import LoggingConfigurable

from .layout import CellInfo, Layout, Placement, layout_of
from .markdown import markdown
from .outputs import Image, OutputReader, Piece
from .stamp import executed_at
from .widgets import stored_models

TEMPLATES = Path(__file__).parent.parent / "templates" / "nbconvert"


@dataclass(frozen=True)
class RenderedDashboard:
    """What a page needs of a notebook in one view. `body` holds no source of a code cell."""

    layout: Layout
    body: bytes
    """UTF-8 HTML of the cells."""
    deflated: bytes
    """`body` as raw deflate blocks, the last of them not final, so that a page can be put around it; `b""` in exports."""
    code_cells: tuple[int, ...]
    """Positions of the code cells that a live page executes, in notebook order, hidden ones too."""
    title: str
    has_heading: bool
    as_of: datetime | None
    images: Mapping[str, Image]
    widgets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For an export: the states of the widgets that it shows, by their ids."""
    executed_at: datetime | None = None
    """When a run has written these outputs; None for others."""
    addresses: tuple[str, ...] = ()
    """For an export: where the HTML of its cells looks for the pictures that are not in the notebook, as written there."""

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return (
            len(self.body)
            + len(self.deflated)
            + sum(len(image.data) for image in self.images.values())
        )


class _BodyExporter(TemplateExporter):
    """Writes the cells with the template `dashboard`; does nothing else to the notebook."""

    export_from_notebook = None  # type: ignore[assignment]
    default_preprocessors: list[Any] = []
    output_mimetype = "text/html"


class DashboardRenderer(LoggingConfigurable):
    """Renders notebooks. Safe to call from several threads: each has its own exporter."""

    template_name = Unicode(
        "dashboard",
        help="""nbconvert template that writes the cells. One of your own extends `dashboard`.""",
    ).tag(config=True)

    def __init__(
        self,
        *,
        show_tracebacks: bool = False,
        show_stderr: bool = False,
        error_text: str = "",
        images_url: str = "/_api/images",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._show_tracebacks = show_tracebacks
        self._show_stderr = show_stderr
        self._error_text = error_text
        self._images_url = images_url
        self._thread = threading.local()

    def render(
        self,
        notebook: NotebookNode,
        path: str,
        view: str | None = None,
        last_modified: datetime | None = None,
        trusted: bool = False,
        *,
        inline: bool = False,
        images_at: str = "",
        show_code: bool = False,
        beside: Mapping[str, Image] | None = None,
    ) -> RenderedDashboard:
        """Renders a notebook of nbformat 4; `path` is its contents path, for the URLs of its images.

        HTML of the author's is sanitised unless the notebook is `trusted`. With `inline` the body has all that it
        shows, images, widgets, a trusted author's scripts and plots of any size, and is not compressed; `images_at` is a URL
        that images have instead, each by its name. `beside` are pictures by their addresses. With `show_code` it has the code
        of the cells, and what quotes code: tracebacks and stderr. All that is for exports only.
        """
        layout = layout_of(
            notebook.metadata,
            [CellInfo(cell.cell_type, cell.metadata) for cell in notebook.cells],
            view,
        )
        reader = OutputReader(
            show_tracebacks=self._show_tracebacks or show_code,
            show_stderr=self._show_stderr or show_code,
            error_text=self._error_text,
            trusted=trusted,
            beside=beside or {},
            image_url=lambda name: f"{self._images_url}/{name}?path={quote(path, safe='')}",
        )
        if inline:
            reader.complete = True
            reader.models = stored_models(notebook.metadata)
            reader.image_url = (lambda name: images_at + name) if images_at else reader.data_uri
        cells = [
            _view_of_cell(notebook.cells[placement.index], placement, reader)
            for placement in layout.cells
        ]
        html, _ = self._exporter.from_notebook_node(
            # The template gets no source of a code cell, so no template can write one.
            nbformat.v4.new_notebook(),
            resources={
                "dashboard": {
                    "layout": layout,
                    "cells": cells,
                    "image_url": reader.image_url,
                    "code": _code(notebook) if show_code else {},
                }
            },
        )
        body = html.encode(errors="replace")
        heading = next(filter(None, (_heading(cell["html"]) for cell in cells)), "")
        executed = executed_at(notebook)
        return RenderedDashboard(
            layout=layout,
            body=body,
            deflated=b"" if inline else _deflated(body),
            code_cells=tuple(
                i
                for i, cell in enumerate(notebook.cells)
                if cell.cell_type == "code" and cell.source.strip()
            ),
            title=_title(notebook, heading, path),
            has_heading=bool(heading),
            as_of=executed or _as_of(notebook.cells) or last_modified,
            images=reader.images,
            widgets=reader.widgets(),
            executed_at=executed,
            addresses=tuple(reader.addresses),
        )

    def payload(self, notebook: NotebookNode, view: str | None = None) -> list[dict[str, Any]]:
        """The cells that the view shows, as plain data for programs: prose and outputs, no source, always sanitised.

        Images are `data:` URIs. Each cell has `index`, `cell_type`, and `html` (prose) or `outputs` with `kind` (of a
        `Piece`), `mime`, `html`, `image`, `alt`, `data`, those of them that say something.
        """
        layout = layout_of(
            notebook.metadata,
            [CellInfo(cell.cell_type, cell.metadata) for cell in notebook.cells],
            view,
        )
        reader = OutputReader(
            show_tracebacks=self._show_tracebacks,
            show_stderr=self._show_stderr,
            error_text=self._error_text,
        )
        reader.image_url = reader.data_uri
        found: list[dict[str, Any]] = []
        for placement in layout.cells:
            seen = _view_of_cell(notebook.cells[placement.index], placement, reader)
            cell: dict[str, Any] = {"index": seen["index"], "cell_type": seen["type"]}
            if seen["type"] == "markdown":
                cell["html"] = seen["html"]
            else:
                cell["outputs"] = [_plain(piece) for piece in seen["pieces"]]
            found.append(cell)
        return found

    def warm(self) -> None:
        """Makes this thread's exporter, whose first use costs most of a second."""
        self.render(
            nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# warm")]), "warm.ipynb"
        )

    @property
    def _exporter(self) -> _BodyExporter:
        exporter: _BodyExporter | None = getattr(self._thread, "exporter", None)
        if exporter is None:
            exporter = _BodyExporter(  # type: ignore[no-untyped-call]
                template_name=self.template_name,
                template_file="cells.html.j2",
                extra_template_basedirs=[str(TEMPLATES)],
            )
            self._thread.exporter = exporter
        return exporter


def _view_of_cell(cell: NotebookNode, placement: Placement, reader: OutputReader) -> dict[str, Any]:
    """What the template may know of a cell."""
    seen: dict[str, Any] = {
        "index": placement.index,
        "type": cell.cell_type,
        "box": placement.box,
        "html": "",
        "pieces": [],
    }
    if cell.cell_type == "markdown":
        seen["html"] = reader.clean_html(markdown(cell.source), cell.get("attachments"))
    else:
        seen["pieces"] = [
            # Outputs of IPython.display.Markdown are markdown like a cell's.
            Piece("html", piece.mime, reader.clean_html(markdown(piece.html)))
            if piece.kind == "markdown"
            else piece
            for piece in reader.pieces(cell.get("outputs", ()), placement.index)
        ]
    return seen


def _deflated(body: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(body) + deflate.flush(zlib.Z_FULL_FLUSH)


def _code(notebook: NotebookNode) -> dict[int, str]:
    """The code of the cells as HTML with classes of Pygments, by the cells' positions."""
    stated = notebook.metadata.get("language_info")
    language = stated if isinstance(stated, Mapping) else {}
    lexer = language.get("pygments_lexer") or language.get("name") or "ipython3"
    highlight = Highlight2HTML(pygments_lexer=str(lexer))
    return {
        index: str(highlight(_characters(cell.source)))
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and cell.source.strip()
    }


def _plain(piece: Piece) -> dict[str, Any]:
    """A piece as data for programs."""
    told = {
        "kind": piece.kind,
        "mime": piece.mime,
        "html": piece.html,
        "image": piece.image.data_uri if piece.image is not None else "",
        "alt": piece.alt if piece.image is not None else "",
        "data": json.loads(piece.data) if piece.data is not None else None,
    }
    return {name: value for name, value in told.items() if value not in ("", None)}


def _heading(html: str) -> str:
    """The text of the first heading of the first level; `""` without one."""
    if "<h1" not in html:
        return ""
    heading = BeautifulSoup(html, "html.parser").h1
    return " ".join(heading.get_text().split()) if heading else ""


def _title(notebook: NotebookNode, heading: str, path: str) -> str:
    stated = notebook.metadata.get("title")
    if isinstance(stated, str) and stated.strip():
        return _characters(stated.strip())
    if heading:
        return _characters(heading)
    name = path.rpartition("/")[2].removesuffix(".ipynb")
    return path.split("/")[-2] if name == "index" and "/" in path else name


def _characters(text: str) -> str:
    """The text without lone surrogates, which JSON can hold and UTF-8 can't."""
    return text.encode(errors="replace").decode()


def _as_of(cells: Sequence[NotebookNode]) -> datetime | None:
    """When the stored outputs were computed, if a client recorded it (`metadata.execution`)."""
    found: list[datetime] = []
    for cell in cells:
        times = cell.metadata.get("execution")
        for text in times.values() if isinstance(times, Mapping) else ():
            try:
                time = datetime.fromisoformat(text)
                found.append(time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
            except (TypeError, ValueError, OverflowError):
                continue
    return max(found, default=None)
