"""Commands read the configuration that a server reads, and say what is wrong with it without quoting it."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest

from jupyter_dashboards_api.database.engine import URL_VARIABLE
from tests.ports import free_port
from tests.servers import TOKEN, ServerProcess

from .conftest import Commands


def url(commands: Commands, name: str) -> str:
    return f"sqlite:///{commands.home}/{name}.sqlite"


def assert_used(commands: Commands, name: str, *options: str) -> None:
    """Asserts that a command uses this database and not the default one."""
    done = commands("users", "list", *options)
    assert done.code == 0, done.err
    assert f"{commands.home}/{name}.sqlite" in done.err
    assert (commands.home / f"{name}.sqlite").exists()
    assert not (commands.home / "data" / "dashboards.sqlite").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("jupyter_server_config.py", "c.Database.url = {}"),
        ("jupyter_server_config.json", '{{"Database": {{"url": {}}}}}'),
        ("jupyter_dashboards_config.py", "c.Database.url = {}"),
        ("jupyter_dashboards_config.json", '{{"Database": {{"url": {}}}}}'),
        ("jupyter_dashboards_config.py", "c.DashboardsApp.Database.url = {}"),
        ("jupyter_config.json", '{{"Database": {{"url": {}}}}}'),
    ],
)
def test_the_server_s_configuration_files_count(quick: Commands, file: str, text: str) -> None:
    (quick.config / file).write_text(text.format(json.dumps(url(quick, "named"))))
    assert_used(quick, "named")


def test_the_environment_variable_counts(commands: Commands) -> None:
    commands.environment[URL_VARIABLE] = url(commands, "named")
    assert_used(commands, "named")


def test_the_command_line_wins_over_all_files_and_the_server_s_file_over_the_extension_s(
    quick: Commands,
) -> None:
    quick.environment[URL_VARIABLE] = url(quick, "variable")
    for name in ("dashboards", "server"):
        (quick.config / f"jupyter_{name}_config.py").write_text(
            f"c.Database.url = {url(quick, name)!r}"
        )
    other = quick.home / "other.py"
    other.write_text(f"c.Database.url = {url(quick, 'other')!r}")
    assert_used(quick, "server")
    assert_used(quick, "other", "--config", str(other))
    assert_used(quick, "other", f"--config={other}")
    option = f"--Database.url={url(quick, 'option')}"
    assert_used(quick, "option", option, f"--config={other}")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--Database.ulr=sqlite:///x", "There is no setting Database.ulr."),
        ("--Datbase.url=sqlite:///x", "There is no setting Datbase.url."),
        ("--Database.url", "unrecognized arguments: --Database.url"),
    ],
)
def test_a_mistyped_setting_does_not_lead_to_another_database(
    quick: Commands, option: str, told: str
) -> None:
    done = quick("users", "list", option)
    assert done.code == 2
    assert told in done.err
    assert not (quick.home / "data").exists()


def test_a_configuration_file_that_is_not_there_does_not_lead_to_another_database(
    quick: Commands,
) -> None:
    done = quick("users", "list", "--config=nowhere.py")
    assert (done.code, done.err) == (1, "There is no file nowhere.py.\n")
    assert not (quick.home / "data").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("c.Database.url = 'postgresql://me:hunter2@127.0.0.1:{port}/x'", "can't be opened"),
        ("c.Database.url = 'postgresql://me:hun@ter2@127.0.0.1:{port}/x'", "write @ as %40"),
        ("c.Database.url = 'oracle://me:hunter2@example.org'", "must begin with"),
        ("c.Database.url = ['hunter2']", "'url' trait of a Database"),
        ("c.Database.busy_timeout = 'hunter2'", "'busy_timeout' trait of a Database"),
        ("c.Database.url = 'sqlite:////proc/nowhere/x'", "can't be opened"),
        ("c.AccessManager.authenticator_class = 'hunter2.No'", "authenticator_class"),
        ("c.Database.url = 'hunter2", "SyntaxError in"),
        ("raise RuntimeError('hunter2')", "RuntimeError"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_credentials(
    quick: Commands, text: str, told: str
) -> None:
    file = quick.config / "jupyter_server_config.py"
    file.write_text(text.replace("{port}", str(free_port())))
    done = quick("keys", "create", "x", "--scope", "*")
    assert done.code == 1
    assert told in done.err
    assert done.err.count("\n") == 1
    assert "ter2" not in done.err
    assert done.out == ""


def test_a_setting_of_a_file_that_does_not_exist_is_named(quick: Commands) -> None:
    (quick.config / "jupyter_server_config.py").write_text("c.Database.ulr = 'hunter2'")
    done = quick("users", "list")
    assert done.code == 0
    assert "`ulr` not recognized by `Database`" in done.err
    assert "hunter2" not in done.err


def test_two_files_that_contradict_each_other_are_not_quoted(quick: Commands) -> None:
    (quick.config / "jupyter_server_config.py").write_text("c.Database.url = 'hunter2'")
    (quick.config / "jupyter_server_config.json").write_text(
        json.dumps({"Database": {"url": url(quick, "named")}})
    )
    assert_used(quick, "named")
    assert "hunter2" not in quick("users", "list").err


def test_the_help_of_the_server_names_the_commands(commands: Commands) -> None:
    done = commands("--help")
    assert done.code == 0
    for text in (
        "jupyter dashboards users",
        "jupyter dashboards keys",
        "jupyter dashboards ./users",
    ):
        assert text in done.out


def test_a_command_without_an_action_says_how_a_folder_of_its_name_is_opened(
    quick: Commands,
) -> None:
    done = quick("users")
    assert done.code == 2
    assert "a folder called users is opened by ./users" in done.err
    assert "jupyter dashboards ./users" in quick("users", "--help").out


def test_a_folder_called_users_is_opened_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users" / "reports").mkdir(parents=True)
    (tmp_path / "users" / "reports" / "board.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})
    )
    monkeypatch.chdir(tmp_path)
    options = ["--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
    command = ["jupyter_dashboards_api", "./users", *options, "--no-browser", "--allow-root"]
    with ServerProcess(command, tmp_path) as server:
        request = urllib.request.Request(f"{server.url}/dashboards/reports")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=20) as response:
            assert b"board" in response.read()


def test_whoever_stops_reading_gets_no_traceback(commands: Commands) -> None:
    commands.add("ann")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = commands("users", "list", stdout=writing)
    finally:
        os.close(writing)
    assert done.err == ""
