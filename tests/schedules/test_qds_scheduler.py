"""The scheduler and action commands of the client that programs were written with, `qds-sdk` from PyPI, against a server.

Its schedule lies in the past and makes up for what it missed, so that it runs at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from tests.commands.test_qds_sdk import python, qds
from tests.servers import ServerProcess, dashboards_server

SECONDS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a notebook that answers and one that takes long."""
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")
    for name, code in {
        "answer": "print('1\\tone')",
        "long": "import time\ntime.sleep(600)",
    }.items():
        notebook = nbformat.v4.new_notebook(
            cells=[new_code_cell(code)],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(notebook, folder / f"{name}.ipynb")
    with dashboards_server(folder, home) as running:
        yield running


@pytest.fixture(scope="module")
def notes(server: ServerProcess) -> dict[str, int]:
    """Name → id of each notebook."""
    return dict(
        python(
            server,
            "agent = Qubole.agent()\n"
            "print(json.dumps({name: agent.get('notebooks', {'path': name + '.ipynb'})['notebooks'][0]['id']\n"
            "    for name in ('answer', 'long')}))",
        )
    )


def asked(server: ServerProcess, *words: str) -> Any:
    """What the client prints, from JSON."""
    done = qds(server, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def created(server: ServerProcess, file: Path, **fields: Any) -> Any:
    """Makes a schedule of a file, as the client wants it."""
    file.write_text(
        json.dumps(
            {
                "command_type": "SparkCommand",
                "start_time": "2012-07-01T02:00Z",
                "end_time": "2012-07-02T02:00Z",
                "frequency": "1",
                "time_unit": "days",
                "time_zone": "UTC",
                **fields,
            }
        )
    )
    return asked(server, "scheduler", "create", "--data", str(file))


def actions_when(server: ServerProcess, schedule: Any, status: str, count: int) -> list[Any]:
    """The actions of a schedule, once so many of them have a status."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = asked(server, "scheduler", "list-actions", str(schedule["id"]))
        if sum(each["status"] == status for each in found) >= count:
            return list(found)
    raise AssertionError(found)


def test_a_schedule_is_made_runs_what_it_missed_and_is_seen(
    server: ServerProcess, notes: dict[str, int], tmp_path: Path
) -> None:
    schedule = created(
        server, tmp_path / "data.json", name="missed", command={"note_id": notes["answer"]}
    )
    number = str(schedule["id"])
    assert schedule["status"] == "RUNNING"
    second, first = actions_when(server, schedule, "done", 2)
    assert (first["nominal_time"], second["nominal_time"]) == (
        "2012-07-01T02:00Z",
        "2012-07-02T02:00Z",
    )

    assert asked(server, "scheduler", "view", number)["status"] == "DONE"
    fields = asked(server, "scheduler", "view", number, "--fields", "id", "name", "status")
    assert fields == {"id": schedule["id"], "name": "missed", "status": "DONE"}
    for view in ("view", "view_by_name"):
        assert asked(server, "scheduler", view, "missed")["id"] == schedule["id"]
    missing = qds(server, "scheduler", "view_by_name", "nothing")
    assert missing.stdout == "Schedule 'nothing' not found\n"
    listed = asked(server, "scheduler", "list", "--page", "1", "--per-page", "5")
    assert schedule["id"] in [each["id"] for each in listed]
    names = asked(server, "scheduler", "list", "--fields", "id", "name")
    assert {"id": schedule["id"], "name": "missed"} in names

    of_two = asked(server, "scheduler", "list-actions", number, "--sequence_id", "2")
    assert [each["id"] for each in of_two] == [second["id"]]
    paged = asked(server, "scheduler", "list-actions", number, "--page", "2", "--per-page", "1")
    assert [each["id"] for each in paged] == [first["id"]]
    instances = asked(
        server, "scheduler", "list-instances", number, "--page", "1", "--per-page", "1"
    )
    assert [each["id"] for each in instances] == [second["query_hist_id"]]
    instances = asked(server, "scheduler", "list-instances", number)
    assert [each["command_source"] for each in instances] == ["SCHEDULED"] * 2

    rerun = qds(server, "scheduler", "rerun", number, str(first["query_hist_id"]))
    assert (rerun.returncode, rerun.stdout) == (0, "submitted\n"), rerun.stderr
    again = asked(server, "action", "rerun", str(second["id"]))
    assert again["is_rerun_of"] == second["id"]
    actions_when(server, schedule, "done", 4)

    seen = asked(server, "action", "view", str(first["id"]))
    assert (seen["status"], seen["periodic_job_id"]) == ("done", schedule["id"])
    listed = asked(server, "action", "list", "--page", "1", "--per-page", "2")
    assert [each["periodic_job_id"] for each in listed] == [schedule["id"]] * 2
    assert asked(server, "action", "list", "--fields", "id")[0].keys() == {"id"}
    assert "Attempt 1 on" in qds(server, "action", "logs", str(first["id"])).stdout
    results = qds(server, "action", "results", str(first["id"]))
    # The client prints what its function returns, too.
    assert (results.returncode, results.stdout) == (0, "1\toneNone\n"), results.stderr


def test_suspend_resume_and_kill(
    server: ServerProcess, notes: dict[str, int], tmp_path: Path
) -> None:
    schedule = created(
        server,
        tmp_path / "data.json",
        command={"note_id": notes["answer"]},
        frequency=None,
        cron_expression="0 0 12 * * ? 2099",
        end_time=None,
    )
    number = str(schedule["id"])
    assert schedule["next_materialized_time"] == "2099-01-01T12:00Z"
    for word, status in (("suspend", "SUSPENDED"), ("resume", "RUNNING"), ("kill", "KILLED")):
        assert asked(server, "scheduler", word, number) == {"status": status, "succeeded": "true"}
    refused = qds(server, "scheduler", "resume", number)
    assert refused.returncode != 0
    assert '"error_code": 422' in refused.stderr
    assert "Retrying" not in refused.stderr


def test_a_running_action_is_killed_with_its_command(
    server: ServerProcess, notes: dict[str, int], tmp_path: Path
) -> None:
    schedule = created(
        server,
        tmp_path / "data.json",
        command_type="JupyterNotebookCommand",
        command={"path": "long.ipynb", "upload_to_source": False},
        end_time="2012-07-01T02:00Z",
    )
    (action,) = actions_when(server, schedule, "running", 1)
    killed = asked(server, "action", "kill", str(action["id"]))
    assert killed == {"kill_succeeded": "true"}
    (action,) = actions_when(server, schedule, "cancelled", 1)
    assert action["command"]["status"] == "cancelled"
    assert "cancelled" in qds(server, "action", "logs", str(action["id"])).stdout


def test_errors_are_raised_at_once_and_not_tried_again(
    server: ServerProcess, tmp_path: Path
) -> None:
    data = tmp_path / "data.json"
    data.write_text(
        json.dumps({"command_type": "SparkCommand", "command": {"note_id": 12321}, "frequency": 1})
    )
    refused = qds(server, "scheduler", "create", "--data", str(data))
    assert refused.returncode != 0
    assert "There is no spark notebook for account 1 with Id: 12321" in refused.stderr
    for words in (
        ("scheduler", "view", "999"),
        ("action", "view", "999"),
        ("action", "kill", "999"),
    ):
        missing = qds(server, *words)
        assert '"error_code": 404' in missing.stderr
        assert "Retrying" not in missing.stderr
