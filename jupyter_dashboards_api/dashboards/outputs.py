"""A notebook's stored outputs, made ready for the page that is shown before any script runs. Pure.

What leaves this module holds no source of a code cell: tracebacks and stderr, which quote it, become a text of the
operator's or nothing, unless the configuration says otherwise.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import unquote

from bs4 import BeautifulSoup, Tag
from bs4.builder import ParserRejectedMarkup
from bs4.element import PreformattedString
from nbconvert.filters import ansi2html as nbconvert_ansi2html

from ..errors import TooLarge
from .sanitiser import REFUSED, nothing_but_scripts, sanitised, style_sheet
from .terminal import overwritten
from .widgets import VIEW as _WIDGET
from .widgets import Model, is_core, model_of, needed

_IMAGE_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/svg+xml": "svg",
}

# In the client's order of preference (`frontend/src/render/index.ts`).
_SCRIPTED = re.compile(
    r"application/(vnd\.plotly\.v\d+\+json|vnd\.vega(lite)?\.v\d+(\.|\+)json|geo\+json|json)"
)
_BOKEH = ("application/vnd.bokehjs_exec.v0+json", "application/vnd.bokehjs_load.v0+json")

# A plot's data beyond this would delay the first paint it is meant to hasten.
MAX_EMBEDDED_JSON = 2_000_000

# A small notebook can show a large picture many times.
MAX_INLINED = 200 * 1024 * 1024

# Elements of an author's HTML that would act on the page as a whole, and those that stay for what is in them.
_DROPPED = ("script", "base", "meta", "title")
_UNWRAPPED = ("html", "head", "body", "plaintext")

# The parser's time grows with the square of the depth, and it recurses. Unclosed `<p>` and `<li>` count too.
_MAX_DEPTH = 1000
# It looks at a tag that is never finished to the end of the text, for each of them.
_MAX_UNFINISHED = 1000
# The name is taken whole: giving its letters back one by one would take the square of its length.
_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][^\s/<>]*+)[^<>]*?(?P<empty>/?)>")
_VOID = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()
    # Their end tags may be left out, and mostly are.
    + "p li dt dd tr td th thead tbody tfoot option".split()
)

# A span without a background of its own.
_OWN_COLOUR = re.compile(r'<span((?: class="(?:(?!-bg)[^"])*")?) style="color: (rgb\([\d,]+\))">')

_NOT_STORED = (
    "<div>This control is not stored in the notebook.<br>"
    "<small>For authors: save it with its widget state, or have it run first.</small></div>"
)

_ATTACHMENT = "attachment:"
_DATA_URI = re.compile(r"data:(image/[\w.+-]+);base64,(.*)", re.DOTALL)


@dataclass(frozen=True)
class Image:
    """A stored image. `name` is `<sha256>.<extension>` of its bytes, so it can be cached for ever."""

    name: str
    mime: str
    data: bytes
    width: int | None = None
    height: int | None = None

    @property
    def data_uri(self) -> str:
        """The image as a `data:` URI."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True)
class Piece:
    """One output as the template writes it.

    `kind` decides the markup: `stream` and `text` hold HTML made from ANSI text, `html` and `markdown` author's HTML,
    `latex` text for the client's typesetter, `image` a picture, `error` the viewer's text or a traceback's HTML, and
    `placeholder` is the sized box of what only a script can draw, with HTML of ours that says why where none may.
    `data` is JSON that the client draws from, if any.
    """

    kind: Literal["stream", "text", "html", "markdown", "latex", "image", "error", "placeholder"]
    mime: str = ""
    html: str = ""
    image: Image | None = None
    alt: str = ""
    data: str | None = None


@dataclass
class OutputReader:
    """Turns outputs into pieces and collects the images they show."""

    show_tracebacks: bool = False
    show_stderr: bool = False
    error_text: str = ""
    trusted: bool = False
    """Whether the author's HTML may act as it likes. Otherwise it is sanitised."""
    complete: bool = False
    """For a file, which no kernel will finish: with a trusted author's scripts, and plots of any size."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """The widgets whose state the notebook holds; a file shows them."""
    images: dict[str, Image] = field(default_factory=dict)
    shown_models: list[str] = field(default_factory=list)
    """Those that have been asked for."""
    image_url: Any = None
    """Image name → URL, for images inside HTML."""
    beside: Mapping[str, Image] = field(default_factory=dict)
    """Pictures that are no part of the notebook, by the addresses that its HTML has for them."""
    addresses: dict[str, None] = field(default_factory=dict)
    """Those of all pictures in its HTML that are no part of the notebook, in their order; of a file only."""
    _inlined: int = field(default=0, init=False)

    def pieces(self, outputs: Iterable[Mapping[str, Any]], cell_index: int) -> list[Piece]:
        """The pieces of a code cell's outputs, in order."""
        found: list[Piece] = []
        stream = ""
        for output in outputs:
            kind = output.get("output_type")
            if kind == "stream" and output.get("name") == "stdout":
                # Neighbours are one text: a line may have been written in several parts.
                stream += _text(output.get("text"))
                continue
            if stream:
                found.append(_stream(stream))
                stream = ""
            if kind == "stream":
                if self.show_stderr:
                    found.append(_stream(_text(output.get("text")), "stderr"))
            elif kind == "error":
                found.append(self._error(output))
            elif kind in ("display_data", "execute_result"):
                piece = self._display(output, cell_index)
                if piece is not None:
                    found.append(piece)
        if stream:
            found.append(_stream(stream))
        return found

    def widgets(self) -> dict[str, dict[str, Any]]:
        """The states of all that the widgets which were asked for are made of."""
        return needed(self.models, self.shown_models, self._kept_outputs)

    def _kept_outputs(self, outputs: Iterable[Any]) -> list[Any]:
        """The outputs of an Output widget, which the client draws, without source of cells."""
        found: list[Any] = []
        for output in outputs:
            if not isinstance(output, Mapping):
                continue
            if output.get("output_type") == "error" and not self.show_tracebacks:
                output = {"output_type": "error", "ename": "CellError", "evalue": self.error_text}
            elif output.get("name") == "stderr" and not self.show_stderr:
                continue
            found.append(output)
        return found

    def clean_html(self, html: str, attachments: Any = None) -> str:
        """The author's HTML, balanced, without scripts, its embedded images made into URLs; sanitised unless trusted.

        An unclosed or stray tag would otherwise take the rest of the page with it, and scripts would not run anyway:
        they have no nonce. A whole HTML document becomes a part of the page. `attachments` are those of the cell, of whatever
        form; the text of a picture that is not among them is left.
        """
        if html.count("<") - html.count(">") > _MAX_UNFINISHED or _depth(html) > _MAX_DEPTH:
            return f"<pre>{_escape(html)}</pre>"
        soup = _parsed(html)
        attached = cache(lambda name: self._attached(name, attachments))
        for node in list(soup.descendants):
            if node.decomposed:
                continue
            if isinstance(node, PreformattedString):
                # Comments, declarations and the like: a browser may see their end sooner than this parser.
                node.extract()
            elif isinstance(node, Tag):
                self._clean_tag(node, attached)
        if self.trusted:
            return str(soup)
        sheets = (style_sheet("".join(map(str, tag.contents))) for tag in soup.find_all("style"))
        # After the parser above, which reads HTML less strictly than browsers do.
        return sanitised(str(soup), "".join(sheets))

    def _clean_tag(self, tag: Tag, attached: Callable[[str], Image | None]) -> None:
        if tag.name in _DROPPED and not (tag.name == "title" and tag.find_parent("svg")):
            tag.decompose()
        elif tag.name in _UNWRAPPED:
            tag.unwrap()
        elif tag.name == "img":
            address = str(tag.get("src", ""))
            is_attached = address.startswith(_ATTACHMENT)
            if match := _DATA_URI.fullmatch(address):
                image = self._image(match[1], match[2])
            elif is_attached:
                image = attached(address.removeprefix(_ATTACHMENT))
            else:
                image = self.beside.get(address)
                if self.complete:
                    self.addresses[address] = None
            if image is not None:
                self.images[image.name] = image
                tag["src"] = self.image_url(image.name)
            elif is_attached:
                tag.replace_with(str(tag.get("alt", "")))
            if not tag.has_attr("alt"):
                tag["alt"] = ""
        elif tag.name == "input" and tag.get("type") == "checkbox":
            item = tag.find_parent("li")
            # A task list's box has no label of its own.
            if item is not None and not tag.has_attr("aria-label"):
                tag["aria-label"] = " ".join(item.get_text().split())[:200]

    def _error(self, output: Mapping[str, Any]) -> Piece:
        if not self.show_tracebacks:
            return Piece("error", html=_escape(self.error_text))
        lines = output.get("traceback")
        text = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
        return Piece(
            "error",
            mime="traceback",
            html=ansi2html(text or f"{output.get('ename')}: {output.get('evalue')}"),
        )

    def _display(self, output: Mapping[str, Any], cell_index: int) -> Piece | None:
        data = output.get("data")
        if not isinstance(data, Mapping) or not data:
            return None
        metadata = output.get("metadata")
        if not isinstance(metadata, Mapping):
            metadata = {}
        alt = _alt(metadata) or f"Figure of cell {cell_index + 1}"
        scripted = next((mime for mime in data if _SCRIPTED.fullmatch(mime)), None)
        plot = scripted is not None and not scripted.endswith(("/json", "/geo+json"))
        if _WIDGET in data or plot or any(mime in data for mime in _BOKEH):
            image = self._picture(data, metadata, alt)
            model = model_of(data.get(_WIDGET), self.models)
            # A picture beats what may not be able to draw itself without its kernel.
            if model is not None and (image is None or is_core(self.models[model])):
                self.shown_models.append(model)
                return Piece("placeholder", _WIDGET, data=self._embedded({"model_id": model}))
            payload = self._embedded(data[scripted]) if scripted is not None and plot else None
            mime = scripted if scripted is not None and plot else _WIDGET
            if image is not None:
                return Piece("image", mime=mime, image=image.image, alt=alt, data=payload)
            if any(mime in data for mime in _BOKEH):
                if not self.trusted:
                    return Piece("placeholder", html=REFUSED)
                if self.complete:
                    return self._script(data)
            missing = self.complete and payload is None
            return Piece("placeholder", mime, _NOT_STORED if missing else "", data=payload)
        if "text/html" in data:
            source = _text(data["text/html"])
            html = self.clean_html(source)
            if not self.trusted and nothing_but_scripts(source, html):
                return Piece("placeholder", "text/html", REFUSED)
            runs = self.complete and self.trusted and "<script" in source.lower()
            return Piece("html", "text/html", html, data=self._embedded(source) if runs else None)
        if "text/markdown" in data:
            return Piece("markdown", "text/markdown", _text(data["text/markdown"]))
        if "text/latex" in data:
            return Piece("latex", "text/latex", _escape(_text(data["text/latex"])))
        if (picture := self._picture(data, metadata, alt)) is not None:
            return picture
        if scripted is not None:
            return Piece("placeholder", scripted, data=self._embedded(data[scripted]))
        if "application/javascript" in data:
            if not self.trusted:
                return Piece("placeholder", "application/javascript", REFUSED)
            return self._script(data) if self.complete else None
        if "text/plain" in data:
            return Piece("text", "text/plain", ansi2html(_text(data["text/plain"])))
        return None

    def _script(self, data: Mapping[str, Any]) -> Piece:
        mime = "application/javascript"
        return Piece("placeholder", mime, data=self._embedded(_text(data.get(mime, ""))))

    def _embedded(self, data: Any) -> str | None:
        """JSON for a script element of a page; None where it is too large to wait for."""
        text = json.dumps(data, separators=(",", ":"))
        if len(text) > MAX_EMBEDDED_JSON and not self.complete:
            return None
        # `</script>` and `<!--` would end or change the element.
        return text.replace("<", "\\u003c")

    def _picture(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], alt: str
    ) -> Piece | None:
        for mime in ("image/svg+xml", "image/png", "image/jpeg", "image/webp", "image/gif"):
            if mime not in data:
                continue
            image = self._image(mime, _text(data[mime]), metadata.get(mime))
            if image is not None:
                return Piece("image", mime, image=image, alt=alt)
        return None

    def _attached(self, name: str, attachments: Any) -> Image | None:
        """An attachment of a cell. Markdown has encoded what its text says; the name itself is plain."""
        if not isinstance(attachments, Mapping):
            return None
        bundle = attachments.get(unquote(name), attachments.get(name))
        found = self._picture(bundle, {}, "") if isinstance(bundle, Mapping) else None
        return found.image if found is not None else None

    def data_uri(self, name: str) -> str:
        """The `data:` URI of an image that is shown. Raises `TooLarge` when all of them have got too much by now."""
        uri = self.images[name].data_uri
        self._inlined += len(uri)
        if self._inlined > MAX_INLINED:
            raise TooLarge(
                f"The pictures of this notebook, each as often as it is shown, have more than {MAX_INLINED} bytes."
            )
        return uri

    def _image(self, mime: str, text: str, metadata: Any = None) -> Image | None:
        extension = _IMAGE_EXTENSIONS.get(mime)
        if extension is None:
            return None
        if mime == "image/svg+xml" and "<svg" in text:
            # An image document, unlike an element of a page, is only drawn with its namespace.
            if "xmlns=" not in text:
                text = text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
            # A lone surrogate, which JSON can hold, is no character.
            data = text.encode(errors="replace")
        else:
            try:
                data = base64.b64decode(text)
            except (binascii.Error, ValueError):
                return None
            if not data:
                return None
        width, height = _stated_size(metadata) or _png_size(data) or (None, None)
        name = f"{hashlib.sha256(data).hexdigest()}.{extension}"
        image = Image(name, mime, data, width, height)
        self.images[name] = image
        return image


def ansi2html(text: str) -> str:
    """Terminal text as the client writes it (`frontend/src/ansi.ts`).

    An author's colour on the page's own ground is left to the style sheet, which keeps it readable in both themes.
    """
    return _OWN_COLOUR.sub(r'<span\1 style="--ansi-fg: \2">', nbconvert_ansi2html(text))


def _stream(text: str, name: str = "stdout") -> Piece:
    return Piece("stream", mime=name, html=ansi2html(overwritten(text)))


def _depth(html: str) -> int:
    """How deep the elements are nested, at most; unclosed ones count as open to the end."""
    depth = deepest = 0
    for match in _TAG.finditer(html):
        if match["close"]:
            depth = max(depth - 1, 0)
        elif not match["empty"] and match["name"].lower() not in _VOID:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _parsed(html: str) -> BeautifulSoup:
    # The parser stumbles over lone surrogates, which JSON can hold.
    html = html.encode(errors="replace").decode()
    try:
        return BeautifulSoup(html, "html.parser")
    except ParserRejectedMarkup:
        # Python's parser gives up at some broken declarations, which are text to a browser.
        return BeautifulSoup(html.replace("<!", "&lt;!"), "html.parser")


def _text(value: Any) -> str:
    """A multi-line string of nbformat, which may be a list of lines."""
    if isinstance(value, list):
        return "".join(str(line) for line in value)
    return value if isinstance(value, str) else ""


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _alt(metadata: Mapping[str, Any]) -> str:
    for candidate in (metadata, *(v for v in metadata.values() if isinstance(v, Mapping))):
        alt = candidate.get("alt")
        if isinstance(alt, str) and alt:
            return alt
    return ""


def _stated_size(metadata: Any) -> tuple[int, int] | None:
    if not isinstance(metadata, Mapping):
        return None
    width, height = metadata.get("width"), metadata.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height
