"""What the tests of the scheduler API share: schedules are made and changed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from .command_client import CommandClient, error_of

Make = Callable[..., Awaitable[Any]]
"""Makes a schedule, with other fields where given; with a `status` the message of its refusal."""


async def put(commands: CommandClient, path: str, body: Any, status: int = 200) -> Any:
    response = await commands.ask("PUT", path, body)
    if status != 200:
        return error_of(response, status)
    assert response.code == 200, response.body
    return json.loads(response.body)
