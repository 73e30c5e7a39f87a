"""Values that no client should send, in each field and filter, with both databases: always the caller's fault."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write

from .command_client import CommandClient

NASTY: tuple[Any, ...] = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "x" * 300,
    "x" * 70_000,
    "'; DROP TABLE commands; --",
    "%s%(x)s{}",
    "\u202e\u2028",
    "1e999",
    "99999999999999999999",
    0,
    -1,
    2**31,
    2**63,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    True,
    [],
    [None],
    ["\0", 1],
    {},
    {"a": "\0"},
    {"a": 10**300, "b": 1e308},
    {"\0": 1},
    [[[[]]]],
)
FIELDS = (
    "command_type",
    "note_id",
    "language",
    "label",
    "name",
    "tags",
    "tag",
    "arguments",
    "timeout",
    "retry",
    "retry_delay",
    "priority",
    "can_notify",
    "pool",
    "idempotency_key",
    "macros",
    "program",
    "path",
)
FILTERS = (
    "page",
    "per_page",
    "all_users",
    "include_query_properties",
    "start_date",
    "end_date",
    "command_type",
    "status",
    "command_source",
    "name",
    "command_id",
    "qbol_user_id",
    "cluster_label",
    "tags",
    "note_id",
    "session_id",
)


@pytest.fixture
def extension_config(database_url: str) -> dict[str, Any]:
    return {"Database": {"url": database_url}}


async def test_no_value_of_a_field_is_the_server_s_fault(
    commands: CommandClient, write_notebook: Write
) -> None:
    write_notebook(
        "a.ipynb",
        new_code_cell("1"),
        kernelspec={"name": "python3", "display_name": "Python 3"},
    )
    note = await commands.note_id("a.ipynb")
    taken: set[int] = set()
    for kind in ("SparkCommand", "JupyterNotebookCommand", "NotebookConvertCommand"):
        good = {
            "command_type": kind,
            "note_id": note,
            "path": "a.ipynb",
            "resourceId": note,
            "resourceType": "Note",
            "fileFormat": "html",
        }
        convert = ("resourceId", "resourceType", "fileFormat", "showCode", "mailIds")
        for field in convert if kind == "NotebookConvertCommand" else FIELDS:
            for value in NASTY:
                response = await commands.ask("POST", "/commands", {**good, field: value})
                assert response.code in (200, 422), (kind, field, str(value)[:50], response.body)
                if response.code == 200:
                    taken.add(json.loads(response.body)["id"])
    assert len(taken) > 100
    # All that was stored can be shown.
    page: int | None = 1
    seen: list[int] = []
    while page is not None:
        answer = await commands.get(
            f"/commands?per_page=100&page={page}&include_query_properties=1"
        )
        seen += [command["id"] for command in answer["commands"]]
        page = answer["paging_info"]["next_page"]
    assert len(seen) == len(set(seen))
    assert set(seen) == taken


async def test_no_value_of_a_filter_is_the_server_s_fault(commands: CommandClient) -> None:
    for field in FILTERS:
        for value in NASTY:
            text = value if isinstance(value, str) else json.dumps(value)
            query = quote(text[:5000].encode(errors="replace"))
            response = await commands.ask("GET", f"/commands?{field}={query}")
            assert response.code in (200, 400), (field, text[:50], response.body)
