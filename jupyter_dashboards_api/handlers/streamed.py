"""Bodies that may be large: who calls, and whether they may, is decided before a byte of one is read."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

from tornado.web import stream_request_body

from ..errors import DashboardsError, TooLarge
from .base import DashboardsAPIHandler

_DRAINED = 16 * 1024 * 1024
"""Bytes of a refused body that are read and dropped: a client that sends before it listens then gets the answer, where
closing the connection at once would reset it."""


@stream_request_body
class StreamedBodyHandler(DashboardsAPIHandler, ABC):
    """A handler that counts what it is sent. The server's own limit does not count here."""

    _refusal: DashboardsError | None = None
    _dropped = 0

    @property
    @abstractmethod
    def largest_body(self) -> int:
        """Bytes of the largest body that is read."""

    def refusal(self) -> DashboardsError | None:
        """Why a body is not read, whatever its length."""
        return None

    async def prepare(self, **options: Any) -> None:
        await super().prepare(**options)
        if self._finished:
            return
        self._body = bytearray()
        # `data_received` counts; tornado's own limit would end the connection without an answer.
        self.request.connection.set_max_body_size(sys.maxsize)
        headers = self.request.headers
        declared = headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > self.largest_body:
            self._refusal = self._too_large()
        else:
            self._refusal = self.refusal()
        # Nothing is under way yet when the client waits to be asked for its body.
        if self._refusal and headers.get("Expect", "").lower() == "100-continue":
            raise self._refusal

    def data_received(self, chunk: bytes) -> None:
        if self._refusal is None and len(self._body) + len(chunk) <= self.largest_body:
            self._body += chunk
            return
        self._refusal = self._refusal or self._too_large()
        self._body.clear()
        self._dropped += len(chunk)
        if self._dropped > _DRAINED and not self._finished:
            try:
                raise self._refusal
            except DashboardsError as error:
                self._handle_request_exception(error)

    def received(self) -> bytearray:
        """The body, which is given away. Raises why it was not read."""
        if self._refusal:
            raise self._refusal
        body, self._body = self._body, bytearray()
        return body

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"The upload is larger than {self.largest_body} bytes, this server's limit."
        )
