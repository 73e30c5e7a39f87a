"""The rows of the scheduler API in the table of `routes.py`: pattern below the API, handler, permissions, summary."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.web import RequestHandler

from .permissions import Permission
from .scheduler import (
    ScheduleDuplicateHandler,
    ScheduleHandler,
    ScheduleOwnerHandler,
    SchedulePreviewHandler,
    ScheduleRunHandler,
    SchedulesHandler,
    ScheduleTimesHandler,
)
from .scheduler_actions import (
    ActionHandler,
    ActionKillHandler,
    ActionRerunHandler,
    ActionsHandler,
    NotificationRetryHandler,
    ScheduleActionsHandler,
    ScheduleInstanceHandler,
    ScheduleInstanceLogsHandler,
    ScheduleInstanceRerunHandler,
    ScheduleInstanceResultsHandler,
    ScheduleInstancesHandler,
    ScheduleNotificationsHandler,
)

SCHEDULE = r"(?P<schedule_id>[0-9]+)"
SCHEDULE_OR_NAME = r"(?P<schedule_id>[^/]+)"
SEQUENCE = r"(?P<sequence>[0-9]+)"
ACTION = r"(?P<action_id>[0-9]+)"
NOTIFICATION = r"(?P<notification_id>[0-9]+)"
_ONE = f"scheduler/{SCHEDULE}"
_INSTANCE = rf"{_ONE}/instances/(?P<command_id>[0-9]+)"

_READ_COMMANDS = Permission("command:read")
_SEE, _CHANGE = Permission("schedule:read"), Permission("schedule:write")
_GET, _PUT, _POST = {"GET": _SEE}, {"PUT": _CHANGE}, {"POST": _CHANGE}
_GET_COMMAND = {"GET": _READ_COMMANDS}

SchedulerRoute = tuple[str, type[RequestHandler], Mapping[str, Permission], str]

SCHEDULER_ROUTES: tuple[SchedulerRoute, ...] = (
    ("scheduler", SchedulesHandler, _GET | _POST, "The schedules; make one."),
    (
        "scheduler/preview",
        SchedulePreviewHandler,
        {"GET": _SEE, "POST": _SEE},
        "The next times of a schedule that would be made.",
    ),
    (
        f"scheduler/{SCHEDULE_OR_NAME}",
        ScheduleHandler,
        _GET | _PUT,
        "A schedule; change, suspend, resume or kill it.",
    ),
    (f"{_ONE}/preview", ScheduleTimesHandler, _GET, "The next times of a schedule."),
    (f"{_ONE}/duplicate", ScheduleDuplicateHandler, _POST | _PUT, "Make another one like it."),
    (f"{_ONE}/owner", ScheduleOwnerHandler, _PUT, "Give a schedule to somebody else."),
    (f"{_ONE}/run", ScheduleRunHandler, _POST, "Run the command of a schedule now."),
    (f"{_ONE}/actions", ScheduleActionsHandler, _GET, "The runs of a schedule, newest first."),
    (
        f"{_ONE}/actions/{SEQUENCE}",
        ScheduleActionsHandler,
        _GET,
        "One run of a schedule, with its reruns.",
    ),
    (
        f"{_ONE}/instances",
        ScheduleInstancesHandler,
        _GET,
        "The commands of a schedule, newest first.",
    ),
    (_INSTANCE, ScheduleInstanceHandler, _GET, "A command of a schedule."),
    (
        f"{_INSTANCE}/logs",
        ScheduleInstanceLogsHandler,
        _GET_COMMAND,
        "The log of a command of a schedule.",
    ),
    (
        f"{_INSTANCE}/results",
        ScheduleInstanceResultsHandler,
        _GET_COMMAND,
        "The results of a command of a schedule.",
    ),
    (f"{_INSTANCE}/rerun", ScheduleInstanceRerunHandler, _POST, "Run it again."),
    (
        f"{_ONE}/notifications",
        ScheduleNotificationsHandler,
        _GET,
        "What was told of a schedule's runs, and what could not be.",
    ),
    (
        f"notifications/{NOTIFICATION}/retry",
        NotificationRetryHandler,
        _POST,
        "Try once more what could not be told.",
    ),
    ("actions", ActionsHandler, _GET, "The runs of all schedules, newest first."),
    (f"actions/{ACTION}", ActionHandler, _GET, "One run of a schedule."),
    (f"actions/{ACTION}/kill", ActionKillHandler, _PUT, "End one run of a schedule."),
    (f"actions/{ACTION}/rerun", ActionRerunHandler, _POST, "Run it again."),
)
