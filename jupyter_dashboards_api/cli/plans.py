"""When a schedule is due: as words of a command, as the API takes it, and as people read it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from .client import Refused
from .output import show_table, terminal_width
from .runs import when

_STEP = re.compile(r"(?:(\d{1,9})\s*)?([A-Za-z]+)", re.ASCII)


def add_plan(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Adds what says when."""
    steps = parser.add_mutually_exclusive_group(required=required)
    steps.add_argument(
        "--every", type=_step, metavar="STEP", help="such as '1 day', '15 minutes' or '2 weeks'"
    )
    steps.add_argument(
        "--cron", metavar="EXPRESSION", help="five fields, or six or seven as Quartz has them"
    )
    parser.add_argument("--zone", help="the time zone, such as Europe/Berlin; default: UTC")
    parser.add_argument(
        "--start", metavar="TIME", help="first time of --every, as YYYY-MM-DD HH:MM; default: now"
    )
    parser.add_argument("--end", metavar="TIME", help="when it is over, as YYYY-MM-DD HH:MM")


def _step(text: str) -> tuple[int, str]:
    """How many of which unit. For argparse; which units there are the server knows."""
    match = _STEP.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a step such as '1 day'")
    return int(match[1] or 1), match[2].lower()


def plan_fields(arguments: argparse.Namespace) -> dict[str, Any]:
    """When, as the API takes it. Raises `Refused`."""
    if arguments.start and not arguments.every:
        raise Refused("--start needs --every: an expression has no first time of its own.")
    frequency, unit = arguments.every or (None, None)
    fields = {
        "frequency": frequency,
        "time_unit": unit,
        "cron_expression": arguments.cron,
        "time_zone": arguments.zone,
        "start_time": arguments.start,
        "end_time": arguments.end,
    }
    return {name: value for name, value in fields.items() if value is not None}


def plan_text(schedule: Mapping[str, Any]) -> str:
    """When it runs, in a few words."""
    trigger = schedule["trigger"]
    if trigger["kind"] == "every":
        text = f"every {trigger['frequency']} {trigger['time_unit']}"
    elif trigger["kind"] == "weekly":
        days = trigger["days"]
        shown = "daily" if len(days) == 7 else ",".join(day[:3] for day in days)
        text = f"{shown} {trigger['time']}"
    else:
        text = str(trigger.get("cron_expression"))
    zone = schedule["time_zone"]
    return text if zone == "UTC" else f"{text} {zone}"


def show_times(preview: Mapping[str, Any]) -> None:
    """Writes a table of the next times to stdout."""
    local = f"NEXT TIMES, {preview['time_zone']}"
    rows = [(here[:19].replace("T", " ") + here[19:], when(utc)) for here, utc in _pairs(preview)]
    show_table((local, "UTC"), rows, terminal_width())


def _pairs(preview: Mapping[str, Any]) -> list[tuple[str, str]]:
    return list(zip(preview["local_times"], preview["times"], strict=True))
