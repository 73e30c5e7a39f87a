"""Whoever comes to a server over HTTP: keeps cookies as a browser does, and follows no redirect."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

SECONDS = 60.0
"""How long to wait for an answer: a loaded machine takes long to start a kernel."""


class Visitor:
    """One browser or program.

    `headers` go with each request. A path is below the server's address; the token against forged requests is sent where
    there is one, as the pages' scripts do.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.session = requests.Session()
        # Nothing of the machine's: no proxies, no password file.
        self.session.trust_env = False
        # A server may close a connection after a refusal, just as the next request is sent over it.
        self.session.headers["Connection"] = "close"
        self.session.headers.update(headers or {})

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> requests.Response:
        url = path if "://" in path else self.url + path
        sent = {**self.xsrf(url), **(headers or {})}
        options.setdefault("timeout", SECONDS)
        return self.session.request(method, url, headers=sent, allow_redirects=False, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.ask("POST", path, **options)

    def follow(self, path: str) -> requests.Response:
        """The answer to a GET, after all redirects."""
        response = self.get(path)
        for _ in range(10):
            if response.status_code not in (301, 302, 303, 307, 308):
                return response
            response = self.get(urljoin(response.url, response.headers["Location"]))
        raise AssertionError(f"too many redirects from {path}")

    def xsrf(self, url: str) -> dict[str, str]:
        """The header against forged requests, for one address."""
        path = urlsplit(url).path
        fitting = [
            cookie
            for cookie in self.session.cookies
            if cookie.name == "_xsrf" and path.startswith(cookie.path.rstrip("/"))
        ]
        longest = max(fitting, key=lambda cookie: len(cookie.path), default=None)
        return {"X-XSRFToken": str(longest.value)} if longest is not None else {}

    def cookies(self, path: str = "/") -> str:
        """The header `Cookie` for a path, for a websocket's handshake."""
        request = requests.Request("GET", self.url + path)
        return self.session.prepare_request(request).headers.get("Cookie", "")


def page_config(page: str) -> dict[str, Any]:
    """What a dashboard's page tells its script."""
    found = re.search(r'<script type="application/json" id="dash-config"[^>]*>(.*?)</script>', page)
    assert found is not None
    config: dict[str, Any] = json.loads(html.unescape(found[1]))
    return config


def basic(user: str, secret: str) -> str:
    """The header `Authorization: Basic` that programs send for a user and a password."""
    return f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"
