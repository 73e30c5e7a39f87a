"""The scheduler API: what has come of schedules. Actions, and the commands that they have made (`instances`).

API: `specs/commands.md` §3.
"""

from __future__ import annotations

from tornado.web import authenticated

from ..commands.models import CommandInfo
from ..commands.wire import read_number
from ..errors import NotFound
from ..schedules.models import ActionInfo
from ..schedules.wire import told_model
from .commands import CommandLogsHandler, CommandResultsHandler
from .commands_base import command_model
from .scheduler_base import SchedulerAPIHandler, unprocessable

_NO_INSTANCE = "There is no such instance of this schedule."


class ActionsHandler(SchedulerAPIHandler):
    """`/api/v1.2/actions`: the actions of all schedules."""

    @authenticated
    async def get(self) -> None:
        """The newest first."""
        await self.send_page(None, None)

    async def send_page(self, schedule_id: int | None, sequence_id: int | None) -> None:
        """Answers with a page of actions."""
        page = self.page()
        found, more = await self.schedules.store.actions(
            page.size, page.offset, schedule_id=schedule_id, sequence_id=sequence_id
        )
        self.send({"actions": await self.action_models(found), "paging_info": page.info(more)})


class ScheduleActionsHandler(ActionsHandler):
    """`/api/v1.2/scheduler/ID/actions[/SEQUENCE]`: those of one schedule; of one nominal time with its reruns."""

    @authenticated
    async def get(self, schedule_id: str, sequence: str = "") -> None:
        """The newest first."""
        schedule = await self.schedule(schedule_id)
        number = read_number(sequence) if sequence else None
        if sequence and number is None:
            raise NotFound("There is no such action.")
        await self.send_page(schedule.id, number)


class ActionHandler(SchedulerAPIHandler):
    """`/api/v1.2/actions/ID`: an action."""

    @authenticated
    async def get(self, action_id: str) -> None:
        await self.send_action(await self.action(action_id))


class ActionKillHandler(SchedulerAPIHandler):
    """`/api/v1.2/actions/ID/kill`: ends an action. Clients send an empty body."""

    @authenticated
    async def put(self, action_id: str) -> None:
        action = await self.action(action_id)
        killed, action = await self.schedules.kill(action.id)
        answer = {"kill_succeeded": "true" if killed else "false"}
        if not killed:
            answer["result"] = f"The action is {action.status or 'done'} already."
        self.send(answer)


class ActionRerunHandler(SchedulerAPIHandler):
    """`/api/v1.2/actions/ID/rerun`: runs an action again, now. Clients send an empty body."""

    @authenticated
    async def post(self, action_id: str) -> None:
        await self.rerun(await self.action(action_id))

    async def rerun(self, action: ActionInfo) -> None:
        """Answers with the new action."""
        with unprocessable():
            again = await self.schedules.rerun(action.id)
        await self.send_new_action(again)


class ScheduleInstancesHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/ID/instances`: the commands that a schedule has made."""

    @authenticated
    async def get(self, schedule_id: str) -> None:
        """The newest first."""
        schedule, page = await self.schedule(schedule_id), self.page()
        found, more = await self.schedules.store.commands_of(schedule.id, page.size, page.offset)
        commands = {each.id: each for each in await self.commands.store.some(found)}
        throttled = await self.commands.throttled(commands.values())
        models = [
            command_model(commands[each], throttled=each in throttled)
            for each in found
            if each in commands
        ]
        self.send({"commands": models, "paging_info": page.info(more)})


class _InstanceHandler(SchedulerAPIHandler):
    async def instance(self, schedule_id: str, command_id: str) -> ActionInfo:
        """The action of a schedule that has made a command. Raises `NotFound`."""
        schedule, number = await self.schedule(schedule_id), read_number(command_id)
        found = await self.schedules.store.of_command(number) if number is not None else None
        if found is None or found.schedule_id != schedule.id:
            raise NotFound(_NO_INSTANCE)
        return found


class ScheduleInstanceHandler(_InstanceHandler):
    """`/api/v1.2/scheduler/ID/instances/COMMAND`: one of them."""

    @authenticated
    async def get(self, schedule_id: str, command_id: str) -> None:
        await self.instance(schedule_id, command_id)
        command: CommandInfo = await self.commands.store.get(int(command_id))
        throttled = await self.commands.throttled([command])
        self.send(command_model(command, throttled=command.id in throttled))


class ScheduleInstanceLogsHandler(_InstanceHandler, CommandLogsHandler):
    """`/api/v1.2/scheduler/ID/instances/COMMAND/logs`: its log, as that of the command."""

    @authenticated
    async def get(self, schedule_id: str, command_id: str) -> None:
        await self.instance(schedule_id, command_id)
        answered = CommandLogsHandler.get(self, command_id)
        assert answered is not None
        await answered


class ScheduleInstanceResultsHandler(_InstanceHandler, CommandResultsHandler):
    """`/api/v1.2/scheduler/ID/instances/COMMAND/results`: its results, as those of the command."""

    @authenticated
    async def get(self, schedule_id: str, command_id: str) -> None:
        await self.instance(schedule_id, command_id)
        answered = CommandResultsHandler.get(self, command_id)
        assert answered is not None
        await answered


class ScheduleInstanceRerunHandler(_InstanceHandler, ActionRerunHandler):
    """`/api/v1.2/scheduler/ID/instances/COMMAND/rerun`: runs it again, now. Clients send an empty body."""

    @authenticated
    async def post(self, schedule_id: str, command_id: str) -> None:
        await self.rerun(await self.instance(schedule_id, command_id))


class ScheduleNotificationsHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/ID/notifications`: what was told of a schedule's runs, and what could not be."""

    @authenticated
    async def get(self, schedule_id: str) -> None:
        """The newest first."""
        schedule, page = await self.schedule(schedule_id), self.page()
        found, more = await self.schedules.notifier.of_schedule(schedule.id, page.size, page.offset)
        models = [told_model(each) for each in found]
        self.send({"notifications": models, "paging_info": page.info(more)})


class NotificationRetryHandler(SchedulerAPIHandler):
    """`/api/v1.2/notifications/ID/retry`: tries once more what was given up."""

    @authenticated
    async def post(self, notification_id: str) -> None:
        number = read_number(notification_id)
        if number is None:
            raise NotFound("There is no such notification.")
        with unprocessable():
            self.send(told_model(await self.schedules.retry(number)))
