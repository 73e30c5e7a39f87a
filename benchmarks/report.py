"""The results as a Markdown table and as JSON, with each target and whether it was reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .browser import TIMEOUT, View
from .figures import Figure, figure
from .notebooks import Sample
from .roundtrip import RoundTrips
from .targets import Target, initial_script_bytes, judge
from .viewers import Crowd

OURS = "ours"
VOILA = "Voila"


@dataclass(slots=True)
class Results:
    """All that was measured; what was left out is empty. Keys begin with the notebook's name, then the server's."""

    conditions: dict[str, str]
    samples: list[Sample] = field(default_factory=list)
    views: dict[tuple[str, str], list[View]] = field(default_factory=dict)
    crowds: dict[tuple[str, str, int], list[Crowd]] = field(default_factory=dict)
    cached: dict[str, dict[str, Figure]] = field(default_factory=dict)
    trips: RoundTrips | None = None

    def of(self, sample: str, server: str, value: Callable[[View], float | None]) -> Figure:
        """One value of all views that succeeded."""
        views = self.views.get((sample, server), [])
        found = (value(view) for view in views if not view.failure)
        return figure([one for one in found if one is not None])


def write(results: Results, folder: Path | None) -> str:
    """The Markdown text; also written to the folder, with the JSON, when there is one."""
    targets = list(judge(results))
    text = "\n".join(_document(results, targets)) + "\n"
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath("results.md").write_text(text)
        data = json.dumps(_data(results, targets), indent=1, ensure_ascii=False)
        folder.joinpath("results.json").write_text(data + "\n")
    return text


def _document(results: Results, targets: Sequence[Target]) -> Iterable[str]:
    yield "# Results"
    yield ""
    yield "Written by `python -m benchmarks`; what is measured and how is in [README.md](README.md)."
    yield "Figures are medians with the range in brackets, unless they say p50 or p95."
    yield ""
    yield from _table(("", ""), results.conditions.items())
    yield "## Targets"
    yield ""
    rows = ((target.name, target.wanted, target.measured, target.verdict) for target in targets)
    yield from _table(("", "target", "measured", ""), rows)
    yield from _pages(results)
    yield from _crowds(results)
    yield from _sockets(results)
    yield from _cached(results)


_PAGE_ROWS: tuple[tuple[str, Callable[[View], float | None], float, int], ...] = (
    ("time to first content, ms", lambda view: view.first_ms, 1, 0),
    ("first contentful paint, ms", lambda view: view.fcp_ms, 1, 0),
    ("time to last output, ms", lambda view: view.last_ms, 1, 0),
    ("requests", lambda view: view.requests, 1, 0),
    ("of them failed", lambda view: view.failed_requests, 1, 0),
    ("HTTP bytes on the wire, KB", lambda view: view.http_bytes, 1e-3, 1),
    ("websocket bytes received, KB", lambda view: view.socket_bytes, 1e-3, 1),
    ("scripts until first content, KB gzip", lambda view: view.scripts_first, 1e-3, 1),
    ("scripts in all, KB gzip", lambda view: view.scripts_all, 1e-3, 1),
)


def _pages(results: Results) -> Iterable[str]:
    for sample in results.samples:
        names = [server for name, server in results.views if name == sample.name]
        if not names:
            continue
        yield f"## One viewer: {sample.title}"
        yield ""
        ratios = [f"{name} ÷ ours" for name in names if name != OURS]
        rows: list[list[str]] = []
        for title, value, scale, digits in _PAGE_ROWS:
            found = [results.of(sample.name, name, value) for name in names]
            cells = [one.text(digits, scale) for one in found]
            rows.append([title, *cells, *(ratio(other, found[0]) for other in found[1:])])
        views = [results.views[sample.name, name] for name in names]
        failed = [f"{sum(bool(view.failure) for view in some)} of {len(some)}" for some in views]
        rows.append(["failures", *failed, *("" for _ in ratios)])
        yield from _table(("", *names, *ratios), rows)


def _crowds(results: Results) -> Iterable[str]:
    for sample in results.samples:
        counts = sorted({count for name, _, count in results.crowds if name == sample.name})
        if not counts:
            continue
        yield f"## Several viewers at once: {sample.title}"
        yield ""
        rows = []
        for count in counts:
            pairs = [
                results.crowds.get((sample.name, server, count), []) for server in (OURS, VOILA)
            ]
            for title, value, scale, digits in _CROWD_ROWS:
                ours, other = (figure([value(crowd) for crowd in crowds]) for crowds in pairs)
                texts = (ours.text(digits, scale), other.text(digits, scale))
                rows.append((str(count), title, *texts, ratio(other, ours)))
        yield from _table(("viewers", "", OURS, VOILA, "Voila ÷ ours"), rows)


def _first_ms(view: View) -> float:
    """What was never seen counts as seen when the patience ended: left out, it would make a median better."""
    return TIMEOUT * 1000 if view.first_ms is None else view.first_ms


_CROWD_ROWS: tuple[tuple[str, Callable[[Crowd], float], float, int], ...] = (
    ("all have the last output, ms", lambda crowd: crowd.all_ms, 1, 0),
    (
        "first content, median viewer, ms",
        lambda crowd: figure([_first_ms(view) for view in crowd.views]).median,
        1,
        0,
    ),
    ("failures", lambda crowd: crowd.failures, 1, 0),
    ("cheap request meanwhile, p50 ms", lambda crowd: crowd.probe.median, 1, 1),
    ("cheap request meanwhile, longest ms", lambda crowd: crowd.probe.high, 1, 0),
    ("memory per viewer, MB PSS", lambda crowd: crowd.bytes_each, 1e-6, 1),
)


def _sockets(results: Results) -> Iterable[str]:
    if results.trips is None:
        return
    names = {
        "proxy": "through the proxy",
        "prompt": "server's own, with TCP_NODELAY",
        "stock": "server's own, as shipped",
    }
    figures = results.trips.figures()
    yield "## Websocket round trip of a trivial cell"
    yield ""
    base = figures["prompt"]
    rows = [
        (
            title,
            f"{figures[name].median:.2f}",
            f"{figures[name].p95:.2f}",
            f"{figures[name].median / base.median:.2f}",
            str(len(figures[name].values)),
        )
        for name, title in names.items()
    ]
    yield from _table(("", "p50 ms", "p95 ms", "p50 ÷ own with TCP_NODELAY", "n"), rows)
    pairs = zip(results.trips.proxy, results.trips.prompt, strict=True)
    more = figure([proxy - prompt for proxy, prompt in pairs]).median
    yield f"The proxy takes {more:+.2f} ms in the median pair of neighbouring measurements."
    yield ""


def _cached(results: Results) -> Iterable[str]:
    if not results.cached:
        return
    yield "## Page from the server's cache"
    yield ""
    rows = [
        (sample.title, kind, f"{one.median:.2f}", f"{one.p95:.2f}", str(len(one.values)))
        for sample in results.samples
        for kind, one in results.cached[sample.name].items()
    ]
    yield from _table(("", "answer", "p50 ms", "p95 ms", "n"), rows)


def ratio(other: Figure, ours: Figure) -> str:
    """How many times ours the other is, of the medians."""
    if not other.values or not ours.values or ours.median <= 0:
        return ""
    times = other.median / ours.median
    return f"{times:.1f}×" if times >= 2 else f"{times:.2f}×"  # noqa: RUF001


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _data(results: Results, targets: Sequence[Target]) -> dict[str, Any]:
    return {
        "conditions": results.conditions,
        "targets": [{**asdict(target), "verdict": target.verdict} for target in targets],
        "initial_script_gzip_bytes": initial_script_bytes(),
        "pages": [
            {"notebook": name, "server": server, "views": [asdict(view) for view in views]}
            for (name, server), views in results.views.items()
        ],
        "viewers": [
            {
                "notebook": name,
                "server": server,
                "viewers": count,
                "runs": [{**asdict(crowd), "probe": crowd.probe.summary()} for crowd in crowds],
            }
            for (name, server, count), crowds in results.crowds.items()
        ],
        "roundtrips_ms": {
            name: one.summary()
            for name, one in (results.trips.figures() if results.trips else {}).items()
        },
        "cached_page_ms": {
            name: {kind: one.summary() for kind, one in kinds.items()}
            for name, kinds in results.cached.items()
        },
    }
