"""Errors of the commands API: in its own shape, with the right code, and never a redirect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Fetch

from .command_client import API, CommandClient, error_of

ROUTES = (
    ("GET", "/commands"),
    ("POST", "/commands"),
    ("GET", "/commands/1"),
    ("PUT", "/commands/1"),
    *(
        ("GET", f"/commands/1/{part}")
        for part in (
            "results",
            "status_with_results",
            "logs",
            "error_logs",
            "jobs",
            "notebook",
        )
    ),
    ("GET", "/notebooks?path=a.ipynb"),
    ("GET", "/notebook_dashboard?path=a.ipynb"),
    ("GET", "/notebooks/1/parameters"),
    ("GET", "/nothing"),
)


@pytest.mark.parametrize("headers", [{}, {"X-AUTH-TOKEN": "wrong"}, {"X-AUTH-TOKEN": "jda_wrong"}])
async def test_a_missing_or_wrong_token_is_401_everywhere(
    fetch: Fetch, headers: dict[str, str]
) -> None:
    for method, path in ROUTES:
        for slash in ("", "/") if "?" not in path else ("",):
            response = await fetch(
                API + path + slash,
                method=method,
                body="{}" if method in ("POST", "PUT") else None,
                token=None,
                headers=headers,
            )
            assert "token" in error_of(response, 401)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "path",
    [
        "/commands/999999",
        "/commands/0",
        "/commands/99999999999999999999999",
        "/commands/999999/results",
        "/commands/4294967297/logs",
        "/commands/999999/jobs",
        "/commands/abc",
        "/commands/-1",
        "/commands/1.5",
        "/commands/%D9%A1",
        "/commands/%2e%2e",
        "/commands/1%00",
        "/commands/1/nothing",
        "/commands//1",
        "/notebooks/abc",
        "/notebooks/0/parameters",
        "/notebooks/99999999999999999999/parameters",
        "/hadoop_jobs",
        "",
    ],
)
async def test_what_is_not_there_is_404_with_and_without_a_slash(
    commands: CommandClient, path: str, slash: str
) -> None:
    for api in ("/api/v1.2", "/api/latest", "/api/v1.3"):
        error_of(await commands.ask("GET", path + slash, api=api), 404)


@pytest.mark.parametrize(
    "path",
    [
        "/api/1.2/commands/1",
        "/api/V1.2/commands",
        "/api/LATEST/commands",
        "/api/commands",
        "/api/commands/1/results",
        "/api/scheduler/",
        "/api//v1.2/commands",
        "//api/v1.2/commands/1",
    ],
)
async def test_a_mistaken_address_of_the_api_is_404_in_its_shape_and_leads_nowhere_else(
    commands: CommandClient, fetch: Fetch, path: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        error_of(await commands.ask(method, "", api=path), 404)
    assert "token" in error_of(await fetch(path, token=None), 401)


async def test_other_methods_of_a_route_that_is_there_are_405(commands: CommandClient) -> None:
    for method, path in (
        ("PUT", "/commands"),
        ("DELETE", "/commands"),
        ("POST", "/commands/1"),
        ("PATCH", "/commands/1/"),
        ("POST", "/commands/1/results"),
        ("POST", "/notebooks"),
    ):
        refused = await commands.ask(method, path)
        error_of(refused, 405)
        assert "GET" in refused.headers["Allow"].split(", ")
        assert method not in refused.headers["Allow"].split(", ")


async def test_a_key_without_the_scope_is_403_in_the_api_s_shape(
    commands: CommandClient, dashboards: Any, fetch: Fetch
) -> None:
    made = await fetch(
        "/api/personal_api_keys",
        method="POST",
        body=json.dumps({"label": "k", "scopes": ["command:read"]}),
        headers={"Content-Type": "application/json"},
    )
    reader = CommandClient(fetch, json.loads(made.body)["value"])
    assert (await reader.ask("GET", "/commands")).code == 200
    message = error_of(await reader.ask("POST", "/commands", {}), 403)
    assert "command:write" in message


async def test_an_answer_is_json_that_no_cache_keeps(commands: CommandClient) -> None:
    response = await commands.ask("GET", "/commands")
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.headers["Cache-Control"] == "no-store"
