"""What is not there below `/api/v1.2`: 404 in this API's words. The server's own answer would be a redirect."""

from __future__ import annotations

from typing import NoReturn

from tornado.web import authenticated

from ..errors import NotFound
from .commands_base import CommandsAPIHandler


class CommandsElsewhereHandler(CommandsAPIHandler):
    """Whatever no other route answers, in any version of the API."""

    async def _refuse(self, path: str) -> NoReturn:
        raise NotFound("There is no such resource. This server has version v1.2 of the API.")

    get = head = post = put = patch = delete = authenticated(_refuse)
