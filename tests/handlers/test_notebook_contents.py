"""`PUT /api/v1.2/jupyter_notebooks/contents/…`: notebooks that programs send to be run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tornado.web import HTTPError

from .command_client import CommandClient, error_of

AT = "/jupyter_notebooks/contents"
KERNEL = {"name": "python3", "display_name": "Python 3"}


def content(source: str = "print('sent')", **metadata: Any) -> Any:
    cell = new_code_cell(source, metadata=metadata)
    return dict(new_notebook(cells=[cell], metadata={"kernelspec": KERNEL}))


async def put(client: CommandClient, at: str, **body: Any) -> Any:
    response = await client.ask("PUT", f"{AT}/{at}", {"type": "notebook", **body})
    assert response.code == 200, response.body
    return json.loads(response.body)


@pytest.mark.usefixtures("runs")
async def test_a_notebook_is_sent_and_run_by_its_path(
    commands: CommandClient, jp_root_dir: Path
) -> None:
    # As the API's sample has it.
    sent = await put(
        commands, "Users/me/a%20b.ipynb", name="a b.ipynb", path="Users/me", content=content()
    )
    assert (sent["name"], sent["location"], sent["path"], sent["type"], sent["content"]) == (
        "a b.ipynb",
        "Users/me",
        "Users/me/a b.ipynb",
        "notebook",
        None,
    )
    assert sent["last_modified"].endswith("Z")
    command = await commands.submit(
        command_type="JupyterNotebookCommand", path="Users/me/a b.ipynb", upload_to_source=False
    )
    assert command["command"]["note_id"] == sent["id"]
    assert (await commands.ended(command["id"]))["status"] == "done"
    found = await commands.get(f"/commands/{command['id']}/results")
    assert found["results"] == "sent"
    again = await put(commands, "Users/me/a%20b.ipynb/", content=content("2"))
    assert again["id"] == sent["id"]
    there = nbformat.read(jp_root_dir / "Users" / "me" / "a b.ipynb", as_version=4)
    assert there.cells[0].source == "2"


async def test_a_notebook_that_is_sent_is_trusted_by_nobody(
    commands: CommandClient, jp_serverapp: Any
) -> None:
    await put(commands, "a.ipynb", content=content(trusted=True))
    model = await jp_serverapp.contents_manager.get("a.ipynb")
    assert model["content"].cells[0].metadata.get("trusted") is not True


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("a.txt", {"content": {}}, 400),
        ("", {"content": {}}, 400),
        ("../a.ipynb", {"content": {}}, 400),
        ("x/.hidden.ipynb", {"content": {}}, 400),
        ("x/" + "a" * 300 + ".ipynb", {"content": content()}, 400),
        ("x" * 300 + "/a.ipynb", {"content": content()}, 400),
        ("a.ipynb", {}, 422),
        ("a.ipynb", {"content": None}, 422),
        ("a.ipynb", {"content": "{}"}, 422),
        ("a.ipynb", {"content": {"nbformat": 3}}, 422),
        ("a.ipynb", {"content": {"nbformat": 4}}, 422),
        ("a.ipynb", {"content": {"nbformat": 4, "nbformat_minor": [], "cells": 1}}, 422),
        (
            "a.ipynb",
            {"content": {**content("x"), "cells": [{"cell_type": "other", "id": "a"}]}},
            422,
        ),
        ("a.ipynb", {"content": content("\ud800")}, 422),
        # No browser reads a file with one of these.
        ("a.ipynb", {"content": content(x=float("nan"))}, 422),
        ("a.ipynb", {"content": content(x=[float("inf")])}, 422),
        ("a.ipynb", {"type": "file", "content": content()}, 422),
    ],
)
async def test_what_is_no_notebook_is_refused_and_nothing_is_written(
    commands: CommandClient, jp_root_dir: Path, path: str, body: Any, status: int
) -> None:
    before = sorted(jp_root_dir.rglob("*"))
    error_of(await commands.ask("PUT", f"{AT}/{path}", {"type": "notebook", **body}), status)
    assert sorted(jp_root_dir.rglob("*")) == before


async def test_a_folder_is_not_replaced(commands: CommandClient, jp_root_dir: Path) -> None:
    (jp_root_dir / "a.ipynb").mkdir()
    error_of(await commands.ask("PUT", f"{AT}/a.ipynb", {"content": content()}), 409)


async def test_a_notebook_that_is_sent_where_one_was_lost_is_another(
    commands: CommandClient, jp_root_dir: Path
) -> None:
    first = await put(commands, "a.ipynb", content=content())
    # Whatever does so, the contents manager does not tell.
    (jp_root_dir / "a.ipynb").unlink()
    assert (await put(commands, "a.ipynb", content=content()))["id"] != first["id"]


def large(letter: str) -> Any:
    """More than the contents manager takes at once."""
    return content(letter * 3_000_000)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    "extension_config", [{}, {"DashboardsApp": {"root": "published"}}], ids=["below", "elsewhere"]
)
async def test_two_who_send_one_notebook_at_once_leave_one_of_them_whole(
    commands: CommandClient, jp_root_dir: Path, there: bool
) -> None:
    if there:
        await put(commands, "a.ipynb", content=content("old"))
    await asyncio.gather(
        *(put(commands, "a.ipynb", content=large(letter)) for letter in ("x", "y"))
    )
    notebook = nbformat.read(jp_root_dir / "a.ipynb", as_version=4)
    assert set(notebook.cells[0].source) in ({"x"}, {"y"})
    assert [each.name for each in jp_root_dir.glob("[!.]*")] == ["a.ipynb"]


async def test_the_old_notebook_is_there_while_a_new_one_is_written_and_when_that_fails(
    commands: CommandClient, jp_root_dir: Path, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await put(commands, "a.ipynb", content=content("old"))
    save, chunks = jp_serverapp.contents_manager.save, 0

    async def slowly_full(model: Any, path: str = "") -> Any:
        nonlocal chunks
        chunks += 1
        if chunks == 3:
            raise HTTPError(507)
        saved = await save(model, path)
        there = nbformat.read(jp_root_dir / "a.ipynb", as_version=4)
        assert there.cells[0].source == "old"
        return saved

    with monkeypatch.context() as patched:
        patched.setattr(jp_serverapp.contents_manager, "save", slowly_full)
        response = await commands.ask("PUT", f"{AT}/a.ipynb", {"content": large("x")})
        assert "contents manager failed" in error_of(response, 500)
    assert chunks == 3
    there = nbformat.read(jp_root_dir / "a.ipynb", as_version=4)
    assert there.cells[0].source == "old"
    assert [each.name for each in jp_root_dir.glob("[!.]*")] == ["a.ipynb"]
    assert (await put(commands, "a.ipynb", content=large("x")))["id"] == first["id"]


@pytest.mark.parametrize("name", ["a" * 201, "a.uploading-0123456789abcdef"])
async def test_a_name_that_leaves_no_room_beside_it_is_refused(
    commands: CommandClient, jp_root_dir: Path, name: str
) -> None:
    response = await commands.ask("PUT", f"{AT}/{name}.ipynb", {"content": content()})
    error_of(response, 400)
    assert not list(jp_root_dir.iterdir())


class TestLimits:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"NotebookUploads": {"max_upload_size": 1000}}

    async def test_a_body_beyond_the_limit_of_uploads_is_413(self, commands: CommandClient) -> None:
        body = {"content": content("x" * 1000)}
        error_of(await commands.ask("PUT", f"{AT}/a.ipynb", body), 413)


async def test_who_may_not_save_is_told_before_the_body_is_read(
    http_server: Any, http_server_port: Any, jp_base_url: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port[-1])
    writer.write(
        f"PUT {jp_base_url}api/v1.2{AT}/a.ipynb HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Length: 50000000\r\n\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
