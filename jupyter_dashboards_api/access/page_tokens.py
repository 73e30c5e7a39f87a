"""Signed tokens of two kinds, both JSON Web Tokens: what a page carries, and what unlocks a share link.

A *page token* lets one page of one visitor use one dashboard, without cookies: browsers send none into frames on other
sites. It is short-lived, and the page renews it. A *share token* (the sharing API's `shareToken`) says that its holder knew
a password of a link. What either token names is looked up anew at each use, so revoking needs no list of tokens.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt

from .callers import Visit
from .secret_values import new_id

_ALGORITHM = "HS256"
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

# A path has up to 4096 bytes; JSON makes up to three of one, and base64 a third more.
_MAX_LENGTH = 20_000


@dataclass(frozen=True)
class PageToken:
    """What a page token says. `begun` is when the page was opened, in Unix seconds; it lasts through renewals."""

    visit: Visit
    begun: float


@dataclass(frozen=True)
class ShareToken:
    """What a share token says: which link, opened with which of its passwords."""

    access_token: str
    password_id: int


class PageTokens:
    """Makes and reads tokens. Pure but for the clock."""

    def __init__(self, secret: bytes, lifetime: timedelta, longest: timedelta) -> None:
        """`secret` is the server's cookie secret; `longest` how long a page may renew its token."""
        # Not the secret itself: what signs cookies signs nothing else.
        self._key = hmac.digest(secret, b"jupyter_dashboards_api tokens", hashlib.sha256)
        self.lifetime = lifetime
        self.longest = longest

    def new_visit(
        self, *, path: str = "", share: str = "", password_id: int | None = None
    ) -> Visit:
        """A visit of a visitor not seen before."""
        return Visit(new_id(), path, share, password_id)

    def page_token(self, visit: Visit, begun: float | None = None) -> str:
        """A token for a page. `begun` is that of the token that it renews."""
        start = time.time() if begun is None else begun
        end = time.time() + self.seconds_left(start)
        return self._encode(
            "page",
            {
                "sub": visit.visitor,
                "path": visit.path,
                "share": visit.share,
                "password": visit.password_id,
                "begun": start,
                "exp": end,
            },
        )

    def seconds_left(self, begun: float) -> float:
        """How long a token that is made now is valid, for a page that was opened at `begun`; not above 0: no more."""
        end = begun + self.longest.total_seconds()
        return min(self.lifetime.total_seconds(), end - time.time())

    def read_page_token(self, token: str) -> PageToken | None:
        """What a page token says; None when it is none of ours, or too old."""
        claims = self._decode("page", token)
        if claims is None:
            return None
        visit = Visit(claims["sub"], claims["path"], claims["share"], claims["password"])
        return PageToken(visit, claims["begun"])

    def file_token(self, visit: Visit) -> str:
        """A token for the addresses of files that a page shows. It opens nothing but those, so it may be in a URL."""
        return self._encode(
            "file",
            {
                "share": visit.share,
                "password": visit.password_id,
                "exp": time.time() + self.longest.total_seconds(),
            },
        )

    def read_file_token(self, token: str) -> Visit | None:
        """What a file token says; None when it is none of ours, or too old."""
        claims = self._decode("file", token)
        return Visit("", "", claims["share"], claims["password"]) if claims is not None else None

    def share_token(self, access_token: str, password_id: int, lifetime: timedelta) -> str:
        """A token that unlocks a link."""
        return self._encode(
            "share",
            {
                "share": access_token,
                "password": password_id,
                "exp": time.time() + lifetime.total_seconds(),
            },
        )

    def read_share_token(self, token: str) -> ShareToken | None:
        """What a share token says; None when it is none of ours, or too old."""
        claims = self._decode("share", token)
        return ShareToken(claims["share"], claims["password"]) if claims is not None else None

    def _encode(self, audience: str, claims: dict[str, Any]) -> str:
        return jwt.encode(
            {**claims, "exp": int(claims["exp"]), "aud": audience}, self._key, _ALGORITHM
        )

    def _decode(self, audience: str, token: str) -> dict[str, Any] | None:
        if len(token) > _MAX_LENGTH or not _FORM.fullmatch(token):
            return None
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=audience,
                options={"require": ["exp", "aud"]},
            )
        except (jwt.InvalidTokenError, RecursionError):
            return None
        return claims
