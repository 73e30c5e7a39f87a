"""What may stand in a Content-Security-Policy. Pure."""

from __future__ import annotations

import re

# A keyword, nonce or hash in quotes, or a scheme or host without.
_SOURCE = re.compile(r"'[A-Za-z0-9+/=_-]+'|[^\s;,'\"\[\]]+")


def is_source(source: str) -> bool:
    """Whether a text is one source, and can neither end nor change the policy that it is put into."""
    return _SOURCE.fullmatch(source) is not None and source.isascii()
