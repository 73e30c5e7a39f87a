"""The executed copy of a notebook as one HTML file, with code and outputs, which asks no other host for anything. Pure."""

from __future__ import annotations

import html
import re

import nbformat
from nbconvert.exporters import HTMLExporter
from traitlets.config import Config

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c1c1c; }
pre { font: 13px/1.4 ui-monospace, monospace; overflow-x: auto; white-space: pre-wrap; }
.input_area, .highlight pre { background: #f5f5f5; padding: .25rem .5rem; border-radius: .25rem; }
.prompt { color: #5f5f5f; font: 12px ui-monospace, monospace; }
table { border-collapse: collapse; } th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
img, svg { max-width: 100%; } .output_stderr { background: #fdecea; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'">
<meta name="viewport" content="width=device-width"><title>{title}</title><style>{style}</style></head>
<body>
{body}
</body></html>
"""


# No policy keeps a page from leaving by a refresh, nor a link from looking a host up.
_LEAVING = re.compile(r"<(?:meta|link)(?=[\s/>])", re.IGNORECASE)


def copy_page(data: bytes, title: str) -> bytes:
    """The page of a notebook file. What would need scripts shows what it has beside them: text, a table, a picture."""
    notebook = nbformat.reads(data.decode(), as_version=4)
    # Without scripts a widget's view, or a chart of JavaScript, would be an empty place.
    order = ["image/svg+xml", "image/png", "image/jpeg", "text/html", "text/markdown", "text/latex"]
    settings = Config({"NbConvertBase": {"display_data_priority": [*order, "text/plain"]}})
    exporter = HTMLExporter(template_name="basic", config=settings)
    body, _ = exporter.from_notebook_node(notebook)
    # An element that has no end either, and does nothing.
    body = _LEAVING.sub("<wbr", body)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body).encode(errors="replace")
