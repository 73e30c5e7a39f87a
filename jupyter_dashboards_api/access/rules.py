"""The access file: who may open which dashboards. One TOML file that a person can read.

    default = "nobody"                      # whatever no rule below names

    [rules]
    "public"            = "public"          # a folder with all below it
    "sales"             = "viewers"         # every viewer who is logged in
    "sales/board.ipynb" = ["ann", "group:finance"]

A rule is named by a contents path below `DashboardsApp.root` and says `"public"` (everybody, logged in or not),
`"viewers"` (every viewer), `"nobody"`, or a list of viewers' names and `group:` names. The rule with the longest path that
is the notebook's, or a folder's above it, decides alone. Owners are not asked for here.

A rule that may only be meant for a path can keep people out, and never lets them in: one that differs from it in upper and
lower case, which are the same file on some disks, and one that names a notebook as its page's address does, without
`.ipynb`. Whoever that rule keeps out needs one with the exact path to get in.
"""

from __future__ import annotations

import asyncio
import threading
import time
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_config_dir
from traitlets import Unicode, default
from traitlets.config import LoggingConfigurable

from .callers import Caller

_WORDS = ("public", "viewers", "nobody")
_GROUP = "group:"
_MAX_FILE_BYTES = 4 * 1024 * 1024

# The file is looked at again after so many seconds.
_KEPT = 1.0

# Two changes within so many nanoseconds can have the same time, in coarse file systems.
_SAME_TIME = 2_000_000_000


@dataclass(frozen=True)
class Rules:
    """What an access file says. Paths have no slash at either end; the root's is empty."""

    default: str | frozenset[str] = "nobody"
    by_path: Mapping[str, str | frozenset[str]] = field(default_factory=dict)
    _exact: Mapping[str, str | frozenset[str]] = field(init=False, repr=False, compare=False)
    _meant: Mapping[str, list[str | frozenset[str]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        meant: dict[str, list[str | frozenset[str]]] = {}
        for path, rule in self.by_path.items():
            names = [path] if path.endswith(".ipynb") else [path, f"{path}.ipynb"]
            for name in names if path else ():
                meant.setdefault(_folded(name), []).append(rule)
        object.__setattr__(self, "_exact", {_composed(p): r for p, r in self.by_path.items()})
        object.__setattr__(self, "_meant", meant)

    def allows(self, caller: Caller, path: str) -> bool:
        """Whether a caller of any kind may open what lies at a contents path, as far as these rules say.

        Only public things for visitors and for nobody; a link's visitor has its right from the link.
        """
        return all(_includes(rule, caller) for rule in self._deciding(path))

    def is_public(self, path: str) -> bool:
        """Whether everybody may open it."""
        return all(rule == "public" for rule in self._deciding(path))

    def separates(self, path: str, folder: str) -> bool:
        """Whether a path below a folder has a rule of its own, or a folder between them has: that is another matter."""
        path, folder = _composed(path), _composed(folder)
        while path != folder and path:
            if path in self._exact or _folded(path) in self._meant:
                return True
            path = path.rpartition("/")[0]
        return False

    def allows_below(self, caller: Caller, folder: str) -> bool:
        """Whether there may be something in a folder, or in one below it, that the caller may open."""
        if self.allows(caller, folder):
            return True
        prefix = f"{_composed(folder)}/" if folder else ""
        return any(
            path.startswith(prefix) and _includes(rule, caller)
            for path, rule in self._exact.items()
        )

    def _deciding(self, path: str) -> list[str | frozenset[str]]:
        """The rules that all must let a caller in: the one that decides, and those below it that may be meant."""
        path = _composed(path)
        found: list[str | frozenset[str]] = []
        while path:
            if path in self._exact:
                return [*found, self._exact[path]]
            found += self._meant.get(_folded(path), ())
            path = path.rpartition("/")[0]
        return [*found, self._exact.get("", self.default)]


def _composed(path: str) -> str:
    """The path in one of the two forms in which keyboards and disks write `é`: a rule is for both."""
    return unicodedata.normalize("NFC", path)


def _folded(path: str) -> str:
    """The same text for all paths that a disk may take for one."""
    return _composed(_composed(path).casefold())


def _includes(rule: str | frozenset[str], caller: Caller) -> bool:
    if caller.kind in ("owner", "key"):
        return True
    if rule == "public":
        return True
    if caller.kind != "viewer":
        return False
    if isinstance(rule, frozenset):
        # A name must not pass for a group, whatever names an authenticator lets in.
        named = caller.name in rule and not caller.name.startswith(_GROUP)
        return named or any(f"{_GROUP}{group}" in rule for group in caller.groups)
    return rule == "viewers"


def parse_rules(text: str) -> Rules:
    """The rules of an access file. Raises `ValueError` that says what is wrong: a typing error must let nobody in."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"not TOML: {error}") from error
    unknown = data.keys() - {"default", "rules"}
    if unknown:
        raise ValueError(f"{min(unknown)!r} is neither `default` nor the table `rules`")
    rules = data.get("rules", {})
    if not isinstance(rules, dict):
        raise ValueError("`rules` is no table")
    by_path: dict[str, str | frozenset[str]] = {}
    for name, value in rules.items():
        path = name.strip("/")
        if any(part in ("", ".", "..") for part in path.split("/")) and path:
            raise ValueError(f"{name!r} is no contents path")
        if _composed(path) in map(_composed, by_path):
            raise ValueError(f"{name!r} is named twice")
        by_path[path] = _value(f"rules.{name!r}", value)
    return Rules(_value("default", data.get("default", "nobody")), by_path)


def _value(name: str, value: Any) -> str | frozenset[str]:
    if isinstance(value, str) and value in _WORDS:
        return value
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return frozenset(value)
    raise ValueError(
        f'{name} must be "public", "viewers", "nobody" or a list of names such as ["ann", "group:finance"]'
    )


class AccessRules(LoggingConfigurable):
    """Reads the access file, again whenever it has changed. A file that can't be read lets nobody in."""

    file = Unicode(
        help="""The access file: a TOML file that says which folders and notebooks are public, for every viewer, or for
        certain viewers and groups. Changes count at once, without a restart. Without the file, and while it has a mistake,
        only owners get in. Default: `dashboards_access.toml` in Jupyter's configuration folder.""",
    ).tag(config=True)

    @default("file")
    def _default_file(self) -> str:
        return str(Path(jupyter_config_dir()) / "dashboards_access.toml")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._rules = Rules()
        self._revision: tuple[int, int, int] | None = None
        self._complaint = ""
        self._looked_at = float("-inf")
        # One that has read the file before a change must not come after one that has read it since.
        self._reading = threading.Lock()

    async def current(self) -> Rules:
        """The rules as the file has them now."""
        if time.monotonic() - self._looked_at >= _KEPT:
            await asyncio.to_thread(self.read)
        return self._rules

    def read(self) -> Rules:
        """Reads the file if it has changed. Blocks."""
        with self._reading:
            return self._read()

    def _read(self) -> Rules:
        looked_at = time.monotonic()
        try:
            found = Path(self.file).stat()
            revision = (found.st_mtime_ns, found.st_size, found.st_ino)
            if revision != self._revision:
                if found.st_size > _MAX_FILE_BYTES:
                    raise ValueError("it is too large")
                rules = parse_rules(Path(self.file).read_text(encoding="utf-8"))
                if rules != self._rules:
                    self.log.info("Access rules: %d, from %s", len(rules.by_path), self.file)
                settled = time.time_ns() - found.st_mtime_ns > _SAME_TIME
                self._rules, self._complaint = rules, ""
                self._revision = revision if settled else None
        except FileNotFoundError:
            self._rules, self._revision, self._complaint = Rules(), None, ""
        except (OSError, ValueError) as error:
            self._rules, self._revision = Rules(), None
            complaint = str(error)
            if complaint != self._complaint:
                self._complaint = complaint
                self.log.error(
                    "The access file %s has a mistake, and lets nobody in: %s", self.file, complaint
                )
        self._looked_at = looked_at
        return self._rules
