"""What callers are told when something is refused: pages for people, JSON for programs, no secrets for anybody."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from jupyter_server.auth import Authorizer
from nbformat.v4 import new_markdown_cell
from tornado.httpclient import HTTPResponse

from jupyter_dashboards_api import errors
from tests.conftest import Fetch, Write

BASE = "/a%40b"
PAGES = (
    "/dashboards",
    "/dashboards/a",
    "/dashboards-plain/a",
    "/dashboards/a.txt",
    "/dashboards/missing",
)
HTML, JSON = {"Accept": "text/html,*/*;q=0.8"}, {"Accept": "application/json"}


class Nobody(Authorizer):
    """Permits nothing."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return False


class ReadersOnly(Authorizer):
    """Permits reading dashboards."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return (action, resource) == ("read", "dashboard")


@pytest.fixture
def some_files(write_notebook: Write, jp_root_dir: Path) -> None:
    write_notebook("a.ipynb", new_markdown_cell("# s3cret"))
    (jp_root_dir / "a.txt").write_text("s3cret")


def message(response: HTTPResponse) -> dict[str, Any]:
    assert response.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = json.loads(response.body)
    assert body["status"] == response.code
    assert body["message"]
    return body


def test_every_error_has_a_status_and_a_message_that_can_be_shown() -> None:
    kinds = [
        k
        for k in vars(errors).values()
        if isinstance(k, type) and issubclass(k, errors.DashboardsError)
    ]
    assert {kind.__name__: kind.status for kind in kinds} == {
        "DashboardsError": 400,
        "TryLater": 503,
        "InvalidRequest": 400,
        "Unauthorized": 401,
        "Forbidden": 403,
        "NotFound": 404,
        "Conflict": 409,
        "TooLarge": 413,
        "Unreadable": 422,
        "QueueFull": 429,
        "TooManyAttempts": 429,
        "StorageFailed": 500,
        "Unavailable": 503,
    }
    assert errors.NotFound("gone").message == str(errors.NotFound("gone")) == "gone"
    assert errors.Unavailable("later", retry_after=7).retry_after == 7


async def test_what_is_missing_is_a_page_or_json_as_the_client_asks(fetch: Fetch) -> None:
    for path in ("/dashboards/missing", "/dashboards-plain/a/b", "/dashboards/no.png"):
        page = await fetch(path, headers=HTML)
        assert page.code == 404
        assert page.headers["Content-Type"].startswith("text/html")
        soup = BeautifulSoup(page.body.decode(), "html.parser")
        assert soup.select_one("main h1")
        assert soup.select_one(f"main a[href^='{BASE}/dashboards']")
        for headers in (JSON, {"Accept": "*/*"}):
            assert message(await fetch(path, headers=headers))["status"] == 404


async def test_without_a_login_pages_lead_to_the_form_and_back(
    fetch: Fetch, some_files: None
) -> None:
    for path in PAGES:
        for token in (None, "wrong"):
            response = await fetch(f"{path}?x=1", token=token)
            assert response.code == 302
            assert (
                response.headers["Location"]
                == f"{BASE}/login?next=%2Fa%2540b{path.replace('/', '%2F')}%3Fx%3D1"
            )
            assert b"s3cret" not in response.body


async def test_without_a_login_apis_answer_401_in_json(fetch: Fetch, some_files: None) -> None:
    for method, path in [
        ("GET", "/_api/images/x.png?path=a.ipynb"),
        ("DELETE", "/_api/cache"),
        ("DELETE", "/_api/cache/a"),
        ("GET", "/_api/labextensions"),
        ("DELETE", "/_api/notebooks/a"),
        ("GET", "/_api/kernels/x"),
    ]:
        for token in (None, "wrong"):
            assert message(await fetch(path, method=method, token=token))["status"] == 401, path


@pytest.mark.parametrize("header", ["token {}", "Bearer {}"])
async def test_the_server_s_token_opens_pages_and_gives_no_login_cookie(
    fetch: Fetch, some_files: None, jp_serverapp: Any, header: str
) -> None:
    sent = {"Authorization": header.format(jp_serverapp.identity_provider.token)}
    response = await fetch("/dashboards/a", token=None, headers=sent)
    assert response.code == 200
    cookies = response.headers.get_list("Set-Cookie")
    assert not [cookie for cookie in cookies if cookie.startswith("username-")]


class TestAnAuthorizer:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Any) -> Any:
        jp_server_config.ServerApp.authorizer_class = f"{__name__}.Nobody"
        return jp_server_config

    async def test_that_denies_is_obeyed_by_pages_and_apis(
        self, fetch: Fetch, some_files: None
    ) -> None:
        for path in PAGES:
            response = await fetch(path, headers=HTML)
            assert response.code == 403
            assert b"s3cret" not in response.body
            assert response.headers["Content-Type"].startswith("text/html")
        for method, path in [
            ("DELETE", "/_api/cache"),
            ("GET", "/_api/labextensions"),
            ("GET", "/_api/images/x.png"),
        ]:
            assert message(await fetch(path, method=method))["status"] == 403


class TestAReader:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Any) -> Any:
        jp_server_config.ServerApp.authorizer_class = f"{__name__}.ReadersOnly"
        return jp_server_config

    async def test_sees_pages_and_cannot_clear_the_cache(
        self, fetch: Fetch, some_files: None
    ) -> None:
        assert (await fetch("/dashboards/a")).code == 200
        assert message(await fetch("/_api/cache", method="DELETE"))["status"] == 403


async def test_other_methods_are_not_allowed(fetch: Fetch, some_files: None) -> None:
    for path in PAGES:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            body = "" if method in ("POST", "PUT", "PATCH") else None
            response = await fetch(path, method=method, body=body)
            assert response.code == 405
    for method in ("GET", "POST"):
        body = "" if method == "POST" else None
        assert message(await fetch("/_api/cache", method=method, body=body))["status"] == 405


UNREADABLE = {
    "empty": "",
    "text": "this is not JSON",
    "list": "[1, 2]",
    "null": "null",
    "other json": '{"hello": "world"}',
    "cells are a number": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
    "a cell is text": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": ["x"]}',
    "nested": "[" * 100_000,
    "future": '{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}',
    "binary": "\x00\x01\x02",
    "lone surrogate": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {"title": "\\ud800"}, "cells": []}',
}


async def test_a_file_that_is_no_notebook_is_the_file_s_fault_and_says_no_path(
    fetch: Fetch, jp_root_dir: Path
) -> None:
    for name, text in UNREADABLE.items():
        (jp_root_dir / f"{name}.ipynb").write_text(text)
        for headers in (HTML, JSON):
            response = await fetch(f"/dashboards/{name.replace(' ', '%20')}", headers=headers)
            assert 400 <= response.code < 500, name
            assert str(jp_root_dir).encode() not in response.body
            assert b"Traceback" not in response.body
            assert b"notebook" in response.body


async def test_an_old_notebook_is_shown(fetch: Fetch, jp_root_dir: Path) -> None:
    cell = {"cell_type": "markdown", "source": ["# Of 2014"], "metadata": {}}
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": [cell], "metadata": {}}],
    }
    (jp_root_dir / "old.ipynb").write_text(json.dumps(old))
    response = await fetch("/dashboards/old")
    assert response.code == 200
    assert b"Of 2014" in response.body


@pytest.mark.parametrize("error", [RuntimeError, OSError, PermissionError])
async def test_a_fault_of_ours_tells_no_path_and_no_traceback(
    fetch: Fetch,
    some_files: None,
    jp_root_dir: Path,
    jp_serverapp: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    def fail(*args: Any, **options: Any) -> Callable[..., Awaitable[Any]]:
        raise error(f"secret cause in {jp_root_dir}")

    monkeypatch.setattr(jp_serverapp.contents_manager, "get", fail)
    for path in ("/dashboards", "/dashboards/a", "/_api/images/x.png?path=a.ipynb"):
        for headers in (HTML, JSON):
            response = await fetch(path, headers=headers)
            assert response.code >= 400
            for secret in (str(jp_root_dir), "secret cause", "Traceback", error.__name__):
                assert secret.encode() not in response.body
