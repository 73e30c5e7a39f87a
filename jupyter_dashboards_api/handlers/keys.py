"""API keys over HTTP: `/api/personal_api_keys`. API: personal API keys (§2 of the projects API's specification)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tornado.web import authenticated

from ..access.api_keys import MAX_LABEL_LENGTH, KeyChange, KeyInfo
from ..errors import InvalidRequest, NotFound
from .api_errors import FieldError, ProjectsAPIHandler

MAX_BODY_BYTES = 64 * 1024


class _KeysHandler(ProjectsAPIHandler):
    """Keys belong to whom they were made by; a key can make and see no keys, so that a lost one opens nothing else."""

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        if len(self.request.body) > MAX_BODY_BYTES:
            raise InvalidRequest("The body is too large.")
        return self.json_body()

    def send(self, status: int, value: Any) -> None:
        """Answers with JSON that no cache keeps."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(value))


class KeysHandler(_KeysHandler):
    """`/api/personal_api_keys`."""

    @authenticated
    async def get(self) -> None:
        keys = await self.access.keys.of(self.caller.name)
        self.send(200, [key_model(key) for key in keys])

    @authenticated
    async def post(self) -> None:
        """Makes a key; `value` of the answer is its secret, which is not shown again."""
        body = self.body()
        for name in ("label", "scopes"):
            if name not in body:
                raise FieldError("This field is required.", name, "required")
        with field("label"):
            label = _label(body["label"])
        with field("scopes"):
            scopes = _texts(body["scopes"])
        with field("expires_at"):
            expires_at = _time(body.get("expires_at"))
        with named_field():
            key, secret = await self.access.keys.create(self.caller.name, label, scopes, expires_at)
        await self.record("key_created", key_id=key.id, label=key.label, scopes=list(key.scopes))
        self.send(201, key_model(key) | {"value": secret})


class KeyHandler(_KeysHandler):
    """`/api/personal_api_keys/ID`. No owner is called by a key, so `@current` is nobody's."""

    @authenticated
    async def get(self, key_id: str) -> None:
        self.send(200, key_model(await self.access.keys.get(self.caller.name, key_id)))

    @authenticated
    async def patch(self, key_id: str) -> None:
        """Changes label, scopes or expiry; other fields are ignored."""
        body = self.body()
        with field("label"):
            label = _label(body["label"]) if "label" in body else None
        with field("scopes"):
            scopes = _texts(body["scopes"]) if "scopes" in body else None
        with field("expires_at"):
            expires_at = _time(body.get("expires_at"))
        change = KeyChange(label, scopes, "expires_at" in body, expires_at)
        with named_field():
            key = await self.access.keys.change(self.caller.name, key_id, change)
        self.access.watch.rights_changed()
        self.send(200, key_model(key))

    @authenticated
    async def delete(self, key_id: str) -> None:
        """Revokes the key at once: what it has open is closed."""
        await self.access.keys.revoke(self.caller.name, key_id)
        self.access.watch.rights_changed()
        await self.record("key_revoked", key_id=key_id)
        self.set_status(204)
        self.finish()


def key_model(key: KeyInfo) -> dict[str, Any]:
    """A key as the API shows it."""
    return {
        "id": key.id,
        "label": key.label,
        "value": None,
        "mask_value": key.mask,
        "created_at": timestamp(key.created_at),
        "last_used_at": timestamp(key.last_used_at),
        "expires_at": timestamp(key.expires_at),
        "user_id": key.owner,
        "scopes": list(key.scopes),
    }


def timestamp(time: datetime | None) -> str | None:
    """ISO 8601 in UTC, ending in Z, as the projects API writes times."""
    return time.isoformat().replace("+00:00", "Z") if time is not None else None


@contextmanager
def field(name: str) -> Iterator[None]:
    """Says of an error in the block which field it is about."""
    try:
        yield
    except FieldError:
        raise
    except InvalidRequest as error:
        raise FieldError(error.message, name) from error


@contextmanager
def named_field() -> Iterator[None]:
    """Says of an error in the block which field its text is about, if it is about one."""
    try:
        yield
    except NotFound:
        raise NotFound("Not found.") from None
    except InvalidRequest as error:
        words = {"scope": "scopes", "label": "label", "expires_at": "expires_at"}
        attr = next((name for word, name in words.items() if word in error.message), None)
        raise FieldError(error.message, attr) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest("Not a valid string.")
    return value


def _label(value: Any) -> str:
    if value is None:
        raise FieldError("This field may not be null.", "label", "null")
    text = _text(value).strip()
    if not text:
        raise FieldError("This field may not be blank.", "label", "blank")
    if len(text) > MAX_LABEL_LENGTH:
        limit = f"Ensure this field has no more than {MAX_LABEL_LENGTH} characters."
        raise FieldError(limit, "label", "max_length")
    return text


def _texts(value: Any) -> list[str]:
    if value is None:
        raise FieldError("This field may not be null.", "scopes", "null")
    if not isinstance(value, list):
        raise FieldError("Expected a list of items.", "scopes", "not_a_list")
    return [_text(item) for item in value]


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise InvalidRequest("`expires_at` must be an ISO 8601 time with its zone.") from error
