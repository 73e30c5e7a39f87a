"""Builds frontend/ into jupyter_dashboards_api/static/, if that is out of date.

What was built is known by a stamp: the digest of the frontend's sources, written beside the assets.
So a second installation, and one from a source distribution, needs no Node.js.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import node

ROOT = Path(__file__).resolve().parent.parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "jupyter_dashboards_api" / "static"
STAMP = STATIC / ".stamp"
MANIFEST = STATIC / "manifest.json"
SKIP = "JUPYTER_DASHBOARDS_SKIP_FRONTEND"
"""Set to anything but 0 or nothing, this variable leaves the assets as they are."""

NOT_SOURCES = {"node_modules", "tests"}


class BuildFailed(Exception):
    """The frontend could not be built; the message says which step failed."""


def skipped() -> bool:
    """Whether the environment asks not to build the frontend."""
    return os.environ.get(SKIP, "") not in ("", "0")


def digest(frontend: Path = FRONTEND) -> str:
    """sha256 (hex) over the names and bytes of all files that the assets are made from."""
    total = hashlib.sha256()
    for path in sorted(frontend.rglob("*")):
        name = path.relative_to(frontend)
        if name.parts[0] in NOT_SOURCES or name.suffix == ".tsbuildinfo" or not path.is_file():
            continue
        total.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def stale() -> bool:
    """Whether the assets are missing or made from other sources than those here."""
    if not MANIFEST.is_file() or not STAMP.is_file():
        return True
    return STAMP.read_text(encoding="ascii").strip() != digest()


def wanted() -> bool:
    """Whether a build has to make the assets."""
    return not skipped() and stale()


def build() -> None:
    """Make the assets if they are wanted. Raises NodeMissing or BuildFailed."""
    if not wanted():
        return
    if not (FRONTEND / "build.mjs").is_file():
        message = f"{STATIC} has no built frontend, and {FRONTEND} has no sources to make it from."
        raise BuildFailed(message)
    toolchain = node.find()
    sources = digest()
    for words in (("npm", "ci", "--no-audit", "--no-fund"), ("node", "build.mjs")):
        command = toolchain.command(*words)
        status = subprocess.run(command, cwd=FRONTEND, env=toolchain.environment()).returncode
        if status != 0:
            message = (
                f"`{' '.join(words)}` in {FRONTEND} failed with status {status}; its output is above "
                f"(pip shows it with -v). {SKIP}=1 installs without building the pages' scripts."
            )
            raise BuildFailed(message)
    if not MANIFEST.is_file():
        message = f"`node build.mjs` ended without writing {MANIFEST}."
        raise BuildFailed(message)
    STAMP.write_text(f"{sources}\n", encoding="ascii")


if __name__ == "__main__":
    build()
