"""Which id a notebook has, by its path, and what its parameters are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Fetch, Write

from .command_client import CommandClient, error_of


async def test_a_notebook_s_ids_are_found_by_its_path_and_stay(
    commands: CommandClient, write_notebook: Write
) -> None:
    write_notebook("sales/Größe 1.ipynb")
    answer = await commands.get("/notebooks?path=sales/Gr%C3%B6%C3%9Fe%201.ipynb")
    (found,) = answer["notebooks"]
    assert type(found["id"]) is int
    assert found["note_id"] == found["id"]
    assert found["path"] == "sales/Größe 1.ipynb"
    assert (found["name"], found["location"]) == ("Größe 1", "sales")
    assert found["uuid"]
    assert found["short_id"]
    assert await commands.get("/notebooks/?path=/sales/Gr%C3%B6%C3%9Fe%201.ipynb") == answer
    dashboard = await commands.get("/notebook_dashboard?path=sales/Gr%C3%B6%C3%9Fe%201.ipynb")
    assert dashboard == {"notebook_dashboards": [found]}


async def test_a_bundle_s_dashboard_is_found_by_its_folder(
    commands: CommandClient, write_notebook: Write
) -> None:
    write_notebook("team/board/index.ipynb")
    note_id = await commands.note_id("team/board/index.ipynb")
    for path in ("team/board", "team/board/", "team/board/index.ipynb"):
        found = await commands.get(f"/notebook_dashboard?path={path}")
        assert [each["id"] for each in found["notebook_dashboards"]] == [note_id]
    # A folder is no notebook.
    error_of(await commands.ask("GET", "/notebooks?path=team/board"), 404)
    error_of(await commands.ask("GET", "/notebook_dashboard?path=team"), 404)


async def test_a_renamed_notebook_keeps_its_id(
    commands: CommandClient, write_notebook: Write, fetch: Fetch
) -> None:
    write_notebook("a.ipynb")
    number = await commands.note_id("a.ipynb")
    renamed = await fetch(
        "/api/contents/a.ipynb", method="PATCH", body=json.dumps({"path": "b.ipynb"})
    )
    assert renamed.code == 200
    assert await commands.note_id("b.ipynb") == number
    write_notebook("a.ipynb")
    assert await commands.note_id("a.ipynb") != number


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("missing.ipynb", 404),
        ("a.txt", 404),
        ("folder", 404),
        (f"{'x' * 300}.ipynb", 404),
        ("", 400),
        ("/", 400),
        ("../a.ipynb", 400),
        (".hidden/a.ipynb", 400),
        ("a%5Cb.ipynb", 400),
        ("%ff.ipynb", 400),
    ],
)
async def test_what_is_no_notebook_has_no_id(
    commands: CommandClient, jp_root_dir: Path, path: str, status: int
) -> None:
    (jp_root_dir / "a.txt").write_text("x")
    (jp_root_dir / "folder").mkdir()
    for route in ("notebooks", "notebook_dashboard"):
        error_of(await commands.ask("GET", f"/{route}?path={path}"), status)
    error_of(await commands.ask("GET", "/notebooks"), 400)


async def test_parameters_have_names_types_and_defaults(
    commands: CommandClient, write_notebook: Write
) -> None:
    write_notebook(
        "a.ipynb",
        new_code_cell("day = '1'\nrows: int = 5\nok = True", metadata={"tags": ["parameters"]}),
        kernelspec={"name": "python3", "display_name": "Python 3"},
    )
    number = await commands.note_id("a.ipynb")
    answer = await commands.get(f"/notebooks/{number}/parameters")
    assert [(each["name"], each["type"], each["default"]) for each in answer["parameters"]] == [
        ("day", "string", "1"),
        ("rows", "integer", 5),
        ("ok", "boolean", True),
    ]


@pytest.mark.parametrize(
    "metadata", [{}, {"kernelspec": None}, {"kernelspec": []}, {"language_info": {"name": 5}}]
)
async def test_a_notebook_with_odd_metadata_has_parameters_or_none(
    commands: CommandClient, jp_root_dir: Path, metadata: dict[str, Any]
) -> None:
    notebook = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (jp_root_dir / "a.ipynb").write_text(json.dumps(notebook))
    number = await commands.note_id("a.ipynb")
    assert await commands.get(f"/notebooks/{number}/parameters") == {"parameters": []}


async def test_parameters_of_a_file_that_is_no_notebook_are_422(
    commands: CommandClient, jp_root_dir: Path
) -> None:
    (jp_root_dir / "a.ipynb").write_text("{")
    number = await commands.note_id("a.ipynb")
    error_of(await commands.ask("GET", f"/notebooks/{number}/parameters"), 422)
