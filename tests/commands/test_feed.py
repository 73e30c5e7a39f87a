"""Following a command: nothing is missed, whoever writes it, and only so many follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from jupyter_dashboards_api.commands.feed import CommandFeed, LogPiece, news
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome, Submission
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.errors import Unavailable


async def claimed(store: CommandStore) -> CommandInfo:
    await store.submit(Submission("SparkCommand", "ann", "a.ipynb", None, {}, "x"))
    (command,) = await store.claim("here", 1, Limits(1))
    return command


async def until_end(events: AsyncIterator[LogPiece | CommandInfo | None]) -> tuple[str, list[str]]:
    """The whole log, and the statuses."""
    text, statuses = "", []
    async for event in events:
        if isinstance(event, LogPiece):
            text += event.text
            assert event.end == len(text.encode())
        elif event is not None:
            statuses.append(event.status)
    return text, statuses


async def test_what_another_server_writes_is_seen_too(database: Database) -> None:
    feed = CommandFeed(1)
    here, there = CommandStore(database, feed.changed), CommandStore(database)
    command = await claimed(there)
    with feed.follow(command.id) as bell:
        following = asyncio.ensure_future(until_end(news(here, command.id, bell)))
        await there.log(command, "one é\n")
        await there.log(command, "two\n")
        await there.finish(command, Outcome("done"))
        async with asyncio.timeout(20):
            text, statuses = await following
    assert text == "one é\ntwo\n"
    assert statuses[-1] == "done"


async def test_a_log_of_many_pieces_comes_whole_and_before_the_end(database: Database) -> None:
    feed = CommandFeed(1)
    store = CommandStore(database, feed.changed)
    command = await claimed(store)
    with feed.follow(command.id) as bell:
        following = asyncio.ensure_future(until_end(news(store, command.id, bell)))
        for number in range(250):
            await store.log(command, f"line {number}\n")
        await store.finish(command, Outcome("done"))
        text, statuses = await following
    assert text == "".join(f"line {number}\n" for number in range(250))
    # It may have looked for the first time when all was over.
    assert statuses in (["running", "done"], ["done"])


async def test_only_so_many_follow_and_who_is_gone_counts_no_more() -> None:
    feed = CommandFeed(2)
    with feed.follow(1), feed.follow(2):
        with pytest.raises(Unavailable, match="Too many"), feed.follow(1):
            pass
        assert feed.count == 2
    assert feed.count == 0
    with feed.follow(1), feed.follow(1):
        assert feed.count == 2


async def test_a_feed_that_closes_ends_all_who_follow(database: Database) -> None:
    feed = CommandFeed(1)
    store = CommandStore(database, feed.changed)
    command = await claimed(store)
    with feed.follow(command.id) as bell:
        following = asyncio.ensure_future(until_end(news(store, command.id, bell)))
        await store.log(command, "one\n")
        feed.close()
        text, statuses = await following
    assert statuses in ([], ["running"])
    assert text in ("", "one\n")
