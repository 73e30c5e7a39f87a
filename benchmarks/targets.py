"""What was to be reached, and whether it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jupyter_dashboards_api

if TYPE_CHECKING:
    from .report import Results

MAX_SCRIPT_BYTES = 10 * 1024
FIRST_CONTENT_RATIO = 8.0
CACHED_PAGE_MS = 10.0
ROUND_TRIP_RATIO = 1.1


@dataclass(frozen=True, slots=True)
class Target:
    """`reached` is None when it was not measured."""

    name: str
    wanted: str
    measured: str
    reached: bool | None

    @property
    def verdict(self) -> str:
        return {True: "reached", False: "**missed**", None: "not measured"}[self.reached]


def initial_script_bytes() -> int:
    """Gzipped bytes of the scripts that a dashboard page starts with, as the build counts them.

    These are the script inside the page, the entry script, and its static imports. The build writes no `.gz` of the
    smallest ones.
    """
    static = Path(jupyter_dashboards_api.__file__).parent / "static"
    manifest = json.loads(static.joinpath("manifest.json").read_text())
    entry = manifest["entries"]["dash"]
    names = (manifest["inline"]["early"], entry["js"], *entry["preload"])
    return sum(len(gzip.compress(static.joinpath(name).read_bytes(), 9)) for name in names)


def judge(results: Results) -> Iterator[Target]:
    """All targets, in the issue's order."""
    size = initial_script_bytes()
    yield Target(
        "initial JavaScript of a dashboard page",
        f"≤ {MAX_SCRIPT_BYTES / 1024:.0f} KB gzip",
        f"{size / 1024:.1f} KB",
        size <= MAX_SCRIPT_BYTES,
    )
    for sample in results.samples:
        yield _first_content(results, sample.name, sample.title)
        yield _last_output(results, sample.name, sample.title)
    for sample in results.samples:
        cached = results.cached.get(sample.name)
        took = cached["identity"].median if cached else None
        yield Target(
            f"page from the cache, p50: {sample.title}",
            f"≤ {CACHED_PAGE_MS:.0f} ms",
            "" if took is None else f"{took:.2f} ms",
            None if took is None else took <= CACHED_PAGE_MS,
        )
    name = "proxy's round trip ÷ the server's own, both with TCP_NODELAY, p50"
    wanted = f"≤ {ROUND_TRIP_RATIO}"
    if results.trips is None:
        yield Target(name, wanted, "", None)
    else:
        figures = results.trips.figures()
        times = figures["proxy"].median / figures["prompt"].median
        yield Target(name, wanted, f"{times:.3f}", times <= ROUND_TRIP_RATIO)


def _first_content(results: Results, sample: str, title: str) -> Target:
    name = f"first content, sooner than Voila's default: {title}"
    wanted = f"≥ {FIRST_CONTENT_RATIO:.0f} times"
    ours, voila = (
        results.of(sample, server, lambda view: view.first_ms) for server in ("ours", "Voila")
    )
    if not ours.values or not voila.values:
        return Target(name, wanted, "", None)
    times = voila.median / ours.median
    measured = f"{times:.1f} times ({ours.median:.0f} and {voila.median:.0f} ms)"
    return Target(name, wanted, measured, times >= FIRST_CONTENT_RATIO)


def _last_output(results: Results, sample: str, title: str) -> Target:
    name = f"last output, sooner than Voila's default: {title}"
    ours, voila = (
        results.of(sample, server, lambda view: view.last_ms) for server in ("ours", "Voila")
    )
    if not ours.values or not voila.values:
        return Target(name, "sooner", "", None)
    times = voila.median / ours.median
    measured = f"{times:.2f} times ({ours.median:.0f} and {voila.median:.0f} ms)"
    return Target(name, "sooner", measured, times > 1)
