"""PDF and PNG of a notebook, side by side in one run: this project's warm browser, and nbconvert's webpdf, as the command
`nbconvert --to webpdf` and as an exporter that is called again and again in one process.

`python -m benchmarks.convert` executes the notebook of six plots first; nothing that is timed runs it. `--output FILE` writes the
table. nbconvert starts Playwright's own browser and can't be told another one: where that is not installed, it does not run as
shipped. Then the browser that this project uses is patched into it, and the table says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import nbformat

from jupyter_dashboards_api.conversion.browser import Format, PageBrowser, find_executable
from jupyter_dashboards_api.conversion.exporter import PageExporter
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer

from .notebooks import make

ROUNDS = 7
TARGET = 6.0

# nbconvert's command, with the browser of the first argument in place of Playwright's.
_PATCHED = """
import sys
from playwright.async_api import BrowserType
own, executable = BrowserType.launch, sys.argv.pop(1)
BrowserType.launch = lambda self, **options: own(self, **{**options, "executable_path": executable})
from nbconvert.nbconvertapp import main
main()
"""


# The same without the start of Python: the exporter in a process that has made one PDF already.
_IN_PROCESS = """
import json, sys, time
import nbformat
from nbconvert import WebPDFExporter
from playwright.async_api import BrowserType
own, executable = BrowserType.launch, sys.argv[1]
BrowserType.launch = lambda self, **options: own(self, **{**options, "executable_path": executable})
exporter, times = WebPDFExporter(disable_sandbox=True), []
for _ in range(int(sys.argv[3]) + 1):
    begin = time.perf_counter()
    exporter.from_notebook_node(nbformat.read(sys.argv[2], as_version=4))
    times.append(time.perf_counter() - begin)
print(json.dumps(times[1:]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert", description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sample = make(Path(folder), "python3")[-1]
        file = Path(folder) / f"{sample.name}.ipynb"
        ours = asyncio.run(_ours(file, options.rounds))
        theirs, why = _webpdf(file, options.rounds)
        within = _in_process(file, options.rounds) if theirs else []
    text = table(sample.title, ours, theirs, within, why)
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


async def _ours(file: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from the notebook on disk to the bytes; under `first` with the start of the browser."""
    exporter, browser = PageExporter(DashboardRenderer()), PageBrowser()

    async def once(kind: Format) -> float:
        begin = time.perf_counter()
        notebook = nbformat.read(file, as_version=4)
        page = await asyncio.to_thread(
            exporter.page, notebook, file.name, is_note=True, show_code=True, trusted=False
        )
        await browser.draw(page, kind)
        return time.perf_counter() - begin

    found: dict[str, list[float]] = {"first": [await once("pdf")], "pdf": [], "png": []}
    for _ in range(rounds):
        found["pdf"].append(await once("pdf"))
        found["png"].append(await once("png"))
    await browser.stop()
    return found


def _webpdf(file: Path, rounds: int) -> tuple[list[float], str]:
    """Seconds of the command, and why it does not run as shipped, if it doesn't."""
    # Chromium's own sandbox does not start as root.
    words = ["--to", "webpdf", "--disable-chromium-sandbox", f"--output-dir={file.parent / 'out'}"]
    arguments = [*words, "--log-level=ERROR", str(file)]
    command = [sys.executable, "-m", "nbconvert", *arguments]
    why = _complaint(command)
    if why:
        command = [sys.executable, "-c", _PATCHED, str(find_executable()), *arguments]
        if failure := _complaint(command):
            return [], failure
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        _complaint(command)
        times.append(time.perf_counter() - begin)
    return times, why


def _in_process(file: Path, rounds: int) -> list[float]:
    """Seconds of the exporter; none where it does not run."""
    words = [str(find_executable()), str(file), str(rounds)]
    done = subprocess.run(
        [sys.executable, "-c", _IN_PROCESS, *words], capture_output=True, text=True, check=False
    )
    return list(json.loads(done.stdout)) if not done.returncode else []


def _complaint(command: list[str]) -> str:
    """Runs a command; its last line when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if not done.returncode:
        return ""
    return lines[-1][:200] if lines else f"exit status {done.returncode}"


def table(
    title: str, ours: dict[str, list[float]], theirs: list[float], within: list[float], why: str
) -> str:
    """The figures as Markdown."""
    lines = [f"# Conversion of the notebook with {title}", ""]
    lines += ["| | median | webpdf takes | in process |", "| --- | --- | --- | --- |"]
    names = {"pdf": "PDF, warm", "png": "PNG, warm", "first": "PDF, with the start of the browser"}
    for name, words in names.items():
        seconds = median(ours[name])
        ratio = median(theirs) / seconds if theirs else 0.0
        verdict = " **missed**" if theirs and name != "first" and ratio < TARGET else ""
        times = f"{ratio:.1f} times as long{verdict}" if theirs else "does not run"
        inner = f"{median(within) / seconds:.1f} times as long" if within else "does not run"
        lines.append(f"| {words} | {seconds * 1000:.0f} ms | {times} | {inner} |")
    if theirs:
        patched = ", patched" if why else ""
        lines.append(f"| `nbconvert --to webpdf`{patched} | {median(theirs) * 1000:.0f} ms | | |")
    if within:
        lines.append(f"| its exporter in a process{patched} | {median(within) * 1000:.0f} ms | | |")
    if why:
        lines += ["", f"As shipped, webpdf does not run here: {why}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
