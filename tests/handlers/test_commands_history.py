"""`GET /api/v1.2/commands`: the history of a running server, with its pages and filters."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.commands.models import Submission
from jupyter_dashboards_api.commands.wire import user_id
from tests.conftest import Write

from .command_client import CommandClient, error_of

Add = Callable[..., Awaitable[int]]


@pytest.fixture
def add(dashboards: Any) -> Add:
    """Stores a command that waits, and gives its id."""

    async def store(**fields: Any) -> int:
        known = {
            "command_type": "SparkCommand",
            "owner": dashboards.access.token_user,
            "path": "a.ipynb",
            "notebook_id": None,
            "payload": {"command": {}},
            "request_hash": "",
        }
        command, _ = await dashboards.commands.store.submit(Submission(**{**known, **fields}))
        return int(command.id)

    return store


async def ids(commands: CommandClient, query: str = "") -> list[int]:
    return [each["id"] for each in (await commands.get(f"/commands?{query}"))["commands"]]


async def test_an_empty_history_is_a_page_without_neighbours(commands: CommandClient) -> None:
    assert await commands.get("/commands") == {
        "commands": [],
        "paging_info": {"previous_page": None, "next_page": None, "per_page": 10},
    }


async def test_the_newest_command_comes_first_and_pages_follow_each_other(
    commands: CommandClient, add: Add
) -> None:
    made = [await add() for _ in range(5)]
    first = await commands.get("/commands?per_page=2")
    assert [each["id"] for each in first["commands"]] == made[:2:-1]
    assert first["paging_info"] == {"previous_page": None, "next_page": 2, "per_page": 2}
    last = await commands.get("/commands/?per_page=2&page=3")
    assert [each["id"] for each in last["commands"]] == made[:1]
    assert last["paging_info"] == {"previous_page": 2, "next_page": None, "per_page": 2}
    beyond = await commands.get("/commands?per_page=100&page=1000")
    assert beyond["commands"] == []


async def test_others_commands_are_shown_to_who_asks_for_them(
    commands: CommandClient, add: Add
) -> None:
    mine, theirs = await add(), await add(owner="bob")
    assert await ids(commands) == [mine]
    assert await ids(commands, "all_users=0") == [mine]
    assert await ids(commands, "all_users=1") == [theirs, mine]
    assert await ids(commands, f"qbol_user_id={user_id('bob')}") == [theirs]
    assert await ids(commands, "qbol_user_id=1000001") == []
    # These two have the same number.
    assert user_id("user310") == user_id("user1242")
    one, other = await add(owner="user310"), await add(owner="user1242")
    assert await ids(commands, f"qbol_user_id={user_id('user310')}") == [other, one]
    # One command may be read by anyone who may read commands.
    assert (await commands.get(f"/commands/{theirs}"))["user_id"] == user_id("bob")


async def test_tags_are_shown_when_they_are_asked_for_and_are_found(
    commands: CommandClient, add: Add
) -> None:
    both, one = await add(tags=("a", "b c")), await add(tags=("ab",))
    for yes in ("true", "True"):
        shown = await commands.get(f"/commands?include_query_properties={yes}")
        assert [each["tags"] for each in shown["commands"]] == [["ab"], ["a", "b c"]]
        assert all(each["comments"] == each["user_actions"] == [] for each in shown["commands"])
    assert "tags" not in (await commands.get("/commands"))["commands"][0]
    assert "tags" not in await commands.get(f"/commands/{one}?include_query_properties=false")
    assert (await commands.get(f"/commands/{one}?include_query_properties=True"))["tags"] == ["ab"]
    assert await ids(commands, "tags=a") == [both]
    assert await ids(commands, "tags=a,b%20c") == [both]
    assert await ids(commands, "tags=%25") == []
    assert await ids(commands, "tags=A") == []
    assert await ids(commands, "tags=A,a") == []


async def test_each_filter_finds_its_own(
    commands: CommandClient, add: Add, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_code_cell("1"))
    note = await commands.note_id("a.ipynb")
    plain = await add()
    special = await add(
        command_type="NotebookConvertCommand",
        name="a name",
        label="spark1",
        source="SCHEDULED",
        notebook_id=note,
    )
    for query in (
        "command_type=NotebookConvertCommand",
        "command_type=NotebookConvertCommand,HiveCommand",
        "name=a%20name",
        "cluster_label=spark1",
        "command_source=SCHEDULED",
        f"note_id={note}",
        f"command_id={special}",
    ):
        assert await ids(commands, query) == [special], query
    assert await ids(commands, "status=waiting") == [special, plain]
    assert await ids(commands, "status=done,error") == []
    assert await ids(commands, "session_id=5") == []


async def test_dates_are_inclusive_and_the_last_thirty_days_are_the_default(
    commands: CommandClient, add: Add
) -> None:
    made = await add()
    created = (await commands.get(f"/commands/{made}"))["created_at"]
    today = datetime.now(UTC).date()
    tomorrow, yesterday = today + timedelta(days=1), today - timedelta(days=1)
    assert await ids(commands, f"start_date={created}&end_date={created}") == [made]
    assert await ids(commands, f"start_date={yesterday}&end_date={tomorrow}") == [made]
    assert await ids(commands, f"start_date={tomorrow}") == []
    assert await ids(commands, "end_date=2012-07-01T00:00Z") == []
    assert await ids(commands, "end_date=0001-01-01") == []


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "per_page=-1", "status=gone", "end_date=now", "command_id=9999999999"],
)
async def test_a_bad_filter_is_400_in_the_api_s_shape(commands: CommandClient, query: str) -> None:
    message = error_of(await commands.ask("GET", f"/commands?{query}"), 400)
    assert query.partition("=")[0] in message


@pytest.mark.parametrize(
    ("query", "status"),
    [("name=%ff", 400), ("name=%00", 200), ("tags=%00", 200), ("cluster_label=a%00", 200)],
)
async def test_no_bytes_of_a_filter_are_the_server_s_fault(
    commands: CommandClient, query: str, status: int
) -> None:
    assert (await commands.ask("GET", f"/commands?{query}")).code == status


async def test_arguments_of_other_apis_are_left_alone(commands: CommandClient, add: Add) -> None:
    made = await add()
    response = await commands.ask("GET", "/commands?unknown=1&sort=id")
    assert [each["id"] for each in json.loads(response.body)["commands"]] == [made]
