"""A folder's rows: specs/dashboards.md §1.3 "Listing page"."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.dashboards.listing import list_folder, natural_key
from jupyter_dashboards_api.dashboards.staging import staging_path

from .conftest import put


async def test_folders_come_first_then_dashboards_then_files_each_by_name(
    store: ContentsStore, finder: DashboardFinder
) -> None:
    await put(
        store,
        *("sub/b 10.ipynb", "sub/B 9.ipynb", "sub/a.ipynb", "sub/zfolder/", "sub/afolder/x.ipynb"),
        *("sub/bundle/index.ipynb", "sub/deep/index/index.ipynb", "sub/data.csv", "sub/code.py"),
        *("sub/Raw.IPYNB", "sub/Éa.ipynb", "sub/README"),
    )
    rows = await list_folder(store, finder, "sub")
    assert [(row.kind, row.name) for row in rows] == [
        ("folder", "afolder"),
        ("folder", "deep"),
        ("folder", "zfolder"),
        ("dashboard", "a"),
        ("dashboard", "B 9"),
        ("dashboard", "b 10"),
        ("dashboard", "bundle"),
        ("dashboard", "Éa"),
        ("file", "data.csv"),
    ]


async def test_each_row_s_path_leads_to_what_the_row_names(
    store: ContentsStore, finder: DashboardFinder
) -> None:
    await put(
        store,
        *("a.ipynb", "a/", "bundle/index.ipynb", "folder/", "data.csv", "twice.ipynb.ipynb"),
        *("twice.ipynb", "folder.ipynb/", "x.csv.ipynb"),
    )
    rows = await list_folder(store, finder, "")
    kinds = {"dashboard": "dashboard", "folder": "folder", "file": "resource"}
    for row in rows:
        found = await finder.find(row.path)
        assert found.kind == kinds[row.kind], row
    assert len({row.path for row in rows}) == len(rows)
    assert [row.name for row in rows if row.name == "a"] == ["a"]


async def test_a_search_filters_by_a_part_of_the_name_without_case(
    store: ContentsStore, finder: DashboardFinder
) -> None:
    await put(store, "Sales 2026.ipynb", "costs.ipynb", "Straße.ipynb", "sales/", "a.ipynb/")

    async def found(query: str) -> list[str]:
        return [row.name for row in await list_folder(store, finder, "", query)]

    assert await found("SALES") == ["sales", "Sales 2026"]
    assert await found(" 202 ") == ["Sales 2026"]
    assert await found("STRASSE") == ["Straße"]
    assert await found("ipynb") == ["a.ipynb"]
    assert await found(".*") == []
    assert len(await found(" ")) == 5


async def test_what_an_upload_stages_is_not_listed(
    store: ContentsStore, finder: DashboardFinder
) -> None:
    await put(
        store, "a.ipynb", staging_path("a.ipynb", "uploading"), staging_path("b", "replaced") + "/"
    )
    assert [row.name for row in await list_folder(store, finder, "")] == ["a"]


async def test_an_empty_folder_has_no_rows(store: ContentsStore, finder: DashboardFinder) -> None:
    assert await list_folder(store, finder, "") == []


@pytest.mark.parametrize(
    "names",
    [
        ["a1", "a2", "a10"],
        ["a", "B", "c"],
        ["1", "a"],
        ["plot 9", "Plot 10"],
        ["x2y3", "x2y10", "x10"],
    ],
)
def test_names_are_sorted_as_people_do(names: list[str]) -> None:
    assert sorted({*names}, key=natural_key) == names


@given(st.lists(st.text(alphabet="ab19٣²½ ", max_size=6), max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_names_can_be_sorted(names: list[str]) -> None:
    once = sorted(names, key=natural_key)
    assert sorted(once, key=natural_key) == once
