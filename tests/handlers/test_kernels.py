"""`/_api/kernels`: who gets which kernel, and what is said when there is none."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote

import pytest
from jupyter_server.auth import User
from jupyter_server.auth.identity import PasswordIdentityProvider
from nbformat.v4 import new_code_cell

NOTEBOOK = "a folder/größe #1.ipynb"
KERNELS = "/_api/kernels"


@pytest.fixture
def notebook(write_notebook: Any) -> str:
    """The path of a notebook whose name needs quoting."""
    write_notebook(NOTEBOOK, new_code_cell("1"))
    return NOTEBOOK


@pytest.fixture
def post(fetch: Any) -> Any:
    """POST /_api/kernels with a JSON body."""

    async def ask(body: Any = None, **options: Any) -> Any:
        data = body if isinstance(body, (str, bytes)) else json.dumps(body or {})
        return await fetch(KERNELS, method="POST", body=data, request_timeout=60, **options)

    return ask


@pytest.fixture
def login(jp_serverapp: Any, jp_http_port: int) -> Callable[[str], dict[str, str]]:
    """Headers of a browser that is logged in as somebody: cookies and, if wanted, the XSRF header."""

    def log_in(username: str, *, xsrf: bool = True) -> dict[str, str]:
        provider: PasswordIdentityProvider = jp_serverapp.identity_provider

        class Recorder:
            """What the provider needs of a handler to write its cookie."""

            cookies: SimpleCookie = SimpleCookie()
            request = type("Request", (), {"host": f"127.0.0.1:{jp_http_port}", "protocol": "http"})
            base_url = jp_serverapp.base_url

            def set_secure_cookie(self, name: str, value: str, **options: Any) -> None:
                from tornado.web import create_signed_value

                secret = jp_serverapp.web_app.settings["cookie_secret"]
                self.cookies[name] = create_signed_value(secret, name, value).decode()

        recorder = Recorder()
        recorder.cookies = SimpleCookie()
        provider.set_login_cookie(recorder, User(username))
        recorder.cookies["_xsrf"] = "x" * 32
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in recorder.cookies.items())
        return {"Cookie": cookies, **({"X-XSRFToken": "x" * 32} if xsrf else {})}

    return log_in


async def test_a_kernel_is_started_for_a_notebook_by_its_path(post: Any, notebook: str) -> None:
    response = await post({"path": notebook, "session_id": "abc"})
    assert response.code == 201
    model = json.loads(response.body)
    assert model["path"] == notebook
    assert model["session_id"] == "abc"
    assert set(model) == {
        *["id", "name", "path", "last_activity", "execution_state", "connections"],
        "session_id",
    }
    assert response.headers["Location"].endswith(f"/_api/kernels/{model['id']}")
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("page", ["dashboards", "dashboards-plain"])
@pytest.mark.parametrize("encode", [quote, str], ids=["encoded", "decoded"])
@pytest.mark.parametrize(
    ("extension", "body"),
    [("", ""), (".ipynb", '{"name": "bash", "env": {"A": "b"}}')],
    ids=["no body", "the body of 2016"],
)
async def test_old_clients_name_the_page_and_the_session_in_headers(
    post: Any, notebook: str, jp_base_url: str, page: str, extension: str, encode: Any, body: str
) -> None:
    path = f"{jp_base_url}{page}/{encode(notebook.removesuffix('.ipynb') + extension)}"
    headers = {
        "X-jupyter-notebook-path": path.encode().decode("latin-1"),
        "X-jupyter-session-id": uuid.uuid4().hex,
        "Content-Type": "text/plain;charset=UTF-8",
    }
    response = await post(body, headers=headers)
    assert response.code == 201, response.body
    model = json.loads(response.body)
    assert model["path"] == notebook
    assert model["name"] == "python3"
    assert model["session_id"] == headers["X-jupyter-session-id"]


async def test_a_percent_sign_in_a_name_is_found_encoded_and_decoded(
    post: Any, write_notebook: Any, jp_base_url: str
) -> None:
    write_notebook("100%25 sure.ipynb", new_code_cell("1"))
    for path in ("100%25 sure", "100%2525%20sure"):
        headers = {"X-jupyter-notebook-path": f"{jp_base_url}dashboards/{path}"}
        response = await post(headers=headers)
        assert response.code == 201
        assert json.loads(response.body)["path"] == "100%25 sure.ipynb"


async def test_a_folder_with_an_index_is_that_dashboard(post: Any, write_notebook: Any) -> None:
    write_notebook("bundle/index.ipynb", new_code_cell("1"))
    response = await post({"path": "bundle"})
    assert json.loads(response.body)["path"] == "bundle/index.ipynb"


BAD_REQUESTS: list[tuple[Any, int]] = [
    ({"path": "unknown.ipynb"}, 404),
    ({"path": "a folder"}, 404),
    ({"path": "text.txt"}, 404),
    ({"path": "broken.ipynb"}, 422),
    ({"path": "../outside.ipynb"}, 400),
    ({"path": "a folder/../../x.ipynb"}, 400),
    ({"path": "a\0b.ipynb"}, 400),
    ({"path": ""}, 400),
    ({"path": "/"}, 400),
    ({"path": ["x"]}, 400),
    ({"path": 1}, 400),
    ({"path": NOTEBOOK, "query": 1}, 400),
    ({"path": NOTEBOOK, "query": "a" * 5000}, 400),
    ({"path": NOTEBOOK, "query": "a=\0"}, 400),
    ({"path": NOTEBOOK, "session_id": "a b"}, 400),
    ({"path": NOTEBOOK, "session_id": "a" * 129}, 400),
    ("{", 400),
    ("[]", 400),
    ("null", 400),
    (b"\xff\xfe", 400),
    ("[" * 60_000, 400),
    ('"' + "x" * 70_000 + '"', 413),
    ({}, 400),
]


async def test_a_bad_request_is_told_its_fault(post: Any, notebook: str, jp_root_dir: Any) -> None:
    (jp_root_dir / "text.txt").write_text("x")
    (jp_root_dir / "broken.ipynb").write_text("{")
    for body, status in BAD_REQUESTS:
        response = await post(body)
        assert response.code == status, (str(body)[:50], response.body)
        error = json.loads(response.body)
        assert error["status"] == status
        assert error["message"]
        assert str(jp_root_dir) not in error["message"]


BAD_HEADERS = [
    ("/somewhere/else", 400),
    ("/a%40b/dashboards/unknown", 404),
    ("/a%40b/dashboards/", 400),
    ("/a%40b/dashboards/..%2f..%2fetc%2fpasswd", 400),
    ("dashboards/x", 400),
    ("/dashboards/a%20folder", 400),
]


async def test_a_header_that_names_no_dashboard_is_refused(post: Any, notebook: str) -> None:
    for header, status in BAD_HEADERS:
        response = await post(headers={"X-jupyter-notebook-path": header})
        assert response.code == status, header


async def test_the_notebooks_kernel_is_used_and_the_servers_default_for_an_unknown_one(
    post: Any, write_notebook: Any
) -> None:
    for name in ("python3", "no-such-kernel", None, ["x"], ""):
        write_notebook(
            "k.ipynb", new_code_cell("1"), kernelspec={"name": "python3", "display_name": ""}
        )
        spec = {"kernelspec": {"name": name, "display_name": ""}}
        file = write_notebook("k.ipynb", new_code_cell("1"))
        content = json.loads(file.read_text())
        content["metadata"] = spec
        file.write_text(json.dumps(content))
        response = await post({"path": "k.ipynb", "name": "other"})
        assert json.loads(response.body)["name"] == "python3"


async def test_a_caller_without_a_credential_is_refused(
    post: Any, fetch: Any, notebook: str, jp_base_url: str
) -> None:
    assert (await post({"path": notebook}, token=None)).code == 401
    model = json.loads((await post({"path": notebook})).body)
    for method in ("GET", "DELETE"):
        response = await fetch(f"{KERNELS}/{model['id']}", method=method, token=None)
        assert response.code == 401
    assert (await fetch(f"{KERNELS}/{model['id']}/channels", token=None)).code in (401, 403)


async def test_a_kernel_belongs_to_whoever_started_it(
    post: Any, fetch: Any, notebook: str, login: Any
) -> None:
    ada, bob = login("ada"), login("bob")
    model = json.loads((await post({"path": notebook}, token=None, headers=ada)).body)
    url = f"{KERNELS}/{model['id']}"
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert (await fetch(url, token=None, headers=bob)).code == 404
    assert (await fetch(url, token=None, headers=bob, method="DELETE")).code == 404
    assert (await fetch(f"{url}/channels", token=None, headers=bob | upgrade)).code == 404
    # The owner of the server too: these kernels are nobody's but the viewer's.
    assert (await fetch(url)).code == 404
    assert (await fetch(url, token=None, headers=ada)).code == 200
    assert (await fetch(url, token=None, headers=ada, method="DELETE")).code == 204
    assert (await fetch(url, token=None, headers=ada)).code == 404


async def test_a_deleted_or_unknown_kernel_is_not_found(
    post: Any, fetch: Any, notebook: str
) -> None:
    model = json.loads((await post({"path": notebook})).body)
    url = f"{KERNELS}/{model['id']}"
    assert json.loads((await fetch(url)).body)["path"] == notebook
    assert (await fetch(url, method="DELETE")).code == 204
    for response in (await fetch(url), await fetch(url, method="DELETE")):
        assert response.code == 404
        assert json.loads(response.body)["status"] == 404
    assert (await fetch(f"{KERNELS}/{uuid.uuid4()}")).code == 404


async def test_a_kernel_that_is_not_bound_to_a_dashboard_is_not_found(
    fetch: Any, jp_serverapp: Any
) -> None:
    kernel_id = await jp_serverapp.kernel_manager.start_kernel(kernel_name="python3")
    assert (await fetch(f"{KERNELS}/{kernel_id}")).code == 404
    assert (await fetch(f"{KERNELS}/{kernel_id}", method="DELETE")).code == 404
    assert kernel_id in jp_serverapp.kernel_manager


async def test_a_browser_needs_the_xsrf_token_to_start_and_to_end_a_kernel(
    post: Any, fetch: Any, notebook: str, login: Any
) -> None:
    ada = login("ada")
    bare = login("ada", xsrf=False)
    assert (await post({"path": notebook}, token=None, headers=bare)).code == 403
    model = json.loads((await post({"path": notebook}, token=None, headers=ada)).body)
    url = f"{KERNELS}/{model['id']}"
    assert (await fetch(url, token=None, headers=bare, method="DELETE")).code == 403
    assert (await fetch(url, token=None, headers=ada)).code == 200


async def test_a_browser_on_another_site_is_refused(
    post: Any, fetch: Any, notebook: str, login: Any, dashboards: Any
) -> None:
    ada = login("ada")
    foreign = ada | {"Origin": "https://evil.example"}
    assert (await post({"path": notebook}, token=None, headers=foreign)).code in (403, 404)
    model = json.loads((await post({"path": notebook}, token=None, headers=ada)).body)
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    url = f"{KERNELS}/{model['id']}/channels"
    assert (await fetch(url, token=None, headers=foreign | upgrade)).code == 403
    # Before anything was touched: an open socket of that session would have been closed.
    (binding,) = dashboards.kernels._bindings.values()
    assert not binding.last_session_id


@pytest.mark.parametrize(
    "extension_config", [{"KernelBindings": {"max_kernels": 2, "retry_after": 7}}], ids=["2"]
)
async def test_a_server_at_capacity_says_when_to_try_again(
    post: Any, fetch: Any, notebook: str
) -> None:
    first = json.loads((await post({"path": notebook})).body)
    assert (await post({"path": notebook})).code == 201
    refused = await post({"path": notebook})
    assert refused.code == 503
    assert refused.headers["Retry-After"] == "7"
    body = json.loads(refused.body)
    assert (body["status"], body["retry_after"]) == (503, 7)
    assert "capacity" in body["message"]
    assert (await fetch(f"{KERNELS}/{first['id']}")).code == 200


@pytest.mark.parametrize(
    "extension_config", [{"KernelBindings": {"max_kernels_per_viewer": 1}}], ids=["1 each"]
)
async def test_one_viewer_cannot_take_all_kernels(
    post: Any, fetch: Any, notebook: str, login: Any
) -> None:
    ada, bob = login("ada"), login("bob")
    responses = [await post({"path": notebook}, token=None, headers=who) for who in (ada, ada, bob)]
    assert [response.code for response in responses] == [201, 503, 201]
    model = json.loads(responses[0].body)
    await fetch(f"{KERNELS}/{model['id']}", method="DELETE", token=None, headers=ada)
    assert (await post({"path": notebook}, token=None, headers=ada)).code == 201


@pytest.mark.parametrize(
    "extension_config", [{"KernelBindings": {"max_kernels_per_viewer": 2}}], ids=["2 each"]
)
async def test_kernels_that_are_still_starting_count(post: Any, notebook: str) -> None:

    responses = await asyncio.gather(*(post({"path": notebook}) for _ in range(5)))
    assert sorted(response.code for response in responses) == [201, 201, 503, 503, 503]


async def test_a_kernel_that_does_not_start_is_unavailable(
    post: Any, notebook: str, jp_serverapp: Any, monkeypatch: Any
) -> None:
    async def fail(**options: Any) -> None:
        raise RuntimeError("/secret/path is missing")

    monkeypatch.setattr(jp_serverapp.kernel_manager, "start_kernel", fail)
    response = await post({"path": notebook})
    assert response.code == 503
    assert b"/secret/path" not in response.body
