"""Writes docs/reference/ from the code: settings from their traits, routes, scopes and events from their tables.

`python docs/generate_reference.py` writes; with `--check` it only compares, and fails if a file is
not what the code says. tests/test_docs.py does the same comparison.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

from traitlets import Enum, HasTraits, TraitType

from jupyter_dashboards_api.access.audit import EVENTS, schema, schema_id
from jupyter_dashboards_api.access.scopes import ALL, OBJECTS, SCOPES
from jupyter_dashboards_api.app import DashboardsApp
from jupyter_dashboards_api.handlers.permissions import Audience, Permission
from jupyter_dashboards_api.handlers.routes import ROUTES
from jupyter_dashboards_api.server import DashboardsServerApp

REFERENCE = Path(__file__).parent / "reference"
LONGEST_DEFAULT = 100
"""Characters of a default that are shown as one piece."""

NOTICE = "<!-- Written by docs/generate_reference.py; change the code, not this file. -->\n"

CONFIGURATION = f"""{NOTICE}
# Configuration

Each setting can be given on the command line as `--Class.name=value`, or in a configuration file as
`c.Class.name = value`. The files are `jupyter_dashboards_config.py` (for this extension) and
`jupyter_server_config.py` (for the server), in any folder that `jupyter --paths` lists under
*config*. The command line wins over the files.

Settings of the Jupyter server itself (address, certificates, login) are in the documentation of
jupyter_server; `jupyter dashboards --help-all` prints both.
"""

ROUTES_PAGE = f"""{NOTICE}
# Routes

All paths are below the server's `base_url`. The {{doc}}`scope <scopes>` is what an API key needs, and what the
server's authorizer is asked for, for owners, as *resource*:*action*. *Who* is the widest circle of those who
may use a route:

{{circles}}

A method that is not in the table is answered with 405. {{doc}}`../api` explains requests and answers.

| Methods | Path | Scope | Who | What it does |
| --- | --- | --- | --- | --- |
"""

CIRCLES = {
    Audience.EVERYBODY: "nobody is asked for a credential; a share link is one itself.",
    Audience.BY_PATH: "the access file says who; nobody in particular where the path is public.",
    Audience.VIEWERS: "viewers, and visitors of public pages and of links, for what they may open; owners and keys.",
    Audience.OWNERS: "the server's owner, and keys with the scope; no viewers.",
    Audience.NO_KEYS: "the server's owner and nobody else.",
}

SCOPES_PAGE = f"""{NOTICE}
# Scopes

What an API key may do is the sum of its scopes, each of the form *object*:*action*. A scope to write includes
the one to read; `{ALL}` is all of them. A key is not bound to the access file: it is its owner's.

| Scope | Lets a key | Routes |
| --- | --- | --- |
"""

EVENTS_PAGE = f"""{NOTICE}
# Audit events

Each is emitted by the server's event logger (jupyter_events) under the id
`{{schema}}`, with these properties:

{{properties}}

| Event | When |
| --- | --- |
"""


def own_classes() -> list[type[HasTraits]]:
    """The configurable classes of this project, the application first."""
    listed = [DashboardsApp, *DashboardsApp.classes]
    own = [cls for cls in listed if cls.__module__.startswith("jupyter_dashboards_api.")]
    return list(dict.fromkeys(own))


def settings(cls: type[HasTraits]) -> dict[str, TraitType[Any, Any]]:
    """The settings that a class itself adds, by name; not those it inherits from Jupyter's classes."""
    inherited = {
        name
        for base in cls.__mro__[1:]
        if issubclass(base, HasTraits) and not base.__module__.startswith("jupyter_dashboards_api.")
        for name in base.class_traits(config=True)
    }
    traits: dict[str, TraitType[Any, Any]] = cls.class_traits(config=True)
    return {name: trait for name, trait in sorted(traits.items()) if name not in inherited}


def kind(trait: TraitType[Any, Any]) -> str:
    """What values a trait takes, for a reader."""
    if isinstance(trait, Enum):
        return "one of " + ", ".join(f"`{value!r}`" for value in trait.values or [])
    return type(trait).__name__


def default(trait: TraitType[Any, Any]) -> str:
    """A trait's default, for a reader: short ones as they are, long ones by their items."""
    short = trait.default_value_repr()
    value = trait.default()
    if len(short) <= LONGEST_DEFAULT or not value:
        return f"default `{short}`"
    if isinstance(value, dict):
        return "with a default for " + ", ".join(f"`{key}`" for key in value)
    return "default: " + ", ".join(f"`{item}`" for item in value)


def setting_section(cls: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> str:
    """One setting: name, kind, default, help."""
    text = inspect.cleandoc(trait.help or "")
    return f"### `{cls.__name__}.{name}`\n\n{kind(trait)}, {default(trait)}\n\n{text}\n"


def configuration() -> str:
    """The page of all settings."""
    parts = [CONFIGURATION]
    for cls in own_classes():
        found = settings(cls)
        if not found:
            continue
        summary = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
        parts.append(f"## {cls.__name__}\n\n{summary}\n")
        parts.extend(setting_section(cls, name, trait) for name, trait in found.items())
    parts.append(
        "## The standalone server\n\n"
        "`jupyter dashboards` is a Jupyter server with other defaults; each can be set as usual.\n\n"
        f"- `ServerApp.port`: {DashboardsServerApp.port_default_value}\n"
        "- services offered beside this extension: "
        + ", ".join(f"`{name}`" for name in DashboardsServerApp.default_services)
        + "\n"
    )
    return "\n".join(parts)


def routes() -> str:
    """The page of all routes."""
    circles = "\n\n".join(
        f"{audience.value.capitalize()}\n: {text}" for audience, text in CIRCLES.items()
    )
    rows = []
    for route in ROUTES:
        by_permission: dict[Permission, list[str]] = {}
        for method, permission in route.permissions.items():
            by_permission.setdefault(permission, []).append(method)
        for permission, methods in by_permission.items():
            scope = f"`{permission.scope}`" if permission.scope else "none"
            rows.append(
                f"| {', '.join(methods)} | `{route.template}` | {scope} | {permission.audience.value} | {route.summary} |"
            )
    return ROUTES_PAGE.replace("{circles}", circles) + "\n".join(rows) + "\n"


def scopes() -> str:
    """The page of all scopes."""
    rows = [
        f"| `{scope}` | {text} | {', '.join(needing(scope)) or 'none yet'} |"
        for scope, text in SCOPES.items()
    ]
    rows.append(f"| `{ALL}` | Everything above, for all {len(OBJECTS)} objects. | |")
    return SCOPES_PAGE + "\n".join(rows) + "\n"


def needing(scope: str) -> list[str]:
    """The methods and routes for which a key needs a scope."""
    found = []
    for route in ROUTES:
        methods = [
            method for method, permission in route.permissions.items() if permission.scope == scope
        ]
        if methods:
            found.append(f"{' '.join(methods)} `{route.template}`")
    return found


def events() -> str:
    """The page of all audit events."""
    described = schema(next(iter(EVENTS)))["properties"]
    properties = "\n".join(f"- `{name}`: {it['description']}" for name, it in described.items())
    rows = "\n".join(f"| `{event}` | {text} |" for event, text in EVENTS.items())
    page = EVENTS_PAGE.replace("{schema}", schema_id("EVENT")).replace("{properties}", properties)
    return f"{page}{rows}\n"


def pages() -> dict[Path, str]:
    """Every generated file and what should be in it."""
    return {
        REFERENCE / "configuration.md": configuration(),
        REFERENCE / "routes.md": routes(),
        REFERENCE / "scopes.md": scopes(),
        REFERENCE / "events.md": events(),
    }


def main(words: list[str]) -> int:
    """Write the pages, or with --check compare them; 1 if one is out of date."""
    stale = []
    for path, text in pages().items():
        if words == ["--check"]:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}. Run scripts/docs and commit what it writes.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
