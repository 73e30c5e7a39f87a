"""Fails if a committed file names a package registry's host or a folder of somebody's machine.

A lock file with hosts in it installs only where those hosts can be reached, and mirrors can't replace
them; npm leaves them out because of `omit-lockfile-registry-resolved` in the .npmrc beside a lock file.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# Written so that this file does not match itself.
REGISTRY = re.compile(
    r"registry[.]npmjs|registry[.]yarnpkg|npmmirror[.]com|pypi[.]org|pythonhosted[.]org|deb[.]debian[.]org"
)
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|work|home|Users)/\w")
LOCK = "package-lock.json"


def tracked() -> list[Path]:
    """The files that git has, but for deleted ones."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := Path(name)).is_file()]


def complaints(path: Path) -> list[str]:
    """What is wrong with a file, one line each; binary files are taken as right."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if match := REGISTRY.search(line):
            found.append(f"{path}:{number}: names a package registry: {match[0]}")
        if match := MACHINE_PATH.search(line):
            found.append(f"{path}:{number}: names a folder of one machine: {match[0]}…")
        if path.name == LOCK and '"resolved"' in line:
            found.append(f"{path}:{number}: the lock file says where a package lies")
    return found


def main() -> int:
    """Print the complaints; 1 if there are any."""
    if not Path(".git").exists():
        print("not a git checkout: nothing to check")
        return 0
    found = [line for path in tracked() for line in complaints(path)]
    print("\n".join(found) if found else "no registry hosts, no machine paths")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
