"""`/_api/sharing`: how a notebook is shared. API: "sharing" of the projects API (§1.7 of its specification)."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_markdown_cell

from tests.conftest import Write

from .callers import Callers

BOARD = "a folder/größe #1.ipynb"
FIELDS = {
    *("created_at", "enabled", "access_token", "settings", "password_required", "share_passwords"),
    *("live", "parameters", "frame_ancestors", "expires_at", "shared_url", "embedded_url"),
}
NEVER_SHARED = {
    "created_at": None,
    "enabled": False,
    "access_token": None,
    "settings": None,
    "password_required": False,
    "share_passwords": [],
    "live": True,
    "parameters": "",
    "frame_ancestors": [],
    "expires_at": None,
    "shared_url": None,
    "embedded_url": None,
}


# Fields, each with values that it cannot have.
WRONG = (
    *((name, value) for name in ("enabled", "password_required", "live") for value in ("yes", 1)),
    ("enabled", None),
    *(("parameters", value) for value in (None, 1, "a\nb", "x" * 4097)),
    *(("expires_at", value) for value in ("soon", 5, "2999-01-01T00:00:00")),
    *(
        ("frame_ancestors", value)
        for value in (
            None,
            "https://a.example",
            ["https://a.example; script-src *"],
            ["https://a.example https://b.example"],
            ["https://a.example,https://b.example"],
            ["https://a.example\n"],
            ["https://ä.example"],
            ["'self"],
            [""],
            [1],
            ["https://a.example"] * 51,
        )
    ),
)


class Sharing:
    """The sharing API of one notebook, as the owner."""

    def __init__(self, callers: Callers) -> None:
        self.callers = callers
        self.owner = callers.owner()

    async def ask(self, method: str, what: str = "", body: Any = None, path: str = BOARD) -> Any:
        return await self.owner.send(method, f"/_api/sharing{what}?path={quote(path)}", body)

    async def get(self) -> dict[str, Any]:
        return self.told(await self.ask("GET"))

    async def patch(self, **changes: Any) -> dict[str, Any]:
        return self.told(await self.ask("PATCH", body=changes))

    async def refresh(self, **changes: Any) -> dict[str, Any]:
        return self.told(await self.ask("POST", "/refresh", changes))

    async def add(self, **fields: Any) -> dict[str, Any]:
        response = await self.ask("POST", "/passwords", fields)
        assert response.code == 201, response.body
        assert response.headers["Cache-Control"] == "no-store"
        added: dict[str, Any] = json.loads(response.body)
        return added

    async def opens(self, token: str) -> bool:
        page = await self.callers.nobody().send("GET", f"/shared/{token}")
        assert page.code in (200, 404)
        return bool(page.code == 200)

    def told(self, response: Any) -> dict[str, Any]:
        assert response.code == 200, response.body
        assert response.headers["Cache-Control"] == "no-store"
        configuration: dict[str, Any] = json.loads(response.body)
        assert configuration.keys() == FIELDS
        return configuration


@pytest.fixture
def sharing(callers: Callers, write_notebook: Write, jp_root_dir: Path) -> Sharing:
    write_notebook(BOARD, new_markdown_cell("# Board"))
    (jp_root_dir / "a folder/pic.png").write_bytes(b"x")
    return Sharing(callers)


def refusal(response: Any) -> str:
    body = json.loads(response.body)
    assert response.code == 400
    assert body.keys() == {"message", "status"}
    message: str = body["message"]
    return message


async def test_a_configuration_is_made_on_the_fly_and_stored_once_changed(sharing: Sharing) -> None:
    assert await sharing.get() == NEVER_SHARED
    # Nothing was stored by that.
    assert await sharing.get() == NEVER_SHARED
    changed = await sharing.patch()
    assert {**changed, "created_at": None} == {
        **NEVER_SHARED,
        **{name: changed[name] for name in ("access_token", "shared_url", "embedded_url")},
    }
    assert await sharing.get() == changed


async def test_a_shared_notebook_has_a_token_and_two_addresses(
    sharing: Sharing, jp_http_port: int
) -> None:
    made = await sharing.patch(enabled=True)
    token = made["access_token"]
    # 22 random bytes.
    assert re.fullmatch(r"[\w-]{30}", token)
    assert made["created_at"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(made["created_at"])
    assert abs(age) < timedelta(minutes=2)
    base = f"http://127.0.0.1:{jp_http_port}/a%40b"
    assert made["shared_url"] == f"{base}/shared/{token}"
    assert made["embedded_url"] == f"{base}/embedded/{token}"
    assert await sharing.opens(token)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("enabled", True),
        ("password_required", True),
        ("live", False),
        ("parameters", "region=north&year=2026"),
        ("frame_ancestors", ["https://intranet.example.org", "'self'", "https:"]),
        ("expires_at", "2999-12-31T23:00:00Z"),
        ("settings", {"theme": "dark", "noHeader": True}),
    ],
)
async def test_a_patch_changes_what_it_names_and_nothing_else(
    sharing: Sharing, field: str, value: Any
) -> None:
    before = await sharing.patch()
    after = await sharing.patch(**{field: value})
    assert after == {**before, field: value}
    assert await sharing.get() == after
    assert await sharing.patch(unknown=1, access_token="mine", share_passwords=[1]) == after


async def test_what_was_set_can_be_taken_back(sharing: Sharing) -> None:
    before = await sharing.patch()
    await sharing.patch(
        settings={"legend": True}, expires_at="2999-01-01T00:00:00Z", parameters="a"
    )
    after = await sharing.patch(settings=None, expires_at=None, parameters="")
    assert after == before


async def test_known_settings_stay_and_others_are_dropped_without_a_word(sharing: Sharing) -> None:
    names = ("whitelabel", "noHeader", "showInspector", "legend", "detailed")
    known = {**dict.fromkeys(names, True), "hideExtraDetails": False}
    sent = {**known, "theme": "light", "unknown": True, "nothing": None}
    told = await sharing.patch(settings=sent)
    assert told["settings"] == {**known, "theme": "light"}
    for theme, kept in (
        ("dark", True),
        ("system", True),
        ("pink", False),
        (1, False),
        (None, False),
    ):
        told = await sharing.patch(settings={"theme": theme})
        assert told["settings"] == ({"theme": theme} if kept else {})
    assert (await sharing.patch(settings={"legend": "yes", "detailed": None}))["settings"] == {}
    assert (await sharing.patch(settings=None))["settings"] is None


@pytest.mark.parametrize("settings", ["dark", [], ["theme"], 1, True])
async def test_settings_that_are_no_object_are_400(sharing: Sharing, settings: Any) -> None:
    before = await sharing.patch(settings={"theme": "dark"})
    body = {"enabled": True, "settings": settings}
    assert refusal(await sharing.ask("PATCH", body=body)) == "Invalid settings format"
    for what in ("/refresh", "/passwords"):
        assert refusal(await sharing.ask("POST", what, body)) == "Invalid settings format"
    assert await sharing.get() == before


async def test_a_wrong_field_changes_nothing(sharing: Sharing) -> None:
    before = await sharing.patch()
    for field, value in WRONG:
        response = await sharing.ask("PATCH", body={"settings": {"legend": True}, field: value})
        assert field in refusal(response), value
        assert await sharing.get() == before


@pytest.mark.parametrize("what", ["", "/refresh", "/passwords"])
@pytest.mark.parametrize("body", ["{", "[1]", "x" * 70_000])
async def test_a_body_that_is_no_object_is_400(sharing: Sharing, what: str, body: str) -> None:
    refusal(await sharing.ask("POST" if what else "PATCH", what, body))


async def test_a_new_link_keeps_everything_else_and_the_old_one_for_a_while(
    sharing: Sharing,
) -> None:
    await sharing.patch(enabled=True, password_required=True, settings={"legend": True})
    await sharing.add(note="for the board")
    before = await sharing.get()
    after = await sharing.refresh()
    assert after["access_token"] != before["access_token"]
    names = ("access_token", "shared_url", "embedded_url")
    assert {**after, **{name: before[name] for name in names}} == before
    assert await sharing.get() == after
    assert await sharing.opens(before["access_token"])
    assert await sharing.opens(after["access_token"])


async def test_posts_change_what_the_api_document_says_they_may(sharing: Sharing) -> None:
    told = await sharing.refresh(enabled=True, settings={"theme": "dark"}, password_required=True)
    assert told["enabled"] is True
    assert told["settings"] == {"theme": "dark"}
    assert told["password_required"] is True
    told = await sharing.refresh(enabled=None, live=False, parameters="a=b")
    assert (told["enabled"], told["live"], told["parameters"]) == (True, True, "")
    told = await sharing.refresh(enabled=False, password_required=False)
    assert (told["enabled"], told["password_required"]) == (False, False)
    await sharing.add(enabled=True, settings={"legend": True}, password_required=True)
    told = await sharing.get()
    assert (told["enabled"], told["settings"]) == (True, {"legend": True})
    assert len(told["share_passwords"]) == 1


async def test_many_new_links_at_once_leave_one(sharing: Sharing) -> None:
    await sharing.patch(enabled=True)
    told = await asyncio.gather(*(sharing.refresh() for _ in range(20)))
    tokens = {each["access_token"] for each in told}
    assert len(tokens) == 20
    assert (await sharing.get())["access_token"] in tokens
    with sharing.callers.app.database.transaction(write=False) as session:
        present = session.connection().exec_driver_sql(
            "SELECT token FROM share_tokens WHERE expires_at IS NULL"
        )
        assert [token for (token,) in present] == [(await sharing.get())["access_token"]]


async def test_a_password_is_told_once(sharing: Sharing) -> None:
    await sharing.patch(password_required=True)
    added = await sharing.add(raw_password="open, sesame", note="for the board")
    assert added.keys() == {"id", "password", "note", "created_at", "created_by_email"}
    assert added["password"] == "open, sesame"
    assert added["note"] == "for the board"
    assert isinstance(added["id"], int)
    assert added["created_at"].endswith("Z")
    assert added["created_by_email"] == sharing.callers.app.access.token_user
    told = await sharing.get()
    del added["password"]
    assert told["share_passwords"] == [{**added, "is_active": True}]
    assert "open, sesame" not in json.dumps(told)


@pytest.mark.parametrize("body", [{}, {"raw_password": ""}, {"raw_password": None}, {"note": None}])
async def test_a_password_is_made_up_where_none_is_given(
    sharing: Sharing, body: dict[str, Any]
) -> None:
    await sharing.patch(enabled=True, password_required=True)
    made = [await sharing.add(**body) for _ in range(2)]
    assert made[0]["password"] != made[1]["password"]
    for each in made:
        assert re.fullmatch(r"[\w-]{22}", each["password"])
        assert each["note"] == ""


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"raw_password": "1234567"}, "at least 8 characters"),
        ({"raw_password": "x" * 1025}, "at most"),
        ({"raw_password": 12345678}, "texts"),
        ({"note": "x" * 101}, "100"),
        ({"note": 1}, "texts"),
    ],
)
async def test_a_bad_password_or_note_is_400(
    sharing: Sharing, body: dict[str, Any], word: str
) -> None:
    before = await sharing.patch()
    sent = {**body, "password_required": True}
    assert word in refusal(await sharing.ask("POST", "/passwords", sent))
    assert await sharing.get() == before
    await sharing.patch(password_required=True)
    await sharing.add(raw_password="12345678", note="x" * 100)


async def test_passwords_need_protection_first(sharing: Sharing) -> None:
    asked = ({}, {"raw_password": "open, sesame"}, {"password_required": False})
    for body in asked:
        response = await sharing.ask("POST", "/passwords", body)
        told = refusal(response)
        assert told == "Password protection must be enabled before creating passwords"
    assert (await sharing.get())["share_passwords"] == []


async def test_a_deleted_password_is_gone(sharing: Sharing) -> None:
    await sharing.patch(password_required=True)
    one, other = await sharing.add(), await sharing.add()
    response = await sharing.ask("DELETE", f"/passwords/{one['id']}")
    assert (response.code, response.body) == (204, b"")
    (left,) = (await sharing.get())["share_passwords"]
    assert left["id"] == other["id"]
    for number in (one["id"], 999, "9" * 30):
        response = await sharing.ask("DELETE", f"/passwords/{number}")
        assert response.code == 404
        assert json.loads(response.body)["message"] == "Password not found"


async def test_a_password_of_another_notebook_is_not_found(
    sharing: Sharing, write_notebook: Write
) -> None:
    write_notebook("other.ipynb", new_markdown_cell("# Other"))
    await sharing.patch(password_required=True)
    added = await sharing.add()
    response = await sharing.ask("DELETE", f"/passwords/{added['id']}", path="other.ipynb")
    assert response.code == 404
    assert len((await sharing.get())["share_passwords"]) == 1


@pytest.mark.parametrize("path", ["missing.ipynb", "a folder", "a folder/pic.png"])
async def test_only_notebooks_that_are_there_are_shared(sharing: Sharing, path: str) -> None:
    for method, what in (
        *(("GET", ""), ("PATCH", "")),
        *(("POST", "/refresh"), ("POST", "/passwords"), ("DELETE", "/passwords/1")),
    ):
        body = {} if method in ("PATCH", "POST") else None
        response = await sharing.ask(method, what, body, path=path)
        assert response.code == 404
        assert json.loads(response.body).keys() == {"message", "status"}


@pytest.mark.parametrize("path", ["", "..", "a folder/../x.ipynb", ".hidden.ipynb"])
async def test_a_path_that_is_none_is_400(sharing: Sharing, path: str) -> None:
    refusal(await sharing.ask("GET", path=path))


async def test_one_notebook_has_one_share_however_its_path_is_written(sharing: Sharing) -> None:
    made = await sharing.patch(enabled=True)
    for path in (BOARD.removesuffix(".ipynb"), f"/{BOARD}"):
        assert sharing.told(await sharing.ask("GET", path=path)) == made
