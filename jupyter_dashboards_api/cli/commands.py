"""`jupyter dashboards run`, `convert`, `logs` and `cancel`: what a running server does, asked for over its API.

They import nothing of the server, so that they start at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import runs, schedules
from .client import CommandsClient, Refused
from .client_command import (
    ClientCommand,
    add_notebook,
    add_parameters,
    add_server,
    number,
    server_of,
)
from .output import plain, say, show
from .watching import cancelled, exit_code, show_log, watched

INTERRUPTED = 130


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
    add_server(parser)
    arguments = parser.parse_args(words[1:])
    try:
        return command.run(arguments)
    except Refused as refused:
        say(plain(str(refused)))
        return 1
    except KeyboardInterrupt:
        say("")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough; at its exit Python would write again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _define_run(parser: argparse.ArgumentParser) -> None:
    add_notebook(parser)
    add_parameters(parser)
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
        help="wait, and write the executed notebook here; - is the standard output",
    )


def _run(arguments: argparse.Namespace) -> int:
    server = server_of(arguments, arguments.notebook)
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
    status = watched(server.client, command_id, with_log=arguments.watch)
    code = exit_code(command_id, status)
    if arguments.output is not None and status["status"] != "cancelled":
        try:
            _save(server.client, f"commands/{command_id}/notebook", arguments.output)
        except Refused as refused:
            # What has failed before its first cell has left no notebook; why it failed has been said.
            if not refused.status or status["status"] == "done":
                raise
    return code


def _define_convert(parser: argparse.ArgumentParser) -> None:
    add_notebook(parser)
    parser.add_argument("--to", choices=("pdf", "png", "html"), required=True, help="the format")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        type=Path,
        help="where to; default: the notebook's name, here; - is the standard output",
    )
    parser.add_argument("--show-code", action="store_true", help="with the cells' code")
    parser.add_argument(
        "--dashboard", action="store_true", help="as the dashboard shows it, not as a report"
    )
    parser.add_argument("--execute", action="store_true", help="run it first; the source stays")
    parser.add_argument("--label", help="the cluster that it runs on, with --execute")
    add_parameters(parser)
    parser.add_argument(
        "--mail", action="append", default=[], metavar="ADDRESS", help="mail it; may be repeated"
    )


def _convert(arguments: argparse.Namespace) -> int:
    for option, value in (("-p", arguments.parameters), ("--label", arguments.label)):
        if value and not arguments.execute:
            raise Refused(f"{option} needs --execute: a conversion does not run the notebook.")
    server = server_of(arguments, arguments.notebook)
    path = server.path_of(arguments.notebook)
    body: dict[str, Any] = {
        "command_type": "NotebookConvertCommand",
        "resourceId": server.client.notebook(path),
        "resourceType": "NotebookDashboard" if arguments.dashboard else "Note",
        "fileFormat": arguments.to,
        "showCode": arguments.show_code,
    }
    if arguments.execute:
        body |= {"execute": True, "arguments": dict(arguments.parameters), "label": arguments.label}
    if arguments.mail:
        body["mailIds"] = ",".join(arguments.mail)
    command_id = _submit(server.client, body, waits=True)
    status = watched(server.client, command_id, with_log=False)
    if status["status"] == "done" and (arguments.output is not None or not arguments.mail):
        name = Path(path).with_suffix(f".{arguments.to}").name
        _save(server.client, f"commands/{command_id}/file", arguments.output or Path(name))
    return exit_code(command_id, status)


def _define_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=number, metavar="ID", help="the command's id")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the command's end")


def _logs(arguments: argparse.Namespace) -> int:
    show_log(server_of(arguments).client, arguments.id, follow=arguments.follow)
    return 0


def _define_cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=number, metavar="ID", help="the command's id")


def _cancel(arguments: argparse.Namespace) -> int:
    return 0 if cancelled(server_of(arguments).client, arguments.id) else 1


CLIENT_COMMANDS: Mapping[str, ClientCommand] = {
    "run": ClientCommand("Runs a notebook on a running server.", _define_run, _run),
    "convert": ClientCommand(
        "Makes a PDF, a picture or a page of a notebook, on a running server.",
        _define_convert,
        _convert,
    ),
    "logs": ClientCommand("Shows the log of a command.", _define_logs, _logs),
    "cancel": ClientCommand("Cancels a command.", _define_cancel, _cancel),
    "schedules": schedules.COMMAND,
    "runs": runs.COMMAND,
}
"""First word of `jupyter dashboards` → what a running server is asked for."""


def _submit(client: CommandsClient, body: dict[str, Any], *, waits: bool) -> int:
    """Submits a command once, however often the connection breaks; its id."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    command_id = int(client.send("POST", "commands", body, **key)["id"])
    # Whoever does not wait wants to go on with the id.
    (say if waits else show)(f"Command {command_id}" if waits else str(command_id))
    return command_id


def _save(client: CommandsClient, path: str, file: Path) -> None:
    try:
        data = client.read(path)
    except Refused as refused:
        raise Refused(f"There is no file of it: {refused}", refused.status) from refused
    try:
        if str(file) == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        file.write_bytes(data)
    except OSError as error:
        raise Refused(f"{file} can't be written: {error.strerror}") from error
    say(f"Wrote {file}")
