"""The clock of the schedules: when it looks, and that it ends."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.errors import Unavailable
from jupyter_dashboards_api.schedules.ticker import Ticker

LOG = logging.getLogger(__name__)


class Looks:
    """Counts looks, each of which answers when the next one is worth it."""

    def __init__(self, answer: timedelta | None = None) -> None:
        self.count = 0
        self.answer = answer
        self.looked = asyncio.Event()

    async def look(self, moment: datetime) -> datetime | None:
        self.count += 1
        self.looked.set()
        await asyncio.sleep(0)
        return now() + self.answer if self.answer is not None else None

    async def next(self) -> None:
        self.looked.clear()
        await self.looked.wait()


async def test_it_looks_at_the_start_when_told_and_when_something_is_due() -> None:
    looks = Looks()
    ticker = Ticker(looks.look, log=LOG)
    ticker.start()
    await looks.next()
    looks.answer = timedelta(milliseconds=10)
    ticker.wake()
    for _ in range(3):
        await looks.next()
    await ticker.stop()
    assert looks.count >= 4


async def test_it_ends_whatever_wakes_it_at_the_same_moment() -> None:
    for turns in range(8):
        looks = Looks()
        ticker = Ticker(looks.look, log=LOG)
        ticker.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        ticker.wake()
        async with asyncio.timeout(5):
            await ticker.stop()
        ended = looks.count
        ticker.wake()
        await asyncio.sleep(0)
        assert looks.count == ended


async def test_a_look_that_goes_on_is_waited_for_at_the_stop() -> None:
    done = False

    async def look(moment: datetime) -> datetime | None:
        nonlocal done
        await asyncio.sleep(0.05)
        done = True
        return None

    ticker = Ticker(look, log=LOG)
    ticker.start()
    await asyncio.sleep(0)
    await ticker.stop()
    assert done


async def test_a_look_that_fails_is_no_end() -> None:
    looks = Looks()
    faults = [Unavailable("away"), ValueError("broken")]

    async def look(moment: datetime) -> datetime | None:
        if faults:
            looks.looked.set()
            raise faults.pop()
        return await looks.look(moment)

    ticker = Ticker(look, log=LOG)
    ticker.start()
    for _ in range(3):
        await looks.next()
        ticker.wake()
    await ticker.stop()
    assert looks.count >= 1
