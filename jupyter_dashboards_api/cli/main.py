"""Which command it is, and how its end is told: one line on stderr and exit code 1, or 2 when the words are wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from jupyter_core.application import JupyterApp
from sqlalchemy.exc import SQLAlchemyError

from ..errors import DashboardsError
from . import keys, users
from .command import Command, CommandFailed
from .commands import CLIENT_COMMANDS
from .configuration import BadConfiguration, Configuration, settings_in
from .output import say

COMMANDS: Mapping[str, Command] = {
    "users": users.COMMAND,
    "keys": keys.COMMAND,
}
"""First word of `jupyter dashboards` → command. Any other first word is a folder."""

EXAMPLES = "\n".join(
    [
        "jupyter dashboards FOLDER                     # the server",
        *(
            f"{f'jupyter dashboards {word} --help':<46}# {command.summary}"
            for word, command in COMMANDS.items()
        ),
        *(
            f"{f'jupyter dashboards {word} --help':<46}# {command.summary[0].lower()}{command.summary[1:-1]}"
            for word, command in CLIENT_COMMANDS.items()
        ),
        *(
            f"{f'jupyter dashboards ./{word}':<46}# the server, for a folder of that name"
            for word in (*COMMANDS, *CLIENT_COMMANDS)
        ),
    ]
)
"""What `jupyter dashboards --help` says about them."""


def run(words: Sequence[str], application: type[JupyterApp]) -> int:
    """Runs the command that the first word names; the exit code. `application` is the extension's class."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal can't show must not keep a key from being shown.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(words, application)
    except KeyboardInterrupt:
        say("")
        return 130
    except BrokenPipeError:
        # Whoever reads has seen enough; at its exit Python would write again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(words: Sequence[str], application: type[JupyterApp]) -> int:
    parser = _parser(words[0])
    try:
        options, others = settings_in(words[1:], application)
    except BadConfiguration as error:
        parser.error(str(error))
    arguments = parser.parse_args(others)
    if arguments.run is None:
        parser.error(f"name an ACTION; a folder called {words[0]} is opened by ./{words[0]}")
    try:
        arguments.run(arguments, Configuration.load(application, options, arguments.config))
    except DashboardsError as error:
        say(error.message)
    except (CommandFailed, BadConfiguration) as error:
        say(str(error))
    except SQLAlchemyError as error:
        # Its text holds the statement.
        say(f"The database refused it: {type(error).__name__}")
    else:
        return 0
    return 1


def _parser(word: str) -> argparse.ArgumentParser:
    command = COMMANDS[word]
    parser = argparse.ArgumentParser(
        prog=f"jupyter dashboards {word}",
        description=f"Manages {command.summary}. Uses the server's configuration, so run it as the server's account.",
        epilog=f"A folder called {word} is opened by: jupyter dashboards ./{word}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.define(parser)
    return parser
