"""Secrets that this project makes: how they look, and how they are stored. Pure.

They are random and long, so that a plain hash can't be reversed by guessing; what people choose goes to `passwords.py`.
"""

from __future__ import annotations

import hashlib
import secrets

KEY_PREFIX = "jda_"
"""API keys begin with it: who finds one in a file or a log knows what it is."""


def new_key() -> str:
    """An API key: 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def new_session_secret() -> str:
    """What a viewer's cookie holds: 256 random bits."""
    return secrets.token_urlsafe(32)


def new_access_token() -> str:
    """A share link's token: 22 random bytes, as the sharing API documents it."""
    return secrets.token_urlsafe(22)


def new_id() -> str:
    """An identifier that can't be guessed, but opens nothing: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def hashed(secret: str) -> str:
    """SHA-256 of a random secret, in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def masked(secret: str) -> str:
    """What a person recognises a key by: its beginning and its end."""
    return f"{secret[:8]}…{secret[-4:]}"
