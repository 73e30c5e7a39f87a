"""What a command that asks a running server is made of: its words, and the function that they lead to."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .servers import TOKEN_VARIABLE, URL_VARIABLE, RunningServer, find

MAX_NUMBER = 2**31 - 1

Run = Callable[[argparse.Namespace], int]
"""Does what was asked; the exit code. Raises `Refused` when it can't be done."""


@dataclass(frozen=True)
class ClientCommand:
    """A first word of `jupyter dashboards` that a running server carries out; `run` gives the exit code."""

    summary: str
    define: Callable[[argparse.ArgumentParser], None]
    run: Run


class ClientActions:
    """The second words of such a command."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(
        self, name: str, summary: str, run: Run, *, json: str | None = None
    ) -> argparse.ArgumentParser:
        """The parser of a new action; `json` is what its `--json` prints."""
        parser = self._parsers.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        add_server(parser)
        if json is not None:
            parser.add_argument("--json", action="store_true", help=f"{json} as JSON, for programs")
        parser.set_defaults(action=run)
        return parser


def run_action(arguments: argparse.Namespace) -> int:
    """Carries out the action that was named."""
    code: int = arguments.action(arguments)
    return code


def add_server(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the server; they may stand before an action or after it."""
    parser.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        help=f"the server's address; default: ${URL_VARIABLE}",
    )
    parser.add_argument(
        "--token",
        default=argparse.SUPPRESS,
        help=f"its token, or an API key; default: ${TOKEN_VARIABLE}, which other accounts can't see",
    )


def server_of(arguments: argparse.Namespace, notebook: str | None = None) -> RunningServer:
    """The server that is meant. Raises `Refused`."""
    return find(getattr(arguments, "url", None), getattr(arguments, "token", None), notebook)


def add_notebook(parser: argparse.ArgumentParser) -> None:
    """Adds the notebook that is meant."""
    parser.add_argument(
        "notebook",
        metavar="NOTEBOOK",
        help="a file below the folder of a server on this machine, or the path as the server knows it",
    )


def add_parameters(parser: argparse.ArgumentParser) -> None:
    """Adds the notebook's parameters."""
    parser.add_argument(
        "-p",
        dest="parameters",
        metavar="NAME=VALUE",
        action="append",
        type=parameter,
        default=[],
        help="a parameter of the notebook; the value is JSON, or else a text; may be repeated",
    )


def parameter(text: str) -> tuple[str, Any]:
    """Name and value of `name=value`; what is no JSON is a text. For argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=_no_constant)
    except ValueError:
        return name, value


def number(text: str) -> int:
    """An id, or how many. For argparse."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def count(text: str) -> int:
    """How many, at least one. For argparse."""
    found = number(text)
    if not 1 <= found <= MAX_NUMBER:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return found


def _no_constant(name: str) -> Any:
    # NaN and Infinity are no JSON: as texts the server refuses or takes them like any other.
    raise ValueError(name)
