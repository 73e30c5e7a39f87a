"""A client of the notebooks API, as its document shows requests."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tornado.httpclient import HTTPResponse

from tests.conftest import Fetch

API = "/_notebooks/notebooks/"
NO_ID = "603d4b06-be33-41bd-b610-34b41df9653a"
RECORD = {
    "notebook_id",
    "notebook_name",
    "status",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "last_run",
    "no_of_runs",
    "schedule",
    "attributes",
}
NONE = {"period": None, "until": None, "time": None}


DELETED, RENAMED = {"Success": True}, {"Rename Successful": True}
CREATING = "Error occurred while creating the notebook file: "
RENAMING = "Error occurred while renaming the notebook file: "


class NotebooksClient:
    """Sends requests below `/_notebooks/notebooks/` with `Authorization: Basic <token>`."""

    def __init__(self, fetch: Fetch, token: str) -> None:
        self._fetch = fetch
        self.token = token

    async def ask(
        self, method: str, path: str = "", body: Any = None, *, api: str = API, **options: Any
    ) -> HTTPResponse:
        """The answer; `body` is JSON, or the text that is sent."""
        headers = {"Authorization": f"Basic {self.token}", **options.pop("headers", {})}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if body is None and method in ("POST", "PUT"):
            body = ""
        return await self._fetch(
            api + path,
            method=method,
            body=body,
            token=None,
            headers=headers,
            allow_nonstandard_methods=True,
            **options,
        )

    async def good(self, method: str, path: str = "", body: Any = None, **options: Any) -> Any:
        """The JSON of an answer that is a success."""
        response = await self.ask(method, path, body, **options)
        assert response.code == 200, response.body
        assert response.headers["Content-Type"].startswith("application/json")
        return json.loads(response.body)

    async def bad(
        self, status: int, method: str, path: str = "", body: Any = None, **options: Any
    ) -> str:
        """The message of an error, in the documented shape."""
        return message_of(await self.ask(method, path, body, **options), status)

    async def create(self) -> str:
        """The id of a new notebook."""
        made = await self.good("POST")
        return str(made["notebook_id"])

    async def record(self, notebook_id: str) -> Any:
        """A notebook's record."""
        found = await self.good("GET", notebook_id)
        assert found.keys() == RECORD
        return found

    async def ids(self) -> list[str]:
        """The ids of the list."""
        return [each["notebook_id"] for each in await self.good("GET", "_all")]


def message_of(response: HTTPResponse, status: int) -> str:
    """The message of an error, after checking that the body is the documented one."""
    assert response.code == status, response.body
    assert response.headers["Content-Type"].startswith("application/json")
    body = json.loads(response.body)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"status", "message"}
    assert body["error"]["status"] == status
    message = body["error"]["message"]
    assert isinstance(message, str)
    assert message
    assert "Traceback" not in message
    assert "/tmp" not in message
    return message


def basic(user: str, secret: str) -> str:
    """The header that curl's `-u user:secret` sends."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def later(**ago: float) -> str:
    """A date as `until` has it, so far from now in UTC."""
    return (datetime.now(UTC) + timedelta(**ago)).strftime("%Y-%m-%d %H:%M")


async def path_of(notebooks: NotebooksClient, notebook_id: str) -> str:
    """The contents path that the API tells."""
    record = await notebooks.record(notebook_id)
    return f"{record['attributes']['path']}{record['notebook_name']}".strip("/")
