"""`jupyter dashboards runs`: what has come of schedules. API: the actions of `specs/commands.md` §3."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .client import CommandsClient, Refused
from .client_command import ClientActions, ClientCommand, count, number, run_action, server_of
from .output import one_line, say, show, show_json, show_table, terminal_width
from .watching import exit_code, show_log, watched

_LISTED = 20
_POLL = 1.0
"""Seconds between two looks at a run that waits for its files."""

_HEADINGS = ("ID", "SCHEDULE", "TIME", "STATUS", "COMMAND", "STARTED", "TOOK", "WHY")


def _define(parser: argparse.ArgumentParser) -> None:
    actions = ClientActions(parser)
    listing = actions.add("list", "Lists runs, the newest first.", _list, json="the runs")
    listing.add_argument("--schedule", metavar="ID", help="of the schedule of this id or name only")
    listing.add_argument(
        "-n",
        dest="most",
        type=count,
        default=_LISTED,
        metavar="N",
        help=f"so many; default: {_LISTED}",
    )
    _id(actions.add("show", "Shows a run.", _show, json="the run"))
    logs = actions.add("logs", "Shows the log of a run.", _logs, json="its id and text")
    _id(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run's end")
    again = actions.add("rerun", "Runs it again, now.", _rerun)
    _id(again)
    add_watch(again)
    _id(actions.add("cancel", "Cancels a run.", _cancel, json="the answer"))


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=number, metavar="ID", help="the run's id")


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Adds how a new run is told of."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="the new run as JSON, for programs")
    how.add_argument(
        "--watch", action="store_true", help="show the log until the end; Ctrl-C cancels"
    )


def _list(arguments: argparse.Namespace) -> int:
    client = server_of(arguments).client
    path = "actions"
    if arguments.schedule is not None:
        path = f"scheduler/{client.schedule_id(arguments.schedule)}/actions"
    found = list(client.pages(path, "actions", arguments.most))
    if arguments.json:
        show_json(found)
    else:
        show_runs(found)
    return 0


def show_runs(actions: Sequence[Mapping[str, Any]]) -> None:
    """Writes a table of runs to stdout, as wide as the terminal is."""
    show_table(_HEADINGS, [_row(each) for each in actions], terminal_width())


def _row(action: Mapping[str, Any]) -> tuple[str, ...]:
    command = action["command"] or {}
    return (
        str(action["id"]),
        str(action["periodic_job_id"]),
        when(action["nominal_time"]),
        str(action["status"]),
        str(action["query_hist_id"] or "-"),
        _second(command.get("start_time")),
        _took(command),
        _why(action),
    )


def when(text: str | None) -> str:
    """A nominal time as a person reads it."""
    return text.replace("T", " ") if text else "-"


def _second(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _took(command: Mapping[str, Any]) -> str:
    begun, ended = command.get("start_time"), command.get("end_time")
    if begun is None or ended is None:
        return "-"
    minutes, seconds = divmod(max(ended - begun, 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _why(action: Mapping[str, Any]) -> str:
    """Why it did not go well, or what kind of run it is."""
    error = (action["command"] or {}).get("error") or {}
    again = f"rerun {action['rerun_number']} of {action['is_rerun_of']}"
    words = (action["reason"], error.get("message"), again if action["rerun_number"] else "")
    return "; ".join(str(each) for each in words if each)


def _show(arguments: argparse.Namespace) -> int:
    action = _action(server_of(arguments).client, arguments.id)
    if arguments.json:
        show_json(action)
        return 0
    command = action["command"] or {}
    files = action["dependencies"]
    cells = f"{command['cells_done']}/{command['cells']}" if command.get("cells") else ""
    show_fields(
        {
            "Run": action["id"],
            "Schedule": action["periodic_job_id"],
            "Number": action["sequence_id"],
            "Time": when(action["nominal_time"]),
            "Status": action["status"],
            "Command": action["query_hist_id"],
            "Notebook": notebook_of(command.get("command") or {}),
            "Started": _second(command.get("start_time")),
            "Ended": _second(command.get("end_time")),
            "Took": _took(command),
            "Cells": cells,
            "Attempt": command.get("attempt"),
            "Files that are there": ", ".join(files["found"]),
            "Files that are not": ", ".join(files["not_found"]),
            "Why": _why(action),
        }
    )
    return 0


def show_fields(fields: Mapping[str, Any]) -> None:
    """Writes names and values to stdout, without those that have none."""
    shown = {name: one_line(str(value)) for name, value in fields.items() if value is not None}
    shown = {name: value for name, value in shown.items() if value not in ("", "-")}
    width = max(map(len, shown)) + 2
    for name, value in shown.items():
        show(f"{name + ':':<{width}}{value}")


def notebook_of(command: Mapping[str, Any]) -> str:
    """Which notebook a command runs: its path, or its id."""
    found = command.get("path") or command.get("note_id") or command.get("resourceId")
    return str(found or "-")


def _logs(arguments: argparse.Namespace) -> int:
    client = server_of(arguments).client
    action = _action(client, arguments.id)
    if arguments.follow and not arguments.json:
        action = _with_command(client, action)
    command_id = _command_of(action)
    if arguments.json:
        text = client.read(f"commands/{command_id}/logs").decode(errors="replace")
        show_json({"id": action["id"], "command": command_id, "log": text})
    else:
        show_log(client, command_id, follow=arguments.follow)
    return 0


def _rerun(arguments: argparse.Namespace) -> int:
    client = server_of(arguments).client
    action = client.send_once("POST", f"actions/{arguments.id}/rerun", {})
    return tell_new(client, action, arguments)


def _cancel(arguments: argparse.Namespace) -> int:
    return _cancelled(server_of(arguments).client, arguments.id, as_json=arguments.json)


def _cancelled(client: CommandsClient, action_id: int, *, as_json: bool = False) -> int:
    answer = client.send("PUT", f"actions/{action_id}/kill", {})
    killed = answer["kill_succeeded"] == "true"
    if as_json:
        show_json(answer)
    else:
        say(one_line(f"Run {action_id}: {'cancelling' if killed else answer['result']}"))
    return 0 if killed else 1


def tell_new(client: CommandsClient, action: dict[str, Any], arguments: argparse.Namespace) -> int:
    """Tells of a run that was asked for, as `add_watch` lets people choose; the exit code. Raises `Refused`."""
    if arguments.json:
        show_json(action)
        return 1 if _has_failed(action) else 0
    # Whoever does not wait wants to go on with the id.
    (say if arguments.watch else show)(
        f"Run {action['id']}" if arguments.watch else str(action["id"])
    )
    if arguments.watch:
        try:
            action = _with_command(client, action)
        except KeyboardInterrupt:
            _cancelled(client, action["id"])
            raise
    if _has_failed(action):
        say(one_line(f"Run {action['id']}: {action['status']}: {action['reason']}"))
        return 1
    if not arguments.watch:
        return 0
    command_id = _command_of(action)
    return exit_code(command_id, watched(client, command_id, with_log=True))


def _has_failed(action: Mapping[str, Any]) -> bool:
    """Whether it has ended without a command."""
    return bool(action["done"]) and action["query_hist_id"] is None


def _with_command(client: CommandsClient, action: dict[str, Any]) -> dict[str, Any]:
    """A run once it has its command, or has ended without one."""
    if action["query_hist_id"] is None and not action["done"]:
        missing = ", ".join(action["dependencies"]["not_found"])
        say(one_line(f"Run {action['id']} waits for files: {missing}"))
    while action["query_hist_id"] is None and not action["done"]:
        time.sleep(_POLL)
        action = _action(client, action["id"])
    return action


def _command_of(action: Mapping[str, Any]) -> int:
    if action["query_hist_id"] is None:
        why = f": {action['reason']}" if action["reason"] else ""
        raise Refused(one_line(f"Run {action['id']} has no command; {action['status']}{why}"))
    return int(action["query_hist_id"])


def _action(client: CommandsClient, action_id: int) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"actions/{action_id}")
    return found


COMMAND = ClientCommand("Shows, repeats and cancels the runs of schedules.", _define, run_action)
