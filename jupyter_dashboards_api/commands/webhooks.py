"""Calls that tell a program of what has ended: where they may go, and how they are signed. Pure.

Signed as the Standard Webhooks specification says: receivers have libraries for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

MAX_URL = 2000
MAX_SECRET = 128
SECRET_PREFIX = "whsec_"  # noqa: S105
_LEAST_SECRET = 16


class BadWebhook(ValueError):
    """An address or a secret can't be used; the message begins with `url` or `secret`."""


def checked_webhook(url: str | None, secret: str | None) -> tuple[str, str]:
    """An address and its secret, which is made up where none is given. Raises `BadWebhook`."""
    if url is None or not _is_web(url):
        raise BadWebhook("url must be an address such as https://example.org/hook.")
    if secret is None:
        return url, SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    try:
        if len(key_of(secret)) < _LEAST_SECRET:
            raise BadWebhook(f"secret must have at least {_LEAST_SECRET} bytes.")
    except binascii.Error as error:
        raise BadWebhook(f"secret must be Base64 after {SECRET_PREFIX}.") from error
    return url, secret


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # A password in it would be told to whoever sees the address.
        plain = parts.username is None and parts.password is None and parts.port != 0
    except ValueError:
        return False
    return (
        plain
        and parts.scheme in ("https", "http")
        and bool(parts.hostname)
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )


def key_of(secret: str) -> bytes:
    """The key of a secret: what follows `whsec_` is Base64, any other text is itself. Raises `binascii.Error`."""
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX).encode(), validate=True)
    return secret.encode()


def signed_headers(secret: str, message_id: str, moment: datetime, body: bytes) -> dict[str, str]:
    """The headers of a call: its id, its time in Unix seconds, and the HMAC-SHA256 of both and the body."""
    stamp = str(int(moment.timestamp()))
    signed = b".".join((message_id.encode(), stamp.encode(), body))
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def body_of(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent and signed."""
    return json.dumps(message, separators=(",", ":")).encode()
