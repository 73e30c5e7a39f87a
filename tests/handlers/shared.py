"""A notebook that is shared by link, everything of which is a secret until the link has been opened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from tests.conftest import Write

from .callers import Callers, Client

SECRET = b"s3cret"
FOLDER = "s3cret folder"
BOARD = f"{FOLDER}/index.ipynb"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def write_board(write: Write, path: str = BOARD) -> None:
    """Writes a notebook with prose, an output, an image, active HTML and an error."""
    outputs = [
        new_output("stream", name="stdout", text="s3cret output\n"),
        new_output("display_data", {"image/png": PNG}),
        new_output(
            "display_data",
            {
                "text/html": "<b>s3cret bold</b><script>s3cret_script()</script><i onclick='s3cret_click()'>x</i>"
            },
        ),
        new_output(
            "error", ename="ZeroDivisionError", evalue="s3cret_value", traceback=["s3cret_trace"]
        ),
    ]
    write(
        path,
        new_markdown_cell("# s3cret heading\n\ns3cret prose"),
        new_code_cell("print('ran')  # s3cret_source", outputs=outputs),
        new_code_cell("import os; print(os.environ['QUERY_STRING'], os.environ['DASHBOARD_PATH'])"),
        title="s3cret title",
    )


@dataclass
class Link:
    """A link to a notebook, its settings in the hand of the owner."""

    callers: Callers
    token: str
    path: str

    @classmethod
    async def to(cls, callers: Callers, path: str = BOARD, **changes: Any) -> Link:
        return cls(callers, await callers.share(quote(path), **changes), path)

    async def change(self, **changes: Any) -> None:
        await self.callers.share(quote(self.path), **changes)

    async def ask(self, method: str, what: str, body: Any = None) -> Any:
        """Asks the sharing API for something of this notebook's."""
        path = f"/_api/sharing{what}?path={quote(self.path)}"
        return await self.callers.owner().send(method, path, body)

    async def add_password(self, password: str) -> int:
        response = await self.ask(
            "POST", "/passwords", {"raw_password": password, "password_required": True}
        )
        assert response.code == 201, response.body
        number: int = json.loads(response.body)["id"]
        return number

    async def get(self, form: str = "", client: Client | None = None, **options: Any) -> Any:
        """The link's page; `form` is what follows the token."""
        client = client or self.callers.nobody()
        return await client.send("GET", f"/shared/{self.token}{form}", **options)

    async def guess(self, password: str, client: Client | None = None, **options: Any) -> Any:
        """Enters a password."""
        client = client or self.callers.nobody()
        return await client.send("POST", f"/shared/{self.token}", {"password": password}, **options)

    async def share_token(self, password: str) -> str:
        """What a right password gives."""
        response = await self.guess(password)
        assert response.code == 200, response.body
        token: str = json.loads(response.body)["shareToken"]
        return token


def told(response: Any) -> bytes:
    """All that a response says, but for its own address."""
    headers = "\n".join(f"{name}: {value}" for name, value in response.headers.get_all())
    return headers.encode() + b"\n" + response.body
