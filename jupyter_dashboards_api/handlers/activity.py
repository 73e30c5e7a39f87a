"""The activity log over HTTP: `GET /_api/activity`, newest first."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from ..access.activities import ActivityInfo
from ..dashboards.contents import clean_path
from ..errors import InvalidRequest
from .base import DashboardsAPIHandler
from .keys import timestamp

MAX_LIMIT = 500


class ActivityHandler(DashboardsAPIHandler):
    """Query: `path` (a notebook's; all if absent), `limit` (10, at most 500), `page` (from 1)."""

    @authenticated
    async def get(self) -> None:
        limit = min(self._number("limit", 10), MAX_LIMIT)
        page = self._number("page", 1)
        path = clean_path(self.get_query_argument("path", "")) or None
        found, total = await self.access.activities.page(limit, page, path=path)
        self.set_header("Cache-Control", "no-store")
        self.finish(
            json.dumps(
                {
                    "results": [activity_model(each) for each in found],
                    "next": self._page(page + 1, limit, path) if page * limit < total else None,
                    "previous": self._page(page - 1, limit, path) if page > 1 else None,
                    "total_count": total,
                }
            )
        )

    def _number(self, name: str, default: int) -> int:
        text = self.get_query_argument(name, str(default))
        if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
            raise InvalidRequest(f"`{name}` must be a whole number from 1.")
        return int(text[:9])

    def _page(self, page: int, limit: int, path: str | None) -> str:
        query = {"limit": limit, "page": page, **({"path": path} if path else {})}
        place = url_path_join(self.base_url, "_api/activity")
        return f"{self.request.protocol}://{self.request.host}{place}?{urlencode(query)}"


def activity_model(activity: ActivityInfo) -> dict[str, Any]:
    """An entry as the API shows it."""
    return {
        "id": activity.id,
        "activity": activity.activity,
        "user": {"first_name": activity.actor, "email": None},
        "path": activity.path,
        "detail": dict(activity.detail),
        "created_at": timestamp(activity.created_at),
    }
