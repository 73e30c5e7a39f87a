"""PDF and PNG of a notebook, side by side in one run: this project's warm browser, and nbconvert's webpdf, as the command
`nbconvert --to webpdf` and as an exporter that is called again and again in one process.

`python -m benchmarks.convert` executes the notebook of six plots first; nothing that is timed runs it. `--output FILE` writes the
table. nbconvert starts Playwright's own browser and can't be told another one: where that is not installed, it does not run as
shipped. Then the browser that this project uses is patched into it, and the table says so.
"""

from __future__ import annotations

import argparse
import asyncio
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


# The same without the start of Python: the exporter in a process that has made one PDF already; each line asks for one more.
_IN_PROCESS = """
import sys, time
import nbformat
from nbconvert import WebPDFExporter
from playwright.async_api import BrowserType
own, executable = BrowserType.launch, sys.argv[1]
BrowserType.launch = lambda self, **options: own(self, **{**options, "executable_path": executable})
exporter = WebPDFExporter(disable_sandbox=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    exporter.from_notebook_node(nbformat.read(sys.argv[2], as_version=4))
    print(time.perf_counter() - begin, flush=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert", description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sample = make(Path(folder), "python3")[-1]
        file = Path(folder) / f"{sample.name}.ipynb"
        command, why = _webpdf(file)
        found = asyncio.run(_measured(file, command, options.rounds))
    text = table(sample.title, found, why)
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


async def _measured(file: Path, command: list[str], rounds: int) -> dict[str, list[float]]:
    """Seconds by name, one of each in turn, so that what else the machine does weighs on all of them.

    Ours are from the notebook on disk to the bytes; under `first` with the start of the browser.
    """
    exporter, browser = PageExporter(DashboardRenderer()), PageBrowser()

    async def once(kind: Format) -> float:
        begin = time.perf_counter()
        notebook = nbformat.read(file, as_version=4)
        page = await asyncio.to_thread(
            exporter.page, notebook, file.name, is_note=True, show_code=True, trusted=False
        )
        await browser.draw(page, kind)
        return time.perf_counter() - begin

    found: dict[str, list[float]] = {"first": [await once("pdf")]}
    for name in ("pdf", "png", "command", "inside"):
        found[name] = []
    words = [sys.executable, "-c", _IN_PROCESS, str(find_executable()), str(file)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as inside:
        assert inside.stdin is not None
        assert inside.stdout is not None
        for number in range(rounds + 1):
            for kind in ("pdf", "png"):
                found[kind].append(await once(kind))
            if not command:
                continue
            begin = time.perf_counter()
            _complaint(command)
            found["command"].append(time.perf_counter() - begin)
            print(number, file=inside.stdin, flush=True)
            found["inside"].append(float(inside.stdout.readline()))
        inside.stdin.close()
    await browser.stop()
    # The first of each warms it.
    return {name: times if name == "first" else times[1:] for name, times in found.items()}


def _webpdf(file: Path) -> tuple[list[str], str]:
    """nbconvert's command, none where it does not run at all, and why it does not run as shipped, if it doesn't."""
    # Chromium's own sandbox does not start as root.
    words = ["--to", "webpdf", "--disable-chromium-sandbox", f"--output-dir={file.parent / 'out'}"]
    arguments = [*words, "--log-level=ERROR", str(file)]
    shipped = [sys.executable, "-m", "nbconvert", *arguments]
    why = _complaint(shipped)
    if not why:
        return shipped, ""
    patched = [sys.executable, "-c", _PATCHED, str(find_executable()), *arguments]
    failure = _complaint(patched)
    return ([], failure) if failure else (patched, why)


def _complaint(command: list[str]) -> str:
    """Runs a command; its last line when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if not done.returncode:
        return ""
    return lines[-1][:200] if lines else f"exit status {done.returncode}"


def table(title: str, found: dict[str, list[float]], why: str) -> str:
    """The figures as Markdown."""
    lines = [f"# Conversion of the notebook with {title}", ""]
    lines += ["| | median | webpdf as a command | webpdf in process |", "| --- | --- | --- | --- |"]
    names = {"pdf": "PDF, warm", "png": "PNG, warm", "first": "PDF, with the start of the browser"}
    theirs, inside = found["command"], found["inside"]
    for name, words in names.items():
        seconds = median(found[name])
        line = f"| {words} | {seconds * 1000:.0f} ms |"
        for times in (theirs, inside):
            ratio = median(times) / seconds if times else 0.0
            missed = times is theirs and name != "first" and ratio < TARGET
            verdict = " **missed**" if missed else ""
            line += f" {ratio:.1f} times as long{verdict} |" if times else " does not run |"
        lines.append(line)
    if theirs:
        patched = ", patched" if why else ""
        lines.append(f"| `nbconvert --to webpdf`{patched} | {median(theirs) * 1000:.0f} ms | | |")
        lines.append(
            f"| `WebPDFExporter`{patched}, called again and again | {median(inside) * 1000:.0f} ms | | |"
        )
    if why:
        lines += ["", f"As shipped, webpdf does not run here: {why}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
