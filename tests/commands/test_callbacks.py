"""Who is told that a command has ended: noted with its end, once, and delivered to a real receiver and a real mail server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from jupyter_dashboards_api.commands.callbacks import own_address
from jupyter_dashboards_api.commands.clusters import configured
from jupyter_dashboards_api.commands.endings import settle
from jupyter_dashboards_api.commands.labels import label_models
from jupyter_dashboards_api.commands.models import CommandInfo, Limits, Outcome, Submission
from jupyter_dashboards_api.commands.removal import remove
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.commands.submission import Refused, run_request
from jupyter_dashboards_api.database.command_tables import Command
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Notification
from jupyter_dashboards_api.database.tables import now
from tests.schedules.notifications import notifier_of
from tests.schedules.receivers import receiver

from . import submissions
from .smtp import mail_server

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
HOOK = "https://example.org/hook"


def wanted(**fields: Any) -> Submission:
    return submissions.wanted(**{"callback_url": HOOK, "callback_secret": SECRET, **fields})


async def begun(store: CommandStore, **fields: Any) -> CommandInfo:
    """A command that runs."""
    await store.submit(wanted(**fields))
    (command,) = await store.claim("test", 1, Limits(1))
    return command


async def told(database: Database) -> list[tuple[str | None, str]]:
    """What is to be told or was: the type of a call, the subject of a mail; and its state."""

    def look(session: Session) -> list[tuple[str | None, str]]:
        rows = session.scalars(select(Notification).order_by(Notification.id))
        return [(row.message.get("type") or row.message.get("subject"), row.state) for row in rows]

    return await database.read(look)


async def test_a_call_is_signed_and_tells_the_command(
    database: Database, store: CommandStore
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        command = await begun(store, callback_url=hook.url, name="monthly")
        error = {"message": "ValueError: no sales", "cell_index": 2}
        ended = await store.finish(command, Outcome("error", error))
        await notifier.look(now() + timedelta(seconds=1))
        # However often one looks.
        await notifier.look(now() + timedelta(days=1))
    ((headers, body),) = hook.calls
    message = json.loads(body)
    assert message["type"] == "command.failed"
    assert ended is not None
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert message["data"] == {
        "command_id": command.id,
        "command_type": "SparkCommand",
        "status": "error",
        "error": error,
        "name": "monthly",
        "path": "a.ipynb",
        "started_at": ended.started_at.isoformat(timespec="seconds"),
        "ended_at": ended.ended_at.isoformat(timespec="seconds"),
    }
    # As the Standard Webhooks specification has a receiver check it.
    signed = f"{headers['Webhook-Id']}.{headers['Webhook-Timestamp']}.".encode() + body
    right = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert headers["Webhook-Signature"] == f"v1,{right}"
    assert await told(database) == [("command.failed", "sent")]


async def test_a_command_that_is_tried_again_is_told_of_at_its_end(
    database: Database, store: CommandStore
) -> None:
    command = await begun(store, retry=1)
    await store.finish(command, Outcome("error", {"message": "x"}))
    assert await told(database) == []
    (again,) = await store.claim("test", 1, Limits(1))
    await store.finish(again, Outcome("done"))
    # A late word of the first attempt.
    await store.finish(command, Outcome("error", {"message": "x"}))
    assert await told(database) == [("command.succeeded", "pending")]


async def test_each_way_to_end_is_told_once(database: Database, store: CommandStore) -> None:
    cancelled = [("command.cancelled", "pending")]
    command, _ = await store.submit(wanted())
    await store.cancel(command.id)
    await store.cancel(command.id)
    assert await told(database) == cancelled
    # While it runs: only when it has ended.
    running = await begun(store)
    await store.cancel(running.id)
    assert await told(database) == cancelled
    await store.finish(running, Outcome("cancelled"))
    assert await told(database) == cancelled * 2
    # Taken, cancelled, and put back by a server that stops.
    taken = await begun(store)
    await store.cancel(taken.id)
    await store.put_back("test", ())
    assert await told(database) == cancelled * 3
    # Its server has died.
    await begun(store)
    await store.orphans("lost")
    await store.orphans("lost")
    handed = await begun(store)
    await store.hand_back(handed, "stopped")
    assert await told(database) == cancelled * 3 + [("command.failed", "pending")] * 2


async def test_the_call_is_noted_in_the_transaction_that_ends_the_command(
    database: Database, store: CommandStore
) -> None:
    """So that a server which is killed has done both or nothing."""
    command = await begun(store)

    def killed(session: Session) -> None:
        row = session.get_one(Command, command.id)
        settle(session, row, "done", retryable=False)
        session.flush()
        assert session.scalar(select(Notification.command_id)) == command.id
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        await database.write(killed)
    assert (await store.get(command.id)).status == "running"
    assert await told(database) == []
    await store.finish(command, Outcome("done"))
    assert await told(database) == [("command.succeeded", "pending")]


async def test_a_command_that_is_deleted_before_it_is_told_of_is_told_all_the_same(
    database: Database, store: CommandStore
) -> None:
    async with receiver() as hook, notifier_of(database) as notifier:
        command = await begun(store, callback_url=hook.url)
        await store.finish(command, Outcome("done"))
        await remove(database, command.id)
        await notifier.look(now() + timedelta(seconds=1))
    ((headers, body),) = hook.calls
    assert json.loads(body)["data"]["command_id"] == command.id
    assert headers["Webhook-Signature"].startswith("v1,")


async def test_the_secret_goes_when_it_is_not_needed_any_more(
    database: Database, store: CommandStore
) -> None:
    def secrets(session: Session) -> list[str | None]:
        of_command = session.scalars(select(Command.callback_secret)).all()
        return [*of_command, *session.scalars(select(Notification.secret))]

    async with receiver() as hook, notifier_of(database, tries=1) as notifier:
        hook.answers = [500]
        command = await begun(store, callback_url=hook.url)
        await store.finish(command, Outcome("done"))
        assert await database.read(secrets) == [None, SECRET]
        await notifier.look(now() + timedelta(seconds=1))
        # It may be tried again.
        assert await database.read(secrets) == [None, SECRET]
        (dead,), more = await notifier.of_command(command.id, 10, 0)
        assert (dead.state, dead.command_id, dead.schedule_id, more) == (
            "dead",
            command.id,
            None,
            False,
        )
        await notifier.again(dead.id)
        await notifier.look(now() + timedelta(seconds=1))
        assert await database.read(secrets) == [None, None]
    assert [state for _, state in await told(database)] == ["sent"]


async def test_only_who_makes_a_command_is_told_its_secret(store: CommandStore) -> None:
    made, is_new = await store.submit(wanted(idempotency_key="k"))
    assert (is_new, made.callback_secret) == (True, SECRET)
    # Two requests with one key at once: each has made up a secret, one counts.
    same, is_new = await store.submit(wanted(idempotency_key="k", callback_secret="x" * 20))
    assert (same.id, is_new, same.callback_secret) == (made.id, False, None)
    assert (await store.get(made.id)).callback_secret is None
    assert SECRET not in repr((made, wanted()))


async def test_the_owner_is_sent_a_mail(database: Database, store: CommandStore) -> None:
    fields = {"callback_url": None, "callback_secret": None, "mail_to": "ann@example.org"}
    async with mail_server() as mail, notifier_of(database, mail) as notifier:
        command = await begun(store, name="monthly", **fields)
        await store.finish(command, Outcome("error", {"message": "ValueError: no sales"}))
        await notifier.look(now() + timedelta(seconds=1))
        await notifier.look(now() + timedelta(days=1))
    (message,) = mail.messages
    assert mail.recipients == [["ann@example.org"]]
    assert message["Subject"] == f"monthly: command {command.id} failed"
    text = message.get_content()
    assert "Notebook: a.ipynb" in text
    assert "Reason: ValueError: no sales" in text
    assert await told(database) == [(message["Subject"], "sent")]


@pytest.mark.parametrize(
    ("owner", "address"),
    [
        ("ann@Example.org", "ann@example.org"),
        ("ann", None),
        ("ann@example.org,ben@example.org", None),
        ("", None),
        ("Ann <ann@example.org>", None),
    ],
)
def test_an_owner_has_an_address_if_the_name_is_one(owner: str, address: str | None) -> None:
    assert own_address(owner) == address


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"callback_url": "ftp://example.org"}, "callback_url must be an address"),
        ({"callback_url": "/hook"}, "callback_url must be an address"),
        ({"callback_url": "https://ann:word@example.org"}, "callback_url must be an address"),
        ({"callback_url": "https://example.org/a b"}, "callback_url must be an address"),
        ({"callback_url": "https://" + "x" * 2000}, "callback_url must have at most 2000"),
        ({"callback_url": 7}, "callback_url must be a text"),
        ({"callback_secret": "x" * 20}, "callback_url must be an address"),
        ({"callback_url": HOOK, "callback_secret": "short"}, "callback_secret must have at least"),
        ({"callback_url": HOOK, "callback_secret": "whsec_!"}, "callback_secret must be Base64"),
        ({"callback_url": HOOK, "callback_secret": "whsec_" + "é" * 30}, "callback_secret must be"),
        ({"callback_url": HOOK, "callback_secret": "x" * 129}, "callback_secret must have at most"),
    ],
)
def test_what_can_not_be_called_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        run_request({"command_type": "SparkCommand", "note_id": 1, **fields}, None)
    start = "Command type could not be created. Errors: "
    assert refused.value.message.startswith(start + message)


def test_a_secret_is_made_up_where_none_is_given_and_never_printed() -> None:
    body = {"command_type": "SparkCommand", "note_id": 1, "callback_url": HOOK}
    request, other = run_request(body, None), run_request(body, None)
    assert request.callback_secret is not None
    assert request.callback_secret.startswith("whsec_")
    assert request.callback_secret != other.callback_secret
    assert request.callback_secret not in repr(request)
    # The same request all the same, for an idempotency key.
    assert request.request_hash == other.request_hash


def test_labels_are_those_of_the_clusters_and_the_default() -> None:
    clusters = configured(
        {
            "yarn": {
                "gateway": {"url": "https://gateway.example.org", "token_variable": "TOKEN"},
                "spark": {"spark.master": "yarn"},
                "environment": {"A": "b"},
            },
            "small": {"kernelspec": "python3", "limits": {"memory_mb": 512}},
        }
    )
    nothing = {"kernelspec": None, "gateway": False, "spark": False, "limits": {}}
    assert label_models(clusters, {"small": 2, "": 3, "unknown": 4}) == [
        {"label": "default", **nothing, "max_running": None},
        {
            "label": "small",
            "kernelspec": "python3",
            "gateway": False,
            "spark": False,
            "limits": {"memory_mb": 512},
            "max_running": 2,
        },
        {"label": "yarn", **nothing, "gateway": True, "spark": True, "max_running": None},
    ]
    # Without clusters any label is taken; of some it is known how many may run.
    assert label_models({}, {"night": 1, "default": 2}) == [
        {"label": "default", **nothing, "max_running": 2},
        {"label": "night", **nothing, "max_running": 1},
    ]
