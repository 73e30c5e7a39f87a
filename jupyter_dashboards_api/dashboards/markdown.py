"""Markdown as HTML. Pure."""

from __future__ import annotations

import html
import re
from typing import Any

from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from .sanitiser import RESERVED_ID

_TAG = re.compile(r"<[^<>]*>")


class _Renderer(IPythonRenderer):
    """nbconvert's, but for attachments: it refuses the whole cell for one that it does not find."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return HTMLRenderer.image(self, text, url, title)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        # What JupyterLab gives it, so that tables of contents lead somewhere.
        name = html.unescape(_TAG.sub("", text)).strip().replace(" ", "-")
        is_ours = not name or RESERVED_ID.match(name)
        told = {} if is_ours else {"id": html.escape(name)}
        return str(HTMLRenderer.heading(self, text, level, **told))


def markdown(source: str) -> str:
    """Markdown as HTML by nbconvert's own dialect; maths is left as text for the client's typesetter.

    Addresses of pictures are left as they are, those of a cell's attachments (`attachment:`) too.
    """
    # With an empty link text instead of no link, all that follows a heading would become a link.
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    # JSON can hold lone surrogates, and UTF-8 can't.
    return str(MarkdownWithMath(renderer=renderer).render(source.encode(errors="replace").decode()))
