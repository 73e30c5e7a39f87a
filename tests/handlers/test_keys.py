"""`/api/personal_api_keys`: making, seeing, changing and revoking API keys. API: §2 of the projects API's specification."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .callers import Callers

KEYS = "/api/personal_api_keys"
FIELDS = {
    *("id", "label", "value", "mask_value", "created_at"),
    *("last_used_at", "expires_at", "user_id", "scopes"),
}
SOON = (datetime.now(UTC) + timedelta(days=1)).isoformat()


# Wrong fields, each with the code and the field of the answer.
WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"label": ""}, "blank", "label"),
    ({"label": "  "}, "blank", "label"),
    ({"label": "x" * 41}, "max_length", "label"),
    ({"label": "a\nb"}, "invalid_input", "label"),
    ({"label": 1}, "invalid_input", "label"),
    ({"label": None}, "null", "label"),
    ({"scopes": None}, "null", "scopes"),
    ({"scopes": "dashboard:read"}, "not_a_list", "scopes"),
    ({"scopes": {}}, "not_a_list", "scopes"),
    ({"scopes": [1]}, "invalid_input", "scopes"),
    ({"scopes": []}, "invalid_input", "scopes"),
    ({"scopes": ["dashboard:read", "dashboard"]}, "invalid_input", "scopes"),
    ({"scopes": ["label:read"]}, "invalid_input", "scopes"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_input", "expires_at"),
    ({"expires_at": "2999-01-01T00:00:00"}, "invalid_input", "expires_at"),
    ({"expires_at": "tomorrow"}, "invalid_input", "expires_at"),
    ({"expires_at": 5}, "invalid_input", "expires_at"),
)


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"AccessManager": {"max_keys": 3, "token_user": "the operator"}}


async def make(callers: Callers, **fields: Any) -> dict[str, Any]:
    body = {"label": "nightly", "scopes": ["dashboard:read"], **fields}
    response = await callers.owner().send("POST", KEYS, body)
    assert response.code == 201, response.body
    made: dict[str, Any] = json.loads(response.body)
    return made


def fault(response: Any) -> tuple[int, str, str | None]:
    """Status, code and field of a field's error."""
    body = json.loads(response.body)
    assert body.keys() == {"type", "code", "detail", "attr"}
    assert body["type"] == "validation_error"
    assert isinstance(body["detail"], str)
    return response.code, body["code"], body["attr"]


async def test_a_new_key_s_secret_is_shown_this_once(callers: Callers) -> None:
    response = await callers.owner().send(
        "POST", KEYS, {"label": " nightly ", "scopes": ["notebook:read", "dashboard:write"]}
    )
    assert response.code == 201
    assert response.headers["Cache-Control"] == "no-store"
    made = json.loads(response.body)
    assert made.keys() == FIELDS
    assert made["label"] == "nightly"
    assert sorted(made["scopes"]) == ["dashboard:write", "notebook:read"]
    assert re.fullmatch(r"jda_[\w-]{43}", made["value"])
    assert made["user_id"] == "the operator"
    assert made["created_at"].endswith("Z")
    datetime.fromisoformat(made["created_at"])
    assert made["last_used_at"] is None
    assert made["expires_at"] is None
    seen = json.loads((await callers.owner().send("GET", f"{KEYS}/{made['id']}")).body)
    assert seen == {**made, "value": None}
    listed = json.loads((await callers.owner().send("GET", KEYS)).body)
    assert listed == [seen]
    everything = json.dumps([seen, listed])
    assert made["value"] not in everything


async def test_a_mask_tells_keys_apart_and_is_no_secret(callers: Callers) -> None:
    one, other = await make(callers), await make(callers)
    assert one["mask_value"] != other["mask_value"]
    for key in (one, other):
        shown = key["mask_value"].split("…")
        assert key["value"].startswith(shown[0])
        assert key["value"].endswith(shown[1])
        assert len("".join(shown)) <= 12


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_trailing_slash_changes_nothing(callers: Callers, slash: str) -> None:
    owner = callers.owner()
    body = {"label": "a", "scopes": ["*"]}
    response = await owner.send("POST", KEYS + slash, body)
    assert response.code == 201
    key = f"{KEYS}/{json.loads(response.body)['id']}{slash}"
    assert (await owner.send("GET", KEYS + slash)).code == 200
    assert (await owner.send("GET", key)).code == 200
    assert (await owner.send("PATCH", key, {"label": "b"})).code == 200
    assert (await owner.send("DELETE", key)).code == 204


async def test_a_key_s_last_use_is_told(callers: Callers) -> None:
    made = await make(callers)
    assert (await callers.bearer(made["value"]).send("GET", "/_api/labextensions")).code == 200
    (seen,) = json.loads((await callers.owner().send("GET", KEYS)).body)
    assert seen["last_used_at"].endswith("Z")


async def test_a_change_leaves_the_other_fields_and_the_secret(callers: Callers) -> None:
    made = await make(callers)
    path, owner = f"{KEYS}/{made['id']}", callers.owner()
    for body, changed in (
        ({}, {}),
        ({"label": "weekly"}, {"label": "weekly"}),
        ({"scopes": ["*"]}, {"scopes": ["*"]}),
        ({"id": "x", "value": "jda_x", "user_id": "x", "mask_value": "x", "unknown": 1}, {}),
    ):
        response = await owner.send("PATCH", path, body)
        assert response.code == 200
        assert response.headers["Cache-Control"] == "no-store"
        seen = json.loads(response.body)
        made = {**made, **changed}
        assert {**seen, "last_used_at": None} == {**made, "value": None}
    response = await owner.send("PATCH", path, {"expires_at": SOON})
    assert json.loads(response.body)["expires_at"].endswith("Z")
    response = await owner.send("PATCH", path, {"expires_at": None})
    assert json.loads(response.body)["expires_at"] is None
    assert (await callers.bearer(made["value"]).send("DELETE", "/_api/cache")).code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_wrong_field_is_named(callers: Callers, method: str) -> None:
    path = KEYS if method == "POST" else f"{KEYS}/{(await make(callers))['id']}"
    for fields, code, attr in WRONG:
        body = {"label": "a", "scopes": ["*"], **fields}
        response = await callers.owner().send(method, path, body)
        assert fault(response) == (400, code, attr), fields


async def test_a_bad_scope_is_named_in_the_answer(callers: Callers) -> None:
    response = await callers.owner().send("POST", KEYS, {"label": "a", "scopes": ["query:read"]})
    assert json.loads(response.body)["detail"] == "Invalid scope: query:read"


@pytest.mark.parametrize(
    ("body", "attr"), [({}, "label"), ({"scopes": ["*"]}, "label"), ({"label": "a"}, "scopes")]
)
async def test_label_and_scopes_are_required(
    callers: Callers, body: dict[str, Any], attr: str
) -> None:
    response = await callers.owner().send("POST", KEYS, body)
    assert fault(response) == (400, "required", attr)


async def test_there_are_at_most_as_many_keys_as_configured(callers: Callers) -> None:
    made = [await make(callers) for _ in range(3)]
    response = await callers.owner().send("POST", KEYS, {"label": "a", "scopes": ["*"]})
    assert fault(response) == (400, "invalid_input", None)
    assert "You can only have 3 personal API keys" in json.loads(response.body)["detail"]
    await callers.owner().send("DELETE", f"{KEYS}/{made[0]['id']}")
    await make(callers)


async def test_what_is_not_there_is_404(callers: Callers) -> None:
    made = await make(callers)
    path = f"{KEYS}/{made['id']}"
    assert (await callers.owner().send("DELETE", path)).code == 204
    # Another's key is as good as none.
    other, _ = await callers.app.access.keys.create("somebody else", "a", ["*"])
    for name in (path, f"{KEYS}/none", f"{KEYS}/@current", f"{KEYS}/{other.id}"):
        for method, body in (("GET", None), ("PATCH", {"label": "b"}), ("DELETE", None)):
            response = await callers.owner().send(method, name, body)
            assert response.code == 404
            assert json.loads(response.body) == {
                "type": "invalid_request",
                "code": "not_found",
                "detail": "Not found.",
                "attr": None,
            }
    assert await callers.app.access.keys.get("somebody else", other.id)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_wrong_method_is_405(callers: Callers, method: str) -> None:
    body = {} if method != "DELETE" else None
    response = await callers.owner().send(method, KEYS, body)
    assert response.code == 405
    assert json.loads(response.body) == {
        "type": "invalid_request",
        "code": "method_not_allowed",
        "detail": f'Method "{method}" not allowed.',
        "attr": None,
    }


@pytest.mark.parametrize("body", ["{", "[]", '"text"', "label=a", "[" * 5000])
async def test_what_is_no_json_object_is_a_parse_error(callers: Callers, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = await callers.owner().send("POST", KEYS, body, headers=headers)
    told = json.loads(response.body)
    assert response.code == 400
    assert (told["type"], told["code"], told["attr"]) == ("invalid_request", "parse_error", None)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml"])
async def test_another_media_type_is_415(callers: Callers, kind: str) -> None:
    body = json.dumps({"label": "a", "scopes": ["*"]})
    response = await callers.owner().send("POST", KEYS, body, headers={"Content-Type": kind})
    told = json.loads(response.body)
    assert response.code == 415
    assert (told["type"], told["code"]) == ("invalid_request", "unsupported_media_type")
    assert json.loads((await callers.owner().send("GET", KEYS)).body) == []


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/x-www-form-urlencoded"]
)
async def test_json_is_taken_as_curl_sends_it_too(callers: Callers, kind: str) -> None:
    body = json.dumps({"label": "a", "scopes": ["*"]})
    response = await callers.owner().send("POST", KEYS, body, headers={"Content-Type": kind})
    assert response.code == 201


async def test_nobody_and_no_viewer_has_keys(callers: Callers) -> None:
    body = {"label": "a", "scopes": ["*"]}
    viewer = await callers.viewer("ann")
    for client, status, code in (
        (callers.nobody(), 401, "not_authenticated"),
        (callers.bearer("jda_unknown"), 401, "authentication_failed"),
        (viewer, 403, "permission_denied"),
    ):
        for method, sent in (("GET", None), ("POST", body)):
            response = await client.send(method, KEYS, sent)
            told = json.loads(response.body)
            assert response.code == status
            assert (told["type"], told["code"]) == ("authentication_error", code)
            assert ("WWW-Authenticate" in response.headers) is (status == 401)


async def test_no_key_sees_or_makes_keys(callers: Callers) -> None:
    made = await make(callers, scopes=["*"])
    client, path = callers.bearer(made["value"]), f"{KEYS}/{made['id']}"
    for method, where, body in (
        ("GET", KEYS, None),
        ("POST", KEYS, {"label": "a", "scopes": ["*"]}),
        ("GET", path, None),
        ("GET", f"{KEYS}/@current", None),
        ("PATCH", path, {"scopes": ["*"]}),
        ("DELETE", path, None),
    ):
        response = await client.send(method, where, body)
        assert response.code == 403
        assert json.loads(response.body) == {
            "type": "authentication_error",
            "code": "permission_denied",
            "detail": "This action does not support personal API key access",
            "attr": None,
        }
