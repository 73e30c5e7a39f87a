"""`jupyter dashboards schedules`: what a running server runs when. API: `specs/commands.md` §3."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from .client import Refused
from .client_command import (
    ClientActions,
    ClientCommand,
    add_notebook,
    add_parameters,
    count,
    run_action,
    server_of,
)
from .output import one_line, say, show, show_json, show_table, terminal_width
from .plans import add_plan, plan_fields, plan_text, show_times
from .runs import add_watch, notebook_of, show_fields, show_runs, tell_new, when

_TIMES, _ACTIONS = 5, 5
_GOING_ON = "RUNNING,SUSPENDED"
_MISSED = {"all": "run", "last": "run once", "none": "do not run"}
_HEADINGS = ("ID", "NAME", "STATUS", "WHEN", "NEXT", "RUNS", "NOTEBOOK")


def _define(parser: argparse.ArgumentParser) -> None:
    actions = ClientActions(parser)
    listing = actions.add("list", "Lists schedules, the newest first.", _list, json="the schedules")
    which = listing.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="with those that have ended")
    which.add_argument(
        "--status",
        metavar="STATUS,...",
        help=f"RUNNING, SUSPENDED, KILLED, DONE; default: {_GOING_ON}",
    )
    shown = actions.add("show", "Shows a schedule.", _show, json="the schedule, times and runs")
    _id(shown)
    _many(shown, _TIMES, "its next times, and of its latest runs")
    now = actions.add("run", "Runs it now, besides its times.", _run)
    _id(now)
    add_watch(now)
    for name, summary, run in (
        ("suspend", "Suspends a schedule: nothing comes of it until it is resumed.", _suspend),
        ("kill", "Ends a schedule for good; its runs are kept.", _kill),
        ("resume", "Resumes a schedule.", _resume),
    ):
        change = actions.add(name, summary, run, json="the answer")
        _id(change)
    change.add_argument(
        "--skip-missed", action="store_true", help="what was missed meanwhile does not run"
    )
    _define_create(actions)
    preview = actions.add(
        "preview",
        "Shows the next times of a schedule, or of one that would be made.",
        _preview,
        json="the times",
    )
    preview.add_argument("id", nargs="?", metavar="ID", help="its id, or its name")
    add_plan(preview, required=False)
    _many(preview, 10, "times")


def _define_create(actions: ClientActions) -> None:
    create = actions.add("create", "Makes a schedule.", _create, json="the schedule")
    add_notebook(create)
    add_plan(create, required=True)
    add_parameters(create)
    create.add_argument("--name", help="a name; default: its id")
    create.add_argument("--label", help="the cluster that it runs on")
    create.add_argument(
        "--no-catch-up",
        action="store_true",
        help="what was missed, and what lies before now, does not run",
    )
    create.add_argument(
        "--retry", type=int, choices=range(4), metavar="N", help="tries after a failure, up to 3"
    )
    create.add_argument(
        "--save", action="store_true", help="write each run's outputs back to the notebook"
    )
    create.add_argument(
        "--notify",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="mail how each run went; may be repeated",
    )
    create.add_argument("--webhook", metavar="URL", help="call this address after each run")


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the schedule's id, or its name")


def _many(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    parser.add_argument(
        "-n",
        dest="count",
        type=count,
        default=default,
        metavar="N",
        help=f"so many of {what}, up to 100; default: {default}",
    )


def _list(arguments: argparse.Namespace) -> int:
    wanted = {} if arguments.all else {"status": arguments.status or _GOING_ON}
    found = list(server_of(arguments).client.pages("scheduler", "schedules", **wanted))
    if arguments.json:
        show_json(found)
        return 0
    rows = [
        (
            str(each["id"]),
            str(each["name"]),
            str(each["status"]),
            plan_text(each),
            when(each["next_materialized_time"]),
            str(each["runs"]),
            notebook_of(each["command"]),
        )
        for each in found
    ]
    show_table(_HEADINGS, rows, terminal_width())
    return 0


def _show(arguments: argparse.Namespace) -> int:
    client = server_of(arguments).client
    schedule = client.schedule(arguments.id)
    most = min(arguments.count, 100)
    path = f"scheduler/{schedule['id']}"
    times = client.get(f"{path}/preview", count=most)
    actions = list(client.pages(f"{path}/actions", "actions", most))
    if arguments.json:
        show_json({**schedule, "preview": times, "actions": actions})
        return 0
    told = schedule["notification"]
    show_fields(
        {
            "Schedule": schedule["id"],
            "Name": schedule["name"],
            "Status": schedule["status"],
            "Owner": schedule["user"],
            "Notebook": notebook_of(schedule["command"]),
            "When": plan_text(schedule),
            "From": when(schedule["start_time"]),
            "Until": when(schedule["end_time"]),
            "Label": schedule["label"],
            "Missed times": _MISSED[schedule["catch_up"]],
            "Mail to": told.get("notification_email_list") if told["can_notify"] else None,
            "Webhook": (schedule["webhook"] or {}).get("url"),
        }
    )
    if times["times"]:
        show("")
        show_times(times)
    if actions:
        show("")
        show_runs(actions)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    client = server_of(arguments).client
    number = client.schedule_id(arguments.id)
    return tell_new(client, client.send_once("POST", f"scheduler/{number}/run", {}), arguments)


def _suspend(arguments: argparse.Namespace) -> int:
    return _set_status(arguments, {"status": "suspend"})


def _resume(arguments: argparse.Namespace) -> int:
    return _set_status(arguments, {"status": "resume", "no_catch_up": arguments.skip_missed})


def _kill(arguments: argparse.Namespace) -> int:
    return _set_status(arguments, {"status": "kill"})


def _set_status(arguments: argparse.Namespace, body: dict[str, Any]) -> int:
    client = server_of(arguments).client
    # Killed twice is refused: who asks again after a broken connection would read that.
    answer = client.send_once("PUT", f"scheduler/{quote(arguments.id, safe='')}", body)
    if arguments.json:
        show_json(answer)
    else:
        say(one_line(f"Schedule {arguments.id}: {answer['status']}"))
    return 0


def _create(arguments: argparse.Namespace) -> int:
    fields = plan_fields(arguments)
    server = server_of(arguments, arguments.notebook)
    command: dict[str, Any] = {"path": server.path_of(arguments.notebook)}
    if arguments.parameters:
        command["arguments"] = dict(arguments.parameters)
    body: dict[str, Any] = {
        "command_type": "JupyterNotebookCommand",
        "command": command,
        "name": arguments.name,
        "label": arguments.label,
        "no_catch_up": arguments.no_catch_up,
        "retry": arguments.retry,
        "webhook": arguments.webhook,
        "upload_to_source": arguments.save,
        **fields,
    }
    if arguments.notify:
        body["notification"] = {"notification_email_list": ",".join(arguments.notify)}
    made = server.client.send_once("POST", "scheduler", body)
    if arguments.json:
        show_json(made)
        return 0
    # Whoever makes one wants to go on with the id.
    show(str(made["id"]))
    say(f"Next time: {when(made['next_materialized_time'])}")
    if made.get("webhook_secret"):
        say(f"Secret of the webhook, shown this once: {made['webhook_secret']}")
    return 0


def _preview(arguments: argparse.Namespace) -> int:
    client, many = server_of(arguments).client, min(arguments.count, 100)
    fields = plan_fields(arguments)
    if (arguments.id is None) != bool(arguments.every or arguments.cron):
        raise Refused("Name a schedule, or say when by --every or --cron.")
    if arguments.id is not None:
        number = client.schedule_id(arguments.id)
        preview = client.get(f"scheduler/{number}/preview", count=many)
    else:
        preview = client.send("POST", "scheduler/preview", {**fields, "count": many})
    if arguments.json:
        show_json(preview)
    else:
        show_times(preview)
    return 0


COMMAND = ClientCommand("Makes, shows and changes schedules.", _define, run_action)
