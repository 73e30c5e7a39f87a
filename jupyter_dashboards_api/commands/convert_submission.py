"""A conversion that clients submit, read and checked. Pure. API: "Submit a Notebook Convert Command"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..conversion.converter import FileFormat
from ..errors import DashboardsError
from .macros import Value
from .mail import parse_addresses
from .models import Submission
from .submission import (
    KEY_FIELD,
    MAX_KEY,
    Refused,
    arguments_of,
    flag,
    name_of,
    number,
    request_hash,
    tags_of,
    text,
)

CONVERT = "NotebookConvertCommand"

_FORMATS: Mapping[str, FileFormat] = {"html": "html", "pdf": "pdf", "png": "png"}
_KINDS = ("Note", "NotebookDashboard")


@dataclass(frozen=True)
class ConvertRequest:
    """A notebook that is to be converted. `mail_ids` is what the answer echoes, `addresses` what it says."""

    resource_id: int
    resource_type: str
    file_format: FileFormat
    show_code: bool
    mail_ids: Any
    addresses: tuple[str, ...]
    execute: bool
    macros: Mapping[str, Value]
    arguments: Mapping[str, Any]
    label: str | None
    name: str | None
    tags: tuple[str, ...]
    timeout: int | None
    retry: int
    retry_delay: int
    priority: int
    can_notify: bool
    pool: str | None
    idempotency_key: str | None
    request_hash: str

    def submission(self, path: str, owner: str) -> Submission:
        """The command to store, of the notebook that lies at `path` now."""
        return Submission(
            command_type=CONVERT,
            owner=owner,
            path=path,
            notebook_id=self.resource_id,
            payload={
                "command": {
                    "resourceId": self.resource_id,
                    "resourceType": self.resource_type,
                    "fileFormat": self.file_format,
                    "showCode": self.show_code,
                    "mailIds": self.mail_ids,
                    "execute": self.execute,
                    "retry": self.retry,
                },
                "addresses": list(self.addresses),
                "argument_values": json.loads(json.dumps(self.arguments)),
                "resolved_macros": dict(self.macros),
                "can_notify": self.can_notify,
                "pool": self.pool,
            },
            request_hash=self.request_hash,
            name=self.name,
            tags=self.tags,
            label=self.label,
            priority=self.priority,
            timeout=self.timeout,
            retry=self.retry,
            retry_delay=self.retry_delay,
            idempotency_key=self.idempotency_key,
        )


def convert_request(
    body: Mapping[str, Any], key: str | None, *, nominal: datetime | None = None
) -> ConvertRequest:
    """The request of a body. `key` is the idempotency key of a header, if it had one. Raises `Refused`.

    `nominal` is the time that macros start from, with its zone; now if it is left out.
    """
    resource_id = number(body, "resourceId", required=True, least=1)
    assert resource_id is not None
    kind = body.get("resourceType")
    if kind not in _KINDS:
        raise Refused(f"resourceType must be one of {', '.join(_KINDS)}.")
    given = body.get("fileFormat")
    file_format = _FORMATS.get(given.lower()) if isinstance(given, str) else None
    if file_format is None:
        raise Refused(f"fileFormat must be one of {', '.join(_FORMATS)}.")
    try:
        addresses = tuple(parse_addresses(body.get("mailIds")))
    except DashboardsError as error:
        raise Refused(f"mailIds: {error.message}") from error
    execute = flag(body, "execute", default=False)
    macros, arguments = arguments_of(body, nominal)
    if arguments and not execute:
        raise Refused("arguments need execute: true; a conversion does not run the notebook.")
    return ConvertRequest(
        resource_id=resource_id,
        resource_type=kind,
        file_format=file_format,
        show_code=flag(body, "showCode", default=False),
        mail_ids=body.get("mailIds"),
        addresses=addresses,
        execute=execute,
        macros=macros,
        arguments=arguments,
        label=text(body, "label"),
        name=name_of(body),
        tags=tags_of(body),
        timeout=number(body, "timeout", least=1),
        retry=number(body, "retry", least=0, most=3) or 0,
        retry_delay=number(body, "retry_delay", least=0, most=60 * 24) or 0,
        priority=number(body, "priority", least=-100, most=100) or 0,
        can_notify=flag(body, "can_notify", default=False),
        pool=text(body, "pool"),
        idempotency_key=text({KEY_FIELD: key or body.get(KEY_FIELD)}, KEY_FIELD, MAX_KEY),
        request_hash=request_hash(body),
    )
