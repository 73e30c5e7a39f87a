"""`jupyter dashboards run`, `convert`, `logs` and `cancel`: what a running server does, asked for over its API.

They import nothing of the server, so that they start at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .client import CommandsClient, Refused
from .servers import TOKEN_VARIABLE, URL_VARIABLE, RunningServer, find
from .watching import Watch, plain

INTERRUPTED = 130


@dataclass(frozen=True)
class ClientCommand:
    """A first word of `jupyter dashboards` that a running server carries out; `run` gives the exit code."""

    summary: str
    define: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def run(words: Sequence[str]) -> int:
    """Carries out the command that the first word names; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    command = CLIENT_COMMANDS[words[0]]
    parser = argparse.ArgumentParser(
        prog=f"jupyter dashboards {words[0]}",
        description=f"{command.summary} The server is one of this account that runs, or named by --url.",
        epilog=f"A folder called {words[0]} is opened by: jupyter dashboards ./{words[0]}",
        allow_abbrev=False,
    )
    command.define(parser)
    parser.add_argument("--url", help=f"the server's address; default: ${URL_VARIABLE}")
    parser.add_argument(
        "--token",
        help=f"its token, or an API key; default: ${TOKEN_VARIABLE}, which other accounts can't see",
    )
    arguments = parser.parse_args(words[1:])
    try:
        return command.run(arguments)
    except Refused as refused:
        _say(str(refused))
        return 1
    except KeyboardInterrupt:
        _say("")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough; at its exit Python would write again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parameter(text: str) -> tuple[str, Any]:
    """Name and value of `name=value`; what is no JSON is a text. For argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value, parse_constant=_no_constant)
    except ValueError:
        return name, value


def _no_constant(name: str) -> Any:
    # NaN and Infinity are no JSON: as texts the server refuses or takes them like any other.
    raise ValueError(name)


def _define_run(parser: argparse.ArgumentParser) -> None:
    _notebook(parser)
    _parameters(parser)
    parser.add_argument("--label", help="the cluster that it runs on")
    parser.add_argument("--name", help="a name for this run")
    parser.add_argument("--tag", action="append", default=[], help="a tag; may be repeated")
    parser.add_argument("--timeout", type=int, metavar="SECONDS", help="longest time of the run")
    parser.add_argument(
        "--retry", type=int, choices=range(4), metavar="N", help="tries after a failure, up to 3"
    )
    parser.add_argument(
        "--retry-delay", type=int, metavar="MINUTES", help="minutes before each of them"
    )
    parser.add_argument(
        "--save", action="store_true", help="write the executed notebook over its source"
    )
    parser.add_argument(
        "--watch", action="store_true", help="show the log until the end; Ctrl-C cancels"
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        type=Path,
        help="wait, and write the executed notebook here",
    )


def _run(arguments: argparse.Namespace) -> int:
    server = _server(arguments, arguments.notebook)
    body = {
        "command_type": "JupyterNotebookCommand",
        "path": server.path_of(arguments.notebook),
        "arguments": dict(arguments.parameters),
        "label": arguments.label,
        "name": arguments.name,
        "tags": arguments.tag,
        "timeout": arguments.timeout,
        "retry": arguments.retry,
        "retry_delay": arguments.retry_delay,
        "upload_to_source": arguments.save,
    }
    waits = arguments.watch or arguments.output is not None
    command_id = _submit(server.client, body, waits=waits)
    if not waits:
        return 0
    status = _watch(server.client, command_id, with_log=arguments.watch)
    if arguments.output is not None and status["status"] != "cancelled":
        _save(server.client, f"commands/{command_id}/notebook", arguments.output)
    return _code(command_id, status)


def _define_convert(parser: argparse.ArgumentParser) -> None:
    _notebook(parser)
    parser.add_argument("--to", choices=("pdf", "png", "html"), required=True, help="the format")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        type=Path,
        help="where to; default: the notebook's name, here",
    )
    parser.add_argument("--show-code", action="store_true", help="with the cells' code")
    parser.add_argument(
        "--dashboard", action="store_true", help="as the dashboard shows it, not as a report"
    )
    parser.add_argument("--execute", action="store_true", help="run it first; the source stays")
    _parameters(parser)
    parser.add_argument(
        "--mail", action="append", default=[], metavar="ADDRESS", help="mail it; may be repeated"
    )


def _convert(arguments: argparse.Namespace) -> int:
    if arguments.parameters and not arguments.execute:
        raise Refused("-p needs --execute: a conversion does not run the notebook.")
    server = _server(arguments, arguments.notebook)
    path = server.path_of(arguments.notebook)
    body: dict[str, Any] = {
        "command_type": "NotebookConvertCommand",
        "resourceId": server.client.notebook(path),
        "resourceType": "NotebookDashboard" if arguments.dashboard else "Note",
        "fileFormat": arguments.to,
        "showCode": arguments.show_code,
    }
    if arguments.execute:
        body |= {"execute": True, "arguments": dict(arguments.parameters)}
    if arguments.mail:
        body["mailIds"] = ",".join(arguments.mail)
    command_id = _submit(server.client, body, waits=True)
    status = _watch(server.client, command_id, with_log=False)
    if status["status"] == "done" and (arguments.output is not None or not arguments.mail):
        name = Path(path).with_suffix(f".{arguments.to}").name
        _save(server.client, f"commands/{command_id}/file", arguments.output or Path(name))
    return _code(command_id, status)


def _define_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=_id, metavar="ID", help="the command's id")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the command's end")


def _logs(arguments: argparse.Namespace) -> int:
    client = _server(arguments).client
    if arguments.follow:
        Watch(with_log=True).until_end(client, arguments.id)
        return 0
    text = client.read(f"commands/{arguments.id}/logs").decode(errors="replace")
    sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
    return 0


def _define_cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=_id, metavar="ID", help="the command's id")


def _cancel(arguments: argparse.Namespace) -> int:
    return 0 if _kill(_server(arguments).client, arguments.id) else 1


CLIENT_COMMANDS: Mapping[str, ClientCommand] = {
    "run": ClientCommand("Runs a notebook on a running server.", _define_run, _run),
    "convert": ClientCommand(
        "Makes a PDF, a picture or a page of a notebook, on a running server.",
        _define_convert,
        _convert,
    ),
    "logs": ClientCommand("Shows the log of a command.", _define_logs, _logs),
    "cancel": ClientCommand("Cancels a command.", _define_cancel, _cancel),
}
"""First word of `jupyter dashboards` → what a running server is asked for."""


def _notebook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "notebook",
        metavar="NOTEBOOK",
        help="a file below the folder of a server on this machine, or the path as the server knows it",
    )


def _parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        dest="parameters",
        metavar="NAME=VALUE",
        action="append",
        type=parameter,
        default=[],
        help="a parameter of the notebook; the value is JSON, or else a text; may be repeated",
    )


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError("the id of a command is a number")
    return int(text)


def _server(arguments: argparse.Namespace, notebook: str | None = None) -> RunningServer:
    return find(arguments.url, arguments.token, notebook)


def _submit(client: CommandsClient, body: dict[str, Any], *, waits: bool) -> int:
    """Submits a command once, however often the connection breaks; its id."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    command_id = int(client.send("POST", "commands", body, **key)["id"])
    # Whoever does not wait wants to go on with the id.
    (_say if waits else _show)(f"Command {command_id}" if waits else str(command_id))
    return command_id


def _watch(client: CommandsClient, command_id: int, *, with_log: bool) -> dict[str, Any]:
    """The command's last status. Ctrl-C cancels it, unless the person at the terminal says otherwise."""
    try:
        return Watch(with_log=with_log).until_end(client, command_id)
    except KeyboardInterrupt:
        try:
            if _wants_to_cancel(command_id):
                _kill(client, command_id)
        except KeyboardInterrupt:
            # In a hurry: what was the default is done without asking.
            _kill(client, command_id)
        raise


def _wants_to_cancel(command_id: int) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"\nCancel command {command_id}? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() not in ("n", "no")


def _kill(client: CommandsClient, command_id: int) -> bool:
    answer = client.send("PUT", f"commands/{command_id}", {"status": "kill"})
    killed = bool(answer["kill_succeeded"])
    _say(
        f"Command {command_id}: {answer.get('status', 'cancelling') if killed else answer['result']}"
    )
    return killed


def _save(client: CommandsClient, path: str, file: Path) -> None:
    try:
        data = client.read(path)
    except Refused as refused:
        raise Refused(f"There is no file of it: {refused}", refused.status) from refused
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Refused(f"{file} can't be written: {error.strerror}") from error
    _say(f"Wrote {file}")


def _code(command_id: int, status: Mapping[str, Any]) -> int:
    """The exit code for a command that has ended so, after saying why where it is not 0."""
    if status["status"] == "done":
        return 0
    why = (status.get("error") or {}).get("message", "")
    _say(plain(f"Command {command_id}: {status['status']}{': ' if why else ''}{why}"))
    return 1


def _show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
