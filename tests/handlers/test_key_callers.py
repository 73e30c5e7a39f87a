"""Programs with API keys: how a key is sent, what its scopes let it do, and that it ends at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell
from sqlalchemy import update

from jupyter_dashboards_api.database.tables import APIKey
from tests.conftest import Write
from tests.notebooks.archives import FORM, form, notebook_bytes

from .callers import SHARED, Callers
from .live import Join, is_ended, is_shut_out, start

KEYS = "/api/personal_api_keys"
PAGE = "/dashboards/sales/board"


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"AccessManager": {"check_interval": 0.2}}


@pytest.fixture
def board(write_notebook: Write) -> str:
    write_notebook(SHARED, new_code_cell("print('ran')"))
    return SHARED


async def new_key(callers: Callers, *scopes: str) -> tuple[str, str]:
    """The id and the secret of a key of the owner's."""
    body = {"label": "a", "scopes": scopes}
    response = await callers.owner().send("POST", KEYS, {**body, "scopes": list(scopes)})
    made = json.loads(response.body)
    return made["id"], made["value"]


def expire(app: Any, key_id: str) -> None:
    """Ends a key as time does: nobody in this process says so."""
    with app.database.transaction() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(APIKey).where(APIKey.id == key_id).values(expires_at=past))


async def test_a_key_is_sent_in_a_header_the_json_body_or_the_query(
    board: str, callers: Callers
) -> None:
    _, secret = await new_key(callers, "dashboard:read")
    nobody = callers.nobody()
    for headers in (
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"token {secret}"},
        {"Authorization": f"Basic {secret}"},
        {"X-AUTH-TOKEN": secret},
    ):
        assert (await nobody.send("GET", PAGE, headers=headers)).code == 200
        assert (await nobody.send("DELETE", "/_api/cache", headers=headers)).code == 403
    assert (await nobody.send("GET", f"{PAGE}?personal_api_key={secret}")).code == 200
    body = {"path": board, "session_id": "no id", "personal_api_key": secret}
    assert (await nobody.send("POST", "/_api/kernels", body)).code == 400
    assert (
        await nobody.send("POST", "/_api/kernels", {**body, "personal_api_key": ""})
    ).code == 401


async def test_only_the_first_key_that_is_found_is_tried(board: str, callers: Callers) -> None:
    _, right = await new_key(callers, "dashboard:read")
    for wrong in ("jda_wrong", "wrong"):
        header = {"Authorization": f"Bearer {wrong}"}
        query = f"?personal_api_key={right}"
        asked = {"path": board, "session_id": "no id"}
        nobody = callers.nobody()
        assert (await nobody.send("GET", PAGE + query, headers=header)).code == 302
        with_key = {**asked, "personal_api_key": right}
        response = await nobody.send("POST", "/_api/kernels", with_key, headers=header)
        assert response.code == 401
        response = await nobody.send(
            "POST", f"/_api/kernels{query}", {**asked, "personal_api_key": wrong}
        )
        assert response.code == 401
        good = {"Authorization": f"Bearer {right}"}
        response = await nobody.send("GET", f"{PAGE}?personal_api_key={wrong}", headers=good)
        assert response.code == 200


async def test_a_missing_scope_is_named(board: str, callers: Callers) -> None:
    client = await callers.key("dashboard:read", "notebook:write")
    for method, path, body, scope in (
        ("DELETE", "/_api/cache", None, "dashboard:write"),
        ("POST", "/_api/notebooks/new", "x", "dashboard:write"),
        ("DELETE", "/_api/notebooks/sales/board", None, "dashboard:write"),
        ("GET", f"/_api/sharing?path={board}", None, "sharing_configuration:read"),
        ("PATCH", f"/_api/sharing?path={board}", {}, "sharing_configuration:write"),
        ("GET", "/_api/activity", None, "activity_log:read"),
    ):
        response = await client.send(method, path, body)
        assert response.code == 403
        assert json.loads(response.body) == {
            "message": f"API key missing required scope '{scope}'",
            "status": 403,
        }
    assert (await callers.owner().send("GET", PAGE)).code == 200


async def test_write_includes_read_and_a_star_everything(board: str, callers: Callers) -> None:
    for scope in ("dashboard:write", "*"):
        client = await callers.key(scope)
        assert (await client.send("GET", PAGE)).code == 200
        uploaded = await client.send(
            "POST", "/_api/notebooks/new", form(("a.ipynb", notebook_bytes())), headers=FORM
        )
        assert uploaded.code == 201
    client = await callers.key("sharing_configuration:write")
    assert (await client.send("GET", f"/_api/sharing?path={board}")).code == 404
    client = await callers.key("sharing_configuration:write", "dashboard:read")
    assert (await client.send("GET", f"/_api/sharing?path={board}")).code == 200


async def test_a_key_to_view_opens_pages_and_runs_their_cells(
    board: str, callers: Callers, join: Join
) -> None:
    client = await callers.key("dashboard:read")
    for path in ("/dashboards", "/dashboards/sales", PAGE, "/dashboards-plain/sales/board"):
        assert (await client.send("GET", path)).code == 200
    kernel_id = await start(client, board)
    channel = await join(client, kernel_id)
    assert "ran" in await channel.run("0")
    assert (await client.send("GET", f"/_api/kernels/{kernel_id}")).code == 200
    # Another key's kernel is not this one's.
    other = await callers.key("dashboard:read")
    assert (await other.send("GET", f"/_api/kernels/{kernel_id}")).code == 404
    assert (await client.send("DELETE", f"/_api/kernels/{kernel_id}")).code == 204


async def test_a_key_is_nobody_to_the_server_itself(
    board: str, callers: Callers, jp_root_dir: Path
) -> None:
    _, secret = await new_key(callers, "dashboard:read")
    _, mighty = await new_key(callers, "*")
    asked = [
        *(("GET", f"/api/{name}") for name in ("contents", "kernels", "sessions", "terminals")),
        *(
            ("GET", f"/api/{name}")
            for name in ("kernelspecs", "me", "status", "nbconvert", "spec.yaml")
        ),
        ("GET", f"/api/contents/{board}"),
        ("PUT", "/api/contents/new.ipynb"),
        ("DELETE", f"/api/contents/{board}"),
        ("POST", "/api/kernels"),
        ("POST", "/api/sessions"),
        ("POST", "/api/shutdown"),
        ("GET", f"/files/{board}"),
        ("GET", f"/nbconvert/html/{board}"),
        ("GET", f"/view/{board}"),
        ("GET", "/metrics"),
        ("GET", "/tree"),
    ]
    for method, path in asked:
        body = "{}" if method in ("PUT", "POST") else None
        nobody = await callers.nobody().send(method, path, body)
        for key in (secret, mighty):
            ways = ({"Authorization": f"Bearer {key}"}, {"Authorization": f"token {key}"})
            for headers in (*ways, {"X-AUTH-TOKEN": key}):
                response = await callers.nobody().send(method, path, body, headers=headers)
                assert (response.code, response.body) == (nobody.code, nobody.body), path
            query = f"?personal_api_key={key}"
            response = await callers.nobody().send(method, path + query, body)
            assert response.code == nobody.code, path
            response = await callers.nobody().send(method, f"{path}?token={key}", body)
            assert response.code == nobody.code, path
    assert (jp_root_dir / board).exists()
    assert not (jp_root_dir / "new.ipynb").exists()


async def test_a_revoked_key_is_out_at_once(board: str, callers: Callers, join: Join) -> None:
    callers.app.access.check_interval = 600
    key_id, secret = await new_key(callers, "dashboard:read")
    client = callers.bearer(secret)
    kernel_id = await start(client, board)
    channel = await join(client, kernel_id)
    assert (await callers.owner().send("DELETE", f"{KEYS}/{key_id}")).code == 204
    assert (await client.send("GET", "/_api/labextensions")).code == 401
    assert (await client.send("GET", PAGE)).code == 302
    assert (await client.send("GET", f"/_api/kernels/{kernel_id}")).code == 401
    await is_shut_out(channel)
    await is_ended(callers.app, kernel_id)


async def test_a_key_that_has_lost_its_scope_is_out_at_once(
    board: str, callers: Callers, join: Join
) -> None:
    key_id, secret = await new_key(callers, "dashboard:read")
    client = callers.bearer(secret)
    channel = await join(client, await start(client, board))
    body = {"scopes": ["dashboard:write"]}
    assert (await callers.owner().send("PATCH", f"{KEYS}/{key_id}", body)).code == 200
    assert "ran" in await channel.run("0")
    body = {"scopes": ["notebook:read"]}
    assert (await callers.owner().send("PATCH", f"{KEYS}/{key_id}", body)).code == 200
    await is_shut_out(channel)
    assert (await client.send("GET", PAGE)).code == 403


async def test_an_expired_key_is_out(board: str, callers: Callers, join: Join) -> None:
    key_id, secret = await new_key(callers, "dashboard:read")
    client = callers.bearer(secret)
    channel = await join(client, await start(client, board))
    expire(callers.app, key_id)
    assert (await client.send("GET", "/_api/labextensions")).code == 401
    await is_shut_out(channel)


async def test_no_key_is_in_the_log(
    board: str, callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    key_id, secret = await new_key(callers, "dashboard:read")
    nobody, query = callers.nobody(), f"?personal_api_key={secret}"
    for path in (
        PAGE,
        "/dashboards/missing",
        "/_api/activity",
        "/_api/cache",
        "/nothing",
        "/api/me",
    ):
        await nobody.send("GET", path + query)
        referer = {"Referer": f"http://127.0.0.1{PAGE}{query}"}
        await nobody.send("GET", path, headers=referer)
        await callers.bearer(secret).send("GET", path)
    await nobody.send("GET", f"/_api/kernels/none/channels{query}")
    await nobody.send("POST", f"/login{query}", {"username": "x"})
    body = {"personal_api_key": secret}
    for sent in (body, json.dumps(body)[:-1]):
        await nobody.send("POST", "/_api/kernels", sent)
    await callers.owner().send("DELETE", f"{KEYS}/{key_id}")
    await nobody.send("GET", PAGE + query)
    assert "personal_api_key=[secret]" in caplog.text
    assert secret not in caplog.text
    assert secret[8:-4] not in caplog.text
