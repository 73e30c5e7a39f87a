"""A server that is killed at any moment loses no command, and runs none twice without counting it: with real kernels.

What else may befall the queue: `test_conformance.py`.
"""

from __future__ import annotations

import json
import random
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from sqlalchemy import create_engine, text

from tests.postgres import Postgres
from tests.servers import TOKEN, ServerProcess, dashboards_server

pytestmark = pytest.mark.timeout(300)

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
SECONDS = 60


def ask(server: ServerProcess, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{server.url}/api/v1.2/{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"X-AUTH-TOKEN": TOKEN, "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def submit(server: ServerProcess, path: str, **fields: Any) -> int:
    body = {"command_type": "JupyterNotebookCommand", "path": path, "upload_to_source": False}
    number: int = ask(server, "POST", "commands", {**body, **fields})["id"]
    return number


def until(server: ServerProcess, number: int, *statuses: str) -> Any:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        command = ask(server, "GET", f"commands/{number}")
        if command["status"] in statuses:
            return command
        time.sleep(0.05)
    raise AssertionError(f"command {number} is {command['status']}")


def write(folder: Path, name: str, *sources: str) -> None:
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata=PYTHON), folder / name)


def kill(server: ServerProcess) -> None:
    server.process.kill()
    server.process.wait(20)


def test_what_ran_is_run_again_if_it_may_what_waited_runs_and_no_kernel_is_left(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(
        folder,
        "long.ipynb",
        "import os; print('pid', os.getpid(), flush=True)",
        "import time; time.sleep(3)",
    )
    write(folder, "short.ipynb", "print(6 * 7)")
    places = "--CommandsManager.max_running_commands=2"
    with dashboards_server(folder, tmp_path, places) as server:
        may, must_not = submit(server, "long.ipynb", retry=1), submit(server, "long.ipynb")
        waits = [submit(server, "short.ipynb") for _ in range(3)]
        for number in (may, must_not):
            until(server, number, "running")
        # A moment after their commands are said to run.
        while len(kernels := psutil.Process(server.process.pid).children(recursive=True)) < 2:
            time.sleep(0.05)
        kill(server)
    with dashboards_server(folder, tmp_path, places) as server:
        again = until(server, may, "done")
        assert [each["outcome"] for each in again["attempts"]] == ["lost", "done"]
        lost = until(server, must_not, "error")
        assert "stopped" in lost["error"]["message"]
        assert [each["outcome"] for each in lost["attempts"]] == ["lost"]
        for number in waits:
            assert until(server, number, "done")["attempt"] == 1
            assert ask(server, "GET", f"commands/{number}/results")["results"] == "42"
    _, alive = psutil.wait_procs(kernels, timeout=20)
    assert alive == []


def test_a_server_that_is_asked_to_stop_hands_back_what_runs_and_leaves_no_kernel(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder, "long.ipynb", "import time; time.sleep(60)")
    with dashboards_server(folder, tmp_path) as server:
        may, must_not = submit(server, "long.ipynb", retry=1), submit(server, "long.ipynb")
        for number in (may, must_not):
            until(server, number, "running")
        kernels = psutil.Process(server.process.pid).children(recursive=True)
        server.process.terminate()
        server.process.wait(20)
    _, alive = psutil.wait_procs(kernels, timeout=5)
    assert alive == []
    with dashboards_server(folder, tmp_path) as server:
        assert until(server, may, "running")["attempt"] == 2
        assert until(server, must_not, "error")["attempt"] == 1
        ask(server, "PUT", f"commands/{may}", {"status": "kill"})
        cancelled = until(server, may, "cancelled")
        assert [each["outcome"] for each in cancelled["attempts"]] == ["lost", "cancelled"]


def test_servers_share_commands_and_when_one_is_killed_the_other_takes_over(
    tmp_path: Path, postgres: Postgres
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder, "long.ipynb", "import time; time.sleep(4)")
    write(folder, "endless.ipynb", "import time; time.sleep(600)")
    write(folder, "short.ipynb", "print(6 * 7)")
    database = f"--Database.url={postgres.new_database()}"
    options = (database, "--CommandsManager.max_running_commands=3")
    with dashboards_server(folder, tmp_path, *options) as first:
        told, may = submit(first, "endless.ipynb"), submit(first, "endless.ipynb", retry=1)
        must_not = submit(first, "endless.ipynb")
        for number in (told, may, must_not):
            until(first, number, "running")
        kernels = psutil.Process(first.process.pid).children(recursive=True)
        with dashboards_server(folder, tmp_path, *options) as second:
            # The first has no room: what it is asked for runs on the other one.
            assert until(first, submit(first, "short.ipynb"), "done")["attempt"] == 1
            waits = [submit(first, "long.ipynb") for _ in range(2)]
            for number in waits:
                until(first, number, "running")
            # Cut off from the database for a moment, both go on.
            cut_off(database)
            for number in waits:
                assert until(second, number, "done")["attempt"] == 1
            # And a command is cancelled from where it does not run.
            ask(second, "PUT", f"commands/{told}", {"status": "kill"})
            assert until(second, told, "cancelled")["attempt"] == 1
            # Killed while it runs some of many.
            many = [submit(first, "short.ipynb", retry=3) for _ in range(8)]
            kill(first)
            lost = until(second, must_not, "error")
            assert "stopped" in lost["error"]["message"]
            assert until(second, may, "running")["attempt"] == 2
            _, alive = psutil.wait_procs(kernels, timeout=20)
            assert alive == []
            ask(second, "PUT", f"commands/{may}", {"status": "kill"})
            again = until(second, may, "cancelled")
            assert [each["outcome"] for each in again["attempts"]] == ["lost", "cancelled"]
            for number in many:
                assert_done(second, number)


def cut_off(option: str) -> None:
    """Ends all sessions of a database but the own one."""
    engine = create_engine(option.partition("=")[2])
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


def test_none_of_many_is_lost_when_the_server_is_killed_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder, "short.ipynb", "print(6 * 7)")
    numbers: list[int] = []
    chance = random.Random(7)
    for _ in range(2):
        with dashboards_server(folder, tmp_path) as server:
            # Each was acknowledged before the server died.
            numbers += [submit(server, "short.ipynb", retry=3) for _ in range(8)]
            time.sleep(chance.uniform(0.05, 1.2))
            kill(server)
    with dashboards_server(folder, tmp_path) as server:
        for number in numbers:
            assert_done(server, number)
    assert numbers == sorted(set(numbers))


def assert_done(server: ServerProcess, number: int) -> None:
    """A command is done, and each attempt that a killed server broke off is counted."""
    command = until(server, number, "done", "error")
    assert command["status"] == "done", command["error"]
    outcomes = [each["outcome"] for each in command["attempts"]]
    assert outcomes == ["lost"] * (command["attempt"] - 1) + ["done"]
