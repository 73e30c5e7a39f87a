"""What the handlers of the scheduler API share: its schedules, its actions, their views, its pages.

API: §3 of `specs/commands.md`. The same routes are served below `/api/v1.2` and `/api/latest`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..commands.models import CommandInfo
from ..commands.wire import read_number
from ..errors import InvalidRequest, NotFound, Unavailable, Unreadable
from ..schedules.manager import SchedulesManager
from ..schedules.models import CANCELLED, ActionInfo, ScheduleInfo
from ..schedules.store import ScheduleFilter
from ..schedules.waiting import wanted_files
from ..schedules.wire import Page, action_model, read_name, read_page, schedule_model
from .commands_base import CommandsAPIHandler, command_model


class SchedulerAPIHandler(CommandsAPIHandler):
    """A handler of schedules; anyone who may see them may see any."""

    @property
    def schedules(self) -> SchedulesManager:
        """The manager of schedules."""
        return self.dashboards.schedules

    def given(self) -> dict[str, str]:
        """The query arguments."""
        return {name: self.get_query_argument(name) for name in self.request.query_arguments}

    def page(self) -> Page:
        """The page that is asked for."""
        return read_page(self.given())

    async def schedule(self, schedule_id: str) -> ScheduleInfo:
        """The schedule of the URL, whose command names the notebook where it lies now. Raises `NotFound`.

        By its id, or, as one client may ask, by its name: the newest one then that has not ended, if there is one.
        """
        number = read_number(schedule_id)
        if number is not None:
            return await self.present(await self.schedules.store.get(number))
        name = read_name({"name": schedule_id})
        found, _ = await self.schedules.store.page(ScheduleFilter(name=name), 1, 0)
        if not found or not name:
            raise NotFound("There is no such schedule.")
        return await self.present(found[0])

    async def present(self, schedule: ScheduleInfo) -> ScheduleInfo:
        """A schedule with the path that its notebook has now."""
        command = schedule.fields.get("command")
        if not isinstance(command, Mapping) or "path" not in command or not schedule.notebook_id:
            return schedule
        known = await self.commands.notebooks.by_id(schedule.notebook_id)
        if known is None:
            return schedule
        there = {**schedule.fields, "command": {**command, "path": known.path}}
        return replace(schedule, fields=there)

    async def action(self, action_id: str) -> ActionInfo:
        """The action of the URL. Raises `NotFound`."""
        number = read_number(action_id)
        if number is None:
            raise NotFound("There is no such action.")
        return await self.schedules.store.action(number)

    async def model(self, schedule: ScheduleInfo) -> dict[str, Any]:
        """The view of a schedule."""
        return schedule_model(await self.present(schedule))

    async def action_models(self, actions: Sequence[ActionInfo]) -> list[dict[str, Any]]:
        """The views of actions, with their commands."""
        ids = [each.command_id for each in actions if each.command_id is not None]
        commands = {each.id: each for each in await self.commands.store.some(ids)}
        throttled = await self.commands.throttled(commands.values())
        schedules = {
            each.id: each
            for each in await self.schedules.store.some({each.schedule_id for each in actions})
        }
        found = []
        for action in actions:
            files = _files(schedules[action.schedule_id], action)
            waits = action.command_id is None and not action.is_final
            missing = await self.schedules.waiting.missing(files) if waits else ()
            command = commands.get(action.command_id or 0)
            shown = _command(command, throttled) if command is not None else None
            found.append(action_model(action, shown, files, missing))
        return found

    async def send_action(self, action: ActionInfo) -> None:
        """Answers with an action."""
        (model,) = await self.action_models([action])
        self.send(model)

    async def send_new_action(self, action: ActionInfo) -> None:
        """Answers with an action that was just made."""
        try:
            await self.send_action(action)
        except Unavailable:
            # Clients take a 503 for leave to send it again, and it is made already.
            self.send(action_model(action, None, (), ()))


def _command(command: CommandInfo, throttled: frozenset[int]) -> dict[str, Any]:
    return command_model(command, throttled=command.id in throttled)


def _files(schedule: ScheduleInfo, action: ActionInfo) -> tuple[str, ...]:
    if action.command_id is None and action.status == CANCELLED:
        # Nobody knows any more which of them were there.
        return ()
    try:
        return wanted_files(schedule.fields, schedule.trigger, action.nominal_time)
    except InvalidRequest:
        return ()


@contextlib.contextmanager
def unprocessable() -> Iterator[None]:
    """What the state of a schedule forbids is 422 in this API; 400 is for requests that can't be read."""
    try:
        yield
    except InvalidRequest as error:
        raise Unreadable(error.message) from error
