"""Webhooks that tell of runs: their signatures, and their delivery to a real receiver."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.commands.webhooks import signed_headers
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.schedules.notices import webhook_of
from jupyter_dashboards_api.schedules.store import ScheduleStore

from .notifications import LONG, notifier_of, run, states
from .receivers import receiver
from .test_firing import HOUR, NOON


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
        later, looked = [], []
        for _ in range(3):
            following = await notifier.look(moment)
            looked.append(now())
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
    assert timedelta(seconds=5) < first - looked[0] < timedelta(seconds=11)
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
