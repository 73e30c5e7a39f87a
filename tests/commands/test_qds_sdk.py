"""The client that programs were written with, `qds-sdk` from PyPI, against a server: its command line and its classes.

It is run in processes of its own: it keeps its settings in classes and its session for good.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tests.servers import TOKEN, ServerProcess, dashboards_server

PROGRAM = Path(sys.executable).with_name("qds.py")
WITHOUT_WARNINGS = {"PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with three notebooks: one that answers, one that fails, one that takes long."""
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    parameters = new_code_cell("who = 'nobody'\ntimes = 1", metadata={"tags": ["parameters"]})
    for name, cells in {
        "answer": [parameters, new_code_cell("for n in range(times):\n    print(f'{n}\\t{who}')")],
        "failing": [new_code_cell("1 / 0")],
        "long": [new_code_cell("import time\nprint('begun', flush=True)\ntime.sleep(600)")],
    }.items():
        notebook = nbformat.v4.new_notebook(
            cells=cells,
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with dashboards_server(folder, home) as running:
        yield running


def in_process(server: ServerProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **WITHOUT_WARNINGS, "SERVER": server.url, "TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def qds(
    server: ServerProcess, *words: str, version: str = "v1.2", token: str = TOKEN
) -> subprocess.CompletedProcess[str]:
    """Runs the client's command line."""
    return in_process(
        server,
        str(PROGRAM),
        f"--token={token}",
        f"--url={server.url}/api",
        f"--version={version}",
        "--poll_interval=1",
        "--max_retries=1",
        "--base_retry_delay=1",
        *words,
    )


def python(server: ServerProcess, program: str) -> Any:
    """Runs a program with the client's classes, and gives what it prints last, from JSON."""
    begin = (
        "import io, json, os\n"
        "from qds_sdk.qubole import Qubole\n"
        "from qds_sdk.commands import Command, JupyterNotebookCommand, SparkCommand\n"
        "Qubole.configure(api_token=os.environ['TOKEN'], api_url=os.environ['SERVER'] + '/api',\n"
        "    version='v1.2', poll_interval=1, max_retries=1)\n"
    )
    done = in_process(server, "-c", begin + program)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def notes(server: ServerProcess) -> dict[str, int]:
    """Name → id of each notebook."""
    found = python(
        server,
        "agent = Qubole.agent()\n"
        "print(json.dumps({name: agent.get('notebooks', {'path': name + '.ipynb'})['notebooks'][0]['id']\n"
        "    for name in ('answer', 'failing', 'long')}))",
    )
    assert all(type(number) is int for number in found.values())
    return dict(found)


def submitted(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    match = re.fullmatch(r"Submitted \w+, Id: (\d+)\n", done.stdout)
    assert match, done.stdout
    return match[1]


ARGUMENTS = json.dumps({"who": "Größe 'x'", "times": 2})
LINES = "0\tGröße 'x'\r\n1\tGröße 'x'"


def test_run_waits_prints_the_log_and_then_the_results(
    server: ServerProcess, notes: dict[str, int]
) -> None:
    for option in ("--print-logs", "--print-logs-live"):
        done = qds(
            server,
            *("sparkcmd", "run", option, "--note-id", str(notes["answer"])),
            *("--name", "a name", "--tags", "a,b", "--cluster-label", "default"),
            *("--arguments", ARGUMENTS),
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.encode() == LINES.replace("\r\n", "\n").encode()
        assert done.stderr.count("Attempt 1 on") == 1
        assert done.stderr.count("0\tGröße") == 1


def test_submit_check_getresult_getlog_getjobs_and_list(
    server: ServerProcess, notes: dict[str, int]
) -> None:
    words = ("--note-id", str(notes["answer"]), "--tags", "listed", "--arguments", ARGUMENTS)
    number = submitted(qds(server, "sparkcmd", "submit", *words))
    finished = python(
        server,
        f"import time\nfound = SparkCommand.find({number})\n"
        "while not Command.is_done(found.status):\n"
        f"    time.sleep(0.2); found = SparkCommand.find({number})\n"
        "print(json.dumps(found.status))",
    )
    assert finished == "done"
    checked = qds(server, "sparkcmd", "check", number, "true")
    assert checked.returncode == 0
    shown = json.loads(checked.stdout)
    assert (shown["id"], shown["status"], shown["tags"]) == (int(number), "done", ["listed"])
    assert shown["command"]["arguments"] == ARGUMENTS
    assert "tags" not in json.loads(qds(server, "sparkcmd", "check", number).stdout)
    for more in ((), ("true",)):
        result = qds(server, "sparkcmd", "getresult", number, *more)
        assert (result.returncode, result.stdout) == (0, LINES.replace("\r\n", "\n"))
    assert "Attempt 1 on" in qds(server, "sparkcmd", "getlog", number).stdout
    assert json.loads(qds(server, "sparkcmd", "getjobs", number).stdout) == []
    listed = qds(
        server,
        *("sparkcmd", "list", "--page", "1", "--per-page", "3", "--all-users", "1"),
        *("--include-query-properties", "--start-date", "2012-07-01"),
    )
    # It prints the list where others print errors, and exits as they do.
    assert listed.returncode == 1
    history = json.loads(listed.stderr)
    assert history["commands"][0]["id"] == int(number)
    assert history["commands"][0]["tags"] == ["listed"]
    assert history["paging_info"]["per_page"] == 3


def test_cancel_says_whether_it_has(server: ServerProcess, notes: dict[str, int]) -> None:
    number = submitted(qds(server, "sparkcmd", "submit", "--note-id", str(notes["long"])))
    killed = qds(server, "sparkcmd", "cancel", number)
    assert (killed.returncode, killed.stdout) == (0, "Command killed successfully\n")
    again = qds(server, "sparkcmd", "cancel", number)
    assert again.returncode == 12
    assert "Cancel failed with reason" in again.stderr
    result = qds(server, "sparkcmd", "getresult", number)
    assert result.returncode == 1


def test_a_notebook_is_run_by_its_path(server: ServerProcess) -> None:
    done = qds(
        server,
        *("jupyternotebookcmd", "run", "--path", "answer.ipynb", "--arguments", ARGUMENTS),
        *("--upload-to-source", "false", "--timeout", "60", "--retry", "1", "--retry-delay", "1"),
        version="latest",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == LINES.replace("\r\n", "\n")


def test_macros_of_the_client_are_put_into_the_arguments(
    server: ServerProcess, notes: dict[str, int]
) -> None:
    day = "Qubole_nominal_time.clone().subtract('days', 7).strftime('%Y-%m-%d')"
    macros = json.dumps([{"day": "moment('2026-03-31') + ''"}])
    refused = qds(
        server,
        *("jupyternotebookcmd", "submit", "--path", "answer.ipynb", "--macros", macros),
    )
    assert "macros: day: A moment becomes a text by strftime or format first" in refused.stderr
    done = qds(
        server,
        *("jupyternotebookcmd", "run", "--path", "answer.ipynb", "--upload-to-source", "false"),
        *("--macros", json.dumps([{"day": day}, {"who": "'on ' + day"}])),
        *("--arguments", json.dumps({"who": "$who$"})),
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"0\ton \d{4}-\d\d-\d\d", done.stdout.strip())
    found = python(
        server,
        f"run = SparkCommand.create(note_id={notes['answer']}, macros=[{{'a': '1 + 1'}}],\n"
        "    arguments={'who': '$a$', 'other': 1})\n"
        "print(json.dumps([run.attributes[n] for n in ('resolved_macros', 'unknown_arguments')]))",
    )
    assert found == [{"a": 2}, ["other"]]


def test_a_run_that_fails_is_told_and_its_results_are_not_asked_for(
    server: ServerProcess, notes: dict[str, int]
) -> None:
    done = qds(server, "sparkcmd", "run", "--print-logs", "--note-id", str(notes["failing"]))
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stdout == ""


def test_errors_are_raised_at_once_and_not_tried_again(
    server: ServerProcess, notes: dict[str, int]
) -> None:
    unknown = qds(server, "sparkcmd", "submit", "--note-id", "12321")
    assert unknown.returncode != 0
    assert "There is no spark notebook for account 1 with Id: 12321" in unknown.stderr
    assert "Retrying" not in unknown.stderr
    for words in (("check", "999999"), ("getlog", "999999"), ("list",)):
        refused = qds(server, "sparkcmd", *words, token="wrong")
        assert '"error_code": 401' in refused.stderr
        assert "Retrying" not in refused.stderr


def test_the_classes_run_cancel_and_read(server: ServerProcess, notes: dict[str, int]) -> None:
    answer = python(
        server,
        f"run = SparkCommand.run(note_id={notes['answer']}, language='notebook', tags='a,b',\n"
        "    arguments={'who': 'me', 'times': 3}, name='n')\n"
        "out = io.StringIO()\n"
        "run.get_results(out)\n"
        "log = run.get_log()\n"
        "part = run.get_log_partial(err_pointer=len(log.encode()) - 1)\n"
        f"late = SparkCommand.create(note_id={notes['long']})\n"
        "late.cancel()\n"
        "missing = None\n"
        "try:\n"
        "    SparkCommand.create(note_id=12321)\n"
        "except Exception as error:\n"
        "    missing = type(error).__name__\n"
        "print(json.dumps([run.status, out.getvalue(), SparkCommand.get_log_id(run.id) == log, part,\n"
        "    SparkCommand.get_jobs_id(run.id), SparkCommand.find(late.id).status,\n"
        "    [each['id'] for each in Command.list(name='n', status='success')['commands']] == [run.id],\n"
        "    missing]))",
    )
    assert answer[:2] == ["done", "0\tme\r\n1\tme\r\n2\tme"]
    assert answer[2] is True
    assert answer[3] == ["\n", "1", "0"]
    assert json.loads(answer[4]) == []
    assert answer[5] in ("cancelled", "cancelling")
    assert answer[6:] == [True, "ResourceInvalid"]


def test_the_file_of_a_conversion_is_fetched_as_results_are(
    server: ServerProcess, notes: dict[str, int]
) -> None:
    answer = python(
        server,
        "class NotebookConvertCommand(Command): pass\n"
        f"run = NotebookConvertCommand.run(resourceId={notes['answer']}, resourceType='Note', fileFormat='html')\n"
        "out = io.StringIO()\n"
        "run.get_results(out)\n"
        "print(json.dumps([run.status, out.getvalue()]))",
    )
    assert answer[0] == "done"
    assert answer[1].startswith("<!doctype html>")


def test_a_command_type_without_a_class_is_sent_as_it_is(server: ServerProcess) -> None:
    missing = python(
        server,
        "found = None\n"
        "try:\n"
        "    Command.create(command_type='NotebookConvertCommand', resourceId=99999,\n"
        "        resourceType='Note', fileFormat='html')\n"
        "except Exception as error:\n"
        "    found = type(error).__name__\n"
        "print(json.dumps(found))",
    )
    assert missing == "ResourceInvalid"
