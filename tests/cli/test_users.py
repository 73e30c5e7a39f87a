"""`jupyter dashboards users`."""

from __future__ import annotations

import json

import pytest

from jupyter_dashboards_api.access.callers import Caller
from jupyter_dashboards_api.access.passwords import verify_password
from jupyter_dashboards_api.access.rules import parse_rules
from jupyter_dashboards_api.database.engine import URL_VARIABLE, Database
from jupyter_dashboards_api.database.tables import Account

from .conftest import PASSWORD, Commands

ANOTHER = "another one, as long"


def has_password(url: str, name: str, password: str) -> bool:
    database = Database(url=url)
    try:
        with database.transaction(write=False) as session:
            (stored,) = session.query(Account.password_hash).where(Account.username == name).one()
        return verify_password(password, stored)
    finally:
        database.close()


def test_viewers_are_added_listed_changed_and_removed(
    commands: Commands, database_url: str
) -> None:
    commands.environment[URL_VARIABLE] = database_url
    commands.add("zoë", password="ungewöhnlich")
    assert "ann" in commands.add("ann", "--group", "finance", "-g", "board").err

    table = commands("users", "list")
    assert table.code == 0
    heading, first, second = table.out.splitlines()
    assert heading.split() == ["NAME", "GROUPS", "CREATED"]
    assert first.startswith("ann   board, finance  20")
    assert second.startswith("zoë   -")
    ann, _ = json.loads(commands("users", "list", "--json").out)
    assert ann["username"] == "ann"
    assert ann["groups"] == ["board", "finance"]
    assert ann["created_at"].endswith("Z")

    assert has_password(database_url, "ann", PASSWORD)
    assert has_password(database_url, "zoë", "ungewöhnlich")
    changed = commands("users", "passwd", "ann", "--password-stdin", stdin=ANOTHER)
    assert changed.code == 0
    assert "sessions of ann have ended" in changed.err
    assert has_password(database_url, "ann", ANOTHER)

    assert commands("users", "groups", "ann", "--group", "sales").code == 0
    assert json.loads(commands("users", "list", "--json").out)[0]["groups"] == ["sales"]
    assert commands("users", "groups", "ann").code == 0
    assert json.loads(commands("users", "list", "--json").out)[0]["groups"] == []

    removed = commands("users", "remove", "ann", "--yes")
    assert removed.code == 0
    assert removed.out == ""
    assert commands.users() == ["zoë"]


def test_a_password_is_asked_for_twice_and_never_shown(commands: Commands) -> None:
    prompts = {"Password: ": f"{PASSWORD}\n", "The same again: ": f"{PASSWORD}\n"}
    code, seen = commands.typed("users", "add", "ann", answers=prompts)
    assert code == 0, seen
    assert PASSWORD not in seen
    assert "Added the viewer ann" in seen
    url = f"sqlite:///{commands.home}/data/dashboards.sqlite"
    assert has_password(url, "ann", PASSWORD)

    new = dict.fromkeys(prompts, f"{ANOTHER}\n")
    code, seen = commands.typed("users", "passwd", "ann", answers=new)
    assert code == 0, seen
    assert ANOTHER not in seen
    assert has_password(url, "ann", ANOTHER)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (f"{PASSWORD}\n", f"{ANOTHER}\n", "not the same"),
        ("short\n", "short\n", "at least 8 characters"),
        ("", "", None),
    ],
)
def test_a_password_that_will_not_do_changes_nothing(
    quick: Commands, first: str, second: str, told: str | None
) -> None:
    # Control-C and control-D, where nothing is typed.
    answers = {"Password: ": first, "The same again: ": second} if told else {"Password: ": "\x03"}
    code, seen = quick.typed("users", "add", "ann", answers=answers)
    assert code == (1 if told else 130)
    assert (told or "") in seen
    assert "Traceback" not in seen
    assert quick.users() == []


def test_end_of_file_at_the_prompt_is_no_password(quick: Commands) -> None:
    code, seen = quick.typed("users", "add", "ann", answers={"Password: ": "\x04"})
    assert code == 1
    assert "No password was given." in seen
    assert quick.users() == []


@pytest.mark.parametrize(
    "words", [("users", "add", "ann", "secret-9"), ("users", "add", "ann", "--password=secret-9")]
)
def test_a_password_is_never_taken_from_the_command_line(
    quick: Commands, words: tuple[str, ...]
) -> None:
    assert quick(*words).code == 2
    assert quick.users() == []


def test_without_a_terminal_a_password_comes_from_stdin_only_if_that_was_said(
    commands: Commands,
) -> None:
    done = commands("users", "add", "ann", stdin=f"{PASSWORD}\n")
    assert done.code == 1
    assert done.err == "There is no terminal to ask at: send the password with --password-stdin.\n"
    assert commands.users() == []


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        (b"two lines of it\nhere\n", "one line"),
        (b"not in utf-8: \xff\xff\n", "UTF-8"),
        (b"short", "at least 8 characters"),
        (b"", "at least 8 characters"),
        (b"x" * 2000, "at most 1024 characters"),
    ],
)
def test_what_stdin_holds_must_be_a_password(quick: Commands, stdin: bytes, told: str) -> None:
    done = quick("users", "add", "ann", "--password-stdin", stdin=stdin)
    assert done.code == 1
    assert told in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "ann", "--password-stdin"), "There is a viewer ann already."),
        (("add", "a:b", "--password-stdin"), "no colon"),
        (("add", "bob", "--group", "no spaces", "--password-stdin"), "A group's name"),
        (("passwd", "bob", "--password-stdin"), "There is no viewer bob."),
        (("groups", "bob"), "There is no viewer bob."),
        (("remove", "bob", "--yes"), "There is no viewer bob."),
        (("remove", "ann"), "add --yes"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    quick: Commands, words: tuple[str, ...], told: str
) -> None:
    quick.add("ann")
    done = quick("users", *words, stdin=PASSWORD)
    assert done.code == 1
    assert told in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert quick.users() == ["ann"]


def test_a_viewer_is_removed_only_after_a_yes(quick: Commands) -> None:
    quick.add("ann")
    code, seen = quick.typed("users", "remove", "ann", answers={"[y/N] ": "\n"})
    assert code == 1
    assert "Nothing was changed." in seen
    assert quick.users() == ["ann"]
    code, seen = quick.typed("users", "remove", "ann", answers={"[y/N] ": "y\n"})
    assert code == 0, seen
    assert quick.users() == []


def test_whoever_may_open_nothing_yet_is_named_with_the_file_and_an_example(
    quick: Commands,
) -> None:
    file = quick.config / "dashboards_access.toml"
    told = quick.add("ann", "--group", "finance").err
    assert str(file) in told
    example = told.split("for instance:\n")[1]
    assert len(example.splitlines()) == 3
    rules = parse_rules(example)
    assert rules.allows(Caller("viewer", "ann"), "reports/x.ipynb")
    assert rules.allows(Caller("viewer", "b", groups=frozenset(["finance"])), "reports/x.ipynb")

    file.write_text('[rules]\n"reports" = ["group:finance"]\n')
    assert str(file) in quick.add("bob").err
    assert str(file) not in quick("users", "groups", "bob", "--group", "finance").err
    file.write_text('default = "everyone"')
    assert f"The access file {file} lets nobody in: default must be" in quick.add("cleo").err


def test_accounts_that_the_server_does_not_ask_are_named(quick: Commands) -> None:
    (quick.config / "jupyter_dashboards_config.json").write_text(
        json.dumps(
            {
                "AccessManager": {
                    "authenticator_class": "jupyter_dashboards_api.access.authenticators.PAMAuthenticator"
                }
            }
        )
    )
    assert "does not ask these accounts" in quick.add("ann").err


def test_an_empty_list_says_of_which_database_it_is(quick: Commands) -> None:
    done = quick("users", "list")
    assert done.code == 0
    assert done.out == ""
    assert f"{quick.home}/data/dashboards.sqlite" in done.err
