"""Both ways of running, as processes: `jupyter dashboards [FOLDER]` and `jupyter server` with the extension."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

from .ports import free_port
from .servers import TOKEN, ServerProcess, dashboards_server


class Answer(NamedTuple):
    status: int
    location: str | None
    body: str


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def get(
    server: ServerProcess, path: str, token: str | None = TOKEN, port: int | None = None
) -> Answer:
    """Asks without following redirects; with the owner's token unless told otherwise."""
    request = urllib.request.Request(f"http://127.0.0.1:{port or server.port}{path}")
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=20) as response:
            return Answer(response.status, None, response.read().decode())
    except urllib.error.HTTPError as error:
        # The server's redirects carry the query string on, also an empty one.
        location = error.headers["Location"]
        return Answer(error.code, location and location.removesuffix("?"), error.read().decode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder")
    cell = nbformat.v4.new_markdown_cell("# Hello")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "hello.ipynb")
    return folder


def extension_server(folder: Path, home: Path, *options: str) -> ServerProcess:
    """`jupyter server` with the extension switched on."""
    return ServerProcess(
        [
            "jupyter_server",
            "--port={port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={folder}",
            f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.jpserver_extensions=jupyter_dashboards_api=True",
            "--ServerApp.reraise_server_extension_failures=True",
            "--no-browser",
            "--allow-root",
            *options,
        ],
        home,
    )


@pytest.fixture(scope="module")
def standalone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The standalone server, configured by nothing but its command line."""
    with dashboards_server(folder, tmp_path_factory.mktemp("home")) as server:
        yield server


def test_the_standalone_server_opens_on_the_listing_of_its_folder(
    standalone: ServerProcess,
) -> None:
    for path in ("/", ""):
        answer = get(standalone, path)
        assert answer.status in (301, 302)
        assert answer.location == "/dashboards"
    assert "/dashboards/hello" in get(standalone, "/dashboards").body
    assert "Hello" in get(standalone, "/dashboards/hello").body


def send(server: ServerProcess, method: str, path: str, body: bytes) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    headers = {"X-AUTH-TOKEN": TOKEN, "Content-Type": "application/json"}
    url = f"{server.url}/api/v1.2{path}"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_standalone_server_takes_bodies_as_large_as_they_are_documented(
    standalone: ServerProcess,
) -> None:
    cell = nbformat.v4.new_markdown_cell("x" * 5_000_000)
    notebook = dict(nbformat.v4.new_notebook(cells=[cell]))
    sent = json.dumps({"type": "notebook", "content": notebook}).encode()
    path = "/jupyter_notebooks/contents/sent/large.ipynb"
    status, answer = send(standalone, "PUT", path, sent)
    assert (status, answer.get("path")) == (200, "sent/large.ipynb")
    for length, expected in ((1_500_000, 422), (2_500_000, 413)):
        status, answer = send(standalone, "POST", "/commands", b'{"name": "%s"}' % (b"x" * length))
        assert (status, answer["error"]["error_code"]) == (expected, expected)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api/contents",
            "/api/contents/hello.ipynb",
            "/api/kernels",
            "/api/sessions",
            "/api/kernelspecs",
        ),
        *("/api/terminals", "/terminals/1", "/api/nbconvert", "/nbconvert/html/hello.ipynb"),
        *("/view/hello.ipynb", "/lab", "/tree", "/edit/hello.ipynb"),
        *("/api/config/x", "/api/shutdown", "/api/terminals/websocket/1", "/files/hello.ipynb"),
        *("/api/events", "/api/events/subscribe"),
    ],
)
def test_the_standalone_server_has_no_other_way_to_files_and_kernels_even_for_owners(
    standalone: ServerProcess, path: str
) -> None:
    answer = get(standalone, path)
    assert answer.status == 404
    assert "# Hello" not in answer.body


def test_the_standalone_server_asks_for_a_login(standalone: ServerProcess) -> None:
    for path in ("/dashboards", "/dashboards/hello"):
        answer = get(standalone, path, token=None)
        assert answer.status == 302
        assert answer.location
        assert answer.location.startswith("/login?next=")
    assert get(standalone, "/_api/kernels/x", token=None).status == 401
    assert get(standalone, "/login", token=None).status == 200


@pytest.mark.parametrize("path", ["/dashboards", "/api", "/metrics", "/nothing", "/favicon.ico"])
def test_a_token_in_a_header_is_never_turned_into_a_login_cookie(
    standalone: ServerProcess, path: str
) -> None:
    request = urllib.request.Request(f"{standalone.url}{path}")
    request.add_header("Authorization", f"token {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    assert not [c for c in headers.get_all("Set-Cookie", []) if not c.startswith("_xsrf=")]


def test_the_login_cookie_is_not_sent_by_other_sites(standalone: ServerProcess) -> None:
    url = f"{standalone.url}/dashboards?token={urllib.parse.quote(TOKEN)}"
    with urllib.request.urlopen(url, timeout=20) as response:
        cookies = response.headers.get_all("Set-Cookie")
    assert any("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)


def log_in(server: ServerProcess, **fields: str) -> str:
    """Logs in by the form with the token; returns the form as it was."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(f"{server.url}/login", timeout=20) as response:
        form: str = response.read().decode()
    found = re.search(r'name="_xsrf" value="([^"]+)"', form)
    assert found
    sent = urllib.parse.urlencode({"_xsrf": found[1], "password": TOKEN, **fields})
    with opener.open(f"{server.url}/login", sent.encode(), timeout=20) as response:
        assert response.status == 200
    return form


def test_who_has_the_standalone_server_s_token_cannot_set_a_password_for_all_servers(
    folder: Path, tmp_path: Path
) -> None:
    written = tmp_path / "config" / "jupyter_server_config.json"
    with dashboards_server(folder, tmp_path) as server:
        assert "new_password" not in log_in(server, new_password="mine from now on")
        assert not written.exists()
    allowed = "--PasswordIdentityProvider.allow_password_change=True"
    with dashboards_server(folder, tmp_path, allowed) as server:
        log_in(server, new_password="as the operator wants it")
        assert written.exists()


def test_the_server_s_log_has_no_warning_of_unprotected_routes(standalone: ServerProcess) -> None:
    log = standalone.log.read_text()
    assert "allow_unauthenticated" not in log
    assert "without authentication" not in log
    assert "Traceback" not in log


def test_the_command_line_wins_over_the_standalone_server_s_defaults(
    folder: Path, tmp_path: Path
) -> None:
    options = (
        "--ServerApp.base_url=/my%20base/",
        "--ServerApp.default_url=/my%20base/dashboards/hello",
        "--DashboardsApp.presentation_mode=True",
    )
    server = dashboards_server(folder, tmp_path, *options)
    with server:
        assert get(server, "/my%20base/").location == "/my%20base/dashboards/hello"
        assert "Hello" in get(server, "/my%20base/dashboards/hello").body
        assert get(server, "/my%20base/dashboards").status == 404
        assert get(server, "/dashboards/hello").status in (302, 404)


def test_configuration_files_win_over_the_standalone_server_s_defaults(
    folder: Path, tmp_path: Path
) -> None:
    port = free_port()
    files = {
        "jupyter_server_config.json": {
            "ServerApp": {"port": port, "port_retries": 0, "base_url": "/team/"},
            "IdentityProvider": {"token": TOKEN},
        },
        "jupyter_dashboards_config.json": {"DashboardsApp": {"presentation_mode": True}},
    }
    (tmp_path / "config").mkdir()
    for name, content in files.items():
        (tmp_path / "config" / name).write_text(json.dumps(content))
    command = ["jupyter_dashboards_api", str(folder), "--no-browser", "--allow-root"]
    server = ServerProcess(command, tmp_path, ready="/team/api")
    server.port, server.url = port, f"http://127.0.0.1:{port}"
    with server:
        assert "Hello" in get(server, "/team/dashboards/hello").body
        assert get(server, "/team/dashboards").status == 404


def test_under_jupyter_server_the_listing_is_the_first_page_where_nobody_set_another(
    folder: Path, tmp_path: Path
) -> None:
    with extension_server(folder, tmp_path, "--ServerApp.base_url=/user/x/") as server:
        assert get(server, "/user/x/").location == "/user/x/dashboards"
        assert "/user/x/dashboards/hello" in get(server, "/user/x/dashboards").body
        # The server's own API is still its own.
        assert get(server, "/user/x/api/contents").status == 200


def test_under_jupyter_server_a_default_url_that_somebody_set_stays(
    folder: Path, tmp_path: Path
) -> None:
    with extension_server(folder, tmp_path, "--ServerApp.default_url=/elsewhere") as server:
        assert get(server, "/").location == "/elsewhere"
        assert get(server, "/dashboards").status == 200


def test_a_link_of_one_folder_opens_nothing_in_another_one_of_the_same_account(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    with dashboards_server(folder, tmp_path) as one, dashboards_server(other, tmp_path) as two:
        request = urllib.request.Request(
            f"{one.url}/_api/sharing?path=hello.ipynb", b'{"enabled": true}', method="PATCH"
        )
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as response:
            link = urllib.parse.urlsplit(json.load(response)["shared_url"]).path
        assert get(one, link, None).status == 200
        assert get(two, link, None).status == 404
        # Nor do they hold up each other's runs.
        assert [get(each, "/api/v1.2/commands").status for each in (one, two)] == [200, 200]
    with dashboards_server(folder, tmp_path) as again:
        assert get(again, link, None).status == 200
    assert "--Database.url=" in two.log.read_text()
    assert "--Database.url=" not in again.log.read_text()
