"""Ending what callers have open when their right to it has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest

from jupyter_dashboards_api.access.callers import Caller
from jupyter_dashboards_api.access.watch import CallerWatch
from jupyter_dashboards_api.errors import Unavailable

ANN, BOB = Caller("viewer", "ann"), Caller("viewer", "bob")
FOR_EVER, SOON = 3600.0, 0.01


class Rights:
    """What callers may open; `fails` is raised instead of an answer."""

    def __init__(self) -> None:
        self.permitted = {(ANN, "a"), (ANN, "b"), (BOB, "a")}
        self.fails: Exception | None = None
        self.looks: list[tuple[Caller, str]] = []
        self.looked = asyncio.Event()

    async def __call__(self, caller: Caller, path: str) -> bool:
        self.looks.append((caller, path))
        self.looked.set()
        if self.fails is not None and caller is ANN:
            raise self.fails
        return (caller, path) in self.permitted

    async def wait(self, looks: int) -> None:
        """Returns after so many looks."""
        while len(self.looks) < looks:
            self.looked.clear()
            await asyncio.wait_for(self.looked.wait(), 30)
        # What follows the last look is done in the same step.
        await asyncio.sleep(0)


Watching = Callable[[float], CallerWatch]


@pytest.fixture
def rights() -> Rights:
    return Rights()


@pytest.fixture
def watching(rights: Rights, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Watching]:
    made: list[CallerWatch] = []

    def start(interval: float) -> CallerWatch:
        made.append(CallerWatch(rights, interval, logging.getLogger("watch")))
        return made[-1]

    yield start

    async def stop() -> None:
        for watch in made:
            watch.stop()
        await asyncio.sleep(0)

    jp_asyncio_loop.run_until_complete(stop())


async def ended(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 30)


async def test_a_change_of_rights_is_looked_at_at_once(rights: Rights, watching: Watching) -> None:
    watch, ann, bob = watching(FOR_EVER), asyncio.Event(), asyncio.Event()
    watch.add(ANN, "a", ann.set)
    watch.add(BOB, "a", bob.set)
    rights.permitted.discard((ANN, "a"))
    watch.rights_changed()
    await ended(ann)
    await rights.wait(2)
    assert not bob.is_set()


async def test_what_others_change_is_seen_at_the_next_look(
    rights: Rights, watching: Watching
) -> None:
    watch, ann = watching(SOON), asyncio.Event()
    watch.add(ANN, "a", ann.set)
    await rights.wait(3)
    assert not ann.is_set()
    rights.permitted.clear()
    await ended(ann)


async def test_all_connections_of_a_caller_end_each_once(
    rights: Rights, watching: Watching
) -> None:
    watch, ends = watching(SOON), list[int]()
    for number in range(3):
        watch.add(ANN, "a", lambda number=number: ends.append(number))  # type: ignore[misc]
    other = asyncio.Event()
    watch.add(ANN, "b", other.set)
    await rights.wait(2)
    # One answer is enough for all three.
    assert sorted(path for _, path in rights.looks[:2]) == ["a", "b"]
    rights.permitted.discard((ANN, "a"))
    await rights.wait(len(rights.looks) + 4)
    assert sorted(ends) == [0, 1, 2]
    assert not other.is_set()


async def test_who_has_left_is_not_called_back(rights: Rights, watching: Watching) -> None:
    watch, ann, bob = watching(FOR_EVER), asyncio.Event(), asyncio.Event()
    leave = watch.add(ANN, "a", ann.set)
    watch.add(BOB, "a", bob.set)
    leave()
    leave()
    rights.permitted.clear()
    watch.rights_changed()
    await ended(bob)
    assert not ann.is_set()
    assert rights.looks == [(BOB, "a")]


async def test_who_leaves_while_it_is_looked_at_is_not_called_back(watching: Watching) -> None:
    looking, go, calls = asyncio.Event(), asyncio.Event(), list[str]()

    async def slow(caller: Caller, path: str) -> bool:
        looking.set()
        await go.wait()
        return False

    watch = CallerWatch(slow, FOR_EVER, logging.getLogger("watch"))
    leave = watch.add(ANN, "a", lambda: calls.append("ann"))
    done = asyncio.Event()
    watch.rights_changed()
    await ended(looking)
    leave()
    watch.add(BOB, "a", done.set)
    go.set()
    watch.rights_changed()
    await ended(done)
    watch.stop()
    assert calls == []


async def test_a_change_during_a_look_is_looked_at_too(rights: Rights, watching: Watching) -> None:
    watch, ann = watching(FOR_EVER), asyncio.Event()
    watch.add(ANN, "a", ann.set)
    watch.rights_changed()
    await rights.wait(1)
    watch.rights_changed()
    rights.permitted.clear()
    watch.rights_changed()
    await ended(ann)


async def test_a_database_that_does_not_answer_ends_nobody(
    rights: Rights, watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    watch, ann, bob = watching(SOON), asyncio.Event(), asyncio.Event()
    rights.fails = Unavailable("The database does not answer.")
    watch.add(ANN, "a", ann.set)
    await rights.wait(3)
    assert not ann.is_set()
    assert "The database does not answer." in caplog.text
    # When it answers again, what has changed meanwhile counts.
    rights.permitted.clear()
    rights.fails = None
    watch.add(BOB, "a", bob.set)
    await ended(ann)
    await ended(bob)


async def test_a_fault_with_one_caller_does_not_keep_the_others_in(
    rights: Rights, watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    watch, ann, bob = watching(SOON), asyncio.Event(), asyncio.Event()
    rights.fails = LookupError("a mistake of ours")
    watch.add(ANN, "a", ann.set)
    watch.add(BOB, "a", bob.set)
    await rights.wait(4)
    rights.permitted.clear()
    await ended(bob)
    assert not ann.is_set()
    assert "a mistake of ours" in caplog.text
    rights.fails = None
    await ended(ann)


async def test_a_connection_that_cannot_be_closed_does_not_keep_the_others_open(
    rights: Rights, watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    watch, bob, again = watching(SOON), asyncio.Event(), asyncio.Event()

    def fail() -> None:
        raise OSError("it is gone")

    watch.add(ANN, "a", fail)
    watch.add(BOB, "a", bob.set)
    rights.permitted.clear()
    await ended(bob)
    await rights.wait(2)
    watch.add(BOB, "a", again.set)
    await ended(again)
    assert "it is gone" in caplog.text


async def test_nothing_is_watched_after_a_stop(rights: Rights, watching: Watching) -> None:
    watch, ann = watching(SOON), asyncio.Event()
    watch.add(ANN, "a", ann.set)
    await rights.wait(1)
    watch.stop()
    watch.stop()
    rights.permitted.clear()
    watch.rights_changed()
    looks = len(rights.looks)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(rights.looks) == looks
    assert not ann.is_set()
