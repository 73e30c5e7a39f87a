"""Errors of the APIs below `/api` that follow the projects API: `{"type", "code", "detail", "attr"}`, the first one only."""

from __future__ import annotations

import json
from typing import Any

from ..errors import DashboardsError, InvalidRequest
from .base import DashboardsAPIHandler

_TYPES = {
    400: ("validation_error", "invalid_input"),
    401: ("authentication_error", "not_authenticated"),
    403: ("authentication_error", "permission_denied"),
    404: ("invalid_request", "not_found"),
    405: ("invalid_request", "method_not_allowed"),
    409: ("server_error", "conflict"),
    413: ("invalid_request", "request_entity_too_large"),
    415: ("invalid_request", "unsupported_media_type"),
    422: ("invalid_request", "unprocessable_entity"),
    429: ("throttled_error", "throttled"),
}
_OTHER = ("server_error", "error")


class FieldError(InvalidRequest):
    """A field of the body is wrong. `attr` is its name, None for the whole; `code` says in which way."""

    def __init__(self, message: str, attr: str | None = None, code: str = "invalid_input") -> None:
        super().__init__(message)
        self.attr = attr
        self.code = code


class NotJSON(InvalidRequest):
    """The body is not JSON."""


class UnsupportedMediaType(DashboardsError):
    """The body is of a type that is not read here."""

    status = 415


class ProjectsAPIHandler(DashboardsAPIHandler):
    """A handler whose errors are the projects API's."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        info = kwargs.get("exc_info")
        error = info[1] if info else None
        kind, code = _TYPES.get(status_code, _OTHER)
        attr = None
        detail = self.error_message(status_code, info)
        if isinstance(error, FieldError):
            attr, code = error.attr, error.code
        elif isinstance(error, NotJSON):
            kind, code = "invalid_request", "parse_error"
        elif status_code == 401:
            detail, code = self._unauthenticated()
        elif status_code == 404 and not isinstance(error, DashboardsError):
            detail = "Not found."
        elif status_code == 405:
            detail = f'Method "{self.request.method}" not allowed.'
        self.finish(json.dumps({"type": kind, "code": code, "detail": detail, "attr": attr}))

    def _unauthenticated(self) -> tuple[str, str]:
        headers = self.request.headers
        if headers.get("Authorization") or headers.get("X-AUTH-TOKEN"):
            return (
                "Personal API key found in request Authorization header is invalid.",
                "authentication_failed",
            )
        return "Authentication credentials were not provided.", "not_authenticated"

    def json_body(self) -> dict[str, Any]:
        body = self.request.body.strip()
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        # `curl -d` says that it sends a form, whatever it sends.
        is_curl = kind == "application/x-www-form-urlencoded" and body[:1] == b"{"
        if body and kind not in ("", "application/json") and not is_curl:
            raise UnsupportedMediaType("Send JSON, as `Content-Type: application/json`.")
        try:
            return super().json_body()
        except InvalidRequest as error:
            raise NotJSON(error.message) from error
