"""Markdown as HTML. Pure."""

from __future__ import annotations

from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath


class _Renderer(IPythonRenderer):
    """nbconvert's, but for attachments: it refuses the whole cell for one that it does not find."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return HTMLRenderer.image(self, text, url, title)


def markdown(source: str) -> str:
    """Markdown as HTML by nbconvert's own dialect; maths is left as text for the client's typesetter.

    Addresses of pictures are left as they are, those of a cell's attachments (`attachment:`) too.
    """
    # With an empty link text instead of no link, all that follows a heading would become a link.
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    # JSON can hold lone surrogates, and UTF-8 can't.
    return str(MarkdownWithMath(renderer=renderer).render(source.encode(errors="replace").decode()))
