"""`jupyter dashboards keys`: API keys of programs. What it changes, servers that run notice by themselves."""

from __future__ import annotations

import argparse
import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from ..access.activities import Activities
from ..access.api_keys import APIKeys, KeyInfo
from ..access.scopes import ALL, SCOPES
from ..database.engine import Database
from ..errors import InvalidRequest, NotFound
from ..handlers.keys import key_model
from .command import Actions, Command
from .configuration import Configuration
from .output import say, show, show_json, show_table
from .terminal import confirm, minute

_SPAN = re.compile(r"([0-9]{1,6})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_MAX_OWNER_LENGTH = 128


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    width = max(len(scope) for scope in SCOPES) + 2
    scopes = "\n".join(f"  {name.ljust(width)}{text}" for name, text in SCOPES.items())
    epilog = f"scopes:\n{scopes}\n  {ALL.ljust(width)}All of it.\n\nA scope to write includes the one to read."
    parser.epilog = f"{epilog}\n\n{parser.epilog or ''}"
    actions = Actions(parser)
    making = actions.add(
        "create",
        "Make a key, and write it to stdout; it is not shown again.",
        create,
        epilog=epilog,
    )
    making.add_argument("label", metavar="LABEL", help="what the key is for")
    making.add_argument(
        "--scope",
        "-s",
        dest="scopes",
        action="append",
        choices=[*SCOPES, ALL],
        metavar="SCOPE",
        required=True,
        help="what the key may do; may be repeated",
    )
    making.add_argument(
        "--expires",
        type=expiry,
        metavar="WHEN",
        help="after so many hours, days or weeks (12h, 30d, 8w), or at a time such as 2030-01-01T00:00Z; "
        "without it: never",
    )
    making.add_argument(
        "--owner", metavar="NAME", help="whose key it is; default: AccessManager.token_user"
    )
    listing = actions.add("list", "List the keys.", show_all)
    listing.add_argument("--json", action="store_true", help="as JSON, for programs")
    listing.add_argument("--owner", metavar="NAME", help="only this owner's")
    revoking = actions.add("revoke", "Revoke a key.", revoke)
    revoking.add_argument("id", metavar="ID", help="the key's id, of `keys list`")
    revoking.add_argument("--yes", "-y", action="store_true", help="don't ask")


COMMAND = Command("API keys, for programs", define)


def create(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Makes a key."""
    owner = arguments.owner if arguments.owner is not None else configuration.access.token_user
    if not owner.strip() or len(owner) > _MAX_OWNER_LENGTH or not owner.isprintable():
        raise InvalidRequest(f"An owner's name has between 1 and {_MAX_OWNER_LENGTH} characters.")
    with configuration.database() as database:
        keys = APIKeys(database, configuration.access.max_keys)
        key, secret = keys.create_now(owner, arguments.label, arguments.scopes, arguments.expires)
        show(secret)
        say(
            f"This is the key {key.label!r} of {owner}, with {', '.join(key.scopes)}; "
            f"it expires: {minute(key.expires_at)}. It is not shown again.\n"
            f"To revoke it: jupyter dashboards keys revoke {key.id}"
        )
        _record(database, "key_created", key, label=key.label, scopes=list(key.scopes))


def show_all(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Lists the keys."""
    with configuration.database() as database:
        found = APIKeys(database).list_now(arguments.owner)
    if arguments.json:
        show_json([_model(key) for key in found])
    elif not found:
        say(f"There are no keys in the database {configuration.database_name}.")
    else:
        show_table(
            ("ID", "LABEL", "OWNER", "KEY", "SCOPES", "CREATED", "EXPIRES", "LAST USED"),
            [
                (
                    *(key.id, key.label, key.owner, key.mask, ", ".join(key.scopes)),
                    *(minute(key.created_at), minute(key.expires_at), minute(key.last_used_at)),
                )
                for key in found
            ],
        )


def revoke(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Revokes a key."""
    with configuration.database() as database:
        keys = APIKeys(database)
        key = next((each for each in keys.list_now() if each.id == arguments.id), None)
        if key is None:
            raise NotFound("There is no such key: `jupyter dashboards keys list` shows their ids.")
        confirm(f"Revoke the key {key.label!r} of {key.owner}?", yes=arguments.yes)
        keys.revoke_now(key.id)
        say(f"Revoked the key {key.label!r} of {key.owner}.")
        _record(database, "key_revoked", key)


def expiry(text: str) -> datetime:
    """The time that `30d` or `2030-01-01T00:00Z` means. Raises what argparse shows."""
    span = _SPAN.fullmatch(text)
    try:
        if span:
            return datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        time = None
    if time is None or time.tzinfo is None or time <= datetime.now(UTC):
        raise argparse.ArgumentTypeError(
            "give a span such as 30d, or a time to come with its zone, such as 2030-01-01T00:00Z"
        )
    return time


def _model(key: KeyInfo) -> dict[str, Any]:
    """As the API shows it, which has a place for the secret."""
    return {name: value for name, value in key_model(key).items() if name != "value"}


def _record(database: Database, activity: str, key: KeyInfo, **detail: Any) -> None:
    """Writes into the activity log what the API would."""
    activities = Activities(database, timedelta())
    told = {"key_id": key.id, **detail, "command_line": True}
    asyncio.run(activities.record(activity, key.owner, detail=told))
