"""Callers of every kind, with real credentials of a running server."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from jupyter_dashboards_api.access.accounts import Accounts

PASSWORD = "a viewer's password"
SHARED = "sales/board.ipynb"
"""The notebook that the viewer `ann` may open, `bob` may not, and the share link shows."""

RULES = """
[rules]
"sales" = ["ann"]
"open" = "public"
"""

NAMES = (
    "nobody",
    "wrong token",
    "viewer without right",
    "viewer",
    "share link",
    "key without scope",
    "key to view",
    "key to do everything",
    "owner token",
    "owner cookie",
)


@dataclass
class Client:
    """Sends requests with one caller's credentials; like a browser it keeps cookies and sends the XSRF field."""

    fetch: Any
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        headers = {**self.headers, **options.pop("headers", {})}
        forged = options.pop("forged", False)
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            if "_xsrf" in self.cookies and not forged:
                headers["X-XSRFToken"] = self.cookies["_xsrf"]
        if isinstance(body, (dict, list)):
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        if body is None and method in ("POST", "PUT", "PATCH"):
            body = ""
        response = await self.fetch(
            path, method=method, token=None, headers=headers, body=body, **options
        )
        for cookie in response.headers.get_list("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            if value in ("", '""'):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response


class Callers:
    """Makes clients of a server whose app is `app`."""

    def __init__(self, fetch: Any, app: Any) -> None:
        self.fetch = fetch
        self.app = app
        self.token = app.serverapp.identity_provider.token

    def nobody(self) -> Client:
        return Client(self.fetch)

    def bearer(self, secret: str) -> Client:
        return Client(self.fetch, {"Authorization": f"Bearer {secret}"})

    def owner(self) -> Client:
        return self.bearer(self.token)

    async def owner_cookie(self) -> Client:
        """A browser that opened the address which the server prints."""
        client = self.nobody()
        assert (await client.send("GET", f"/dashboards?token={self.token}")).code == 200
        client.cookies.setdefault("_xsrf", "")
        return await self._with_xsrf(client)

    async def viewer(self, username: str, groups: tuple[str, ...] = ()) -> Client:
        """A viewer who has logged in; the account is made if there is none."""
        accounts = Accounts(self.app.database)
        if await asyncio.to_thread(accounts.find, username) is None:
            await asyncio.to_thread(accounts.add, username, PASSWORD, groups)
        client = self.nobody()
        response = await client.send("POST", "/login", {"username": username, "password": PASSWORD})
        assert response.code == 200, response.body
        return await self._with_xsrf(client)

    async def key(self, *scopes: str) -> Client:
        """A program with an API key."""
        _, secret = await self.app.access.keys.create("owner", "a key", scopes)
        return self.bearer(secret)

    async def share(self, path: str = SHARED, **changes: Any) -> str:
        """The token of a link that is open, made by the owner."""
        response = await self.owner().send(
            "PATCH", f"/_api/sharing?path={path}", {"enabled": True, **changes}
        )
        assert response.code == 200, response.body
        token: str = json.loads(response.body)["access_token"]
        return token

    async def visitor(self, token: str) -> Client:
        """The page of a link."""
        page = await self.nobody().send("GET", f"/shared/{token}")
        return Client(self.fetch, {"X-Dashboards-Page-Token": page_config(page)["pageToken"]})

    async def by_name(self, name: str) -> Client:
        """A client of one of `NAMES`."""
        match name:
            case "nobody":
                return self.nobody()
            case "wrong token":
                return self.bearer("wrong")
            case "viewer without right":
                return await self.viewer("bob")
            case "viewer":
                return await self.viewer("ann")
            case "share link":
                return await self.visitor(await self.share())
            case "key without scope":
                return await self.key("notebook:read")
            case "key to view":
                return await self.key("dashboard:read")
            case "key to do everything":
                return await self.key("*")
            case "owner token":
                return self.owner()
            case _:
                return await self.owner_cookie()

    async def _with_xsrf(self, client: Client) -> Client:
        """As a browser has it after any page."""
        await client.send("GET", "/logout")
        assert client.cookies.get("_xsrf")
        return client


def page_config(page: Any) -> dict[str, Any]:
    """What the server has written into a dashboard's page for its script."""
    found = re.search(r'id="dash-config"[^>]*>(.*?)</script>', page.body.decode())
    assert found, page.body[:500]
    config: dict[str, Any] = json.loads(found[1])
    return config
