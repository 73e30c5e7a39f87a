"""`jupyter dashboards run`, `logs` and `cancel` as processes, beside a server that is one, too."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_dashboards_api.cli.client import Refused
from jupyter_dashboards_api.cli.client_command import parameter
from jupyter_dashboards_api.cli.output import plain
from jupyter_dashboards_api.cli.servers import find
from jupyter_dashboards_api.cli.watching import bar
from tests.ports import free_port
from tests.servers import TOKEN, ServerProcess, dashboards_server

from .conftest import SECONDS, Commands

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
CODE = '<span class="nb">print</span>'
WAITING = "import time\nprint('waiting', flush=True)\nwhile True:\n    time.sleep(0.05)"


def write(file: Path, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if cells and "=" in sources[0]:
        cells[0].metadata["tags"] = ["parameters"]
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=PYTHON), file)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[ServerProcess]:
    """A server of a folder with notebooks."""
    root = home / "notebooks"
    write(root / "a" / "sum.ipynb", "x = 1\nname = 'nobody'", "print(repr(x + 1), repr(name))", "x")
    write(root / "fails.ipynb", "print('before')", "raise ValueError('too bad')")
    write(root / "waits.ipynb", WAITING)
    write(root / "kernelless.ipynb", "1")
    text = (root / "kernelless.ipynb").read_text().replace("python3", "not installed")
    (root / "kernelless.ipynb").write_text(text)
    with dashboards_server(root, home) as running:
        yield running


@pytest.fixture
def jupyter(server: ServerProcess, home: Path) -> Commands:
    """How a test runs commands, beside the server."""
    return Commands(home)


def state(jupyter: Commands, server: ServerProcess, command_id: int) -> Any:
    """The command as the API has it."""
    request = urllib.request.Request(f"{server.url}/api/v1.2/commands/{command_id}")
    request.add_header("Authorization", f"token {TOKEN}")
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def ended(jupyter: Commands, server: ServerProcess, command_id: int) -> str:
    jupyter("logs", str(command_id), "-f")
    return str(state(jupyter, server, command_id)["status"])


def begun(jupyter: Commands, *words: str) -> tuple[subprocess.Popen[str], int]:
    """A command that watches a run which waits, and the run's id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_dashboards_api", *words],
        env=jupyter.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    number = int(process.stderr.readline().removeprefix("Command "))
    while "waiting" not in (line := process.stdout.readline()):
        assert line
    return process, number


# --- run


def test_a_run_prints_its_id_and_does_not_wait(jupyter: Commands, server: ServerProcess) -> None:
    done = jupyter(
        "run", "a/sum.ipynb", "--name", "nightly", "--tag", "a", "--tag", "b", "--timeout", "60"
    )
    assert done.code == 0, done.err
    assert done.err == ""
    number = int(done.out)
    assert ended(jupyter, server, number) == "done"
    command = state(jupyter, server, number)
    assert (command["name"], command["timeout"]) == ("nightly", 60)
    # The source is left as it is.
    source = (jupyter.home / "notebooks" / "a" / "sum.ipynb").read_text()
    assert 'outputs": []' in source


def test_a_watched_run_shows_its_log_and_writes_the_executed_notebook(jupyter: Commands) -> None:
    done = jupyter(
        *("run", "a/sum.ipynb", "-p", "x=41", "-p", "name=Ann = 'é'", "--watch", "-o", "out.ipynb")
    )
    assert done.code == 0, done.err
    assert "42 \"Ann = 'é'\"\n" in done.out
    assert "\x1b" not in done.out + done.err
    executed = nbformat.read(jupyter.home / "out.ipynb", 4)
    assert executed.cells[-1].outputs[0].data["text/plain"] == "41"
    assert "Wrote out.ipynb" in done.err


def test_a_file_below_the_server_s_folder_is_found_from_anywhere(jupyter: Commands) -> None:
    file = jupyter.home / "notebooks" / "a" / "sum.ipynb"
    done = jupyter("run", str(file), "-o", "again.ipynb")
    assert done.code == 0, done.err
    assert done.out == ""
    assert (jupyter.home / "again.ipynb").exists()


def test_a_run_that_fails_says_why_and_is_1(jupyter: Commands) -> None:
    done = jupyter("run", "fails.ipynb", "--watch")
    assert done.code == 1
    assert "before\n" in done.out
    assert "error: Cell 1 failed: ValueError: too bad" in done.err.replace("\n", " ")


def test_a_run_that_has_left_no_notebook_says_why_and_writes_none(jupyter: Commands) -> None:
    done = jupyter("run", "kernelless.ipynb", "-o", "none.ipynb")
    assert done.code == 1
    assert "error: There is no kernel 'not installed'" in done.err.replace("\n", " ")
    assert "no file of it" not in done.err
    assert not (jupyter.home / "none.ipynb").exists()


def test_what_the_server_refuses_is_said_in_its_words(jupyter: Commands) -> None:
    done = jupyter("run", "nothing.ipynb")
    assert done.code == 1
    assert "Errors: There is no notebook at" in done.err
    assert done.err.count("\n") == 1


def test_a_bar_of_the_cells_is_drawn_on_a_terminal(jupyter: Commands) -> None:
    code, seen = jupyter.typed("run", "a/sum.ipynb", "--watch", answers={})
    assert code == 0
    assert "3/3 done" in seen
    assert "[####" in seen
    assert "2 'nobody'" in seen
    # The bar's line is cleared at the end, and log lines begin where it was.
    assert seen.rstrip("\r\n").endswith("\r\x1b[K")


@pytest.mark.parametrize(("answer", "status"), [("\n", "cancelled"), ("n\n", "running")])
def test_ctrl_c_at_a_terminal_asks_whether_to_cancel(
    jupyter: Commands, server: ServerProcess, answer: str, status: str
) -> None:
    code, seen = jupyter.typed(
        *("run", "waits.ipynb", "--watch"),
        # The line that the cell prints: the bar says that the command is waiting before it has begun.
        answers={"waiting\r\n": "\x03", "[Y/n]": answer},
    )
    assert code == 130
    number = int(seen.partition("Cancel command ")[2].partition("?")[0])
    if status == "running":
        assert state(jupyter, server, number)["status"] == "running"
        assert jupyter("cancel", str(number)).code == 0
    assert ended(jupyter, server, number) == "cancelled"


def test_ctrl_c_without_a_terminal_cancels(jupyter: Commands, server: ServerProcess) -> None:
    process, number = begun(jupyter, "run", "waits.ipynb", "--watch")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert f"Command {number}: cancelling" in err
    assert ended(jupyter, server, number) == "cancelled"


# --- convert


def test_a_notebook_is_converted_as_it_is_or_after_it_was_run(jupyter: Commands) -> None:
    done = jupyter("convert", "a/sum.ipynb", "--to", "html", "--show-code")
    assert done.code == 0, done.err
    assert "Wrote sum.html" in done.err
    stored = (jupyter.home / "sum.html").read_text()
    assert CODE in stored
    assert "Zaphod" not in stored
    executed = jupyter(
        *("convert", "a/sum.ipynb", "--to", "html", "--dashboard", "-o", "run.html"),
        *("--execute", "-p", "name=Zaphod"),
    )
    assert executed.code == 0, executed.err
    page = (jupyter.home / "run.html").read_text()
    assert "Zaphod" in page
    assert CODE not in page
    printed = jupyter("convert", "a/sum.ipynb", "--to", "html", "-o", "-")
    assert (printed.code, printed.out.splitlines()[0]) == (0, "<!doctype html>"), printed.err
    assert not (jupyter.home / "-").exists()


@pytest.mark.browser
def test_a_notebook_becomes_a_pdf(jupyter: Commands) -> None:
    done = jupyter("convert", "a/sum.ipynb", "--to", "pdf", "-o", "sum.pdf")
    assert done.code == 0, done.err
    assert (jupyter.home / "sum.pdf").read_bytes().startswith(b"%PDF-")


def test_what_can_not_be_converted_says_why_and_writes_nothing(jupyter: Commands) -> None:
    output = jupyter.home / "nothing.html"
    for words, why in (
        (("a/sum.ipynb", "-p", "x=1"), "-p needs --execute"),
        (("a/sum.ipynb", "--label", "x"), "--label needs --execute"),
        (("nowhere.ipynb",), "no notebook at this path"),
        (("fails.ipynb", "--execute"), "ValueError: too bad"),
        (("a/sum.ipynb", "--mail", "ann"), "is no mail address"),
    ):
        done = jupyter("convert", *words, "--to", "html", "-o", str(output))
        assert done.code == 1
        assert why in done.err
    assert not output.exists()


# --- logs, cancel


def test_the_log_of_a_command_is_shown_and_followed_until_it_is_cancelled(
    jupyter: Commands, server: ServerProcess
) -> None:
    number = int(jupyter("run", "waits.ipynb").out)
    following = subprocess.Popen(
        [sys.executable, "-m", "jupyter_dashboards_api", "logs", "-f", str(number)],
        env=jupyter.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    while "waiting" not in (line := following.stdout.readline()):
        assert line
    cancelled = jupyter("cancel", str(number))
    assert cancelled.code == 0
    assert f"Command {number}: cancelling" in cancelled.err
    rest, _ = following.communicate(timeout=SECONDS)
    assert following.returncode == 0
    assert "Cancelled." in rest
    again = jupyter("cancel", str(number))
    assert again.code == 1
    assert "cancelled already" in again.err
    whole = jupyter("logs", str(number)).out
    assert "waiting\n" in whole
    assert whole.endswith(rest)


def test_a_command_that_is_not_there_is_1_and_no_number_is_2(jupyter: Commands) -> None:
    for words in (("logs", "9999"), ("logs", "-f", "9999"), ("cancel", "9999")):
        done = jupyter(*words)
        assert (done.code, done.err) == (1, "There is no such command.\n")
    assert jupyter("cancel", "x").code == 2


# --- which server


def test_a_server_is_named_by_the_environment_or_by_options(
    server: ServerProcess, tmp_path: Path
) -> None:
    elsewhere = Commands(tmp_path)
    none = elsewhere("run", "a/sum.ipynb")
    assert none.code == 1
    assert "No server of this account is running" in none.err
    # Whoever reads this answer is known.
    known = "There is no such command.\n"
    assert elsewhere("logs", "9999", "--url", f"{server.url}/dashboards?token={TOKEN}").err == known
    assert elsewhere("logs", "9999", "--url", server.url, "--token", TOKEN).err == known
    elsewhere.environment |= {
        "JUPYTER_DASHBOARDS_URL": server.url,
        "JUPYTER_DASHBOARDS_TOKEN": "wrong-token",
    }
    wrong = elsewhere("run", "a/sum.ipynb")
    assert wrong.code == 1
    assert "does not know the token" in wrong.err
    assert "wrong-token" not in wrong.err
    elsewhere.environment["JUPYTER_DASHBOARDS_TOKEN"] = TOKEN
    assert elsewhere("logs", "9999").err == known
    assert "--url must be an address" in elsewhere("logs", "1", "--url", "localhost:8888").err


def test_of_several_servers_it_is_the_one_whose_folder_has_the_notebook(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    for name, port, process in (("a", free_port(), os.getpid()), ("b", server.port, os.getpid())):
        write(tmp_path / name / "deep" / "x.ipynb", "1")
        known = {"url": f"http://127.0.0.1:{port}/", "token": TOKEN, "pid": process}
        file = tmp_path / f"jpserver-{port}.json"
        file.write_text(json.dumps({**known, "root_dir": str(tmp_path / name)}))
    (tmp_path / "jpserver-1.json").write_text('{"url": "http://127.0.0.1:1/", "pid": 99999999}')
    (tmp_path / "jpserver-2.json").write_text("{")
    for name in ("a", "b"):
        found = find(None, None, str(tmp_path / name / "deep" / "x.ipynb"))
        assert found.root == str(tmp_path / name)
        assert found.path_of(str(tmp_path / name / "deep" / "x.ipynb")) == "deep/x.ipynb"
    # Only one of them has commands to log, or is there at all.
    assert find(None, None).root == str(tmp_path / "b")
    # The file of one that was killed, whose number and port others have now.
    known = json.loads((tmp_path / f"jpserver-{server.port}.json").read_text())
    (tmp_path / "jpserver-3.json").write_text(json.dumps(known | {"token": "its", "root_dir": "x"}))
    os.utime(tmp_path / "jpserver-3.json", (1, 1))
    assert find(None, None).root == str(tmp_path / "b")
    known["url"] = f"http://localhost:{server.port}/"
    (tmp_path / "jpserver-4.json").write_text(json.dumps(known))
    with pytest.raises(Refused, match="Several servers"):
        find(None, None)


def test_a_watched_run_survives_connections_that_break(
    server: ServerProcess, jupyter: Commands
) -> None:
    with Cutter(server.port) as cutter:
        done = jupyter(
            *("run", "a/sum.ipynb", "--watch"),
            *("--url", f"http://127.0.0.1:{cutter.port}", "--token", TOKEN),
        )
    assert done.code == 0, done.err
    # The run may have ended before the second time.
    assert cutter.cuts in (1, 2)
    assert done.out.count("2 'nobody'") == 1
    assert done.out.count("Attempt 1 on") == 1
    assert done.out.count("Done.") == 1


class Cutter:
    """Stands before a server, and cuts the first two streams that have brought a piece of a log."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0

    def __enter__(self) -> Cutter:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()
            seen = b""
            while data := server.recv(65536):
                before, seen = len(seen), seen + data
                # The end of the first piece: more may have come with it.
                begin = seen.find(b"event: log")
                end_of_piece = seen.find(b"\n\n\r\n", begin) if begin >= 0 else -1
                is_cut = end_of_piece >= 0 and self.cuts < 2
                client.sendall(seen[before : end_of_piece + 4] if is_cut else data)
                if is_cut:
                    self.cuts += 1
                    for end in (client, server):
                        # Closing alone would wait for the thread that reads it.
                        end.shutdown(socket.SHUT_RDWR)
                    return

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass


# --- pieces


def test_nothing_of_a_server_is_imported_by_what_asks_one() -> None:
    code = "import sys, jupyter_dashboards_api.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    heavy = {"tornado", "sqlalchemy", "jupyter_server", "traitlets", "asyncio", "nbformat"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=1", ("x", 1)),
        ("x=1.5", ("x", 1.5)),
        ("x=true", ("x", True)),
        ("x=null", ("x", None)),
        ('x="1"', ("x", "1")),
        ("x=[1, {}]", ("x", [1, {}])),
        ("name=text", ("name", "text")),
        ("name=a=b", ("name", "a=b")),
        ("name=", ("name", "")),
        ("x=NaN", ("x", "NaN")),
    ],
)
def test_the_value_of_a_parameter_is_json_or_else_a_text(text: str, expected: object) -> None:
    assert parameter(text) == expected


def test_a_log_can_colour_a_terminal_and_nothing_else() -> None:
    assert plain("\x1b[31mred\x1b[0m\tx\n") == "\x1b[31mred\x1b[0m\tx\n"
    for evil in ("\x1b]52;c;ZXZpbA==\x07", "\x1b[2J", "\x1b[?1049h", "\x9b2J", "\b", "\x1bc"):
        assert "\x1b" not in plain(evil)
        assert "\x9b" not in plain(evil)
        assert "\b" not in plain(evil)


def test_the_bar_fits_its_terminal() -> None:
    status = {"status": "running", "cells": 10, "cells_done": 5, "cell_index": 7, "attempt": 2}
    assert bar(status, 65, 80) == f"[{'#' * 20}{'.' * 20}] 5/10 cell 7, attempt 2 1:05"
    for width in (1, 10, 30, 200):
        assert len(bar(status, 65, width)) < max(width, 2)
    waiting = {"status": "waiting", "cells": 0, "cells_done": 0, "cell_index": None, "attempt": 0}
    assert bar(waiting, 0, 80).endswith("] - waiting 0:00")
