"""Who is told of runs, and with which words: notices, digests, and their delivery to a real mail server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from jupyter_dashboards_api.commands.models import Limits, Outcome
from jupyter_dashboards_api.commands.removal import remove
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Notification, Schedule
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.schedules.notices import (
    BadNotice,
    Notice,
    next_digest,
    notice_of,
)
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.wire import notification_model

from ..commands.smtp import mail_server
from .notifications import LONG, SECRET, TOLD, notifier_of, run, states
from .receivers import receiver
from .test_firing import HOUR, NOON, hourly, notebook


async def test_a_failed_run_is_mailed_once_with_its_reason(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    await run(database, schedules, commands, ["done", "error"], notification=TOLD)
    # However often one looks, on whichever server.
    for _ in range(3):
        await schedules.look(NOON + HOUR)
    async with mail_server() as mail, notifier_of(database, mail) as notifier:
        for _ in range(3):
            await notifier.look(now() + timedelta(seconds=1))
    # They are on their way at the same time.
    first, second = sorted(mail.messages, key=lambda message: str(message["Subject"]))
    assert (first["Subject"], second["Subject"]) == (
        "Sales: run 1 succeeded",
        "Sales: run 2 failed",
    )
    text = second.get_content()
    assert "ZeroDivisionError: division by zero" in text
    assert "a.ipynb" in text
    assert mail.recipients[0] == ["ann@example.org", "ben@example.org"]


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        ({"notify_failure": True}, ["Sales: run 2 failed"]),
        ({"notify_success": True}, ["Sales: run 1 succeeded"]),
        ({"can_notify": False}, []),
    ],
)
async def test_only_what_is_asked_for_is_told(
    database: Database,
    schedules: ScheduleStore,
    commands: CommandStore,
    wanted: dict[str, bool],
    subjects: list[str],
) -> None:
    await run(
        database, schedules, commands, ["done", "error", "cancelled"], notification=TOLD | wanted
    )
    await schedules.look(NOON + HOUR)
    async with mail_server() as mail, notifier_of(database, mail) as notifier:
        await notifier.look(now() + timedelta(seconds=1))
    assert [message["Subject"] for message in mail.messages] == subjects


async def test_a_digest_is_one_mail_of_the_days_runs(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    digest = TOLD | {"is_digest": True, "digest_time_hour": 7, "digest_time_minute": 30}
    number = await run(
        database, schedules, commands, ["done", "error", "done"], notification=digest
    )
    await schedules.set_status(number, "SUSPENDED")
    await schedules.look(now())
    assert await states(database) == []
    tomorrow = now() + timedelta(days=1)
    await schedules.look(tomorrow)
    # Of a day without a run there is none.
    await schedules.look(tomorrow + timedelta(days=1))
    async with mail_server() as mail, notifier_of(database, mail) as notifier:
        await notifier.look(tomorrow + timedelta(days=2))
    (message,) = mail.messages
    assert message["Subject"] == "Sales: 3 runs, 1 failed"
    assert message.get_content().count("run ") >= 3


async def test_what_can_not_be_read_of_one_schedule_keeps_nobody_else_from_being_told(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    digest = TOLD | {"is_digest": True}
    made = await schedules.create(
        [
            hourly(number, name="a", fields={"notification": digest}),
            hourly(number, name="b", fields={"notification": TOLD}),
            hourly(number, name="c", fields={"notification": digest}),
        ]
    )
    await schedules.look(NOON)
    for command in await commands.claim("test", 100, Limits(100)):
        await commands.finish(command, Outcome("error", {"message": "x"}))
    for each in made:
        await schedules.set_status(each.id, "SUSPENDED")
    # Only by a hand in the database.
    await database.execute(
        update(Schedule)
        .where(Schedule.id == made[0].id)
        .values(fields={"notification": 7, "webhook": 7, "time_zone": 7})
    )
    await schedules.look(now())
    assert await states(database) == [("mail", "pending", 0)]
    await schedules.look(now() + timedelta(days=1))
    assert await states(database) == [("mail", "pending", 0)] * 2


@pytest.mark.parametrize("status", ["done", "error"])
async def test_a_run_whose_command_is_deleted_before_it_is_told_of_is_told_as_it_ended(
    database: Database, schedules: ScheduleStore, commands: CommandStore, status: str
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        await run(database, schedules, commands, [status], webhook={"url": hook.url})
        (action,), _ = await schedules.actions(10, 0)
        assert action.command_id is not None
        await remove(database, action.command_id)
        await schedules.look(NOON)
        await notifier.look(now() + timedelta(seconds=1))
    ((_, body),) = hook.calls
    told = json.loads(body)
    assert told["type"] == {"done": "run.succeeded", "error": "run.failed"}[status]
    assert ("division by zero" in told["data"]["reason"]) is (status == "error")


@pytest.mark.parametrize("given", [None, "", ..., True, "true", False, "false"])
def test_the_view_says_whether_anybody_is_told(given: Any) -> None:
    sent = {"notification_email_list": "a@b.org", "can_notify": given}
    if given is ...:
        del sent["can_notify"]
    notice = notice_of(sent)
    assert notification_model(sent)["can_notify"] is (notice.success or notice.failure)


async def test_a_mail_that_may_have_been_sent_is_not_sent_again(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await run(database, schedules, commands, ["error"], notification=TOLD)
    await schedules.look(NOON)
    # What a server leaves that dies in the middle of it.
    await database.execute(update(Notification).values(is_under_way=True, tries=1))
    async with mail_server() as mail, notifier_of(database, mail) as notifier:
        await notifier.look(LONG)
        assert mail.messages == []
        (dead,), _ = await notifier.of_schedule(number, 10, 0)
    assert (dead.state, dead.last_error) == (
        "dead",
        "The server that sent this mail was stopped; it may have been sent.",
    )


async def test_without_a_mail_server_the_reason_is_seen(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await run(database, schedules, commands, ["error"], notification=TOLD)
    await schedules.look(NOON)
    async with notifier_of(database) as notifier:
        await notifier.look(now() + timedelta(seconds=1))
        (dead,), _ = await notifier.of_schedule(number, 10, 0)
    assert dead.state == "dead"
    assert "Mailer.host" in dead.last_error


async def test_what_was_never_a_run_is_told_too(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    async with mail_server() as mail, notifier_of(database, mail) as notifier, receiver() as hook:
        fields = {"notification": TOLD, "webhook": {"url": hook.url}}
        await schedules.create([hourly(number, name="Sales", fields=fields, webhook_secret=SECRET)])
        await database.execute(update(Notebook).values(deleted_at=now()))
        await schedules.look(NOON)
        await schedules.look(NOON)
        await notifier.look(now() + timedelta(seconds=1))
    (message,) = mail.messages
    assert message["Subject"] == "Sales: run 1 failed"
    assert "Notebook: a.ipynb" in message.get_content()
    ((_, body),) = hook.calls
    assert json.loads(body)["data"]["path"] == "a.ipynb"


@pytest.mark.parametrize(
    "given", ["x", [], {"notify_failure": True}, {"notification_email_list": "no address"}]
)
def test_bad_notices_are_refused(given: Any) -> None:
    with pytest.raises(BadNotice):
        notice_of(given)


def test_a_digest_keeps_its_hour_over_a_change_of_clocks() -> None:
    notice = Notice(("ann@example.org",), digest=(7, 30))
    before = next_digest(notice, "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert before == datetime(2026, 3, 29, 5, 30, tzinfo=UTC)
    assert next_digest(Notice(), "UTC", NOON) is None
