"""What commands change, a server that runs notices: it and they share nothing but configuration and database."""

from __future__ import annotations

import asyncio
import http.cookiejar
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

from tests.kernels.client import Channel
from tests.servers import ServerProcess, dashboards_server

from .conftest import PASSWORD, Commands


class Answer(NamedTuple):
    status: int
    url: str
    body: str


class Browser:
    """Keeps cookies, and follows redirects."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self._cookies)
        )

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self._cookies}

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """GET, or POST of JSON."""
        request = urllib.request.Request(f"{self._server.url}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name, value)
        try:
            with self._opener.open(request, timeout=60) as response:
                return Answer(response.status, response.url, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.url, error.read().decode())

    def log_in(self, name: str, password: str = PASSWORD) -> Answer:
        return self.ask("/login", {"username": name, "password": password})

    def is_in(self, path: str = "/dashboards/sales/board") -> bool:
        """Whether the page is shown, and not the login form."""
        answer = self.ask(path)
        return answer.status == 200 and "/login" not in answer.url and "Board" in answer.body


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose configuration names a database and an access file."""
    home = tmp_path_factory.mktemp("home")
    (home / "config").mkdir()
    rules = home / "rules.toml"
    rules.write_text('[rules]\n"sales" = ["ann", "group:finance"]\n')
    (home / "config" / "jupyter_dashboards_config.json").write_text(
        json.dumps(
            {
                "Database": {"url": f"sqlite:///{home}/named.sqlite"},
                "AccessRules": {"file": str(rules)},
                "AccessManager": {"check_interval": 0.2},
            }
        )
    )
    return home


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("folder")
    cells = [nbformat.v4.new_markdown_cell("# Board"), nbformat.v4.new_code_cell("print(6 * 7)")]
    for name in ("sales", "other"):
        (folder / name).mkdir()
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / name / "board.ipynb")
    with dashboards_server(folder, home) as running:
        yield running


@pytest.fixture
def running(home: Path) -> Commands:
    """Commands with the server's configuration."""
    return Commands(home)


def test_a_key_opens_what_its_scopes_name_until_it_is_revoked(
    server: ServerProcess, running: Commands
) -> None:
    program = Browser(server)
    made = running("keys", "create", "a program", "--scope", "dashboard:read")
    credential = {"Authorization": f"Bearer {made.out.strip()}"}
    assert program.ask("/dashboards", **credential).status == 200
    assert program.ask("/api/personal_api_keys", **credential).status == 403
    (key,) = json.loads(running("keys", "list", "--json").out)
    assert key["last_used_at"] is not None

    assert running("keys", "revoke", key["id"], "--yes").code == 0
    assert program.ask("/_api/labextensions", **credential).status == 401


def test_a_viewer_logs_in_and_is_out_when_removed(server: ServerProcess, running: Commands) -> None:
    browser = Browser(server)
    assert browser.log_in("ann").status == 401
    assert "can open nothing" not in running.add("ann").err
    assert browser.log_in("ann").status == 200
    assert any(name.startswith("dashboards-viewer-") for name in browser.cookies)
    assert browser.is_in()
    assert browser.ask("/dashboards/other/board").status == 404

    assert running("users", "remove", "ann", "--yes").code == 0
    assert not browser.is_in()
    assert browser.log_in("ann").status == 401


def test_passwd_groups_and_logout_count_at_once(server: ServerProcess, running: Commands) -> None:
    browser = Browser(server)
    running.add("bob")
    assert browser.log_in("bob").status == 200
    assert not browser.is_in()
    running("users", "groups", "bob", "--group", "finance")
    assert browser.is_in()

    assert "ended: 1" in running("users", "logout", "bob").err
    assert not browser.is_in()
    assert browser.log_in("bob").status == 200
    running("users", "passwd", "bob", "--password-stdin", stdin="another one, as long")
    assert not browser.is_in()
    assert browser.log_in("bob").status == 401
    assert browser.log_in("bob", "another one, as long").status == 200


def test_a_websocket_is_closed_when_its_viewer_is_removed(
    server: ServerProcess, running: Commands
) -> None:
    browser = Browser(server)
    running.add("cleo", "--group", "finance")
    browser.log_in("cleo")
    assert browser.is_in()
    session_id = uuid.uuid4().hex
    started = browser.ask(
        "/_api/kernels",
        {"path": "sales/board.ipynb", "session_id": session_id},
        **{"X-XSRFToken": browser.cookies["_xsrf"]},
    )
    assert started.status == 201, started.body
    url = (
        f"{server.url.replace('http', 'ws')}/_api/kernels/{json.loads(started.body)['id']}/channels"
    )
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    async def use() -> None:
        channel = await Channel.open(url, session_id=session_id, headers={"Cookie": cookies})
        messages = await channel.execute("1")
        assert any("42" in str(message.content) for message in messages)
        removed = await asyncio.to_thread(running, "users", "remove", "cleo", "--yes")
        assert removed.code == 0
        await channel.gone()

    asyncio.run(use())
