"""`PUT /api/v1.2/jupyter_notebooks/contents/…`: notebooks that programs send to be run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

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


class TestLimits:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"NotebookUploads": {"max_upload_size": 1000}}

    async def test_a_body_beyond_the_limit_of_uploads_is_413(self, commands: CommandClient) -> None:
        body = {"content": content("x" * 1000)}
        error_of(await commands.ask("PUT", f"{AT}/a.ipynb", body), 413)
