"""The activity log, as the API reads it back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from jupyter_dashboards_api.access.activities import Activities
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Activity, now

from .conftest import NewNotebook, Run


@pytest.fixture
def activities(database: Database) -> Activities:
    return Activities(database, timedelta(days=30))


async def test_an_entry_is_read_back_as_it_was_told(
    activities: Activities, new_notebook: NewNotebook
) -> None:
    notebook = new_notebook("a.ipynb")
    detail = {"changes": [{"field": "title", "before": None, "after": "Ümsatz\0\ud800"}], "n": 1}
    await activities.record("updated", "ann", path="a.ipynb", notebook_id=notebook, detail=detail)
    (entry,), total = await activities.page(10, 1)
    assert total == 1
    assert (entry.activity, entry.actor) == ("updated", "ann")
    assert (entry.path, entry.notebook_id, entry.detail) == ("a.ipynb", notebook, detail)
    assert abs(entry.created_at - now()) < timedelta(minutes=1)


async def test_an_entry_needs_no_notebook(activities: Activities) -> None:
    await activities.record("login", "ann" * 100)
    (entry,), _ = await activities.page(10, 1)
    assert (entry.path, entry.notebook_id, entry.detail) == ("", None, {})
    assert entry.actor == ("ann" * 100)[:128]


async def test_pages_have_the_newest_first_and_the_number_of_all(activities: Activities) -> None:
    for number in range(7):
        await activities.record(f"n{number}", "ann")
    pages = [await activities.page(3, page) for page in (1, 2, 3, 4)]
    told = [[entry.activity for entry in entries] for entries, _ in pages]
    assert told == [["n6", "n5", "n4"], ["n3", "n2", "n1"], ["n0"], []]
    assert {total for _, total in pages} == {7}


async def test_entries_of_one_moment_keep_their_order_from_page_to_page(
    activities: Activities, run: Run
) -> None:
    for number in range(6):
        await activities.record(f"n{number}", "ann")
    run(update(Activity).values(created_at=now()))
    pages = [await activities.page(2, page) for page in (1, 2, 3)]
    assert {entry.activity for entries, _ in pages for entry in entries} == {
        f"n{number}" for number in range(6)
    }


async def test_those_of_one_notebook_or_path_can_be_asked_for(
    activities: Activities, new_notebook: NewNotebook
) -> None:
    one, other = new_notebook("b.ipynb"), new_notebook("c.ipynb")
    await activities.record("here before", "ann", path="a.ipynb", notebook_id=one)
    await activities.record("there", "ann", path="b.ipynb", notebook_id=one)
    await activities.record("another's", "ann", path="a.ipynb", notebook_id=other)
    await activities.record("nobody's", "ann", path="A.ipynb")

    async def told(**of: object) -> set[str]:
        entries, total = await activities.page(10, 1, **of)  # type: ignore[arg-type]
        assert total == len(entries)
        return {entry.activity for entry in entries}

    assert await told(notebook_id=one) == {"here before", "there"}
    assert await told(path="a.ipynb") == {"here before", "another's"}
    assert await told(path="a.ipynb", notebook_id=one) == {"here before"}


async def test_old_entries_are_forgotten(activities: Activities, run: Run) -> None:
    await activities.record("old", "ann")
    run(update(Activity).values(created_at=now() - timedelta(days=30, minutes=1)))
    await activities.record("new", "ann")
    assert await activities.forget_old() == 1
    entries, _ = await activities.page(10, 1)
    assert [entry.activity for entry in entries] == ["new"]
