"""`/_api/activity`: what was done, newest first, in pages. API: "activity" of the projects API (§1.6)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_markdown_cell

from tests.conftest import Write
from tests.notebooks.archives import bundle_of, notebook_bytes

from .callers import Callers

BOARD = "a folder/größe #1.ipynb"


@pytest.fixture
def board(write_notebook: Write) -> str:
    write_notebook(BOARD, new_markdown_cell("# Board"))
    return BOARD


async def log(callers: Callers, query: str = "") -> dict[str, Any]:
    response = await callers.owner().send("GET", f"/_api/activity{query}")
    assert response.code == 200, response.body
    assert response.headers["Cache-Control"] == "no-store"
    page: dict[str, Any] = json.loads(response.body)
    assert page.keys() == {"results", "next", "previous", "total_count"}
    return page


async def fill(callers: Callers, count: int, path: str = "a.ipynb") -> None:
    for number in range(count):
        await callers.app.access.activities.record(
            "upload", "somebody", path=path, detail={"number": number}
        )


def numbers(page: dict[str, Any]) -> list[int]:
    return [each["detail"]["number"] for each in page["results"]]


async def test_an_entry_says_who_did_what_to_what_and_when(
    board: str, callers: Callers, upload: Any, delete: Any
) -> None:
    assert (await upload("new", ("a.ipynb", notebook_bytes()))).code == 201
    assert (await delete("new")).code == 204
    deleted, uploaded = (await log(callers))["results"]
    for entry, activity in ((deleted, "delete"), (uploaded, "upload")):
        assert entry.keys() == {"id", "activity", "user", "path", "detail", "created_at"}
        assert re.fullmatch(r"[0-9a-f]{32}", entry["id"])
        assert entry["activity"] == activity
        assert entry["user"] == {"first_name": callers.app.access.token_user, "email": None}
        assert entry["path"] == "new.ipynb"
        assert entry["created_at"].endswith("Z")
        age = datetime.now(UTC) - datetime.fromisoformat(entry["created_at"])
        assert timedelta(0) <= age < timedelta(minutes=2)
    assert deleted["id"] != uploaded["id"]


async def test_a_bundle_is_named_by_its_notebook(
    upload: Any, delete: Any, callers: Callers
) -> None:
    await upload("bundle", ("a.zip", bundle_of("text", hello_txt="hi")))
    await delete("bundle")
    for each in (await log(callers))["results"]:
        assert each["path"] == "bundle/index.ipynb"


async def test_what_is_done_to_keys_and_links_is_in_the_log(board: str, callers: Callers) -> None:
    owner, sharing = callers.owner(), f"?path={quote(board)}"
    body = {"label": "nightly", "scopes": ["dashboard:read"]}
    made = json.loads((await owner.send("POST", "/api/personal_api_keys", body)).body)
    await owner.send(
        "PATCH", f"/_api/sharing{sharing}", {"enabled": True, "password_required": True}
    )
    await owner.send("POST", f"/_api/sharing/refresh{sharing}", {})
    added = await owner.send("POST", f"/_api/sharing/passwords{sharing}", {"note": "for the board"})
    number = json.loads(added.body)["id"]
    await owner.send("DELETE", f"/_api/sharing/passwords/{number}{sharing}")
    await owner.send("DELETE", f"/api/personal_api_keys/{made['id']}")
    entries = (await log(callers))["results"][::-1]
    assert [(each["activity"], each["path"], each["detail"]) for each in entries] == [
        (
            "key_created",
            "",
            {"key_id": made["id"], "label": "nightly", "scopes": ["dashboard:read"]},
        ),
        ("share_changed", board, {"fields": ["enabled", "password_required"]}),
        ("share_changed", board, {"fields": ["access_token"]}),
        ("share_changed", board, {"fields": ["share_passwords"]}),
        ("share_changed", board, {"fields": ["share_passwords"]}),
        ("key_revoked", "", {"key_id": made["id"]}),
    ]
    told = json.dumps(entries)
    assert made["value"] not in told
    assert json.loads(added.body)["password"] not in told


@pytest.mark.parametrize("extension_config", [{}, {"DashboardsApp": {"root": "a folder"}}])
async def test_attempts_to_open_a_link_are_in_the_log(board: str, callers: Callers) -> None:
    root = callers.app.root
    path = board.removeprefix(f"{root}/") if root else board
    token = await callers.share(quote(path), password_required=True)
    body = {"raw_password": "open, sesame", "note": "for the board"}
    added = await callers.owner().send("POST", f"/_api/sharing/passwords?path={quote(path)}", body)
    number = json.loads(added.body)["id"]
    for password in ("wrong", "open, sesame"):
        await callers.nobody().send("POST", f"/shared/{token}", {"password": password})
    # Found by the notebook's path, as everything else about it.
    right, wrong = (await log(callers, f"?path={quote(path)}"))["results"][:2]
    attempt = {
        "access_token_suffix": token[-6:],
        "client_ip": "127.0.0.1",
        "resource_type": "notebook",
    }
    assert wrong["activity"] == "share_login_failed"
    assert wrong["detail"]["authentication_attempt"] == {
        **attempt,
        "success": False,
        "password_id": None,
        "password_note": None,
    }
    assert right["activity"] == "share_login_success"
    assert right["detail"]["authentication_attempt"] == {
        **attempt,
        "success": True,
        "password_id": number,
        "password_note": "for the board",
    }
    assert right["user"]["first_name"] == wrong["user"]["first_name"] == "visitor"
    assert right["path"] == wrong["path"] == path
    assert token not in json.dumps([right, wrong])


async def test_pages_are_of_ten_the_newest_first(callers: Callers) -> None:
    await fill(callers, 23)
    seen, page, query = [], await log(callers), ""
    assert page["previous"] is None
    for expected in (list(range(22, 12, -1)), list(range(12, 2, -1)), [2, 1, 0]):
        page = await log(callers, query)
        assert page["total_count"] == 23
        assert numbers(page) == expected
        seen.append(page)
        query = (page["next"] or "").partition("/_api/activity")[2]
    assert [bool(each["next"]) for each in seen] == [True, True, False]
    assert [bool(each["previous"]) for each in seen] == [False, True, True]
    back = await log(callers, seen[1]["previous"].partition("/_api/activity")[2])
    assert back == seen[0]


async def test_next_and_previous_are_whole_addresses(callers: Callers, jp_http_port: int) -> None:
    await fill(callers, 5, BOARD)
    page = await log(callers, f"?limit=2&page=2&path={quote(BOARD)}")
    base = f"http://127.0.0.1:{jp_http_port}/a%40b/_api/activity?"
    for name, number in (("next", 3), ("previous", 1)):
        assert page[name].startswith(base)
        assert f"page={number}" in page[name]
        assert "limit=2" in page[name]
        other = await log(callers, page[name].partition("/_api/activity")[2])
        assert numbers(other) == {3: [0], 1: [4, 3]}[number]


async def test_the_log_of_one_notebook_is_that_alone(callers: Callers) -> None:
    await fill(callers, 2, "a.ipynb")
    await fill(callers, 3, "b.ipynb")
    assert (await log(callers))["total_count"] == 5
    page = await log(callers, "?path=a.ipynb")
    assert (page["total_count"], numbers(page)) == (2, [1, 0])
    assert (await log(callers, "?path=/a.ipynb"))["total_count"] == 2
    assert (await log(callers, "?path=c.ipynb"))["results"] == []


async def test_beyond_the_end_there_is_nothing(callers: Callers) -> None:
    await fill(callers, 3)
    for query in ("?page=9", "?page=999999999", "?limit=3&page=2"):
        page = await log(callers, query)
        assert page["results"] == []
        assert page["next"] is None
        assert page["total_count"] == 3
    assert len((await log(callers, "?limit=999999"))["results"]) == 3


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "page=0", "page=1.5", "page=", "page=%C2%B2", "path=.."],
)
async def test_a_wrong_query_is_400(callers: Callers, query: str) -> None:
    response = await callers.owner().send("GET", f"/_api/activity?{query}")
    assert response.code == 400
    assert json.loads(response.body).keys() == {"message", "status"}


async def test_the_log_needs_its_scope(board: str, callers: Callers) -> None:
    assert (
        await (await callers.key("activity_log:read")).send("GET", "/_api/activity")
    ).code == 200
    assert (await (await callers.key("notebook:write")).send("GET", "/_api/activity")).code == 403
    assert (await (await callers.viewer("ann")).send("GET", "/_api/activity")).code == 403


async def test_a_refused_request_is_not_in_the_log(board: str, callers: Callers) -> None:
    for client in (
        callers.nobody(),
        await callers.viewer("ann"),
        await callers.key("dashboard:read"),
    ):
        await client.send("PATCH", f"/_api/sharing?path={quote(board)}", {"enabled": True})
        await client.send("POST", "/api/personal_api_keys", {"label": "a", "scopes": ["*"]})
    await callers.owner().send("PATCH", f"/_api/sharing?path={quote(board)}", {"enabled": "yes"})
    assert (await log(callers))["results"] == []
