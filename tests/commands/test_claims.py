"""Which commands a server is given to run, and what becomes of those of one that died."""

from __future__ import annotations

from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.models import Limits, Outcome
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook, now

from .submissions import wanted


async def new_notebooks(database: Database, count: int) -> list[int]:
    """Ids of notebooks."""

    def work(session: Session) -> list[int]:
        rows = [
            Notebook(path=f"{name}.ipynb", uuid=name, short_id=name)
            for name in map(str, range(count))
        ]
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]

    return await database.write(work)


async def test_an_attempt_that_was_taken_over_can_change_nothing_any_more(
    store: CommandStore,
) -> None:
    await store.submit(wanted(retry=1))
    (old,) = await store.claim("a server that hangs", 1, Limits(9))
    await store.orphans("It was thought dead.")
    (new,) = await store.claim("another", 1, Limits(9))
    assert new.attempt == 2
    assert await store.finish(old, Outcome("done")) is None
    assert not await store.progress(old, 1, 1, 0)
    finished = await store.finish(new, Outcome("done"))
    assert finished is not None
    assert finished.status == "done"


async def test_what_a_dead_server_has_left_is_run_again_if_it_may_and_has_failed_otherwise(
    store: CommandStore,
) -> None:
    may = (await store.submit(wanted(retry=1)))[0].id
    must_not = (await store.submit(wanted()))[0].id
    cancelling = (await store.submit(wanted(retry=1)))[0].id
    waits = (await store.submit(wanted()))[0].id
    begun = {each.id: each for each in await store.claim("the dead", 3, Limits(9))}
    await store.log(begun[may], "a line\n")
    await store.log(begun[must_not], "half a line")
    await store.cancel(cancelling)
    await store.orphans("It was stopped.")
    for number, before in ((may, "a line"), (must_not, "half a line"), (cancelling, "")):
        *lines, last = (await store.log_of(number)).splitlines()
        assert lines == ([before] if before else [])
        assert last.endswith(" It was stopped.")
    assert (await store.get(may)).status == "waiting"
    lost = await store.get(must_not)
    assert lost.status == "error"
    assert lost.error == {"message": "It was stopped."}
    assert (await store.get(cancelling)).status == "cancelled"
    assert (await store.get(waits)).status == "waiting"
    assert [each.outcome for each in await store.attempts(may)] == ["lost"]


async def test_a_place_goes_to_the_owner_of_whom_least_runs(store: CommandStore) -> None:
    for _ in range(5):
        await store.submit(wanted())
    await store.submit(wanted(owner="bob"))
    first = await store.claim("one", 3, Limits(9))
    assert [each.owner for each in first] == ["ann", "bob", "ann"]


async def test_no_more_of_a_notebook_run_at_once_than_are_asked_for(
    store: CommandStore, database: Database
) -> None:
    one, other = await new_notebooks(database, 2)
    for notebook in (one, one, one, other, None, None):
        await store.submit(wanted(notebook_id=notebook))
    taken = await store.claim("one", 9, Limits(9, {}, 1))
    assert [each.notebook_id for each in taken] == [one, other, None, None]
    await store.finish(taken[0], Outcome("done"))
    again = await store.claim("one", 9, Limits(9, {}, 1))
    assert [each.notebook_id for each in again] == [one]


async def test_what_becomes_due_just_after_the_queue_has_looked_is_not_slept_over(
    store: CommandStore,
) -> None:
    looked = now()
    await store.submit(wanted())
    # It was not due then, and is by now.
    assert await store.next_due(looked) == 0.0
    assert await store.next_due(now()) is None


async def test_what_has_begun_meanwhile_does_not_wait_for_itself(store: CommandStore) -> None:
    waited = [(await store.submit(wanted()))[0].id for _ in range(2)]
    await store.claim("test:1", 1, Limits(1))
    running, waiting = await store.running(waited)
    assert running.owners.total() == 1
    assert waiting == {waited[1]}
