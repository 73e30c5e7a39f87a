"""A conversion that clients submit, read and checked. Pure. API: "Submit a Notebook Convert Command"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..conversion.converter import FileFormat
from ..errors import DashboardsError
from .mail import parse_addresses
from .submission import CommandRequest, Refused, fields_of, flag, number, with_macros

CONVERT = "NotebookConvertCommand"

_FORMATS: Mapping[str, FileFormat] = {"html": "html", "pdf": "pdf", "png": "png"}
_KINDS = ("Note", "NotebookDashboard")


@dataclass(frozen=True, kw_only=True)
class ConvertRequest(CommandRequest):
    """A notebook that is to be converted. `mail_ids` is what the answer echoes, `addresses` what it says."""

    resource_id: int
    resource_type: str
    file_format: FileFormat
    show_code: bool
    mail_ids: Any
    addresses: tuple[str, ...]
    execute: bool

    @property
    def command_type(self) -> str:
        return CONVERT

    def shown(self, notebook_id: int) -> dict[str, Any]:
        return {
            "resourceId": notebook_id,
            "resourceType": self.resource_type,
            "fileFormat": self.file_format,
            "showCode": self.show_code,
            "mailIds": self.mail_ids,
            "execute": self.execute,
            **({"arguments": dict(self.arguments)} if self.execute else {}),
            "retry": self.retry,
        }

    def own(self) -> dict[str, Any]:
        return {"addresses": list(self.addresses)}


def convert_request(
    body: Mapping[str, Any], key: str | None, *, nominal: datetime | None = None
) -> ConvertRequest:
    """The request of a body; `key` and `nominal` as for `fields_of`. Raises `Refused`."""
    resource_id = number(body, "resourceId", required=True, least=1)
    assert resource_id is not None
    kind = body.get("resourceType")
    if kind not in _KINDS:
        raise Refused(f"resourceType must be one of {', '.join(_KINDS)}.")
    given = body.get("fileFormat")
    file_format = _FORMATS.get(given.lower()) if isinstance(given, str) else None
    if file_format is None:
        raise Refused(f"fileFormat must be one of {', '.join(_FORMATS)}.")
    execute = flag(body, "execute", default=False)
    fields = fields_of(body, key, nominal)
    try:
        addresses = tuple(parse_addresses(with_macros(body.get("mailIds"), fields["macros"])))
    except DashboardsError as error:
        raise Refused(f"mailIds: {error.message}") from error
    if fields["arguments"] and not execute:
        raise Refused("arguments need execute: true; a conversion does not run the notebook.")
    return ConvertRequest(
        resource_id=resource_id,
        resource_type=kind,
        file_format=file_format,
        show_code=flag(body, "showCode", default=False),
        mail_ids=body.get("mailIds"),
        addresses=addresses,
        execute=execute,
        **fields,
    )
