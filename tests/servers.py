"""Servers of our own as processes, for what a server inside the test's process can't show."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .ports import free_port

TOKEN = "the-owner's-token"


_PORTS = Path(__file__).with_name("ports.py")

_PROGRAM = f"""
import runpy, sys
runpy.run_path({str(_PORTS)!r})["KernelPorts"].instance()
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""What `python -m` does, with ports for its kernels that no other test is given meanwhile."""


class ServerProcess:
    """A server started by a command, on loopback, ended when the block ends.

    `command` is what follows `python -m`; `{port}` in it stands for a free port. `home` is a folder for the server's
    configuration, data and runtime files, so that the machine's own don't count.
    """

    def __init__(
        self,
        command: Sequence[str],
        home: Path,
        *,
        ready: str = "/api",
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / f"server-{self.port}.log"
        self._ready = ready
        self._seconds = seconds
        self._command = [
            *(sys.executable, "-c", _PROGRAM),
            *(w.replace("{port}", str(self.port)) for w in command),
        ]
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY"))},
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            "MPLCONFIGDIR": str(home / "matplotlib"),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }

    def __enter__(self) -> ServerProcess:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + self._ready, timeout=5):
                    return self
            except urllib.error.HTTPError:
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__(None, None, None)
        raise RuntimeError(f"The server did not start:\n{self.log.read_text()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def dashboards_server(folder: Path, home: Path, *options: str) -> ServerProcess:
    """`jupyter dashboards FOLDER` with a known token."""
    return ServerProcess(
        [
            "jupyter_dashboards_api",
            str(folder),
            "--port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}",
            "--no-browser",
            "--allow-root",
            *options,
        ],
        home,
    )
