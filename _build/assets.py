"""Builds frontend/ into jupyter_dashboards_api/static/, if that is out of date.

What was built is known by a stamp: the digest of the frontend's sources, written beside the assets.
So a second installation, and one from a source distribution, needs no Node.js.

As a program: `python _build/assets.py` does that; with the word `dependencies` it only brings
frontend/node_modules up to date, which the frontend's own checks and tests need.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import node

ROOT = Path(__file__).resolve().parent.parent
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "jupyter_dashboards_api" / "static"
STAMP = STATIC / ".stamp"
MANIFEST = STATIC / "manifest.json"
SKIP = "JUPYTER_DASHBOARDS_SKIP_FRONTEND"
"""Set to anything but 0 or nothing, this variable leaves the assets as they are."""

NOT_SOURCES = {"node_modules", "tests", ".tests"}


class BuildFailed(Exception):
    """The frontend could not be built; the message says which step failed."""


def skipped() -> bool:
    """Whether the environment asks not to build the frontend."""
    return os.environ.get(SKIP, "") not in ("", "0")


def sources(frontend: Path) -> list[Path]:
    """The files that the assets are made from, relative to `frontend`, sorted."""
    found: list[Path] = []
    for folder, inner, names in os.walk(frontend):
        inner[:] = [name for name in inner if name not in NOT_SOURCES]
        found.extend(Path(folder, name).relative_to(frontend) for name in names)
    return sorted(found)


def digest(frontend: Path) -> str:
    """sha256 (hex) over the names and bytes of the frontend's sources."""
    total = hashlib.sha256()
    for name in sources(frontend):
        content = (frontend / name).read_bytes()
        total.update(f"{name.as_posix()}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def stale() -> bool:
    """Whether the assets are missing or made from other sources than those here."""
    if not MANIFEST.is_file() or not STAMP.is_file():
        return True
    return STAMP.read_text(encoding="ascii").strip() != digest(FRONTEND)


def wanted() -> bool:
    """Whether a build has to make the assets."""
    return not skipped() and stale()


def _run(toolchain: node.Toolchain, *words: str) -> None:
    command = toolchain.command(*words)
    status = subprocess.run(command, cwd=FRONTEND, env=toolchain.environment()).returncode
    if status != 0:
        message = (
            f"`{' '.join(words)}` in {FRONTEND} failed with status {status}; its output is above "
            f"(pip shows it with -v). {SKIP}=1 installs without building the pages' scripts."
        )
        raise BuildFailed(message)


def install_dependencies(toolchain: node.Toolchain) -> None:
    """Make node_modules what package-lock.json says, unless it is. Raises BuildFailed."""
    installed = FRONTEND / "node_modules" / ".package-lock.json"
    lock = FRONTEND / "package-lock.json"
    # npm writes its own copy of the lock last, so an interrupted installation leaves none.
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    _run(toolchain, "npm", "ci", "--no-audit", "--no-fund")


def build() -> None:
    """Make the assets if they are wanted. Raises NodeMissing or BuildFailed."""
    if not wanted():
        return
    if not (FRONTEND / "build.mjs").is_file():
        message = f"{STATIC} has no built frontend, and {FRONTEND} has no sources to make it from."
        raise BuildFailed(message)
    toolchain = node.find()
    before = digest(FRONTEND)
    install_dependencies(toolchain)
    _run(toolchain, "node", "build.mjs")
    if not MANIFEST.is_file():
        message = f"`node build.mjs` ended without writing {MANIFEST}."
        raise BuildFailed(message)
    STAMP.write_text(f"{before}\n", encoding="ascii")


def main(words: list[str]) -> int:
    """Do what the command line asks; the exit status."""
    try:
        if words == ["dependencies"]:
            install_dependencies(node.find())
        else:
            build()
    except (BuildFailed, node.NodeMissing) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
