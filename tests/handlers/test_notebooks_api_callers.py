"""The notebooks API: which notebook is which, and who asks how. Each row of §4.1 and §4.2 of its specification is a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import Fetch

from .callers import Callers
from .notebooks_client import (
    API,
    DELETED,
    NO_ID,
    RECORD,
    RENAMED,
    NotebooksClient,
    basic,
    message_of,
    path_of,
)


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"AccessManager": {"token_user": "admin"}}


@pytest.fixture
def jp_server_config(jp_server_config: Any) -> Any:
    # A folder may go with what is in it, as in the trash of a desktop.
    jp_server_config.FileContentsManager.always_delete_dir = True
    return jp_server_config


# Which notebook is which


async def test_an_id_stays_when_the_file_or_a_folder_above_it_is_renamed_elsewhere(
    notebooks: NotebooksClient, fetch: Fetch
) -> None:
    made = await notebooks.create()
    before = await notebooks.record(made)
    source = quote(f"notebooks/admin/{before['notebook_name']}")
    await rename(fetch, source, "notebooks/admin/by lab.ipynb")
    assert (await notebooks.record(made))["notebook_name"] == "by lab.ipynb"
    await rename(fetch, "notebooks/admin", "notebooks/team")
    await rename(fetch, "notebooks", "moved")
    record = await notebooks.record(made)
    assert record["attributes"] == {"path": "/moved/team/"}
    assert record["updated_by"] == before["updated_by"]
    assert await notebooks.ids() == [made]
    assert await notebooks.good("PUT", made, {"new_name": "again"}) == RENAMED
    assert await path_of(notebooks, made) == "moved/team/again.ipynb"


async def rename(fetch: Fetch, path: str, new_path: str) -> None:
    body = json.dumps({"path": new_path})
    response = await fetch(f"/api/contents/{path}", method="PATCH", body=body)
    assert response.code == 200, response.body


@pytest.mark.parametrize("how", ["by JupyterLab", "on the disk", "with its folder"])
async def test_a_notebook_that_is_deleted_elsewhere_drops_out(
    notebooks: NotebooksClient, fetch: Fetch, jp_root_dir: Path, how: str
) -> None:
    made = await notebooks.create()
    path = await path_of(notebooks, made)
    if how == "on the disk":
        (jp_root_dir / path).unlink()
    else:
        gone = path if how == "by JupyterLab" else "notebooks/admin"
        response = await fetch(f"/api/contents/{quote(gone)}", method="DELETE")
        assert response.code == 204, response.body
    assert await notebooks.ids() == []
    assert await notebooks.bad(400, "GET", made) == "Notebook ID invalid."
    assert (await notebooks.good("GET", "_count"))["Total Notebooks"] == 0


async def test_a_new_file_at_an_old_path_is_another_notebook(
    notebooks: NotebooksClient, dashboards: Any
) -> None:
    old = await notebooks.create()
    await notebooks.good("PUT", old, {"new_name": "same"})
    await notebooks.good("DELETE", "", {"nbk_ids": [old]})
    new = await notebooks.create()
    await notebooks.good("PUT", new, {"new_name": "same"})
    assert new != old
    assert await notebooks.ids() == [new]
    assert await notebooks.bad(400, "GET", old) == "Notebook ID invalid."
    registered = await dashboards.access.notebooks.find("notebooks/admin/same.ipynb")
    assert registered.uuid == new


async def test_the_name_of_one_that_was_deleted_on_the_disk_brings_no_old_id(
    notebooks: NotebooksClient, jp_root_dir: Path
) -> None:
    old, new = [await notebooks.create() for _ in range(2)]
    await notebooks.good("PUT", old, {"new_name": "same"})
    (jp_root_dir / "notebooks/admin/same.ipynb").unlink()
    await notebooks.good("PUT", new, {"new_name": "same"})
    assert await notebooks.ids() == [new]
    assert await notebooks.bad(400, "GET", old) == "Notebook ID invalid."


# Who asks, and how


async def test_basic_takes_the_token_raw_or_as_the_password_and_the_name_is_its_owner_s(
    notebooks: NotebooksClient,
) -> None:
    token = notebooks.token
    users = [basic(user, token) for user in ("admin", "somebody", "")]
    for header in (f"Basic {token}", f"basic  {token}", *users):
        made = await notebooks.good("POST", headers={"Authorization": header})
        assert made["username"] == "admin"


async def test_without_a_right_token_it_is_401_and_asks_for_basic(
    notebooks: NotebooksClient,
) -> None:
    asked = {
        "": ("POST", "DELETE", "PUT"),
        NO_ID: ("GET", "PUT"),
        "_all": ("GET",),
        "_count": ("GET",),
        "_run": ("GET", "POST"),
        "_schedule": ("GET", "POST"),
        "_unschedule": ("POST",),
    }
    wrong = ("Basic wrong", basic("admin", "wrong"), basic("admin", ""), "Basic ====")
    for header in ("", "Basic", *wrong, "Digest x"):
        for path, methods in asked.items():
            for method in methods:
                response = await notebooks.ask(method, path, headers={"Authorization": header})
                assert "Basic" in message_of(response, 401)
                assert response.headers["WWW-Authenticate"].startswith("Basic")
                assert "Location" not in response.headers


async def test_a_key_sees_all_notebooks_of_this_api_and_does_what_its_scopes_say(
    notebooks: NotebooksClient, callers: Callers
) -> None:
    made = await notebooks.create()
    reader = await callers.key("notebook:read")
    listed = json.loads((await reader.send("GET", f"{API}_all")).body)
    assert [each["notebook_id"] for each in listed] == [made]
    for method, path, scope in (
        ("POST", "", "notebook:write"),
        ("DELETE", "", "notebook:write"),
        ("PUT", made, "notebook:write"),
        ("POST", "_run", "command:write"),
        ("POST", "_schedule", "schedule:write"),
        ("POST", "_unschedule", "schedule:write"),
    ):
        message = message_of(await reader.send(method, f"{API}{path}"), 403)
        assert scope in message
    writer = await callers.key("notebook:write")
    created = json.loads((await writer.send("POST", API)).body)
    assert created["username"] == "owner"
    assert await notebooks.ids() == [made, created["notebook_id"]]


async def test_another_site_can_not_use_a_password_that_a_browser_keeps(
    notebooks: NotebooksClient,
) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}):
        for method, path in (("POST", ""), ("GET", f"_run?nbkIds={NO_ID}"), ("DELETE", "")):
            response = await notebooks.ask(method, path, headers=headers)
            assert "another site" in message_of(response, 403)
    assert await notebooks.ids() == []


async def test_an_image_of_another_site_runs_nothing_where_a_browser_does_not_say_whose_it_is(
    notebooks: NotebooksClient,
) -> None:
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"}
    await notebooks.bad(405, "GET", f"_run?nbkIds={NO_ID}", headers=browser)
    # What says of itself that it is no other site's, or no browser, gets as far as the ids.
    for headers in ({**browser, "Sec-Fetch-Site": "same-origin"}, {"User-Agent": "curl/8.5.0"}):
        message = await notebooks.bad(400, "GET", f"_run?nbkIds={NO_ID}", headers=headers)
        assert NO_ID[:8] in message


async def test_a_slash_at_the_end_changes_nothing(notebooks: NotebooksClient) -> None:
    for path in ("_all", "_all/", "_count/"):
        await notebooks.good("GET", path)
    made = (await notebooks.good("POST", api=API.rstrip("/")))["notebook_id"]
    await notebooks.good("GET", f"{made}/")
    # As one of the documented samples has it.
    assert (await notebooks.good("GET", "_count", api=f"/{API}"))["Total Notebooks"] == 1


async def test_a_method_that_is_not_documented_is_405_in_the_same_shape(
    notebooks: NotebooksClient,
) -> None:
    for method, path in (("GET", ""), ("POST", "_all"), ("DELETE", NO_ID), ("PUT", "_schedule")):
        await notebooks.bad(405, method, path)


@pytest.mark.parametrize("path", ["", "/", "/foo", "/notebooks/a/b", "/notebooks/_all/x", "//x"])
async def test_what_is_not_there_is_404_in_the_same_shape(
    notebooks: NotebooksClient, path: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        message = await notebooks.bad(404, method, path, api="/_notebooks")
        assert message.startswith("There is no such resource.")
        nobody = {"Authorization": ""}
        await notebooks.bad(401, method, path, api="/_notebooks", headers=nobody)


async def test_ids_are_bounded(notebooks: NotebooksClient) -> None:
    message = await notebooks.bad(400, "DELETE", "", {"nbk_ids": [NO_ID] * 3000})
    assert "1000" in message
    await notebooks.bad(200, "DELETE", "", {"nbk_ids": ["x" * 100_000]})


async def test_the_body_of_the_document_s_samples_needs_no_quotes(
    notebooks: NotebooksClient,
) -> None:
    made = await notebooks.create()
    assert await notebooks.good("PUT", made, "{new_name: 12:30}") == RENAMED
    assert (await notebooks.record(made))["notebook_name"] == "12:30.ipynb"
    assert (
        await notebooks.good("DELETE", "", f'{{nbkIds: ["{made}"], module: "notebooks"}}')
        == DELETED
    )


async def test_a_record_is_the_same_whoever_asks(
    notebooks: NotebooksClient, callers: Callers
) -> None:
    made = await notebooks.create()
    browser = await callers.owner_cookie()
    response = await browser.send("GET", f"{API}{made}")
    assert json.loads(response.body).keys() == RECORD
