"""`jupyter dashboards schedules` and `runs` as processes, beside a server that is one, too."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_dashboards_api.cli.output import one_line, table
from tests.servers import ServerProcess, dashboards_server

from .conftest import SECONDS, Commands
from .test_client_commands import WAITING, write


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[ServerProcess]:
    """A server of a folder with notebooks."""
    root = home / "notebooks"
    write(root / "a" / "sum.ipynb", "x = 1", "print('sum', x + 1)", "x")
    write(root / "fails.ipynb", "raise ValueError('too bad\\x1b]0;owned\\x07')")
    write(root / "waits.ipynb", WAITING)
    with dashboards_server(root, home, "--Mailer.host=127.0.0.1") as running:
        yield running


@pytest.fixture
def jupyter(server: ServerProcess, home: Path) -> Commands:
    """How a test runs commands, beside the server."""
    return Commands(home)


def made(jupyter: Commands, notebook: str, *words: str) -> str:
    """The id of a new schedule; its times are far away unless the words say otherwise."""
    when = () if {"--every", "--cron"} & set(words) else ("--cron", "0 0 1 1 *")
    done = jupyter("schedules", "create", notebook, *when, *words)
    assert done.code == 0, done.err
    return str(int(done.out))


def shown(jupyter: Commands, *words: str) -> Any:
    """What a command prints with `--json`."""
    done = jupyter(*words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def text_of(jupyter: Commands, *words: str) -> str:
    """What a command prints for people."""
    done = jupyter(*words)
    assert done.code == 0, done.err
    return done.out


def until(jupyter: Commands, run: str, status: str) -> Any:
    """A run once it has a status."""
    end = time.monotonic() + SECONDS
    while (found := shown(jupyter, "runs", "show", run))["status"] != status:
        assert time.monotonic() < end, found
    return found


def test_a_schedule_is_made_shown_and_listed_until_it_is_killed(jupyter: Commands) -> None:
    number = made(
        *(jupyter, "a/sum.ipynb", "--every", "2 weeks", "--start", "2030-07-01 06:30"),
        *("--zone", "Europe/Berlin", "--end", "2031-01-01 00:00", "-p", "x=41", "--name", "weekly"),
        *("--no-catch-up", "--retry", "2", "--notify", "ann@example.org", "--notify", "b@c.org"),
    )
    found = shown(jupyter, "schedules", "show", "weekly", "-n", "2")
    assert str(found["id"]) == number
    assert found["command"]["path"] == "a/sum.ipynb"
    assert found["command"]["arguments"] == {"x": 41}
    assert (found["no_catch_up"], found["retry"]) == (True, 2)
    assert found["notification"]["notification_email_list"] == "ann@example.org,b@c.org"
    assert found["preview"]["times"] == ["2030-07-01T04:30Z", "2030-07-15T04:30Z"]
    assert found["actions"] == []
    text = text_of(jupyter, "schedules", "show", number)
    for words in ("weekly", "every 2 weeks Europe/Berlin", "2030-07-01 06:30", "2030-07-01 04:30Z"):
        assert words in text
    (line,) = [
        x for x in text_of(jupyter, "schedules", "list").splitlines() if x.startswith(number)
    ]
    assert line.split()[1:3] == ["weekly", "RUNNING"]
    for action, status in (("suspend", "SUSPENDED"), ("resume", "RUNNING"), ("kill", "KILLED")):
        done = jupyter("schedules", action, "weekly")
        assert (done.code, done.err) == (0, f"Schedule weekly: {status}\n")
        listed = shown(jupyter, "schedules", "list", "--status", status)
        assert [str(each["id"]) for each in listed] == [number]
    assert shown(jupyter, "schedules", "list") == []
    assert len(shown(jupyter, "schedules", "list", "--all")) == 1
    again = jupyter("schedules", "resume", number, "--skip-missed")
    assert (again.code, again.err) == (1, "The schedule is KILLED already.\n")


def test_a_run_now_is_watched_with_its_log(jupyter: Commands) -> None:
    number = made(jupyter, "a/sum.ipynb", "-p", "x=41")
    done = jupyter("schedules", "run", number, "--watch")
    assert done.code == 0, done.err
    assert "sum 42\n" in done.out
    (run,) = shown(jupyter, "runs", "list", "--schedule", number)
    assert done.err.startswith(f"Run {run['id']}\n")
    assert (run["status"], run["command"]["cells_done"]) == ("done", 4)
    assert "sum 42\n" in jupyter("runs", "logs", str(run["id"])).out
    assert "sum 42\n" in shown(jupyter, "runs", "logs", str(run["id"]))["log"]
    text = jupyter("runs", "show", str(run["id"])).out
    assert "a/sum.ipynb" in text
    assert "4/4" in text


@pytest.mark.parametrize("saves", [False, True])
def test_the_notebook_is_written_only_where_that_is_asked_for(
    jupyter: Commands, saves: bool
) -> None:
    file = jupyter.home / "notebooks" / f"saves-{saves}.ipynb"
    write(file, "6 * 7")
    before = file.read_bytes()
    number = made(jupyter, file.name, *(["--save"] if saves else []))
    assert shown(jupyter, "schedules", "show", number)["upload_to_source"] is saves
    assert jupyter("schedules", "run", number, "--watch").code == 0
    assert (file.read_bytes() != before) is saves


def test_a_name_means_the_schedule_that_has_not_ended(jupyter: Commands) -> None:
    number = made(jupyter, "a/sum.ipynb", "--name", "twice")
    killed = made(jupyter, "a/sum.ipynb", "--name", "twice")
    assert jupyter("schedules", "kill", killed).code == 0
    assert str(shown(jupyter, "schedules", "show", "twice")["id"]) == number
    assert jupyter("schedules", "suspend", "twice").code == 0
    assert shown(jupyter, "schedules", "show", number)["status"] == "SUSPENDED"
    assert jupyter("schedules", "kill", "twice").code == 0
    # The newest one, where all have ended.
    assert str(shown(jupyter, "schedules", "show", "twice")["id"]) == killed


def test_a_bar_of_the_cells_is_drawn_on_a_terminal(jupyter: Commands) -> None:
    code, seen = jupyter.typed(
        "schedules", "run", made(jupyter, "a/sum.ipynb"), "--watch", answers={}
    )
    assert code == 0
    assert "3/3 done" in seen
    assert "[####" in seen


def test_a_run_that_failed_says_why_and_is_run_again(jupyter: Commands) -> None:
    number = made(jupyter, "fails.ipynb", "--name", "often")
    run = text_of(jupyter, "schedules", "run", number).strip()
    jupyter("runs", "logs", "-f", run)
    assert until(jupyter, run, "error")["is_rerun_of"] is None
    again = jupyter("runs", "rerun", run, "--watch")
    assert again.code == 1
    assert "ValueError: too bad\n" in again.err
    listed = text_of(jupyter, "runs", "list", "--schedule", "often", "-n", "1")
    assert "ValueError: too bad" in listed
    assert f"rerun 1 of {run}" in listed
    assert len(listed.splitlines()) == 2
    # What a notebook says must not reach a terminal as more than a text.
    assert "\x1b" not in listed + again.err + text_of(jupyter, "runs", "show", run)
    third = shown(jupyter, "runs", "rerun", run)
    assert str(third["is_rerun_of"]) == run


def test_a_run_is_followed_and_cancelled(jupyter: Commands) -> None:
    run = jupyter("schedules", "run", made(jupyter, "waits.ipynb")).out.strip()
    until(jupyter, run, "running")
    early = jupyter("runs", "rerun", run)
    assert early.code == 1
    assert "has not ended" in early.err
    done = jupyter("runs", "cancel", run)
    assert (done.code, done.err) == (0, f"Run {run}: cancelling\n")
    assert "Cancelled." in text_of(jupyter, "runs", "logs", run, "--follow")
    again = jupyter("runs", "cancel", run)
    assert again.code == 1
    assert "cancelled already" in again.err


def test_times_are_shown_before_there_is_a_schedule(jupyter: Commands) -> None:
    words = ("--cron", "30 6 * * 1", "--zone", "Europe/Berlin", "-n", "3")
    times = shown(jupyter, "schedules", "preview", *words)
    assert len(times["times"]) == 3
    lines = text_of(jupyter, "schedules", "preview", *words).splitlines()
    assert "Europe/Berlin" in lines[0]
    assert all(" 06:30:00+0" in line for line in lines[1:])
    number = made(jupyter, "a/sum.ipynb", "--every", "month", "--start", "2030-01-31 12:00")
    of_schedule = shown(jupyter, "schedules", "preview", number, "-n", "2")
    assert of_schedule["times"] == ["2030-01-31T12:00Z", "2030-02-28T12:00Z"]


def test_a_webhook_s_secret_is_shown_once(jupyter: Commands) -> None:
    words = ("a/sum.ipynb", "--every", "1 day", "--webhook", "https://example.org/hook")
    done = jupyter("schedules", "create", *words)
    assert done.code == 0, done.err
    assert "shown this once: whsec_" in done.err
    text = jupyter("schedules", "show", done.out.strip()).out
    assert "https://example.org/hook" in text
    assert "whsec_" not in text


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("schedules", "show", "nothing"), 1, "There is no such schedule."),
        (("runs", "show", "99999"), 1, "There is no such action."),
        (("runs", "list", "--schedule", "99999"), 1, "There is no such schedule."),
        (("runs", "list", "--schedule", "nothing"), 1, "There is no such schedule."),
        (("schedules", "create", "nothing.ipynb", "--every", "1 day"), 1, "no notebook"),
        (("schedules", "create", "a/sum.ipynb", "--every", "1 eon"), 1, "is not a unit"),
        (("schedules", "create", "a/sum.ipynb", "--cron", "* *"), 1, "has 2 fields"),
        (("schedules", "list", "--status", "LOST"), 1, "is unknown"),
        (("schedules", "preview", "--cron", "@daily", "--start", "2030-01-01"), 1, "--every"),
        (("schedules", "preview"), 1, "Name a schedule"),
        (("schedules", "create", "a/sum.ipynb"), 2, "--every --cron"),
        (("schedules", "create", "a/sum.ipynb", "--every", "1/2 day"), 2, "is not a step"),
        (("schedules",), 2, "ACTION"),
        (("runs", "show", "x"), 2, "is not a whole number"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(
    jupyter: Commands, words: tuple[str, ...], code: int, error: str
) -> None:
    done = jupyter(*words)
    assert done.code == code
    assert error in done.err
    assert done.out == ""
    assert code == 2 or done.err.count("\n") == 1


def test_tables_fit_their_terminal_and_names_turn_nothing_round(jupyter: Commands) -> None:
    name = "red\u202e" + "long " * 40
    number = made(jupyter, "a/sum.ipynb", "--name", name)
    jupyter.environment["COLUMNS"] = "60"
    code, seen = jupyter.typed("schedules", "list", answers={})
    assert code == 0
    assert "redlong" in seen
    assert "\u202e" not in seen + text_of(jupyter, "schedules", "show", number)
    assert max(map(len, seen.splitlines())) <= 60
    assert jupyter("schedules", "kill", name).code == 0


# --- pieces


def test_a_table_gives_up_of_its_widest_columns_and_keeps_numbers_whole() -> None:
    rows = [("12345", "a" * 30, "2030-01-01 00:00Z"), ("1", "日本語" * 5, "-")]
    for width in (20, 40, 60):
        lines = table(("ID", "NAME", "NEXT"), rows, width)
        assert all(len(line) <= width for line in lines)
        assert lines[1].startswith("12345  ")
    assert table(("ID", "NAME", "NEXT"), rows, 40)[1].endswith("…")
    whole = table(("ID", "NAME", "NEXT"), rows)
    assert whole[1] == f"12345  {'a' * 30}  2030-01-01 00:00Z"
    # Each of these characters takes two columns.
    assert whole[2] == f"1      {'日本語' * 5}  -"


def test_a_text_is_one_line_without_anything_that_a_terminal_obeys() -> None:
    assert one_line("a\nb\tc\r\x1b[2Jd\x9b1me\u2066f\x00\x7f") == "a b c def"
