"""Markdown as HTML. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_ATTACHMENT = "attachment:"
# Vector over raster, and lossless over lossy.
_PREFERRED = ("image/svg+xml", "image/png", "image/jpeg")


class _Renderer(IPythonRenderer):
    """nbconvert's, whose own way with attachments refuses the whole cell for one that it does not find."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if url.startswith(_ATTACHMENT):
            found = self._attached(url.removeprefix(_ATTACHMENT))
            if found is None:
                return text
            url = found
        return super().image(text, url, title)

    def _attached(self, name: str) -> str | None:
        """The `data:` URI of an attachment. The parser has encoded what stands in the text; the name itself is plain."""
        bundle = self.attachments.get(unquote(name), self.attachments.get(name))
        if not isinstance(bundle, Mapping):
            return None
        for mime in (*_PREFERRED, *bundle):
            data = bundle.get(mime)
            if isinstance(data, str) and data:
                return f"data:{mime};base64,{data}"
        return None


def markdown(source: str, attachments: Any = None) -> str:
    """Markdown as HTML by nbconvert's own dialect; maths is left as text for the client's typesetter.

    `attachments` are those of a cell, of whatever form. In the place of a picture that is not among them is its text.
    """
    renderer = _Renderer(
        escape=False,
        # With an empty link text instead, all that follows a heading would become a link.
        exclude_anchor_links=True,
        attachments=dict(attachments) if isinstance(attachments, Mapping) else {},
    )
    # JSON can hold lone surrogates, and UTF-8 can't.
    return str(MarkdownWithMath(renderer=renderer).render(source.encode(errors="replace").decode()))
