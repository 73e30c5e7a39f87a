"""`jupyter dashboards keys`."""

from __future__ import annotations

import asyncio
import getpass
import json
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_dashboards_api.access.activities import Activities, ActivityInfo
from jupyter_dashboards_api.access.scopes import SCOPES
from jupyter_dashboards_api.access.secret_values import KEY_PREFIX, masked
from jupyter_dashboards_api.database.engine import URL_VARIABLE, Database

from .conftest import Commands, Done


def listed(commands: Commands, *options: str) -> list[dict[str, object]]:
    done = commands("keys", "list", "--json", *options)
    assert done.code == 0, done.err
    found: list[dict[str, object]] = json.loads(done.out)
    return found


def create(commands: Commands, label: str, *options: str) -> Done:
    done = commands("keys", "create", label, "--scope", "dashboard:read", *options)
    assert done.code == 0, done.err
    return done


def activities(url: str) -> list[ActivityInfo]:
    database = Database(url=url)
    try:
        return asyncio.run(Activities(database, timedelta(1)).page(10, 1))[0]
    finally:
        database.close()


def test_keys_are_made_listed_and_revoked(commands: Commands, database_url: str) -> None:
    commands.environment[URL_VARIABLE] = database_url
    made = create(commands, "nightly reports", "--scope", "command:write", "--expires", "30d")
    secret = made.out.removesuffix("\n")
    assert secret.startswith(KEY_PREFIX)
    assert secret.isprintable()
    assert secret not in made.err
    assert "not shown again" in made.err

    (key,) = listed(commands)
    assert key["label"] == "nightly reports"
    assert key["mask_value"] == masked(secret)
    assert key["scopes"] == ["dashboard:read", "command:write"]
    assert key["user_id"] == getpass.getuser()
    assert key["last_used_at"] is None
    assert "value" not in key
    left = datetime.fromisoformat(str(key["expires_at"])) - datetime.now(UTC)
    assert timedelta(29) < left < timedelta(31)

    heading, row = commands("keys", "list").out.splitlines()
    assert heading.startswith("ID ")
    assert row.startswith(f"{key['id']}  nightly reports  {getpass.getuser()}")
    assert f"  {masked(secret)}  dashboard:read, command:write  20" in row
    assert row.endswith("  never")

    revoked = commands("keys", "revoke", str(key["id"]), "--yes")
    assert revoked.code == 0
    assert "nightly reports" in revoked.err
    assert listed(commands) == []
    assert [each.activity for each in activities(database_url)] == ["key_revoked", "key_created"]
    assert {each.detail["key_id"] for each in activities(database_url)} == {key["id"]}


def test_a_key_can_expire_at_a_time(quick: Commands) -> None:
    create(quick, "x", "--expires", "2999-01-01T00:00Z")
    create(quick, "y")
    assert [key["expires_at"] for key in listed(quick)] == ["2999-01-01T00:00:00Z", None]


@pytest.mark.parametrize(
    "words",
    [
        ("x",),
        ("--scope", "dashboard:read"),
        ("x", "--scope", "dashboard:run"),
        ("x", "--scope", "dashboard:read", "--expires", "soon"),
        ("x", "--scope", "dashboard:read", "--expires", "2999-01-01"),
        ("x", "--scope", "dashboard:read", "--expires", "2020-01-01T00:00Z"),
        ("x", "--scope", "dashboard:read", "--expires", "999999w"),
    ],
)
def test_wrong_words_are_answered_with_the_usage(quick: Commands, words: tuple[str, ...]) -> None:
    done = quick("keys", "create", *words)
    assert done.code == 2
    assert done.out == ""
    assert "usage: jupyter dashboards keys create" in done.err
    assert "Traceback" not in done.err


def test_keys_have_the_owner_and_the_number_that_the_configuration_says(quick: Commands) -> None:
    (quick.config / "jupyter_server_config.py").write_text(
        "c.AccessManager.token_user = 'team'\nc.AccessManager.max_keys = 1\n"
    )
    create(quick, "first")
    full = quick("keys", "create", "second", "--scope", "*")
    assert full.code == 1
    assert full.out == ""
    assert full.err.startswith("You can only have 1 ")
    create(quick, "another's", "--owner", "ann")
    assert [key["user_id"] for key in listed(quick)] == ["team", "ann"]
    assert [key["label"] for key in listed(quick, "--owner", "ann")] == ["another's"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "x" * 41, "--scope", "*"), "A label has between 1 and 40 characters."),
        (("create", "x", "--scope", "*", "--owner", ""), "An owner's name"),
        (("revoke", "0123", "--yes"), "There is no such key"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    quick: Commands, words: tuple[str, ...], told: str
) -> None:
    done = quick("keys", *words)
    assert done.code == 1
    assert told in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_key_is_revoked_only_after_a_yes(quick: Commands) -> None:
    create(quick, "x")
    (key,) = listed(quick)
    assert "add --yes" in quick("keys", "revoke", str(key["id"])).err
    words = ("keys", "revoke", str(key["id"]))
    assert quick.typed(*words, answers={"[y/N] ": "n\n"})[0] == 1
    assert len(listed(quick)) == 1
    assert quick.typed(*words, answers={"[y/N] ": "yes\n"})[0] == 0
    assert listed(quick) == []


@pytest.mark.parametrize("words", [("keys", "--help"), ("keys", "create", "--help")])
def test_the_help_explains_every_scope(quick: Commands, words: tuple[str, ...]) -> None:
    text = quick(*words).out
    for scope, explained in SCOPES.items():
        assert any(scope in line and explained in line for line in text.splitlines()), scope
