"""What was told of a command that has ended, and what could not be. API: `specs/commands.md` §4."""

from __future__ import annotations

from tornado.web import authenticated

from ..commands.wire import read_number
from ..errors import NotFound
from ..schedules.wire import told_model
from .scheduler_base import SchedulerAPIHandler, unprocessable


class CommandNotificationsHandler(SchedulerAPIHandler):
    """`/api/v1.2/commands/ID/notifications`: as that of a schedule."""

    @authenticated
    async def get(self, command_id: str) -> None:
        """The newest first."""
        command, page = await self.command(command_id), self.page()
        found, more = await self.schedules.notifier.of_command(command.id, page.size, page.offset)
        models = [told_model(each) for each in found]
        self.send({"notifications": models, "paging_info": page.info(more)})


class CommandNotificationRetryHandler(SchedulerAPIHandler):
    """`/api/v1.2/commands/ID/notifications/ID/retry`: tries once more what was given up, with the scope of commands."""

    @authenticated
    async def post(self, command_id: str, notification_id: str) -> None:
        command, number = await self.command(command_id), read_number(notification_id)
        if number is None:
            raise NotFound("There is no such notification.")
        with unprocessable():
            self.send(told_model(await self.schedules.retry(number, command_id=command.id)))
