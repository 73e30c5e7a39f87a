"""Which commands of the history are found, in either database."""

from __future__ import annotations

from jupyter_dashboards_api.commands.models import Filter, Submission
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database


async def test_a_tag_is_found_as_it_is_written(database: Database) -> None:
    store = CommandStore(database)
    made = []
    for tags in (("notes", "a_b"), ("Notes", "a%b"), ()):
        submission = Submission("SparkCommand", "ann", "a.ipynb", None, {}, "", tags=tags)
        made.append((await store.submit(submission))[0].id)
    for tags, found in (
        (("notes",), made[:1]),
        (("Notes",), made[1:2]),
        (("NOTES",), []),
        (("a_b",), made[:1]),
        (("notes", "Notes"), []),
        ((), made[::-1]),
    ):
        commands, _ = await store.history(Filter(tags=tags), 10, 0)
        assert [each.id for each in commands] == found
