"""Several viewers at once: how long they wait, what fails, how busy the server is, how much memory each one takes."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from playwright.async_api import Browser

from .browser import View, viewer, watch
from .figures import Figure
from .notebooks import Sample
from .probe import Probe
from .servers import Server


@dataclass(slots=True)
class Crowd:
    """Viewers who came at once.

    `all_ms`: from the first navigation until the last viewer sees the last output. `probe`: milliseconds in which
    the server answered a request for a small static file meanwhile. `bytes_each`: growth of the PSS of the server and
    its kernels, per viewer, while all pages are open.
    """

    viewers: int
    all_ms: float
    views: list[View]
    probe: Figure
    bytes_each: float

    @property
    def failures(self) -> int:
        return sum(bool(view.failure) for view in self.views)


async def measure(browser: Browser, server: Server, sample: Sample, count: int) -> Crowd:
    """So many viewers open the page at the same moment."""
    before = server.memory()
    views = [View() for _ in range(count)]
    async with AsyncExitStack() as stack:
        pages = [
            (await stack.enter_async_context(viewer(browser, server, sample)))[0]
            for _ in range(count)
        ]
        probe = Probe(server.port, server.probe)
        await probe.start()
        start = time.perf_counter()
        url = server.url(sample.name)
        await asyncio.gather(
            *(watch(page, url, view) for page, view in zip(pages, views, strict=True))
        )
        took = (time.perf_counter() - start) * 1000
        answers = await probe.stop()
        # What a page does after its last output is over by then.
        await asyncio.sleep(1)
        grown = server.memory() - before
    await server.rest()
    return Crowd(count, took, views, answers, grown / count)
