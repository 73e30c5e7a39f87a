"""What clients of the notebooks API send: JSON, or what its document shows in place of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from ..errors import InvalidRequest, TooLarge

MAX_BODY_BYTES = 1024 * 1024
MAX_IDS = 1000

_MAX_YAML_BYTES = 64 * 1024
"""It is read slowly."""

_IDS = ("nbk_ids", "nbkIds")
_NAMES = ("new_name", "notebook_name", "name")


def read_fields(data: bytes) -> dict[str, Any]:
    """The fields of a body: a JSON object, else a YAML flow mapping, whose values are all texts. Takes a while.

    The document's samples have names without quotes. Raises `InvalidRequest` and `TooLarge`.
    """
    if len(data) > MAX_BODY_BYTES:
        raise TooLarge(f"The body is larger than {MAX_BODY_BYTES} bytes.")
    text = data.strip()
    if not text:
        return {}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = _flow_mapping(text)
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return fields


class _Texts(yaml.BaseLoader):  # type: ignore[misc]
    """Without aliases: a few of them stand for more than the memory holds once somebody writes them out."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def _flow_mapping(text: bytes) -> Any:
    if text[:1] == b"{" and len(text) <= _MAX_YAML_BYTES:
        try:
            # Texts only: 12:30 would be a number of YAML, and some dates dates. No merging either, which can take for ever.
            fields = yaml.load(text, Loader=_Texts)  # noqa: S506
        except (yaml.YAMLError, ValueError, TypeError, RecursionError):
            fields = None
        if isinstance(fields, dict):
            return {name: None if text in ("null", "~") else text for name, text in fields.items()}
    raise InvalidRequest("The body is not JSON.")


def ids_of(fields: Mapping[str, Any]) -> list[Any]:
    """The ids of notebooks, in either spelling; none where none are given. Raises `InvalidRequest` for too many."""
    for name in _IDS:
        given = fields.get(name)
        ids = [given] if isinstance(given, str) and given else given
        if isinstance(ids, list) and ids:
            if len(ids) > MAX_IDS:
                raise InvalidRequest(f"At most {MAX_IDS} ids can be given at once.")
            return ids
    return []


def name_of(fields: Mapping[str, Any]) -> Any:
    """The new name, of whichever field has one; None where none has. The document doesn't say which it is."""
    for name in _NAMES:
        given = fields.get(name)
        if given is not None and not (isinstance(given, str) and not given.strip()):
            return given
    return None
