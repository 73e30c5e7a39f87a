"""Dashboards that the access file makes public: what nobody in particular gets of them, and for how long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell

from tests.conftest import Write
from tests.notebooks.archives import FORM, form, notebook_bytes

from .callers import Callers, Client, page_config
from .live import Join, by_page, is_ended, is_shut_out, start
from .shared import SECRET, told, write_board

PUBLIC = '[rules]\n"open" = "public"\n"open/private.ipynb" = ["ann"]\n"staff" = "viewers"\n'
BOARD = "open/board.ipynb"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "access.toml"
    file.write_text(PUBLIC)
    return file


@pytest.fixture
def extension_config(rules: Path) -> dict[str, Any]:
    return {
        "AccessRules": {"file": str(rules)},
        "AccessManager": {"check_interval": 0.2},
        "KernelBindings": {"max_visitor_kernels": 3, "max_kernels_per_viewer": 2},
    }


@pytest.fixture
def board(write_notebook: Write, jp_root_dir: Path) -> str:
    write_board(write_notebook, BOARD)
    for path in ("open/private.ipynb", "staff/a.ipynb", "elsewhere.ipynb"):
        write_notebook(path, new_code_cell("print('s3cret')"))
    (jp_root_dir / "open/data.csv").write_text("a,b\n")
    (jp_root_dir / "open/code.py").write_bytes(SECRET)
    (jp_root_dir / "staff/data.csv").write_bytes(SECRET)
    return BOARD


async def page_of(callers: Callers, path: str = "open/board") -> Client:
    return by_page(callers.nobody(), await callers.nobody().send("GET", f"/dashboards/{path}"))


@pytest.mark.parametrize("pages", ["dashboards", "dashboards-plain"])
async def test_nobody_gets_a_public_page_with_its_images_and_files(
    board: str, callers: Callers, pages: str
) -> None:
    nobody = callers.nobody()
    page = await nobody.send("GET", f"/{pages}/open/board")
    assert page.code == 200
    assert b"s3cret prose" in page.body
    assert page.headers["Cache-Control"] == "no-store"
    assert page_config(page)["pageToken"]
    images = BeautifulSoup(page.body, "html.parser").find_all("img")
    assert images
    for image in images:
        address = urljoin(f"/a%40b/{pages}/open/board", str(image["src"]))
        response = await nobody.send("GET", address.removeprefix("/a%40b"))
        assert response.code == 200
        assert response.headers["Content-Type"] == "image/png"
    data = await nobody.send("GET", f"/{pages}/open/data.csv")
    assert (data.code, data.body) == (200, b"a,b\n")
    head = await nobody.send("HEAD", f"/{pages}/open/board")
    assert (head.code, head.body) == (200, b"")


async def test_nobody_is_listed_what_is_public_and_offered_to_log_in(
    board: str, callers: Callers
) -> None:
    for path in ("/dashboards", "/dashboards/open"):
        page = await callers.nobody().send("GET", path)
        assert page.code == 200
        assert b"/login?next=" in page.body
        for hidden in (b"private", b"staff", b"elsewhere"):
            assert hidden not in page.body


async def test_nobody_gets_nothing_else(board: str, callers: Callers) -> None:
    for page in (callers.nobody(), await page_of(callers)):
        for method, path, body in (
            *(
                ("GET", f"/dashboards/{name}", None)
                for name in ("open/private", "staff", "staff/a")
            ),
            *(
                ("GET", f"/dashboards/{name}", None)
                for name in ("elsewhere", "missing", "open/missing")
            ),
            *(("GET", f"/dashboards/{name}", None) for name in ("staff/data.csv", "open/code.py")),
            *(("GET", f"/dashboards/open/..%2f{name}", None) for name in ("elsewhere", "staff/a")),
            ("GET", "/_api/images/x.png?path=elsewhere.ipynb", None),
            ("GET", "/_api/activity", None),
            ("GET", f"/_api/sharing?path={board}", None),
            ("PATCH", f"/_api/sharing?path={board}", {"enabled": True}),
            ("DELETE", "/_api/cache", None),
            ("DELETE", "/_api/notebooks/open/board", None),
            ("GET", "/api/personal_api_keys", None),
            ("GET", "/api/contents", None),
            ("GET", f"/api/contents/{board}", None),
            ("GET", f"/files/{board}", None),
            ("POST", "/api/kernels", {}),
        ):
            response = await page.send(method, path, body)
            assert response.code in (302, 401, 403, 404), path
            assert SECRET not in told(response)
        upload = form(("a.ipynb", notebook_bytes()))
        response = await page.send("POST", "/_api/notebooks/open/new", upload, headers=FORM)
        assert response.code in (401, 403)


async def test_whether_something_private_is_there_is_not_told(board: str, callers: Callers) -> None:
    nobody = callers.nobody()
    for there, missing in (("elsewhere", "nowhere"), ("open/private", "open/missing")):
        one, other = [await nobody.send("GET", f"/dashboards/{p}") for p in (there, missing)]
        assert one.code == other.code == 302
        assert one.headers["Location"].replace(there.split("/")[-1], "x") == other.headers[
            "Location"
        ].replace(missing.split("/")[-1], "x")


async def test_a_public_page_runs_its_own_notebook_only(
    board: str, callers: Callers, join: Join
) -> None:
    page = await page_of(callers)
    kernel_id = await start(page, board)
    channel = await join(page, kernel_id)
    assert "ran" in await channel.run("1")
    for path in ("open/private.ipynb", "elsewhere.ipynb", "staff/a.ipynb", "missing.ipynb"):
        response = await page.send("POST", "/_api/kernels", {"path": path})
        assert response.code == 404, path
    assert (await callers.nobody().send("POST", "/_api/kernels", {"path": board})).code == 401
    # Each page's visitor is another.
    other = await page_of(callers)
    assert (await other.send("GET", f"/_api/kernels/{kernel_id}")).code == 404


async def test_a_public_page_s_query_is_its_own(board: str, callers: Callers, join: Join) -> None:
    page = await page_of(callers)
    channel = await join(page, await start(page, board, query="region=south"))
    assert (await channel.run("2")).split() == ["region=south", board]


async def test_who_is_logged_in_gets_no_token_with_a_public_page(
    board: str, callers: Callers
) -> None:
    for client in (
        await callers.viewer("bob"),
        callers.owner(),
        await callers.key("dashboard:read"),
    ):
        page = await client.send("GET", "/dashboards/open/board")
        assert page.code == 200
        assert "pageToken" not in page_config(page)


@pytest.mark.parametrize(
    "changed",
    ["", '[rules]\n"open" = "viewers"\n', PUBLIC + f'"{BOARD}" = "nobody"\n', "a mistake ["],
)
async def test_a_dashboard_that_is_public_no_more_is_shut_at_once(
    board: str, callers: Callers, join: Join, rules: Path, changed: str
) -> None:
    page = await page_of(callers)
    kernel_id = await start(page, board)
    channel = await join(page, kernel_id)
    assert (await page.send("POST", "/_api/page_token")).code == 200
    rules.write_text(changed)
    await is_shut_out(channel)
    await is_ended(callers.app, kernel_id)
    for path, body in (("/_api/page_token", None), ("/_api/kernels", {"path": board})):
        assert (await page.send("POST", path, body)).code == 401
    assert (await callers.nobody().send("GET", "/dashboards/open/board")).code == 302


async def test_the_other_rules_leave_public_kernels_be(
    board: str, callers: Callers, join: Join, rules: Path
) -> None:
    page, bob = await page_of(callers), await callers.viewer("bob")
    public = await join(page, await start(page, board))
    staff = await join(bob, await start(bob, "staff/a.ipynb"))
    rules.write_text('[rules]\n"open" = "public"\n')
    await is_shut_out(staff)
    assert "ran" in await public.run("1")


async def test_the_kernels_of_nobody_are_counted_by_address_and_in_all(
    board: str, callers: Callers, http_server: Any
) -> None:
    http_server.xheaders = True

    async def visit(address: str) -> Any:
        page = await page_of(callers)
        headers = {"X-Forwarded-For": address}
        return await page.send(
            "POST", "/_api/kernels", {"path": board}, headers=headers, request_timeout=60
        )

    codes = [(await visit(address)).code for address in ("192.0.2.1",) * 3]
    assert codes == [201, 201, 503]
    assert (await visit("192.0.2.2")).code == 201
    full = await visit("192.0.2.3")
    assert full.code == 503
    assert "at capacity" in json.loads(full.body)["message"]
