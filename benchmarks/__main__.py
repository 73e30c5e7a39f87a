"""`python -m benchmarks`: measures everything and writes the table."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser

from . import browser, cached_page, roundtrip, servers, viewers
from .browser import View
from .notebooks import Sample, make, write_one_cell
from .report import Results, write
from .servers import Server
from .workplace import KERNEL_NAME, Workplace, cache_folder, conditions, workplace

PARTS = ("pages", "viewers", "sockets", "cache")


@dataclass(frozen=True, slots=True)
class Effort:
    """How often: `repeats` views of each page, `crowds` of viewers, `rounds` of `trips` executions, `gets` of a page."""

    repeats: int
    crowds: tuple[int, ...]
    crowd_repeats: int
    rounds: int
    trips: int
    gets: int


FULL = Effort(repeats=9, crowds=(1, 4, 16), crowd_repeats=3, rounds=5, trips=300, gets=500)
QUICK = Effort(repeats=2, crowds=(1, 4), crowd_repeats=1, rounds=1, trips=60, gets=100)


def main() -> int:
    """Parse the command line, measure, write; the exit status says only whether it could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few repetitions; writes only with --output"
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="some of the measurements"
    )
    parser.add_argument("--repeats", type=int, help="views of each page")
    parser.add_argument("--output", type=Path, help="folder for results.md and results.json")
    parser.add_argument(
        "--cache", type=Path, default=cache_folder(), help="folder for Voila's environment"
    )
    options = parser.parse_args()
    effort = QUICK if options.quick else FULL
    repeats = options.repeats or effort.repeats
    output = options.output or (None if options.quick else Path(__file__).parent)
    with workplace(options.cache) as place:
        results = asyncio.run(_measure(place, effort, repeats, tuple(options.only)))
    text = write(results, output)
    print(text)
    return 0


async def _measure(
    place: Workplace, effort: Effort, repeats: int, parts: tuple[str, ...]
) -> Results:
    async with browser.chromium() as chromium:
        results = Results(conditions=conditions(chromium.version))
        results.samples = make(place.notebooks, KERNEL_NAME)
        if "pages" in parts or "viewers" in parts or "cache" in parts:
            async with AsyncExitStack() as stack:
                sides = [
                    await stack.enter_async_context(servers.dashboards(place)),
                    await stack.enter_async_context(servers.voila(place)),
                    await stack.enter_async_context(
                        servers.voila(
                            place, "--progressive_rendering=True", name="Voila, progressive"
                        )
                    ),
                ]
                if "cache" in parts:
                    for sample in results.samples:
                        _say(f"page from the cache: {sample.title}")
                        results.cached[sample.name] = await asyncio.to_thread(
                            cached_page.measure, sides[0], sample.name, effort.gets
                        )
                if "pages" in parts:
                    await _pages(chromium, sides, results, repeats)
        if "viewers" in parts:
            await _crowds(chromium, place, results, effort)
    if "sockets" in parts:
        _say("websocket round trips")
        notebook = write_one_cell(place.notebooks, roundtrip.SOURCE, KERNEL_NAME)
        async with servers.jupyter_server(place) as server:
            results.trips = await roundtrip.measure(server, notebook, effort.rounds, effort.trips)
    return results


async def _pages(chromium: Browser, sides: list[Server], results: Results, repeats: int) -> None:
    """Views in turns: A B C A B C; the first of each warms the machine's file cache and counts for nothing."""
    for sample in results.samples:
        for number in range(-1, repeats):
            for server in sides:
                view = await browser.measure(chromium, server, sample)
                await server.rest()
                _say(_line(server, sample, view, number))
                if number >= 0:
                    results.views.setdefault((sample.name, server.name), []).append(view)


async def _crowds(chromium: Browser, place: Workplace, results: Results, effort: Effort) -> None:
    """Each crowd meets a server that has just started: memory that earlier ones have left is not given to it."""
    kinds = (servers.dashboards, servers.voila)
    for sample in results.samples:
        for count in effort.crowds:
            for _ in range(effort.crowd_repeats):
                for start in kinds:
                    async with start(place) as server:
                        # The first view of all fills caches; what they take belongs to no viewer.
                        await browser.measure(chromium, server, sample)
                        await server.rest()
                        crowd = await viewers.measure(chromium, server, sample, count)
                        _say(
                            f"{server.name}, {count} at once, {sample.title}: {crowd.all_ms:.0f} ms"
                        )
                        results.crowds.setdefault((sample.name, server.name, count), []).append(
                            crowd
                        )


def _line(server: Server, sample: Sample, view: View, number: int) -> str:
    times = f"first {view.first_ms or 0:.0f} ms, last {view.last_ms or 0:.0f} ms"
    return f"{sample.title}, {number + 1}: {server.name}: {times} {view.failure}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
