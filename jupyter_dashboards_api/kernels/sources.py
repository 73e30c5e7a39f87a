"""What a Python kernel has read when it started, and whether a kernel that starts now would read the same."""

from __future__ import annotations

import ast
import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPRESSION = """(lambda sys, os, site, json, app, shell: json.dumps({
    "modules": sorted({*site.getsitepackages(), site.getusersitepackages(), *(
        path for path in sys.path if path and any(
            str(getattr(module, "__file__", None)).startswith(path + os.sep) for module in [*sys.modules.values()]
        ))}),
    "settings": [*app.config_file_paths, shell.profile_dir.startup_dir],
    "startup": shell.profile_dir.startup_dir,
    "code": [*app.exec_lines, *app.exec_files, *app.extensions, *app.extra_extensions, os.environ.get("PYTHONSTARTUP", "")],
}))(*map(__import__, ["sys", "os", "site", "json"]),
    __import__("traitlets.config").config.Application.instance(), get_ipython())"""
"""For IPython: its sources as JSON. An expression, because a kernel evaluates one without a trace in its namespace."""

_CODE = (".py", ".ipy", ".json")

_CLOCK = 0.05
"""Seconds that a file system's clock may be behind."""


@dataclass(frozen=True)
class Sources:
    """`modules` are folders of which modules were imported or may be at a start, `settings` folders of IPython's configuration.

    `files` are those that were in `settings`. `runs_code`: somebody's own code ran at the kernel's start.
    """

    modules: Sequence[str]
    settings: Sequence[str]
    files: frozenset[str]
    runs_code: bool

    def changed_since(self, started: float) -> bool:
        """Whether anything was installed or configured since a time, in seconds of the clock. Reads folders: use a thread."""
        if _files(self.settings) != self.files:
            return True
        return any(_changed(path) >= started - _CLOCK for path in (*self.modules, *self.files))


def sources(answer: Any) -> Sources:
    """What a kernel has answered to `EXPRESSION`: its result's `text/plain`. Reads folders: use a thread."""
    found = json.loads(ast.literal_eval(answer))
    settings = list(found["settings"])
    return Sources(
        modules=list(found["modules"]),
        settings=settings,
        files=_files(settings),
        runs_code=any(found["code"]) or bool(_files([found["startup"]])),
    )


def _files(folders: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            found.update(entry.path for entry in entries if entry.name.endswith(_CODE))
    return frozenset(found)


def _changed(path: str) -> float:
    try:
        found = Path(path).stat()
    except OSError:
        return 0.0
    # The second is that of renaming and of copies that keep their times.
    return max(found.st_mtime, found.st_ctime)
