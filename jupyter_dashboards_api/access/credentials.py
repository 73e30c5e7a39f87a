"""What a request's headers say about who is calling. Pure.

Programs written for other servers send the same token in other headers, so all of them are read alike.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9_-]*)[ \t]+(?P<value>\S.*)")
_SCHEMES = ("token", "bearer", "basic")

MAX_SECRET_LENGTH = 8192
"""Characters. JupyterHub's tokens and JWTs are far shorter."""


@dataclass(frozen=True, slots=True)
class HeaderCredential:
    """A token that was sent in a header, and the user name that came with it (`Basic` only)."""

    secret: str
    username: str = ""


def header_credential(authorization: str, x_auth_token: str) -> HeaderCredential | None:
    """The token of the headers `Authorization` and `X-AUTH-TOKEN`; None when there is none.

    Forms: `token T`, `Bearer T`, `Basic T` with T as it is or base64 of `user:T`, and `X-AUTH-TOKEN: T`. The last one
    wins: a proxy in front may need `Authorization` for itself.
    """
    if x_auth_token.strip():
        return _credential(x_auth_token.strip())
    match = _SCHEME.fullmatch(authorization.strip())
    if match is None or match["scheme"].lower() not in _SCHEMES:
        return None
    value = match["value"].strip()
    if match["scheme"].lower() == "basic":
        user, colon, secret = _decoded(value).partition(":")
        if colon:
            return _credential(secret, user)
    return _credential(value)


def _credential(secret: str, username: str = "") -> HeaderCredential | None:
    if not secret or len(secret) > MAX_SECRET_LENGTH:
        return None
    return HeaderCredential(secret, username)


def _decoded(value: str) -> str:
    """The text of base64; empty for anything else. A token of hexadecimal digits is base64 too, but of no text."""
    try:
        text = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
    return text if text.isprintable() else ""
