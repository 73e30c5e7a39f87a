"""A client of the commands API, as the tests speak to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from tornado.httpclient import HTTPResponse

from tests.conftest import Fetch

API = "/api/v1.2"


class CommandClient:
    """Sends requests below `/api/v1.2` with the header that clients of this API use."""

    def __init__(self, fetch: Fetch, token: str) -> None:
        self._fetch = fetch
        self._headers = {"X-AUTH-TOKEN": token, "Content-Type": "application/json"}

    async def ask(
        self, method: str, path: str, body: Any = None, *, api: str = API, **headers: str
    ) -> HTTPResponse:
        """The answer; `body` is JSON, or the bytes that are sent."""
        if body is None:
            data = "" if method in ("POST", "PUT", "PATCH") else None
        else:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        sent = {**self._headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        return await self._fetch(api + path, method=method, body=data, token=None, headers=sent)

    async def get(self, path: str, status: int = 200) -> Any:
        """The JSON of an answer, which must have this status."""
        response = await self.ask("GET", path)
        assert response.code == status, response.body
        return json.loads(response.body)

    async def note_id(self, path: str) -> int:
        """The id of a notebook."""
        found = await self.get(f"/notebooks?path={path}")
        return int(found["notebooks"][0]["id"])

    async def submit(self, status: int = 200, key: str | None = None, **fields: Any) -> Any:
        """Submits a `SparkCommand`, or what `fields` says."""
        headers = {"Idempotency_Key": key} if key is not None else {}
        response = await self.ask(
            "POST", "/commands", {"command_type": "SparkCommand", **fields}, **headers
        )
        assert response.code == status, response.body
        return json.loads(response.body)

    async def refused(self, status: int = 422, **fields: Any) -> str:
        """The message of a submission that is refused, in the API's shape."""
        return error_of(await self.ask("POST", "/commands", fields), status)

    async def polls(self, command_id: int) -> AsyncIterator[Any]:
        """The command, again and again, until it has ended."""
        while True:
            command = await self.get(f"/commands/{command_id}")
            yield command
            if command["status"] in ("done", "error", "cancelled"):
                return
            await asyncio.sleep(0.05)

    async def ended(self, command_id: int) -> Any:
        """The command, once it has ended."""
        return [each async for each in self.polls(command_id)][-1]


def error_of(response: HTTPResponse, status: int) -> str:
    """The message of an error, after checking that the body is the documented one."""
    assert response.code == status, response.body
    assert response.headers["Content-Type"].startswith("application/json")
    body = json.loads(response.body)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"error_code", "error_message"}
    assert body["error"]["error_code"] == status
    message = body["error"]["error_message"]
    assert isinstance(message, str)
    assert message
    assert "Traceback" not in message
    assert "/tmp" not in message
    return message
