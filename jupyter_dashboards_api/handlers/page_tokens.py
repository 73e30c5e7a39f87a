"""`POST /_api/page_token`: a page that no cookie reaches renews its token."""

from __future__ import annotations

import json

from tornado.web import authenticated

from ..errors import InvalidRequest, Unauthorized
from .base import DashboardsAPIHandler


class PageTokenHandler(DashboardsAPIHandler):
    """Answers `{"token", "expires_in"}`, in seconds, to a page whose token and right are valid."""

    @authenticated
    async def post(self) -> None:
        told = self.page_token
        if told is None:
            raise InvalidRequest("Only a page that has a token can renew it.")
        tokens = self.access.tokens
        token = tokens.page_token(told.visit, told.begun)
        left = tokens.seconds_left(told.begun)
        if left <= 0:
            raise Unauthorized("This page was open for too long: load it again.")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps({"token": token, "expires_in": left}))
