"""Who is told of runs: words and signatures, and their delivery to a real mail server and a real receiver of webhooks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from jupyter_dashboards_api.commands.mail import Mailer
from jupyter_dashboards_api.commands.models import Limits, Outcome
from jupyter_dashboards_api.commands.removal import remove
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.commands.webhooks import signed_headers
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Notification, Schedule
from jupyter_dashboards_api.database.tables import Notebook, now
from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.notices import (
    BadNotice,
    Notice,
    next_digest,
    notice_of,
    webhook_of,
)
from jupyter_dashboards_api.schedules.notifier import Notifier
from jupyter_dashboards_api.schedules.store import ScheduleStore
from jupyter_dashboards_api.schedules.wire import notification_model

from ..commands.smtp import MailServer, mail_server
from .test_firing import HOUR, NOON, hourly, notebook

LONG = datetime(2100, 1, 1, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
TOLD = {"notification_email_list": "ann@example.org, ben@example.org"}


class Receiver:
    """A server for webhooks: what came, and what it answers next (200 after those), the first when `first` is set."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.first = asyncio.Event()
        self.first.set()
        self.followed: list[str] = []


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()

    class Hook(RequestHandler):
        async def post(self) -> None:
            found.calls.append((dict(self.request.headers), self.request.body))
            status = found.answers.pop(0) if found.answers else 200
            if len(found.calls) == 1:
                await found.first.wait()
            if status == 302:
                self.redirect(f"{found.url}/elsewhere")
                return
            self.set_status(status)

        def get(self) -> None:
            found.followed.append(self.request.path)

    socket, port = bind_unused_port()
    server = HTTPServer(Application([(r"/hook.*", Hook)]))
    server.add_socket(socket)
    found.url = f"http://127.0.0.1:{port}/hook"
    yield found
    server.stop()
    await server.close_all_connections()


@pytest.fixture
def schedules(database: Database) -> ScheduleStore:
    return ScheduleStore(database, Bounds(longest=HOUR))


@pytest.fixture
def commands(database: Database) -> CommandStore:
    return CommandStore(database)


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


async def test_a_webhook_is_signed_and_tells_the_run(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        number = await run(database, schedules, commands, ["error"], webhook={"url": hook.url})
        await schedules.look(NOON)
        await notifier.look(now() + timedelta(seconds=1))
    ((headers, body),) = hook.calls
    told = json.loads(body)
    assert told["type"] == "run.failed"
    assert told["data"]["schedule_id"] == number
    assert told["data"]["nominal_time"] == NOON.isoformat()
    assert told["data"]["reason"] == "ZeroDivisionError: division by zero"
    # As the Standard Webhooks specification has a receiver check it.
    signed = f"{headers['Webhook-Id']}.{headers['Webhook-Timestamp']}.".encode() + body
    right = base64.b64encode(hmac.digest(bytes(range(32)), signed, hashlib.sha256)).decode()
    assert headers["Webhook-Signature"] == f"v1,{right}"
    assert abs(int(headers["Webhook-Timestamp"]) - now().timestamp()) < 60
    assert await states(database) == [("webhook", "sent", 1)]


async def test_what_fails_is_tried_again_later_each_time_and_is_dead_then(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        hook.answers = [500, 302, 503]
        number = await run(database, schedules, commands, ["done"], webhook={"url": hook.url})
        await schedules.look(NOON)
        moment = now() + timedelta(seconds=1)
        later = []
        for _ in range(3):
            following = await notifier.look(moment)
            later.append(following)
            moment = following or moment
        assert await states(database) == [("webhook", "dead", 3)]
        assert later[2] is None
        (dead,), _ = await notifier.of_schedule(number, 10, 0)
        assert dead.last_error == "The receiver answered 503."
        assert len({headers["Webhook-Id"] for headers, _ in hook.calls}) == 1
        assert hook.followed == []
        await notifier.again(dead.id)
        await notifier.look(now() + timedelta(seconds=1))
        assert await states(database) == [("webhook", "sent", 1)]
        with pytest.raises(InvalidRequest):
            await notifier.again(dead.id)
    first, second = later[0], later[1]
    assert first is not None
    assert second is not None
    assert timedelta(seconds=5) < first - now() < timedelta(seconds=11)
    assert second - first > timedelta(seconds=20)


async def test_a_receiver_that_is_gone_for_good_is_not_tried_again(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        hook.answers = [410]
        await run(database, schedules, commands, ["done"], webhook={"url": hook.url})
        await schedules.look(NOON)
        await notifier.look(now() + timedelta(seconds=1))
    assert await states(database) == [("webhook", "dead", 1)]


async def test_a_webhook_that_was_removed_is_not_called_any_more(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        number = await run(database, schedules, commands, ["done"], webhook={"url": hook.url})
        await schedules.look(NOON)
        await schedules.change(number, lambda found: {"fields": {}, "webhook_secret": None})
        await notifier.look(now() + timedelta(seconds=1))
        (dead,), _ = await notifier.of_schedule(number, 10, 0)
    assert hook.calls == []
    assert (dead.state, dead.last_error) == ("dead", "The webhook was removed.")


async def test_a_receiver_whose_answer_has_no_end_of_headers_is_not_tried_for_ever(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    await run(database, schedules, commands, ["error"], webhook={"url": url})
    await schedules.look(NOON)
    async with notifier_of(database, tries=2) as notifier:
        for number in range(3):
            await notifier.look(now() + timedelta(hours=number, seconds=1))
    server.close()
    assert await states(database) == [("webhook", "dead", 2)]


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


def claim_in_pairs(database: Database) -> None:
    """Has each look at what is due wait, before its transaction ends, until another one has looked too."""
    if not database.is_shared:
        # SQLite has one writer at a time: the other one looks when this one has ended.
        return
    both = threading.Barrier(2)

    def looked(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "webhook_secret" in statement:
            both.wait(20)

    event.listen(database.engine, "after_cursor_execute", looked)


async def test_two_servers_share_the_work_and_call_once(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async with (
        receiver() as hook,
        notifier_of(database) as notifier,
        notifier_of(database) as other,
    ):
        await run(database, schedules, commands, ["done"] * 20, webhook={"url": hook.url})
        await schedules.look(NOON + 19 * HOUR)
        moment = now() + timedelta(seconds=1)
        claim_in_pairs(database)
        while await asyncio.gather(notifier.look(moment), other.look(moment)) != [None, None]:
            pass
    assert len(hook.calls) == 20
    assert all(state == ("webhook", "sent", 1) for state in await states(database))


async def test_what_another_server_has_taken_up_meanwhile_is_that_servers(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    async with (
        receiver() as hook,
        notifier_of(database) as notifier,
        notifier_of(database) as other,
    ):
        hook.answers = [410]
        hook.first.clear()
        await run(database, schedules, commands, ["done"], webhook={"url": hook.url})
        await schedules.look(NOON)
        late = asyncio.ensure_future(notifier.look(now() + timedelta(seconds=1)))
        while not hook.calls:
            await asyncio.sleep(0.01)
        # As if it had been long enough ago.
        await other.look(LONG)
        hook.first.set()
        await late
    assert len(hook.calls) == 2
    assert await states(database) == [("webhook", "sent", 2)]


async def test_what_was_never_a_run_is_told_too(
    database: Database, schedules: ScheduleStore, commands: CommandStore
) -> None:
    number = await notebook(database)
    await schedules.create([hourly(number, name="Sales", fields={"notification": TOLD})])
    await database.execute(update(Notebook).values(deleted_at=now()))
    await schedules.look(NOON)
    await schedules.look(NOON)
    async with mail_server() as mail, notifier_of(database, mail) as notifier:
        await notifier.look(now() + timedelta(seconds=1))
    assert [message["Subject"] for message in mail.messages] == ["Sales: run 1 failed"]


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    # https://www.standardwebhooks.com: secret, id, time and body of its reference libraries' tests.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    moment = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers(
        secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", moment, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "given",
    [
        "ftp://example.org",
        "http://",
        "https://ann:secret@example.org/",
        "javascript:alert(1)",
        "https://example.org/\nX: y",
        "https://exa mple.org",
        "https://[bad",
        7,
        {"url": "https://example.org", "secret": "short"},
        {"url": "https://example.org", "secret": "whsec_no base64!"},
        {"url": "https://example.org", "secret": 12345678901234567890},
    ],
)
def test_bad_webhooks_are_refused(given: Any) -> None:
    with pytest.raises(Exception, match=r"webhook|url|secret"):
        webhook_of(given)


def test_a_webhook_without_a_secret_gets_one_of_its_own() -> None:
    first, second = (webhook_of("https://example.org/hook") for _ in range(2))
    assert first[1] != second[1]
    assert str(first[1]).startswith("whsec_")


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
