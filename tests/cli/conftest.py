"""Commands as real processes, in a folder of their own for configuration and data."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jupyter_dashboards_api.app import DashboardsApp
from jupyter_dashboards_api.cli.main import run

PASSWORD = "correct horse battery"
SECONDS = 60


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Commands:
    """Runs `jupyter dashboards …` with a home of its own: the same that `tests.servers.ServerProcess` gives a server."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "config"
        self.config.mkdir(exist_ok=True)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY"))},
            "JUPYTER_CONFIG_DIR": str(self.config),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "COLUMNS": "200",
        }

    def __call__(self, *words: str, stdin: str | bytes = "", stdout: int = subprocess.PIPE) -> Done:
        """Runs it to its end; it has no terminal. `stdout` is a file descriptor, for what is not to be read."""
        done = subprocess.run(
            self._command(words),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.home,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())

    def add(self, name: str, *options: str, password: str = PASSWORD) -> Done:
        """Adds a viewer who must be addable."""
        done = self("users", "add", name, "--password-stdin", *options, stdin=f"{password}\n")
        assert done.code == 0, done.err
        return done

    def users(self) -> list[str]:
        """The names of all viewers."""
        done = self("users", "list", "--json")
        assert done.code == 0, done.err
        return [each["username"] for each in json.loads(done.out)]

    def typed(self, *words: str, answers: Mapping[str, str]) -> tuple[int, str]:
        """Runs it at a terminal and types an answer after each prompt; its exit code, and all that could be seen."""
        process, terminal = pty.fork()
        if process == 0:
            os.execve(sys.executable, self._command(words), self.environment)
        seen = ""
        try:
            for prompt, answer in answers.items():
                seen += _until(terminal, prompt)
                os.write(terminal, answer.encode())
            seen += _until(terminal, None)
        finally:
            os.close(terminal)
            _, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status), seen

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "jupyter_dashboards_api", *words]


def _until(terminal: int, text: str | None) -> str:
    """What is shown until a text is, or until the end for None."""
    seen, end = "", time.monotonic() + SECONDS
    while text is None or text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{text!r} is not in {seen!r}"
        try:
            data = os.read(terminal, 4096)
        except OSError:
            # Linux's way to say that nobody has the other end open.
            data = b""
        if not data:
            assert text is None, f"{text!r} is not in {seen!r}"
            return seen
        seen += data.decode()
    return seen


class QuickCommands(Commands):
    """The same in the test's own process, where a process of its own would show nothing more: it takes seconds."""

    def __init__(
        self, home: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(home)
        self._patch = patch
        self._captured = captured

    def __call__(self, *words: str, stdin: str | bytes = "", stdout: int = subprocess.PIPE) -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        with self._patch.context() as patch:
            patch.setattr(os, "environ", self.environment)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            self._captured.readouterr()
            try:
                code: Any = run(words, DashboardsApp)
            except SystemExit as end:
                code = end.code
        return Done(code, *self._captured.readouterr())


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """How a test runs commands as processes."""
    return Commands(tmp_path)


@pytest.fixture
def quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    """How a test runs commands in its own process."""
    return QuickCommands(tmp_path, monkeypatch, capsys)
