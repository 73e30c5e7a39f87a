"""What the kernel keeps the browser's processes from, whatever Chromium itself does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .test_browser import Listener, attack, red

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


async def confined(folder: Path, html: str, *before: str) -> Any:
    """The browser's processes of a server of its own that draws `html`; `before` are words that start it."""
    (folder / "page.html").write_text(f"<!doctype html><body data-ready>{html}</body>")
    words = [sys.executable, "-m", "tests.conversion.confined", str(folder)]
    process = await asyncio.create_subprocess_exec(
        *before,
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def has_red(file: Path) -> bool:
    colours = Image.open(file).convert("RGB").getcolors(1 << 24) or []
    return any(colour == (255, 0, 0) for _, colour in colours)


async def test_the_attack_page_is_drawn_where_there_is_no_network_at_all(tmp_path: Path) -> None:
    # A namespace without interfaces: what the page shows, it can't have got from anywhere.
    for name, before in (("with", ()), ("without", ("unshare", "--map-root-user", "--net"))):
        folder = tmp_path / name
        folder.mkdir()
        listener = Listener()
        html = red(60) + attack(await listener.start())
        try:
            await confined(folder, html, *before)
            assert listener.arrived == []
        finally:
            listener.stop()
        assert has_red(folder / "drawn.png")


async def test_chromiums_own_sandbox_is_on_where_the_server_is_not_root(tmp_path: Path) -> None:
    # Another user by number only: this machine's root may be the only one who can read the checkout.
    nobody = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
    seen = await confined(tmp_path, red(60), *(nobody if os.geteuid() == 0 else ()))
    assert has_red(tmp_path / "drawn.png")
    renderers = [process for process in seen if process["type"] == "renderer"]
    assert any(process["seccomp"] and process["own_network"] for process in renderers)
    assert all(process["sandboxed"] for process in seen)
