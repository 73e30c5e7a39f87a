"""A notebook as one HTML file that needs nothing else, or as the page that the browser turns into PDF and PNG.

Synchronous and CPU-bound: callers run it in a thread.
"""

from __future__ import annotations

import base64
import copy
import json
import mimetypes
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

from ..dashboards.assets import STATIC, frontend, lab_extensions
from ..dashboards.outputs import Image
from ..dashboards.rendering import DashboardRenderer, RenderedDashboard
from .page import ORIGIN, MemoryPage, Resource, page_policy

_TEMPLATES = Path(__file__).parent.parent / "templates"
_STATIC = "/static/"
_IMAGES = "/images/"
_LAB = "/lab/"
_LAB_LIST = "/lab.json"
_PLOTLY_MARK = b'class="dash-mime" data-mime="application/vnd.plotly.'
_PLOTLY = re.compile(rb"application/vnd\.plotly\.")
_VEGA = re.compile(rb"application/vnd\.vega")
# As the client's `render/delimiters.ts` asks, in JSON too.
_MATH = re.compile(rb"\$[^$]|\\[(\[]|\\begin\{")
_NOTHING = re.compile(rb"(?!)")
_SHEET_OF = {"widgets": "widgets/view", "math": "render/math"}
_IMPORTED = re.compile(r'(["\'])\./((?:dash|chunk)-[\w-]+\.js)\1')
_OFFLINE = (Path(__file__).parent / "offline.js").read_text()

_STYLE = """
.dash-code{margin-bottom:6px;padding:6px 10px;border-radius:4px;background:#f5f5f5;overflow-x:auto;break-inside:auto}
.dash-code pre{margin:0;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
@media print{#dash-main{padding:8px}.dash-stream,.dash-text,.dash-traceback{white-space:pre-wrap;overflow-wrap:anywhere}}
"""


class PageExporter:
    """Makes pages of notebooks. Safe to call from several threads."""

    def __init__(self, renderer: DashboardRenderer) -> None:
        self._renderer = renderer
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=False
        )

    def page(
        self,
        notebook: NotebookNode,
        path: str,
        *,
        is_note: bool,
        show_code: bool,
        trusted: bool,
        inline: bool = False,
        beside: Mapping[str, Image] | None = None,
    ) -> MemoryPage:
        """A page for a browser of ours, which is given the files that it asks for, or (`inline`) with all of them in it.

        `beside` are the pictures that are not in the notebook, by their addresses there.
        """
        shown = whole_note(notebook) if is_note else notebook
        rendered = self._renderer.render(
            shown,
            path,
            trusted=trusted,
            inline=True,
            # All of them in one answer would be too much for the browser's line to us, and for this server's event loop.
            images_at="" if inline else _IMAGES,
            show_code=show_code and is_note,
            beside=beside,
        )
        extensions = _extensions(rendered, trusted=trusted) if inline else []
        unused = _unused(rendered) if inline else frozenset()
        nonce = secrets.token_urlsafe(16)
        policy = page_policy(nonce, trusted=trusted, inline=inline)
        html = self._templates.get_template("export.html.j2").render(
            title=rendered.title,
            has_heading=rendered.has_heading,
            trusted=trusted,
            inline=inline,
            nonce=nonce,
            policy=policy,
            config=_json(_config(rendered, extensions, unused, trusted=trusted, inline=inline)),
            styles=_styles(),
            widgets=_widgets(rendered),
            scripts=_scripts(nonce, extensions, unused, inline=inline),
            body=rendered.body.decode(),
        )
        images = rendered.images

        def lookup(path: str) -> Resource | None:
            image = images.get(path.removeprefix(_IMAGES))
            return Resource(image.mime, image.data) if image is not None else _file(path)

        return MemoryPage(
            html.encode(), policy, rendered.layout.is_grid, lookup, rendered.addresses
        )


def whole_note(notebook: NotebookNode) -> NotebookNode:
    """The notebook without its dashboards: all of its cells, one below the other."""
    note = copy.copy(notebook)
    note.metadata = _without_views(notebook.metadata)
    note.cells = [
        NotebookNode({**cell, "metadata": _without_views(cell.metadata)}) for cell in notebook.cells
    ]
    return note


def _without_views(metadata: Mapping[str, Any]) -> NotebookNode:
    kept = NotebookNode(metadata)
    kept.pop("urth", None)
    extensions = kept.get("extensions")
    if isinstance(extensions, Mapping):
        kept["extensions"] = {
            name: value for name, value in extensions.items() if name != "jupyter_dashboards"
        }
    return kept


def _json(value: Any) -> str:
    """JSON in a script element: nothing in it may end the element."""
    return json.dumps(value).replace("<", "\\u003c")


def _config(
    rendered: RenderedDashboard,
    extensions: Sequence[Mapping[str, Any]],
    unused: frozenset[str],
    *,
    trusted: bool,
    inline: bool,
) -> dict[str, Any]:
    css = frontend.manifest.get("css", {})
    return {
        "baseUrl": "/",
        "kernelsUrl": "/none",
        # The client joins the two texts.
        "staticUrl": "data:text/css;base64," if inline else _STATIC,
        "css": {
            name: "" if _SHEET_OF.get(name) in unused else _base64(_css(file).encode())
            for name, file in css.items()
        }
        if inline
        else css,
        "labextensionsUrl": _data_list(extensions) if inline else _LAB_LIST,
        "path": "",
        "title": rendered.title,
        "plain": False,
        "view": rendered.layout.view,
        "codeCells": rendered.code_cells,
        "live": False,
        "trusted": trusted,
        "onError": "continue",
        "errorText": "",
        "reconnectSeconds": 0,
        "subprotocols": [],
    }


def _widgets(rendered: RenderedDashboard) -> str:
    """What the client's `widgets/stored.ts` reads."""
    if not rendered.widgets:
        return ""
    return _json({"version_major": 2, "version_minor": 0, "state": rendered.widgets})


def _styles() -> str:
    entry = frontend.manifest.get("entries", {}).get("dash", {}).get("css")
    code = str(HtmlFormatter().get_style_defs(".dash-code"))
    return (_css(entry) if entry else "") + code + _STYLE


def _unused(rendered: RenderedDashboard) -> frozenset[str]:
    """The optional parts of the client that a file of its own has no use for."""
    marks = {
        "render/math": _MATH,
        "render/plotly": _PLOTLY,
        "render/vega": _VEGA,
        "render/foreign": _NOTHING,
        "widgets/manager": _NOTHING,
        "widgets/view": _NOTHING,
    }
    content = rendered.body
    if rendered.widgets:
        # An Output widget may keep anything.
        marks = {"render/math": _MATH, "render/vega": _VEGA}
        content += json.dumps(rendered.widgets).encode()
    return frozenset(part for part, mark in marks.items() if not mark.search(content))


def _scripts(
    nonce: str, extensions: Sequence[Mapping[str, Any]], unused: frozenset[str], *, inline: bool
) -> str:
    entry = frontend.manifest.get("entries", {}).get("dash", {}).get("js")
    if not entry:
        return ""
    if not inline:
        return f'<script type="module" src="{_STATIC}{entry}" nonce="{nonce}"></script>'
    modules = _json({"imports": _modules(entry, unused)})
    files = _extension_files(extensions)
    offline = (
        f'<script type="application/json" id="dash-files" nonce="{nonce}">{_json(files)}</script>\n'
        f'<script nonce="{nonce}">{_OFFLINE}</script>\n'
        if files
        else ""
    )
    return (
        f"{offline}"
        f'<script type="importmap" nonce="{nonce}">{modules}</script>\n'
        f'<script type="module" nonce="{nonce}">import "dash/{entry}"</script>'
    )


def _extensions(rendered: RenderedDashboard, *, trusted: bool) -> list[dict[str, Any]]:
    """The installed extensions that a file of its own needs: a page of charts by plotly brings plotly along.

    Those of widgets are mostly named like their modules. Their code runs only where the author is trusted.
    """
    names = {"jupyterlab-plotly"} if _PLOTLY_MARK in rendered.body else set()
    if trusted:
        names.update(str(model["model_module"]) for model in rendered.widgets.values())
    return [item for item in _installed() if item["name"] in names] if names else []


def _installed() -> list[dict[str, Any]]:
    return [{**item, "url": f"{ORIGIN}{_LAB}{item['name']}"} for item in lab_extensions.scan()]


def _data_list(extensions: Sequence[Mapping[str, Any]]) -> str:
    return f"data:application/json;base64,{_base64(json.dumps(extensions).encode())}"


def _extension_files(extensions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The scripts of extensions by the URLs that they would have."""
    found = {}
    for item in extensions:
        entry = lab_extensions.file(f"{item['name']}/{item['load'].removeprefix('./')}")
        for file in sorted(entry.parent.glob("*.js")) if entry is not None else ():
            found[f"{item['url']}/static/{file.name}"] = file.read_text()
    return found


@lru_cache(maxsize=32)
def _modules(entry: str, unused: frozenset[str]) -> dict[str, str]:
    """The client's modules as `data:` URIs by names of their own, as such a URI has no place that a path could begin at.

    Those that only an unused part imports are left out.
    """
    optional = frontend.manifest.get("optional", {})
    left_out = {optional.get(part) for part in unused}
    found: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if f"dash/{name}" in found or name in left_out or name not in frontend.files:
            continue
        source = (STATIC / name).read_text()
        named = _IMPORTED.sub(r'"dash/\2"', source)
        found[f"dash/{name}"] = f"data:text/javascript;base64,{_base64(named.encode())}"
        waiting += [match[2] for match in _IMPORTED.finditer(source)]
    return found


@lru_cache(maxsize=16)
def _css(name: str) -> str:
    """A style sheet with its fonts and pictures in it."""

    def inlined(match: re.Match[str]) -> str:
        file = match[1].strip("\"'").removeprefix("./")
        if file not in frontend.files:
            return match[0]
        kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
        return f"url(data:{kind};base64,{_base64((STATIC / file).read_bytes())})"

    return re.sub(r"url\(((?!data:)[^)]+)\)", inlined, (STATIC / name).read_text())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _file(path: str) -> Resource | None:
    """What a page may load from its origin: the built client, and the installed extensions' files."""
    path = unquote(path.partition("?")[0])
    if path == _LAB_LIST:
        return Resource("application/json", json.dumps(_installed()).encode())
    data: bytes | None = None
    if path.startswith(_STATIC) and path.removeprefix(_STATIC) in frontend.files:
        data = (STATIC / path.removeprefix(_STATIC)).read_bytes()
    elif path.startswith(_LAB):
        file = lab_extensions.file(path.removeprefix(_LAB))
        data = file.read_bytes() if file is not None else None
    if data is None:
        return None
    return Resource(_kind(path), data)


def _kind(path: str) -> str:
    if path.endswith((".js", ".mjs")):
        return "text/javascript"
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
