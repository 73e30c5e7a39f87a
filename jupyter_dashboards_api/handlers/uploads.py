"""HTTP of uploads and deletions: `/_api/notebooks/[PATH/]NAME`."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

from tornado.httputil import HTTPFile, HTTPHeaders, HTTPInputError, parse_body_arguments
from tornado.web import authenticated

from ..errors import DashboardsError, InvalidRequest
from ..notebooks.uploads import NotebookUploads
from .streamed import StreamedBodyHandler

_MAX_DELETE_BODY = 64 * 1024


class NotebookHandler(StreamedBodyHandler):
    """Takes uploads and deletes dashboards."""

    @property
    def uploads(self) -> NotebookUploads:
        return self.dashboards.uploads

    @property
    def largest_body(self) -> int:
        return self.uploads.max_upload_size if self._posting else _MAX_DELETE_BODY

    def refusal(self) -> DashboardsError | None:
        form = self.request.headers.get("Content-Type", "").startswith("multipart/form-data")
        if self._posting and not form:
            return InvalidRequest("Send the file as multipart/form-data.")
        return None

    @property
    def _posting(self) -> bool:
        return bool(self.request.method == "POST")

    @authenticated
    async def post(self, path: str) -> None:
        """Stores the one file of the form; 201 and where it is shown."""
        body = self.received()
        file = await asyncio.to_thread(_only_file, self.request.headers, body)
        del body
        dashboard = await self.uploads.save(path, file.filename, file.body)
        await self.record("upload", await self._contents_path(dashboard))
        answer: dict[str, Any] = {
            "message": "Notebook successfully uploaded",
            "status": 201,
            "url": "/" + self.request.uri.removeprefix(f"{self.base_url}_api/"),
        }
        if self.uploads.public_link is not None:
            answer["link"] = public_link(
                self.uploads.public_link,
                self.request.protocol,
                self.request.host,
                self.base_url,
                dashboard,
            )
        self.set_status(201)
        self.finish(json.dumps(answer))

    @authenticated
    async def delete(self, path: str) -> None:
        """Deletes a notebook or a bundle; 204."""
        self.received()
        await self.record("delete", await self.uploads.delete(path))
        self.set_status(204)
        self.finish()

    async def _contents_path(self, dashboard: str) -> str:
        """Where a dashboard's notebook lies, as records name it."""
        try:
            return (await self.dashboards.finder.find(dashboard)).path
        except DashboardsError:
            # Gone again, or not to be seen: it was stored all the same.
            return dashboard


def _only_file(headers: HTTPHeaders, body: bytearray) -> HTTPFile:
    """The file of a form; text fields are ignored and the names of fields count for nothing.

    Raises `InvalidRequest` for no file and for more than one. Takes a while for a large body.
    """
    files: dict[str, list[HTTPFile]] = {}
    try:
        # A bytearray will do, and another copy would cost as much memory as the upload.
        parse_body_arguments(headers["Content-Type"], body, {}, files, headers)  # type: ignore[arg-type]
    except HTTPInputError as error:
        raise InvalidRequest("The body is not complete multipart/form-data.") from error
    sent = [file for field in files.values() for file in field]
    if not sent:
        raise InvalidRequest("No file provided. Send one notebook (.ipynb) or zip archive (.zip).")
    if len(sent) > 1:
        raise InvalidRequest("Too many files. Upload one at a time.")
    return HTTPFile(
        filename=sent[0].filename, body=bytes(sent[0].body), content_type=sent[0].content_type
    )


def public_link(pattern: str, protocol: str, host: str, base_url: str, dashboard: str) -> str:
    """The URL at which viewers find a dashboard; percent-encoded, so that it can be used as it is.

    `pattern` is the trait `NotebookUploads.public_link`, `host` is the request's, with its port if it has one. (The Node
    server answered with a decoded link, in which a space stayed a space.)
    """
    if not pattern:
        prefix = f"{protocol}://{host}{base_url}"
    else:
        # An IPv6 address is in brackets and full of colons.
        name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        values = {
            "protocol": protocol,
            "host": name or host,
            "port": port if name and port else "443" if protocol == "https" else "80",
            "base_url": base_url,
        }
        prefix = pattern
        for placeholder, value in values.items():
            prefix = prefix.replace(f"{{{placeholder}}}", value)
    return f"{prefix.rstrip('/')}/dashboards/{quote(dashboard, safe='/')}"
