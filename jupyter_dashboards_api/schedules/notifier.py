"""Delivers what is to be told: mail by the server's mailer, webhooks as signed calls. What fails is tried again, later each time.

A webhook is called at least once; its `webhook-id` stays the same, so that a receiver can tell a repetition. A mail is never
sent again when it may have been sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session
from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from ..commands.mail import Mailer, MailFailed
from ..commands.webhooks import body_of, signed_headers
from ..database.engine import Database
from ..database.schedule_tables import MAIL, Notification, Schedule
from ..database.tables import now
from ..errors import DashboardsError, InvalidRequest, NotFound

PENDING, SENT, DEAD = "pending", "sent", "dead"

_AT_ONCE = 10
_LEASE = timedelta(minutes=5)
"""After which one that was begun by a server which died is taken up again."""

_GONE = 410
_LONGEST_DELAY = timedelta(hours=6)
_MOST_FACTORS = 12
_MOST_ANSWER = 64 * 1024
_UNCERTAIN = "The server that sent this mail was stopped; it may have been sent."


@dataclass(frozen=True)
class NotificationInfo:
    """Something that is told, and how far it is."""

    id: int
    schedule_id: int | None
    command_id: int | None
    kind: str
    target: str
    message: dict[str, Any]
    state: str
    tries: int
    not_before: datetime
    last_error: str
    created_at: datetime
    sent_at: datetime | None
    secret: str | None = field(default=None, repr=False)


class _Failed(Exception):
    """It was not delivered. `is_final`: another try can't help."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_final = is_final


class Notifier:
    """Delivers notifications. For one event loop; several servers may share the work."""

    def __init__(
        self,
        database: Database,
        mailer: Mailer,
        *,
        tries: int,
        first_delay: timedelta,
        timeout: float,
        log: logging.Logger,
    ) -> None:
        """What fails is tried up to `tries` times, at first after `first_delay`, then after four times the last delay.

        `timeout`: seconds in which a webhook must have answered.
        """
        self._database = database
        self._mailer = mailer
        self._tries = tries
        self._first_delay = first_delay
        self._timeout = timeout
        self._log = log
        self._client: AsyncHTTPClient | None = None

    async def look(self, moment: datetime) -> datetime | None:
        """Delivers what is due; when the next look is worth it."""
        found = await self._database.write(lambda session: self._claim(session, moment))
        await asyncio.gather(*(self._deliver(each) for each in found))
        if len(found) == _AT_ONCE:
            return moment
        return await self._database.read(
            lambda session: session.scalar(
                select(func.min(Notification.not_before)).where(Notification.state == PENDING)
            )
        )

    def close(self) -> None:
        """Ends the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def of_schedule(
        self, schedule_id: int, limit: int, offset: int
    ) -> tuple[list[NotificationInfo], bool]:
        """A page of what was told of a schedule, the newest first, and whether there is more."""
        return await self._page(Notification.schedule_id == schedule_id, limit, offset)

    async def of_command(
        self, command_id: int, limit: int, offset: int
    ) -> tuple[list[NotificationInfo], bool]:
        """The same of a command."""
        return await self._page(Notification.command_id == command_id, limit, offset)

    async def _page(
        self, wanted: ColumnElement[bool], limit: int, offset: int
    ) -> tuple[list[NotificationInfo], bool]:
        query = (
            select(Notification)
            .where(wanted)
            .order_by(Notification.id.desc())
            .limit(limit + 1)
            .offset(offset)
        )

        def look(session: Session) -> tuple[list[NotificationInfo], bool]:
            rows = [_info(row) for row in session.scalars(query)]
            return rows[:limit], len(rows) > limit

        return await self._database.read(look)

    async def again(
        self, notification_id: int, *, command_id: int | None = None
    ) -> NotificationInfo:
        """Tries once more what is dead. Raises `NotFound`, and `InvalidRequest` for one that is not dead.

        With `command_id` only what is told of that command is there.
        """

        def work(session: Session) -> NotificationInfo:
            row = session.get(Notification, notification_id, with_for_update=True)
            if row is None or command_id not in (None, row.command_id):
                raise NotFound("There is no such notification.")
            if row.state != DEAD:
                raise InvalidRequest(
                    f"The notification is {row.state}; only a dead one is tried again."
                )
            row.state, row.tries, row.not_before = PENDING, 0, now()
            session.flush()
            return _info(row)

        return await self._database.write(work)

    def _claim(self, session: Session, moment: datetime) -> list[NotificationInfo]:
        rows = session.execute(
            select(Notification, Schedule.webhook_secret)
            .outerjoin(Schedule, Schedule.id == Notification.schedule_id)
            .where(Notification.state == PENDING, Notification.not_before <= moment)
            .order_by(Notification.not_before)
            .limit(_AT_ONCE)
            .with_for_update(of=Notification, skip_locked=True)
        ).all()
        claimed = []
        for row, secret in rows:
            if row.is_under_way and row.kind == MAIL:
                row.state, row.last_error, row.is_under_way = DEAD, _UNCERTAIN, False
                continue
            row.is_under_way = True
            row.tries += 1
            row.not_before = moment + _LEASE
            claimed.append(_info(row, row.secret or secret))
        session.flush()
        return claimed

    async def _deliver(self, each: NotificationInfo) -> None:
        try:
            if each.kind == MAIL:
                await self._mail(each)
            else:
                await self._call(each)
        except _Failed as failed:
            await self._note(each, failed)
        else:
            await self._note(each, None)

    async def _mail(self, each: NotificationInfo) -> None:
        addresses: Sequence[str] = json.loads(each.target)
        try:
            await self._mailer.send(
                addresses,
                each.message["subject"],
                each.message["text"],
                message_id=f"notification-{each.id}.{each.created_at:%Y%m%d%H%M%S%f}",
            )
        except MailFailed as failed:
            raise _Failed(failed.message, is_final=not failed.retryable) from failed
        except DashboardsError as error:
            raise _Failed(error.message, is_final=True) from error

    async def _call(self, each: NotificationInfo) -> None:
        if not each.secret:
            raise _Failed("The webhook was removed.", is_final=True)
        if self._client is None:
            # Of its own: others in this process may have set up the shared one otherwise.
            self._client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=_MOST_ANSWER)
        body = body_of(each.message)
        message_id = f"msg_{each.id}_{int(each.created_at.timestamp())}"
        request = HTTPRequest(
            each.target,
            method="POST",
            body=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "jupyter_dashboards_api",
                **signed_headers(each.secret, message_id, now(), body),
            },
            connect_timeout=self._timeout,
            request_timeout=self._timeout,
            # A receiver says where it is, and nobody else does.
            follow_redirects=False,
        )
        try:
            await self._client.fetch(request)
        except HTTPError as error:
            # Of the answer nothing is kept: it may be anything.
            raise _Failed(
                f"The receiver answered {error.code}."
                if error.code != 599
                else f"No answer within {self._timeout:g} seconds.",
                is_final=error.code == _GONE,
            ) from error
        except Exception as error:
            # Whatever a receiver can make the client raise: one that is not noted would be tried for ever.
            raise _Failed(f"The receiver could not be reached: {type(error).__name__}.") from error

    async def _note(self, each: NotificationInfo, failed: _Failed | None) -> None:
        moment = now()
        values: dict[str, Any] = {"is_under_way": False}
        if failed is None:
            values |= {"state": SENT, "sent_at": moment, "last_error": "", "secret": None}
        elif failed.is_final or each.tries >= self._tries:
            of_command = each.schedule_id is None
            self._log.warning(
                "Notification %d of %s %s: %s",
                each.id,
                "command" if of_command else "schedule",
                each.command_id if of_command else each.schedule_id,
                failed.why,
            )
            values |= {"state": DEAD, "last_error": failed.why}
        else:
            # Long reached by then; many more would be no time at all.
            factor = 4 ** min(each.tries - 1, _MOST_FACTORS)
            delay = min(self._first_delay * factor, _LONGEST_DELAY)
            values |= {"not_before": moment + delay, "last_error": failed.why}
        # By its try: one that was taken up by another server meanwhile is that server's.
        await self._database.execute(
            update(Notification)
            .where(Notification.id == each.id, Notification.tries == each.tries)
            .values(**values)
        )


def _info(row: Notification, secret: str | None = None) -> NotificationInfo:
    return NotificationInfo(
        id=row.id,
        schedule_id=row.schedule_id,
        command_id=row.command_id,
        kind=row.kind,
        target=row.target,
        message=row.message,
        state=row.state,
        tries=row.tries,
        not_before=row.not_before,
        last_error=row.last_error,
        created_at=row.created_at,
        sent_at=row.sent_at,
        secret=secret,
    )
