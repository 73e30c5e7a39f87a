"""What browsers may do with what this extension sends: Content-Security-Policies and types of files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# Types that a browser may run scripts from when it opens them as a page: HTML, all that is XML, and what we don't know.
_ACTIVE_TYPES = re.compile(
    r"text/(?!(plain|css|csv|tab-separated-values|markdown|javascript|vtt)$).*"
    r"|.*[/+]xml|multipart/.*|message/.*"
)
# What a page takes for a script of its own: https://mimesniff.spec.whatwg.org/#javascript-mime-type
_SCRIPT_TYPES = re.compile(
    r"(?:application|text)/(?:x-)?(?:java|ecma|j|live)script[\d.]*|application/wasm"
)


def page_policy(
    nonce: str, frame_ancestors: Sequence[str], added: Mapping[str, Sequence[str]], *, trusted: bool
) -> str:
    """The policy of a page whose own scripts carry `nonce`; `added` are the operator's sources by directive.

    A page that isn't `trusted` runs scripts of this server's only, whatever was added to `script-src`, and no frames:
    what gets past the sanitisers ends here.
    """
    sources = {
        "default-src": ["'none'"],
        "script-src": ["'self'", f"'nonce-{nonce}'", *(["blob:"] if trusted else [])],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "media-src": ["'self'", "data:", "blob:"],
        "worker-src": ["'self'", *(["blob:"] if trusted else [])],
        "frame-src": ["'self'", "data:", "blob:"] if trusted else ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": list(frame_ancestors),
    }
    for directive, more in added.items():
        # `script-src-elem` and `script-src-attr` would count in place of `script-src`.
        if trusted or not directive.startswith(("script-src", "worker-src")):
            given = sources.get(directive, [])
            sources[directive] = [*([] if more and given == ["'none'"] else given), *more]
    return "; ".join(f"{directive} {' '.join(values)}" for directive, values in sources.items())


def file_policy(frame_ancestors: Sequence[str], *, trusted: bool) -> str:
    """The policy of a file that a browser may run: shown for what it is, it can't act as the viewer on this server."""
    sandbox = "sandbox allow-scripts" if trusted else "sandbox"
    return f"{sandbox}; frame-ancestors {' '.join(frame_ancestors)}"


def is_active(mime: str) -> bool:
    """Whether a browser that opens a file of this type as a page may run scripts in it."""
    return _ACTIVE_TYPES.fullmatch(mime) is not None


def file_type(mime: str, *, trusted: bool) -> str:
    """The type to send a file as. With `nosniff` no page takes a text for a script.

    Style sheets stay what they are: nothing on a page that isn't trusted links one, and HTML files beside it may.
    """
    return "text/plain" if not trusted and _SCRIPT_TYPES.fullmatch(mime) else mime
