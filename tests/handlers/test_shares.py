"""`/shared/TOKEN` and `/embedded/TOKEN`, as a page and as `.json`, without a password.

API: "public viewer" of the projects API (§1.7 of its specification).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from nbformat.v4 import new_markdown_cell

from tests.conftest import Write
from tests.notebooks.archives import bundle_of

from .callers import Callers, page_config
from .shared import BOARD, FOLDER, SECRET, Link, told, write_board


@pytest.fixture
def board(write_notebook: Write) -> str:
    write_board(write_notebook)
    return BOARD


def directives(response: Any) -> dict[str, str]:
    policy = response.headers["Content-Security-Policy"]
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


@pytest.mark.parametrize("kind", ["shared", "embedded"])
async def test_a_link_shows_its_notebook_to_whoever_has_it(
    board: str, callers: Callers, kind: str
) -> None:
    token = (await Link.to(callers)).token
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "dashboards-share-x=y"}):
        page = await callers.nobody().send("GET", f"/{kind}/{token}", headers=headers)
        assert page.code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        assert b"s3cret prose" in page.body
        assert b"s3cret output" in page.body
    head = await callers.nobody().send("HEAD", f"/{kind}/{token}")
    assert (head.code, head.body) == (200, b"")


async def test_a_link_s_page_says_nothing_of_where_its_notebook_lies(
    board: str, callers: Callers
) -> None:
    link = await Link.to(callers)
    page = await link.get()
    config = page_config(page)
    assert config["path"] == ""
    assert config["live"] is True
    assert config["pageToken"]
    assert FOLDER.encode() not in told(page)
    assert quote(FOLDER).encode() not in told(page)
    # Nor of what else there is.
    assert b'href="/a%40b/dashboards' not in page.body
    assert b"/login" not in page.body


async def test_a_link_s_page_is_stored_and_found_nowhere_and_tells_its_address_to_nobody(
    board: str, callers: Callers
) -> None:
    link = await Link.to(callers)
    missing = Link(callers, "nothing", "")
    for response in [await each.get(form) for each in (link, missing) for form in ("", ".json")]:
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Robots-Tag"] == "noindex"
        assert response.headers["Cache-Control"] == "no-store"
    assert b'name="referrer" content="no-referrer"' in (await link.get()).body


async def gone(callers: Callers, how: str) -> Link:
    link = await Link.to(callers)
    if how == "disabled":
        await link.change(enabled=False)
    elif how == "expired":
        await link.change(expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    elif how == "deleted":
        response = await callers.owner().send("DELETE", f"/api/contents/{quote(link.path)}")
        assert response.code == 204
    elif how == "unknown":
        link.token = "x" * 30
    return link


@pytest.mark.parametrize("password", [False, True])
@pytest.mark.parametrize("how", ["unknown", "disabled", "expired", "deleted"])
async def test_a_link_to_nothing_is_404_as_a_page_and_as_json(
    board: str, callers: Callers, how: str, password: bool
) -> None:
    if password:
        await (await Link.to(callers)).add_password("open, sesame")
    link = await gone(callers, how)
    for kind in ("shared", "embedded"):
        path = f"/{kind}/{link.token}"
        for method, body in (("GET", None), ("HEAD", None), ("POST", {"password": "open, sesame"})):
            page = await callers.nobody().send(method, path, body)
            assert page.code == 404
            assert page.headers["Content-Type"].startswith("text/html")
            assert SECRET not in told(page)
            assert "dashboards-" not in str(page.headers.get_list("Set-Cookie"))
        payload = await callers.nobody().send("GET", f"{path}.json")
        assert payload.code == 404
        assert payload.headers["Content-Type"].startswith("application/json")
        assert json.loads(payload.body) == {
            "error": "There is nothing at this address, or not any more."
        }


@pytest.mark.parametrize(
    "address", [".", ".png", "/~/x", "/~", "x/y", "%2e%2e", ".json.", "//", "/..", "x" * 90]
)
async def test_addresses_near_a_link_s_are_nothing(
    board: str, callers: Callers, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    link = await Link.to(callers)
    for method in ("GET", "HEAD", "POST"):
        for kind in ("shared", "embedded"):
            body = {"password": ""} if method == "POST" else None
            response = await callers.nobody().send(method, f"/{kind}/{link.token}{address}", body)
            assert response.code == 404
            assert SECRET not in told(response)
    assert link.token not in caplog.text


async def test_a_slash_after_a_link_changes_nothing(
    board: str, callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    link = await Link.to(callers)
    assert b"s3cret prose" in (await link.get("/")).body
    assert json.loads((await link.get(".json/")).body)["type"] == "scene"
    assert link.token not in caplog.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_405_locked_or_not(
    board: str, callers: Callers, method: str
) -> None:
    link = await Link.to(callers)
    body = "{}" if method in ("PUT", "PATCH") else None
    for locked in (False, True):
        if locked:
            await link.add_password("open, sesame")
        for form in ("", ".json"):
            response = await callers.nobody().send(method, f"/shared/{link.token}{form}", body)
            assert response.code == 405
            assert SECRET not in told(response)


@pytest.mark.parametrize(("kind", "type_"), [("shared", "scene"), ("embedded", "embed")])
async def test_the_payload_is_the_notebook_for_programs(
    board: str, callers: Callers, kind: str, type_: str
) -> None:
    link = await Link.to(callers, settings={"theme": "dark", "noHeader": True, "legend": False})
    for path, accept in (
        (f"/{kind}/{link.token}.json", "*/*"),
        (f"/{kind}/{link.token}", "application/json"),
    ):
        response = await callers.nobody().send("GET", path, headers={"Accept": accept})
        assert response.code == 200
        assert response.headers["Content-Type"].startswith("application/json")
        payload = json.loads(response.body)
        assert payload.keys() == {"type", "accessToken", "notebook", "theme", "noHeader", "legend"}
        assert payload["type"] == type_
        assert payload["accessToken"] == link.token
        assert (payload["theme"], payload["noHeader"], payload["legend"]) == ("dark", True, False)
        notebook = payload["notebook"]
        assert notebook.keys() == {"short_id", "title", "content", "text_content"}
        assert notebook["short_id"].isalnum()
        assert len(notebook["short_id"]) == 8
        assert notebook["title"] == "s3cret title"
        assert notebook["text_content"] is None


async def test_the_payload_has_outputs_and_prose_and_no_source_and_no_traceback(
    board: str, callers: Callers
) -> None:
    response = await (await Link.to(callers)).get(".json")
    cells = json.loads(response.body)["notebook"]["content"]["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code"]
    assert "s3cret prose" in cells[0]["html"]
    outputs = json.dumps(cells[1]["outputs"])
    assert "s3cret output" in outputs
    assert "<b>s3cret bold</b>" in outputs
    assert "data:image/png;base64," in outputs
    for hidden in ("s3cret_", "import os", "source", "onclick", "<script", FOLDER):
        assert hidden not in response.body.decode(), hidden


async def test_a_notebook_without_a_title_is_called_by_its_name(
    callers: Callers, write_notebook: Write
) -> None:
    write_notebook("sales/board one.ipynb", new_markdown_cell("text"))
    response = await (await Link.to(callers, "sales/board one.ipynb")).get(".json")
    assert json.loads(response.body)["notebook"]["title"] == "board one"


async def test_settings_change_the_page(board: str, callers: Callers) -> None:
    link = await Link.to(callers)
    plain, bar = await link.get(), b'<nav class="dash-bar'
    await link.change(settings={"noHeader": True, "theme": "dark"})
    changed = await link.get()
    assert b'data-theme="auto"' in plain.body
    assert b'data-theme="dark"' in changed.body
    assert page_config(plain)["plain"] is False
    assert page_config(changed)["plain"] is True
    assert bar not in changed.body


async def test_who_may_frame_a_link_is_its_own_setting(
    board: str, callers: Callers, dashboards: Any
) -> None:
    dashboards.frame_ancestors = ["https://server.example"]
    link = await Link.to(callers)
    for kind, ancestors in (("shared", "'self'"), ("embedded", "https://server.example")):
        page = await callers.nobody().send("GET", f"/{kind}/{link.token}")
        assert directives(page)["frame-ancestors"] == ancestors
    await link.change(frame_ancestors=["https://intranet.example.org", "https://b.example"])
    await link.add_password("open, sesame")
    client = callers.nobody()
    for _ in range(2):
        for kind in ("shared", "embedded"):
            page = await client.send("GET", f"/{kind}/{link.token}")
            assert (
                directives(page)["frame-ancestors"]
                == "https://intranet.example.org https://b.example"
            )
        # The same once it is open.
        await link.guess("open, sesame", client)


async def test_a_renamed_notebook_keeps_its_link_and_a_deleted_one_loses_it(
    board: str, callers: Callers, write_notebook: Write
) -> None:
    link, owner = await Link.to(callers), callers.owner()
    for old, new in ((BOARD, "moved.ipynb"), ("moved.ipynb", f"{FOLDER}/again.ipynb")):
        response = await owner.send("PATCH", f"/api/contents/{quote(old)}", {"path": new})
        assert response.code == 200
        assert b"s3cret prose" in (await link.get()).body
        # What lies at the old path now is another notebook.
        write_notebook(old, new_markdown_cell("something else"))
        assert b"something else" not in (await link.get()).body
    response = await owner.send("PATCH", f"/api/contents/{quote(FOLDER)}", {"path": "elsewhere"})
    assert response.code == 200
    assert b"s3cret prose" in (await link.get()).body
    assert (await owner.send("DELETE", "/api/contents/elsewhere/again.ipynb")).code == 204
    assert (await link.get()).code == 404
    write_notebook("elsewhere/again.ipynb", new_markdown_cell("something else"))
    assert (await link.get()).code == 404


async def test_an_upload_over_a_shared_notebook_is_shown_by_its_link(
    board: str, callers: Callers, upload: Any
) -> None:
    link = await Link.to(callers)
    response = await upload(quote(FOLDER), ("a.zip", bundle_of("new text")))
    assert response.code == 201
    page = await link.get()
    assert b"new text" in page.body


async def test_no_token_of_a_link_is_in_the_log(
    board: str,
    callers: Callers,
    caplog: pytest.LogCaptureFixture,
    dashboards: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = await Link.to(callers)
    await link.add_password("open, sesame")
    client = callers.nobody()
    for kind in ("shared", "embedded"):
        path = f"/{kind}/{link.token}"
        for form in ("", ".json", "?view=x", "?personal_api_key=x", "?x=%ff", "/~/a.b.c/pic.png"):
            await client.send("GET", path + form)
            await client.send("HEAD", path + form)
        for body in (
            '{"password": "open, sesame"}',
            '{"password": "wrong pass"}',
            "{",
            "x" * 20_000,
        ):
            await client.send("POST", path, body)
        await client.send("DELETE", path)
        await client.send("GET", path)
        await callers.nobody().send(
            "GET", "/dashboards", headers={"Referer": f"http://127.0.0.1/a%40b{path}"}
        )
    with monkeypatch.context() as patch:
        # An error of the server's, and one more when that is to be told.
        templates = dashboards.serverapp.web_app.settings["dashboards_jinja2_env"]
        patch.setattr(templates, "get_template", None)
        assert (await client.send("GET", f"/shared/{link.token}")).code == 500
    assert "Traceback" in caplog.text
    await link.ask("POST", "/refresh", {})
    await link.change(enabled=False)
    await client.send("GET", f"/shared/{link.token}")
    assert "/shared/[secret]" in caplog.text
    assert "/embedded/[secret]" in caplog.text
    assert link.token not in caplog.text
    assert "open, sesame" not in caplog.text
    assert "wrong pass" not in caplog.text
    assert not [name for name in client.cookies.values() if name in caplog.text]
