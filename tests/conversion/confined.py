"""Draws a page as a server of its own would, and says in what its browser's processes live. Run as a program by tests.

`python -m tests.conversion.confined FOLDER` draws `FOLDER/page.html` into `FOLDER/drawn.png`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import psutil

from jupyter_dashboards_api.conversion.browser import PageBrowser
from jupyter_dashboards_api.conversion.page import MemoryPage


async def draw(html: bytes) -> tuple[bytes, list[dict[str, object]]]:
    """The picture, and the browser's processes while it was drawn."""
    browser = PageBrowser(settle_timeout=1)
    seen: dict[int, dict[str, object]] = {}
    try:
        page = MemoryPage(html, "", is_board=False, lookup=lambda path: None)
        drawing = asyncio.ensure_future(browser.draw(page, "png"))
        while not drawing.done():
            seen |= processes()
            await asyncio.wait({drawing}, timeout=0.02)
        return await drawing, list(seen.values())
    finally:
        await browser.stop()


def processes() -> dict[int, dict[str, object]]:
    """Those of the browser: `type`, whether they have this one's network, and the kernel's word on their system calls."""
    network = os.readlink("/proc/self/ns/net")
    found: dict[int, dict[str, object]] = {}
    for process in psutil.Process().children(recursive=True):
        # Any of them may just be ending.
        with contextlib.suppress(psutil.Error, OSError):
            words = process.cmdline()
            kind = next((word.removeprefix("--type=") for word in words if "--type=" in word), "")
            status = Path(f"/proc/{process.pid}/status").read_text()
            found[process.pid] = {
                "type": kind,
                "sandboxed": "--no-sandbox" not in words,
                "own_network": os.readlink(f"/proc/{process.pid}/ns/net") != network,
                "seccomp": "\nSeccomp:\t2" in status,
            }
    return found


def main(folder: Path) -> None:
    # A user without a home of its own.
    os.environ["HOME"] = str(folder)
    picture, seen = asyncio.run(draw((folder / "page.html").read_bytes()))
    (folder / "drawn.png").write_bytes(picture)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
