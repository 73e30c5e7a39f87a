"""What clients submit, read and checked. Pure. API: "Run a Notebook" of the commands API (§1.1, §1.2 of its specification).

Clients of ten years send numbers as texts, lists as texts with commas, and null for everything that they don't mean.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import DashboardsError, Unreadable
from .macros import Value, parsed_macros, resolved, substituted
from .models import DEFAULT_LABEL, Submission
from .parameters import parsed_arguments
from .webhooks import MAX_SECRET, MAX_URL, BadWebhook, checked_webhook

MAX_TEXT = 255
MAX_TAGS = 100
MAX_KEY = 128
MAX_PATH = 4096
_FORBIDDEN_IN_NAMES = re.compile(r"[&<>\"'\x00-\x1f\x7f-\x9f\u2028\u2029]")
KEY_FIELD = "idempotency_key"
CALLBACK_FIELDS = ("callback_url", "callback_secret")
SPARK, JUPYTER = "SparkCommand", "JupyterNotebookCommand"


class Refused(Unreadable):
    """The command can't be made as it is. 422; the message begins as the API documents it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Command type could not be created. Errors: {why}")


@dataclass(frozen=True, kw_only=True)
class CommandRequest(ABC):
    """What requests of all types have. `arguments` have the values of `macros` in their texts."""

    label: str | None
    name: str | None
    tags: tuple[str, ...]
    macros: Mapping[str, Value]
    arguments: Mapping[str, Any]
    timeout: int | None
    retry: int
    retry_delay: int
    priority: int
    can_notify: bool
    pool: str | None
    idempotency_key: str | None
    request_hash: str
    callback_url: str | None
    callback_secret: str | None = dataclasses.field(repr=False)

    @property
    @abstractmethod
    def command_type(self) -> str:
        """As the API calls it."""

    @abstractmethod
    def shown(self, notebook_id: int) -> dict[str, Any]:
        """What the API tells as `command`."""

    @abstractmethod
    def own(self) -> dict[str, Any]:
        """What else the runner of this type needs to know."""

    def submission(self, path: str, notebook_id: int, owner: str) -> Submission:
        """The command to store, of the notebook that lies at `path` now."""
        return Submission(
            command_type=self.command_type,
            owner=owner,
            path=path,
            notebook_id=notebook_id,
            payload={
                "command": self.shown(notebook_id),
                "argument_values": dict(self.arguments),
                "resolved_macros": dict(self.macros),
                "can_notify": self.can_notify,
                "pool": self.pool,
                **self.own(),
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
            callback_url=self.callback_url,
            callback_secret=self.callback_secret,
        )


def fields_of(body: Mapping[str, Any], key: str | None, nominal: datetime | None) -> dict[str, Any]:
    """The fields that all types of requests have. `key` is the idempotency key of a header. Raises `Refused`.

    `nominal` is the time that macros start from, with its zone; now if it is None.
    """
    macros, arguments = arguments_of(body, nominal)
    told = with_macros({name: body.get(name) for name in ("name", "tags", "tag")}, macros)
    return {
        "label": text(body, "label"),
        "name": name_of(told),
        "tags": tags_of(told),
        "macros": macros,
        "arguments": arguments,
        "timeout": number(body, "timeout", least=1),
        "retry": number(body, "retry", least=0, most=3) or 0,
        "retry_delay": number(body, "retry_delay", least=0, most=60 * 24) or 0,
        "priority": number(body, "priority", least=-100, most=100) or 0,
        "can_notify": flag(body, "can_notify", default=False),
        "pool": text(body, "pool"),
        "idempotency_key": text({KEY_FIELD: key or body.get(KEY_FIELD)}, KEY_FIELD, MAX_KEY),
        "request_hash": request_hash(body),
        **dict(zip(CALLBACK_FIELDS, callback_of(body), strict=True)),
    }


@dataclass(frozen=True, kw_only=True)
class RunRequest(CommandRequest):
    """A notebook that is to be run, by `note_id` or by `path`. `arguments_text` is what the answer echoes."""

    note_id: int | None
    path: str | None
    arguments_text: Any
    upload_to_source: bool
    upload_failures: bool

    @property
    def command_type(self) -> str:
        return SPARK if self.path is None else JUPYTER

    def shown(self, notebook_id: int) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "cmdline": None,
            "language": "notebook",
            "note_id": notebook_id,
            "program": None,
            "arguments": self.arguments_text,
            "user_program_arguments": None,
            "sql": None,
            "md_cmd": True,
            "app_id": None,
            "retry": self.retry,
        }
        if self.path is not None:
            shown |= {
                "path": self.path,
                "upload_to_source": self.upload_to_source,
                "retry_delay": self.retry_delay,
            }
        return shown

    def own(self) -> dict[str, Any]:
        return {
            "upload_to_source": self.upload_to_source,
            "upload_failures": self.upload_failures,
        }


def run_request(
    body: Mapping[str, Any], key: str | None, *, nominal: datetime | None = None
) -> RunRequest:
    """The request of a body; `key` and `nominal` as for `fields_of`. Raises `Refused`."""
    command_type = body.get("command_type")
    is_jupyter = command_type == JUPYTER
    if command_type not in (SPARK, JUPYTER):
        raise Refused(f"command_type {_shown(command_type)} is not supported.")
    note_id = None if is_jupyter else number(body, "note_id", required=True)
    path = text(body, "path", MAX_PATH) if is_jupyter else None
    if is_jupyter and (path is None or not path.endswith(".ipynb")):
        raise Refused("path must name a notebook, with its extension .ipynb.")
    language = body.get("language")
    if language not in (None, "", "notebook"):
        raise Refused(f"language {_shown(language)} is not supported; a notebook has its own.")
    fields = fields_of(body, key, nominal)
    if is_jupyter:
        fields["label"] = fields["label"] or DEFAULT_LABEL
    return RunRequest(
        note_id=note_id,
        path=path,
        arguments_text=body.get("arguments") or "",
        upload_to_source=flag(body, "upload_to_source", default=is_jupyter),
        upload_failures=flag(body, "upload_failures", default=False),
        **fields,
    )


def arguments_of(
    body: Mapping[str, Any], nominal: datetime | None = None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """The values of the macros, and the arguments with these in their texts. Raises `Refused`."""
    now = datetime.now(nominal.tzinfo if nominal is not None else UTC)
    try:
        macros = resolved(parsed_macros(body.get("macros")), nominal or now, now)
        arguments = parsed_arguments(body.get("arguments"))
    except DashboardsError as error:
        raise Refused(error.message) from error
    return macros, with_macros(arguments, macros)


def with_macros(value: Any, macros: Mapping[str, Value]) -> Any:
    """A JSON value with the macros' values in its texts. Raises `Refused` where it becomes too long."""
    try:
        return substituted(value, macros)
    except DashboardsError as error:
        raise Refused(error.message) from error


def _shown(value: Any) -> str:
    return json.dumps(value)[:100]


def text(body: Mapping[str, Any], field: str, longest: int = MAX_TEXT) -> str | None:
    """A field that is a text that can be stored. Raises `Refused`."""
    value = body.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refused(f"{field} must be a text.")
    if len(value) > longest:
        raise Refused(f"{field} must have at most {longest} characters.")
    if "\0" in value or not _is_utf8(value):
        raise Refused(f"{field} holds a character that can't be stored.")
    return value


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def name_of(body: Mapping[str, Any]) -> str | None:
    """The command's name. Raises `Refused`."""
    name = text(body, "name")
    if name is not None and _FORBIDDEN_IN_NAMES.search(name):
        raise Refused("name must not hold any of & < > \" ' and no line ends.")
    return name


def tags_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags of `tags` and, as the samples of the API spell it, `tag`: a list, or a text with commas."""
    items: list[str] = []
    for field in ("tags", "tag"):
        value = body.get(field)
        given = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
            raise Refused(f"{field} must be a list of texts.")
        items += given
    words = (word.strip() for item in items for word in item.split(","))
    tags = tuple(dict.fromkeys(filter(None, words)))
    if len(tags) > MAX_TAGS:
        raise Refused(f"tags must be at most {MAX_TAGS}.")
    for tag in tags:
        if len(tag) > MAX_TEXT or not tag.isprintable():
            raise Refused(f"A tag must have at most {MAX_TEXT} plain characters.")
    return tags


def number(
    body: Mapping[str, Any],
    field: str,
    *,
    required: bool = False,
    least: int = 0,
    most: int = 2**31 - 1,
) -> int | None:
    """A whole number, also as a text."""
    value = body.get(field)
    if value is None or value == "":
        if required:
            raise Refused(f"{field} is required.")
        return None
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,10}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refused(f"{field} must be a whole number from {least} to {most}.")
    return value


def callback_of(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Who is called at the end, and the secret that signs the call, made up where none is given. Raises `Refused`."""
    url = text(body, "callback_url", MAX_URL)
    secret = text(body, "callback_secret", MAX_SECRET)
    if url is None and secret is None:
        return None, None
    try:
        return checked_webhook(url, secret)
    except BadWebhook as error:
        raise Refused(f"callback_{error}") from error


def flag(body: Mapping[str, Any], field: str, *, default: bool) -> bool:
    """A field that says yes or no, also as a text. Raises `Refused`."""
    value = body.get(field)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise Refused(f"{field} must be true or false.")


def request_hash(body: Mapping[str, Any]) -> str:
    """Of what was asked for: the same key with another body is another command."""
    same = {name: value for name, value in body.items() if name != KEY_FIELD}
    return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
