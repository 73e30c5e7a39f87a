"""What a command is made of: its words, and the function that they lead to."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .configuration import Configuration

Run = Callable[[argparse.Namespace, Configuration], None]
"""Does what was asked. Raises `CommandFailed` or a `DashboardsError` when it can't."""


class CommandFailed(Exception):
    """What was asked can't be done; the text says why, in one line."""


@dataclass(frozen=True)
class Command:
    """A first word of `jupyter dashboards`. `define` adds its arguments to a parser, and a `Run` as the default of `run`."""

    summary: str
    define: Callable[[argparse.ArgumentParser], None]


class Actions:
    """The second words of a command."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(title="actions", metavar="ACTION")
        parser.set_defaults(run=None)

    def add(self, name: str, summary: str, run: Run, **options: Any) -> argparse.ArgumentParser:
        """The parser of a new action; `options` are argparse's for it."""
        parser = self._parsers.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )
        add_configuration(parser)
        parser.set_defaults(run=run)
        return parser


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Adds the option by which a server, too, is given another configuration file."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="read this file in place of jupyter_server_config, as the server does with the same option; "
        "--Class.setting=VALUE gives a single setting, such as --Database.url=URL",
    )
