"""Path locks."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_dashboards_api.notebooks.locks import PathLocks


@pytest.mark.parametrize(
    ("held", "wanted", "waits"),
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a/b", "a", True),
        ("a", "ab", False),
        ("a/b", "a/c", False),
    ],
)
async def test_a_path_is_held_with_what_is_above_and_below_it(
    held: str, wanted: str, waits: bool
) -> None:
    locks = PathLocks()
    async with locks.hold(held):
        settled = asyncio.create_task(locks.settled(wanted))
        await asyncio.sleep(0)
        assert settled.done() is not waits
    await asyncio.wait_for(settled, 5)


async def test_one_holder_at_a_time_and_a_cancelled_one_lets_go() -> None:
    locks = PathLocks()
    inside = 0

    async def hold() -> None:
        nonlocal inside
        async with locks.hold("a"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    async def hang() -> None:
        async with locks.hold("a"):
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await asyncio.sleep(0)
    others = [asyncio.create_task(hold()) for _ in range(5)]
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.wait_for(asyncio.gather(*others), 5)
