"""Which notebook a path is: ids that survive renames, and are never given to another notebook."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.errors import Unavailable
from jupyter_dashboards_api.notebooks.registry import NotebookRegistry


async def test_a_notebook_gets_its_ids_when_it_needs_them_first(
    registry: NotebookRegistry,
) -> None:
    assert await registry.find("a.ipynb") is None
    made = await registry.identify("a.ipynb")
    assert made.path == "a.ipynb"
    assert str(uuid.UUID(made.uuid)) == made.uuid
    assert re.fullmatch("[A-Za-z0-9]{8}", made.short_id)
    assert await registry.identify("a.ipynb") == made
    assert await registry.find("a.ipynb") == made
    assert (await registry.identify("A.ipynb")).id != made.id


async def test_those_who_ask_at_once_get_one_id(
    registry: NotebookRegistry, database: Database
) -> None:
    others = [Database(url=database.url) for _ in range(2)]
    registries = [registry, *(NotebookRegistry(other) for other in others)]
    try:
        asked = await asyncio.gather(
            *(each.identify("a.ipynb") for each in registries for _ in range(8))
        )
    finally:
        for other in others:
            other.close()
    assert len(set(asked)) == 1


async def test_a_folder_takes_along_what_is_in_it_and_nothing_else(
    registry: NotebookRegistry,
) -> None:
    inside = ["a_b/x.ipynb", "a_b/deep/y.ipynb"]
    outside = ["a%b/x.ipynb", "aXb/x.ipynb", "A_B/x.ipynb", "a_bc/x.ipynb", "a_b.ipynb", "x.ipynb"]
    known = {path: await registry.identify(path) for path in inside + outside}
    await registry.moved("a_b", "c")
    for path in inside:
        moved = await registry.find(path.replace("a_b", "c", 1))
        assert moved is not None
        assert moved.id == known[path].id
        assert await registry.find(path) is None
    for path in outside:
        assert await registry.find(path) == known[path]


@pytest.mark.parametrize("folder", ["a_b", "a%b", "a\\b", "a%", "_", "ä", "a b", "a'b"])
async def test_a_folder_that_is_deleted_takes_along_what_is_in_it_and_nothing_else(
    registry: NotebookRegistry, folder: str
) -> None:
    names = ["a_b", "a%b", "a\\b", "a%", "_", "ä", "a b", "a'b", "aXb", "A_B", "Ä", "a"]
    for name in names:
        await registry.identify(f"{name}/x.ipynb")
    await registry.deleted(folder)
    left = [name for name in names if await registry.find(f"{name}/x.ipynb") is not None]
    assert left == [name for name in names if name != folder]


async def test_a_notebook_that_is_made_where_a_deleted_one_was_is_another(
    registry: NotebookRegistry,
) -> None:
    ids = set()
    for _ in range(3):
        ids.add((await registry.identify("a.ipynb")).id)
        await registry.deleted("a.ipynb")
        assert await registry.find("a.ipynb") is None
    assert len(ids) == 3


async def test_what_is_replaced_by_a_rename_is_gone(registry: NotebookRegistry) -> None:
    first, second = await registry.identify("a.ipynb"), await registry.identify("b.ipynb")
    await registry.moved("a.ipynb", "b.ipynb")
    found = await registry.find("b.ipynb")
    assert found is not None
    assert found.id == first.id != second.id


async def test_it_is_said_when_a_notebook_that_is_known_has_moved_or_gone(
    database: Database,
) -> None:
    changes: list[str] = []
    registry = NotebookRegistry(database, lambda: changes.append("changed"))
    await registry.identify("a/b.ipynb")
    await registry.moved("unknown.ipynb", "elsewhere.ipynb")
    await registry.deleted("unknown.ipynb")
    await registry.moved("a", "a")
    assert changes == []
    await registry.moved("a", "c")
    await registry.deleted("c/b.ipynb")
    assert changes == ["changed"] * 2


async def test_the_ids_of_notebooks_that_go_are_told_in_the_transaction_that_ends_them(
    database: Database,
) -> None:
    told: list[int] = []
    fails = False

    class Nothing:
        async def document(self, path: str) -> None:
            return None

        async def is_being_replaced(self, path: str) -> bool:
            return False

        async def is_empty(self) -> bool:
            return True

    registry = NotebookRegistry(database, files=Nothing())

    def listener(session: Session, ids: Sequence[int]) -> None:
        if fails:
            raise Unavailable("Not now.")
        gone = session.scalars(select(Notebook.deleted_at).where(Notebook.id.in_(ids)))
        assert all(each is not None for each in gone)
        told.extend(ids)

    registry.on_end(listener)
    paths = ["f/a.ipynb", "f/b.ipynb", "moved.ipynb", "replaced.ipynb", "lost.ipynb", "new.ipynb"]
    ids = {path: (await registry.identify(path)).id for path in paths}
    fails = True
    with pytest.raises(Unavailable):
        await registry.deleted("f")
    fails = False
    assert await registry.by_id(ids["f/a.ipynb"]) is not None
    await registry.deleted("f")
    assert told == [ids["f/a.ipynb"], ids["f/b.ipynb"]]
    await registry.moved("moved.ipynb", "replaced.ipynb")
    assert told[2:] == [ids["replaced.ipynb"]]
    assert await registry.there(ids["lost.ipynb"]) is None
    await registry.end_missing([ids["lost.ipynb"]], timedelta(0))
    assert told[3:] == [ids["lost.ipynb"]]
    registry.appeared("new.ipynb", now())
    await registry.informed()
    assert told[4:] == [ids["new.ipynb"]]


names = st.sampled_from(["a", "A", "a_", "a%", "a b"])
moves = st.lists(
    st.tuples(
        st.sampled_from(["identify", "moved", "deleted"]),
        st.lists(names, min_size=1, max_size=2).map("/".join),
        names,
    ),
    max_size=10,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves)
def test_it_does_what_a_dictionary_of_paths_would(
    database: Database,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
    steps: list[tuple[str, str, str]],
) -> None:
    # A folder of its own for each example.
    root, registry, model = uuid.uuid4().hex, NotebookRegistry(database), dict[str, int]()

    def at_or_below(path: str) -> list[str]:
        return [known for known in model if known == path or known.startswith(f"{path}/")]

    async def play() -> None:
        for action, name, new_name in steps:
            path, new_path = f"{root}/{name}", f"{root}/{new_name}"
            if action == "identify":
                number = (await registry.identify(path)).id
                assert model.setdefault(path, number) == number
            elif action == "deleted":
                await registry.deleted(path)
                for known in at_or_below(path):
                    del model[known]
            elif not path.startswith(f"{new_path}/") and not new_path.startswith(f"{path}/"):
                await registry.moved(path, new_path)
                moved = {known: model.pop(known) for known in at_or_below(path)}
                for known in at_or_below(new_path):
                    del model[known]
                model.update({new_path + known[len(path) :]: moved[known] for known in moved})
        for path in {f"{root}/{name}" for _, name, _ in steps} | set(model):
            found = await registry.find(path)
            assert (found.id if found else None) == model.get(path)

    jp_asyncio_loop.run_until_complete(play())
