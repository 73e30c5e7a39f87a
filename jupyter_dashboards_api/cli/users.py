"""`jupyter dashboards users`: viewers' accounts. What it changes, servers that run notice by themselves."""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import timedelta

from ..access.accounts import AccountInfo, clean_groups, clean_username
from ..access.callers import Caller
from ..access.login_sessions import LoginSessions
from ..access.rules import parse_rules
from ..errors import Conflict, NotFound
from .command import Actions, Command
from .configuration import Configuration
from .output import say, show_json, show_table
from .terminal import confirm, minute, new_password


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the actions."""
    actions = Actions(parser)
    adding = actions.add("add", "Add a viewer, who can log in then.", add)
    _name(adding)
    _groups(adding)
    _password(adding)
    listing = actions.add("list", "List the viewers.", show_all)
    listing.add_argument("--json", action="store_true", help="as JSON, for programs")
    setting = actions.add("passwd", "Set a viewer's password; their sessions end.", set_password)
    _name(setting)
    _password(setting)
    grouping = actions.add(
        "groups", "Put a viewer into these groups and no others; none without --group.", set_groups
    )
    _name(grouping)
    _groups(grouping)
    ending = actions.add("logout", "End all sessions of a viewer.", log_out)
    _name(ending)
    removing = actions.add("remove", "Remove a viewer; their sessions end.", remove)
    _name(removing)
    removing.add_argument("--yes", "-y", action="store_true", help="don't ask")


COMMAND = Command("viewers who log in with a name and a password", define)


def add(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Adds a viewer."""
    name, groups = clean_username(arguments.name), clean_groups(arguments.group)
    with configuration.accounts() as accounts:
        # Before anybody types a password.
        if accounts.find(name) is not None:
            raise Conflict(f"There is a viewer {name} already.")
        accounts.add(name, new_password(from_stdin=arguments.password_stdin), groups)
    say(f"Added the viewer {name}.")
    if not configuration.uses_accounts:
        say(
            "But the server does not ask these accounts: AccessManager.authenticator_class names another class."
        )
    _tell_rights(name, groups, configuration)


def show_all(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Lists the viewers."""
    with configuration.accounts() as accounts:
        found = accounts.list_all()
    if arguments.json:
        show_json([_model(account) for account in found])
    elif not found:
        say(f"There are no viewers in the database {configuration.database_name}.")
    else:
        show_table(
            ("NAME", "GROUPS", "CREATED"),
            [
                (each.username, ", ".join(each.groups) or "-", minute(each.created_at))
                for each in found
            ],
        )


def set_password(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Sets a viewer's password."""
    with configuration.accounts() as accounts:
        if accounts.find(arguments.name) is None:
            raise NotFound(f"There is no viewer {arguments.name}.")
        accounts.set_password(arguments.name, new_password(from_stdin=arguments.password_stdin))
    say(f"{arguments.name} has a new password. All sessions of {arguments.name} have ended.")


def set_groups(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Sets a viewer's groups."""
    groups = clean_groups(arguments.group)
    with configuration.accounts() as accounts:
        accounts.set_groups(arguments.name, groups)
    say(f"{arguments.name} is in {', '.join(groups) or 'no group'}.")
    _tell_rights(arguments.name, groups, configuration)


def log_out(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Ends all sessions of a viewer, also of one whose account is not here but in PAM, say."""
    name = clean_username(arguments.name)
    access = configuration.access
    with configuration.database() as database:
        sessions = LoginSessions(
            database, timedelta(hours=access.session_hours), timedelta(hours=access.idle_hours)
        )
        ended = asyncio.run(sessions.end_all(name))
    say(f"Sessions of {name} that have ended: {ended}.")


def remove(arguments: argparse.Namespace, configuration: Configuration) -> None:
    """Removes a viewer."""
    name = arguments.name
    with configuration.accounts() as accounts:
        if accounts.find(name) is None:
            raise NotFound(f"There is no viewer {name}.")
        confirm(f"Remove the viewer {name} and end all their sessions?", yes=arguments.yes)
        accounts.remove(name)
    say(f"Removed the viewer {name}. All sessions of {name} have ended.")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the viewer's name")


def _groups(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--group",
        "-g",
        metavar="GROUP",
        action="append",
        default=[],
        help="a group that the viewer is in, and that the access file can name; may be repeated",
    )


def _password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from stdin; without it you are asked, and what you type is not shown",
    )


def _model(account: AccountInfo) -> dict[str, object]:
    return {
        "username": account.username,
        "groups": list(account.groups),
        "created_at": account.created_at.isoformat().replace("+00:00", "Z"),
    }


def _tell_rights(name: str, groups: list[str], configuration: Configuration) -> None:
    """Says so if the access file lets a viewer see nothing: then they could log in to an empty list."""
    file = configuration.access_file
    try:
        rules = parse_rules(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        rules = parse_rules("")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        say(f"The access file {file} lets nobody in: {reason}")
        return
    if rules.allows_below(Caller("viewer", name, groups=frozenset(groups)), ""):
        return
    named = [name, *(f"group:{group}" for group in groups)]
    say(
        f"{name} can open nothing yet. Say what viewers may open in the file {file}, for instance:\n"
        "  [rules]\n"
        f'  "reports" = {json.dumps(named, ensure_ascii=False)}\n'
        '  "sales/board.ipynb" = "viewers"'
    )
