"""What an author's HTML may hold on a page that is not trusted: no scripts, nothing that leaves its own place. Pure.

The page's client has the same rules for live outputs (`frontend/src/render/sanitise.ts`, with the same table in
`allowed.json`; a test compares). They differ where the parsers' libraries do: nh3 takes one fragment as text, DOMPurify
works on the browser's own tree and also drops ids that would hide a property of `document`; the client keeps
`data-dash-tex`, which marks its own formulas.
"""

from __future__ import annotations

import re
from typing import Any

import nh3

_PRESENTATION = """clip-path clip-rule color dominant-baseline fill fill-opacity fill-rule font-family font-size
    font-style font-weight letter-spacing marker-end marker-mid marker-start mask opacity paint-order shape-rendering
    stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit
    stroke-opacity stroke-width text-anchor text-rendering transform vector-effect visibility"""

ALLOWED: dict[str, Any] = {
    "tags": """a abbr address article aside audio b bdi bdo big blockquote br caption center cite code col colgroup data
        dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hgroup hr i img input ins
        kbd li main mark meter nav ol p picture pre progress q rp rt ruby s samp section small source span strike strong
        sub summary sup table tbody td tfoot th thead time tr track tt u ul var video wbr""".split(),
    "svg": """svg g path rect circle ellipse line polyline polygon text tspan defs linearGradient radialGradient stop
        clipPath mask marker pattern symbol use""".split(),
    # `name` is nobody's: with it an element takes the place of a property of `document`. Nor is `srcset`, a list of URLs.
    "attributes": {
        "*": "align class color dir height id lang role style title valign width".split(),
        "a": "download href target".split(),
        "audio": "controls loop muted preload src".split(),
        "col": ["span"],
        "colgroup": ["span"],
        "data": ["value"],
        "del": ["datetime"],
        "details": ["open"],
        "font": "face size".split(),
        "img": "alt decoding loading src".split(),
        "input": "checked disabled type".split(),
        "ins": ["datetime"],
        "li": ["value"],
        "meter": "high low max min optimum value".split(),
        "ol": "reversed start type".split(),
        "progress": "max value".split(),
        "source": "src type".split(),
        "table": "bgcolor border cellpadding cellspacing frame rules summary".split(),
        "td": "bgcolor colspan headers nowrap rowspan".split(),
        "th": "abbr bgcolor colspan headers nowrap rowspan scope".split(),
        "time": ["datetime"],
        "tr": ["bgcolor"],
        "track": "default kind label src srclang".split(),
        "video": "controls loop muted playsinline poster preload src".split(),
    },
    # Of all elements in "svg".
    "svgAttributes": sorted(
        {
            *_PRESENTATION.split(),
            *"""clipPathUnits cx cy d dx dy fx fy gradientTransform gradientUnits href markerHeight markerUnits
            markerWidth maskContentUnits maskUnits offset orient pathLength patternContentUnits patternTransform
            patternUnits points preserveAspectRatio r refX refY rotate rx ry spreadMethod textLength version viewBox x
            x1 x2 xlink:href xmlns xmlns:xlink y y1 y2""".split(),
        }
    ),
    # Each with all that begins with it and a hyphen. Nothing that takes an element out of its place.
    "properties": """accent-color align aspect-ratio background border box-shadow box-sizing break caption-side clear
        color column columns cursor direction display dominant-baseline empty-cells fill flex float font gap grid height
        hyphens justify letter-spacing line-height list-style margin max min object opacity order outline overflow
        padding page-break place row-gap stroke tab-size table-layout text vertical-align visibility white-space width
        word""".split(),
    # Nothing that loads something.
    "functions": """calc clamp color-mix conic-gradient fit-content hsl hsla hwb lab lch light-dark linear-gradient max
        min minmax oklab oklch radial-gradient repeat repeating-linear-gradient rgb rgba var""".split(),
    # Where author's HTML is; its style sheets hold there.
    "scope": ".dash-html,.dash-markdown,.widget-html-content,.widget-htmlmath-content",
}

REFUSED = (
    "<div>This output runs scripts, and this folder is not trusted to.<br>"
    "<small>For authors: the operator can name it in <code>DashboardsApp.trusted_folders</code>.</small></div>"
)
"""HTML in the place of what only a script would show; the client says the same."""

_SVG = frozenset(ALLOWED["svg"])
_PROPERTIES = frozenset(ALLOWED["properties"])
_FUNCTIONS = frozenset((*ALLOWED["functions"], ""))
_MEDIA_DATA = re.compile(r"data:(?:image|audio|video)/", re.IGNORECASE)
_MEDIA_TAGS = frozenset(("img", "audio", "video", "source"))
# Ours, and those that webpack's containers look for in `window`.
RESERVED_ID = re.compile(r"dash-|_|webpack", re.IGNORECASE)
_URL = re.compile(r"url\(\s*[\"']?([^)]?)", re.IGNORECASE)

_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BLOCK = re.compile(r"([^{}]*)([{}])")
_FUNCTION = re.compile(r"([^\s(),+*/]*)\(")

_ONLY_SCRIPTS = re.compile(r"<(script|iframe|object|embed)\b", re.IGNORECASE)
_VISIBLE = re.compile(r"<(?:audio|hr|img|input|meter|progress|svg|table|video)\b")


def sanitised(html: str, styles: str = "") -> str:
    """The HTML fragment, without all that isn't allowed, and after it its style sheets (`style_sheet`)."""
    clean = _CLEANER.clean(html)
    return f"{clean}<style>{styles}</style>" if styles else clean


def nothing_but_scripts(source: str, clean: str) -> bool:
    """Whether the sanitised HTML shows nothing, and what was taken out would have."""
    if not _ONLY_SCRIPTS.search(source) or _VISIBLE.search(clean):
        return False
    return not re.sub(r"<style>.*?</style>|<[^>]*>", "", clean, flags=re.DOTALL).strip()


def attribute(tag: str, name: str, value: str) -> str | None:
    """What becomes of an attribute that the table allows; None: it goes."""
    if name == "style":
        return declarations(value) or None
    if name == "id":
        return None if RESERVED_ID.match(value) else value
    if name == "class":
        # The page's own looks, such as that of its bar.
        kept = [word for word in value.split() if not word.lower().startswith("dash-")]
        return " ".join(kept) or None
    if name == "target":
        return "_blank" if value == "_blank" else None
    if tag in _SVG:
        return _svg_attribute(name, value)
    if value.strip().lower().startswith("data:"):
        return value if tag in _MEDIA_TAGS and _MEDIA_DATA.match(value.strip()) else None
    return value


def _svg_attribute(name: str, value: str) -> str | None:
    """References lead to the same picture only."""
    if name in ("href", "xlink:href"):
        return value if value.startswith("#") else None
    return None if any(first != "#" for first in _URL.findall(value)) else value


def declarations(text: str) -> str:
    """The harmless ones of CSS declarations, each complete in itself."""
    kept = []
    for declaration in re.sub(r"\s+", " ", text).split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if value and _is_property(name) and _is_value(value):
            kept.append(f"{name}:{value}")
    return ";".join(kept)


def style_sheet(text: str) -> str:
    """A style sheet's harmless rules, made to hold in authors' HTML only; `""` if none is left.

    `@media` is kept; `@import`, `@font-face` and all other rules with an `@` are not. A browser that doesn't know
    `@scope` ignores all of it.
    """
    rules: list[str] = []
    # What the open braces belong to: a media rule, the selector of a rule, or (None) something to leave out.
    within: list[str | None] = []
    for match in _BLOCK.finditer(_COMMENT.sub(" ", text)):
        before, brace = re.sub(r"\s+", " ", match[1]), match[2]
        if brace == "{":
            # A statement such as @import may stand before it.
            head = before.rpartition(";")[2].strip()
            inside = within[-1] if within else "@media"
            if not _is_closed(head) or inside != "@media":
                within.append(None)
            elif (
                re.match(r"@media\b", head, re.IGNORECASE | re.ASCII)
                and "@" not in head[1:]
                and not within
            ):
                within.append("@media")
                rules.append(f"{head}{{")
            else:
                within.append(head if head and "@" not in head else None)
        elif within:
            closed = within.pop()
            if closed == "@media":
                rules.append("}")
            elif closed and (kept := declarations(before)):
                rules.append(f"{closed}{{{kept}}}")
    if within and within[0] == "@media":
        rules.append("}")
    inner = "".join(rules)
    return f"@scope ({ALLOWED['scope']}){{{inner}}}" if inner else ""


def _is_property(name: str) -> bool:
    """Whether it or what it begins with is in the table; custom properties are the author's own."""
    if re.fullmatch(r"--[\w-]+", name, re.ASCII):
        return True
    words = name.lower().split("-")
    return re.fullmatch(r"[a-z-]+", name.lower()) is not None and any(
        "-".join(words[:count]) in _PROPERTIES for count in range(1, len(words) + 1)
    )


def _is_value(value: str) -> bool:
    if "@" in value or not _is_closed(value):
        return False
    names = _FUNCTION.findall(_STRING.sub("", value))
    return all(name.lower() in _FUNCTIONS for name in names)


def _is_closed(text: str) -> bool:
    """Whether what stands after it cannot become a part of it, nor the other way round."""
    bare = _STRING.sub("", text)
    if re.search(r"[\\<{};]", text) or re.search(r"[\"']|/\*", bare):
        return False
    closers: list[str] = []
    for character in bare:
        if character in "([":
            closers.append(")" if character == "(" else "]")
        elif character in ")]" and (not closers or closers.pop() != character):
            return False
    return not closers


def _cleaner() -> nh3.Cleaner:
    attributes = {tag: set(names) for tag, names in ALLOWED["attributes"].items()}
    for tag in _SVG:
        attributes[tag] = {*ALLOWED["svgAttributes"]}
    return nh3.Cleaner(
        tags={*ALLOWED["tags"], *_SVG},
        clean_content_tags={
            *("embed", "iframe", "math", "noembed", "noframes", "noscript", "object"),
            *("script", "select", "style", "template", "textarea", "title"),
        },
        attributes=attributes,
        attribute_filter=attribute,
        generic_attribute_prefixes={"aria-"},
        # Task lists; a field would have nowhere to send its text, but could ask for it.
        set_tag_attribute_values={"input": {"type": "checkbox", "disabled": ""}},
        url_schemes={"http", "https", "mailto", "tel", "data"},
    )


_CLEANER = _cleaner()
