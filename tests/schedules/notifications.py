"""Schedules that have run and are to be told of, and what tells of them."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.mail import Mailer
from jupyter_dashboards_api.commands.models import Limits, Outcome
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Notification
from jupyter_dashboards_api.schedules.notifier import Notifier
from jupyter_dashboards_api.schedules.store import ScheduleStore

from ..commands.smtp import MailServer
from .test_firing import HOUR, NOON, hourly, notebook

LONG = datetime(2100, 1, 1, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
TOLD = {"notification_email_list": "ann@example.org, ben@example.org"}


@asynccontextmanager
async def notifier_of(
    database: Database, mail: MailServer | None = None, tries: int = 3
) -> AsyncIterator[Notifier]:
    mailer = Mailer(
        host="127.0.0.1" if mail else "",
        port=mail.port if mail else 0,
        tls="none",
        from_address="dashboards@example.org" if mail else "",
    )
    notifier = Notifier(
        database,
        mailer,
        tries=tries,
        first_delay=timedelta(seconds=10),
        timeout=5,
        log=logging.getLogger("test"),
    )
    yield notifier
    notifier.close()


async def run(
    database: Database,
    schedules: ScheduleStore,
    commands: CommandStore,
    outcomes: list[str],
    **fields: Any,
) -> int:
    """A schedule that has run as often, each with an outcome; its id."""
    number = await notebook(database)
    (schedule,) = await schedules.create(
        [hourly(number, name="Sales", concurrency=20, webhook_secret=SECRET, fields=fields)]
    )
    await schedules.look(NOON + (len(outcomes) - 1) * HOUR)
    for command, status in zip(
        await commands.claim("test", 100, Limits(100)), outcomes, strict=True
    ):
        error = {"message": "ZeroDivisionError: division by zero"} if status == "error" else None
        await commands.finish(command, Outcome(status, error))
    return schedule.id


async def states(database: Database) -> list[tuple[str, str, int]]:
    """Kind, state and number of tries of all notifications."""

    def look(session: Session) -> list[tuple[str, str, int]]:
        rows = session.scalars(select(Notification).order_by(Notification.id))
        return [(row.kind, row.state, row.tries) for row in rows]

    return await database.read(look)
