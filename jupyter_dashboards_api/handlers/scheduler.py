"""The scheduler API: schedules are made, seen, changed and ended. API: `specs/commands.md` §3."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tornado.web import authenticated

from ..commands.submission import text
from ..errors import Conflict, Unavailable, Unreadable
from ..schedules.editing import (
    asked,
    changed_columns,
    cloned,
    edited,
    new_schedule,
    tells_secret,
)
from ..schedules.models import SCHEDULER, ScheduleInfo
from ..schedules.requests import FIELDS, ScheduleRequest, plan_request
from ..schedules.store import ScheduleFilter
from ..schedules.triggers import trigger_of
from ..schedules.wire import (
    RESUME,
    STATUS_OF,
    preview_model,
    read_count,
    read_name,
    read_statuses,
    schedule_model,
)
from .scheduler_base import SchedulerAPIHandler, unprocessable


class _MakingHandler(SchedulerAPIHandler):
    async def make(self, request: ScheduleRequest) -> None:
        """Stores a schedule and answers with it, and, this once, with the secret of its webhook."""
        owner = self.caller.name
        command = await self.commands.intake.of_body(request.body, owner)
        new = new_schedule(request, owner, command.notebook_id)
        with unprocessable():
            (made,) = await self.schedules.create([new])
        # Nothing is asked of the database now: a 503 would be taken for leave to send it again.
        self.send({**schedule_model(made), **_secret(request, request.webhook is not None)})


class SchedulesHandler(_MakingHandler):
    """`/api/v1.2/scheduler`: make a schedule, and the list."""

    @authenticated
    async def post(self) -> None:
        """Makes a schedule."""
        await self.make(await asyncio.to_thread(asked, self.body(), datetime.now(UTC)))

    @authenticated
    async def get(self) -> None:
        """The schedules, the newest first."""
        given, page = self.given(), self.page()
        wanted = ScheduleFilter(
            name=read_name(given), statuses=read_statuses(given), kind=read_name(given, "kind")
        )
        found, more = await self.schedules.store.page(wanted, page.size, page.offset)
        self.send(
            {
                "schedules": [await self.model(each) for each in found],
                "paging_info": page.info(more),
            }
        )


class ScheduleHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/ID`: a schedule, its edit, its status."""

    @authenticated
    async def get(self, schedule_id: str) -> None:
        self.send(await self.model(await self.schedule(schedule_id)))

    @authenticated
    async def put(self, schedule_id: str) -> None:
        """Changes the fields that are sent; or suspends, resumes or kills, by `status`."""
        schedule, body = await self.schedule(schedule_id), self.body()
        word = body.get("status")
        wanted = word.strip().lower() if isinstance(word, str) else None
        if wanted in STATUS_OF:
            await self._set_status(schedule, wanted, body)
            return
        # A view that comes back with its changes has the present status.
        if word is not None and word != schedule.status:
            raise Unreadable(f"status must be one of {', '.join(STATUS_OF)}.")
        await self._edit(schedule, body)

    async def _set_status(
        self, schedule: ScheduleInfo, wanted: str, body: Mapping[str, Any]
    ) -> None:
        others = FIELDS.intersection(body) - {"no_catch_up"}
        if others:
            raise Unreadable(
                f"status is sent alone, or with no_catch_up; {min(others)} is another edit."
            )
        skip = body.get("no_catch_up")
        if skip not in (None, True, False, "true", "false"):
            raise Unreadable("no_catch_up must be true or false.")
        with unprocessable():
            changed = await self.schedules.set_status(
                schedule.id,
                STATUS_OF[wanted],
                skip_missed=skip in (True, "true") if wanted == RESUME else None,
            )
        self.send({"succeeded": "true", "status": changed.status})

    async def _edit(self, schedule: ScheduleInfo, body: Mapping[str, Any]) -> None:
        if not FIELDS.intersection(body):
            raise Unreadable("Nothing is to be changed: send the fields that change, or status.")
        _require_own(schedule)
        now = datetime.now(UTC)
        request = await asyncio.to_thread(edited, schedule, body, now)
        command = await self.commands.intake.of_body(request.body, schedule.owner)

        def change(found: ScheduleInfo) -> dict[str, Any]:
            if found.updated_at != schedule.updated_at:
                raise Conflict("Somebody else has changed this schedule: look, and send it again.")
            return changed_columns(found, request, body, command.notebook_id, now)

        with unprocessable():
            changed = await self.schedules.change(schedule.id, change)
        secret = _secret(request, tells_secret(schedule, request, body))
        try:
            model = await self.model(changed)
        except Unavailable:
            # It is stored: after a 503 it would be sent again, and the secret never told.
            model = schedule_model(changed)
        self.send({**model, **secret})


class ScheduleDuplicateHandler(_MakingHandler):
    """`/api/v1.2/scheduler/ID/duplicate`: another schedule like it, by another name."""

    @authenticated
    async def post(self, schedule_id: str) -> None:
        schedule, body = await self.schedule(schedule_id), self.body()
        _require_own(schedule)
        await self.make(await asyncio.to_thread(cloned, schedule, body, datetime.now(UTC)))

    put = post


class ScheduleOwnerHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/ID/owner`: whose it is from now on."""

    @authenticated
    async def put(self, schedule_id: str) -> None:
        schedule = await self.schedule(schedule_id)
        name = text(self.body(), "new_owner_email", 128)
        if name is None:
            raise Unreadable("new_owner_email is required.")
        if not await self._is_known(name):
            raise Unreadable("new_owner_email: nobody of this name is known to this server.")
        with unprocessable():
            changed = await self.schedules.change(schedule.id, lambda found: {"owner": name})
        self.send(await self.model(changed))

    async def _is_known(self, name: str) -> bool:
        if name in (self.caller.name, self.access.token_user):
            return True
        known = {*await self.commands.store.owners(), *await self.schedules.store.owners()}
        return name in known or await self.access.knows_name(name)


class SchedulePreviewHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/preview`: the nominal times that a schedule would run first that would be made."""

    @authenticated
    async def get(self) -> None:
        await self._preview(self.given())

    @authenticated
    async def post(self) -> None:
        await self._preview(self.body())

    async def _preview(self, fields: Mapping[str, Any]) -> None:
        now, count = datetime.now(UTC), read_count(fields.get("count"))
        trigger, since, catch_up = plan_request(fields, now)

        def look() -> dict[str, Any]:
            first = self.schedules.first_time(trigger, since, catch_up, now)
            return preview_model(trigger, first, count)

        self.send(await asyncio.to_thread(look))


class ScheduleTimesHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/ID/preview`: the next nominal times of a schedule."""

    @authenticated
    async def get(self, schedule_id: str) -> None:
        schedule = await self.schedule(schedule_id)
        count = read_count(self.get_query_argument("count", ""))
        trigger, now = trigger_of(schedule.trigger), datetime.now(UTC)
        found = await asyncio.to_thread(
            preview_model, trigger, None if schedule.is_final else now, count
        )
        self.send({"id": schedule.id, "status": schedule.status, **found})


class ScheduleRunHandler(SchedulerAPIHandler):
    """`/api/v1.2/scheduler/ID/run`: an action now, besides its nominal times."""

    @authenticated
    async def post(self, schedule_id: str) -> None:
        schedule = await self.schedule(schedule_id)
        with unprocessable():
            action = await self.schedules.run_now(schedule.id)
        await self.send_new_action(action)


def _require_own(schedule: ScheduleInfo) -> None:
    if schedule.kind != SCHEDULER:
        raise Conflict("This schedule belongs to the notebooks API: change it there.")


def _secret(request: ScheduleRequest, is_new: bool) -> dict[str, Any]:
    return {"webhook_secret": request.webhook_secret} if is_new else {}
