"""The servers under measurement: how they start, who may call them, what they weigh, how they end."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from .workplace import Workplace

MANY = "100000"
"""Viewers share one login here, and a benchmark asks more often than a viewer would: limits are lifted."""

_LIMITS = (
    f"--KernelBindings.max_kernels={MANY}",
    f"--KernelBindings.max_kernels_per_viewer={MANY}",
    f"--KernelBindings.execute_rate={MANY}",
)


_KERNEL = re.compile(rb"kernel-([0-9a-f-]{36})\.json")


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(slots=True)
class Server:
    """A running server.

    `page` makes the URL path of a notebook's page; `probe` is a path that costs it little; `shutdown` makes the URL
    path that ends a kernel, for a server whose closed pages leave theirs behind; `resting` counts its processes
    without kernels.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    page: str
    probe: str
    token: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    resting: int = 0
    shutdown: str = ""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, notebook: str) -> str:
        """Where the notebook's page is."""
        return self.origin + self.page.format(notebook)

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def processes(self) -> list[int]:
        """The server and all that it has started, as process ids."""
        return [self.process.pid, *_descendants(self.process.pid)]

    def memory(self) -> int:
        """Bytes of memory of the server and its kernels: PSS, shared pages counted by their share."""
        return sum(_pss(pid) for pid in self.processes())

    async def rest(self, seconds: float = 20.0) -> None:
        """Wait until no kernel is left, and end those that are left for nobody. Raises when one stays."""
        deadline = time.monotonic() + seconds
        asked: set[str] = set()
        while len(self.processes()) > self.resting:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: a kernel does not end")
            await asyncio.sleep(0.2)
            for kernel_id in self._kernels() - asked if self.shutdown else ():
                asked.add(kernel_id)
                await asyncio.to_thread(self._shut_down, kernel_id)

    def _kernels(self) -> set[str]:
        commands = (_command(pid) for pid in self.processes())
        return {found[1].decode() for command in commands if (found := _KERNEL.search(command))}

    def _shut_down(self, kernel_id: str) -> None:
        # Any token will do, so long as the cookie and the header agree.
        headers = {"Cookie": "_xsrf=00ff", "X-XSRFToken": "00ff"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request("POST", self.shutdown.format(kernel_id), headers=headers)
        connection.getresponse().read()
        connection.close()


@asynccontextmanager
async def dashboards(place: Workplace) -> AsyncIterator[Server]:
    """`jupyter dashboards`: a logged-in viewer, a cold kernel for each page."""
    token = secrets.token_hex(16)
    port = free_port()
    command = [sys.executable, "-m", "jupyter_dashboards_api", str(place.notebooks), "--no-browser"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
    ]
    command += [f"--ServerApp.token={token}", "--ServerApp.allow_root=True", *_LIMITS]
    async with _running("ours", command, port, place, "/dashboards/{}", token) as server:
        server.cookies = _log_in(server, "/dashboards")
        yield server


@asynccontextmanager
async def jupyter_server(place: Workplace) -> AsyncIterator[Server]:
    """`jupyter server` with the extension, and with a second stock socket that sets TCP_NODELAY."""
    token = secrets.token_hex(16)
    port = free_port()
    command = [sys.executable, "-m", "jupyter_server", "--no-browser"]
    command += [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
    ]
    command += [f"--ServerApp.token={token}", "--ServerApp.allow_root=True", *_LIMITS]
    command += [f"--ServerApp.root_dir={place.notebooks}"]
    extensions = "{'jupyter_dashboards_api': True, 'benchmarks.stock_sockets': True}"
    command += [f"--ServerApp.jpserver_extensions={extensions}"]
    async with _running("jupyter server", command, port, place, "/dashboards/{}", token) as server:
        yield server


@asynccontextmanager
async def voila(place: Workplace, *options: str, name: str = "Voila") -> AsyncIterator[Server]:
    """Voila as it comes, on the same notebooks and kernel; it asks for no login."""
    port = free_port()
    command = [
        str(place.voila),
        "-m",
        "voila",
        str(place.notebooks),
        "--no-browser",
        f"--port={port}",
    ]
    command += ["--Voila.ip=127.0.0.1", *options]
    async with _running(name, command, port, place, "/voila/render/{}.ipynb") as server:
        server.shutdown = "/voila/api/shutdown/{}"
        yield server


@asynccontextmanager
async def _running(
    name: str, command: list[str], port: int, place: Workplace, page: str, token: str = ""
) -> AsyncIterator[Server]:
    """Start a server, wait until it answers, and end it and its kernels by their ids."""
    log = place.folder / f"{re.sub('[^a-z]+', '-', name.lower())}.log"
    repository = Path(__file__).parents[1]
    environment = (
        {**place.environment, "PYTHONPATH": str(repository)} if token else place.environment
    )
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            cwd=place.folder,
        )
    server = Server(name, port, process, page, "/static/favicon.ico", token)
    try:
        await _answers(server, log)
        server.resting = len(server.processes())
        yield server
    finally:
        await _end(server)


async def _answers(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} has not started:\n{log.read_text()[-3000:]}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            connection.request("GET", server.probe)
            connection.getresponse().read()
            connection.close()
            return
        except OSError:
            await asyncio.sleep(0.1)


def _log_in(server: Server, path: str) -> dict[str, str]:
    """The cookies that a viewer has after following the link with the token."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", f"{path}?token={server.token}")
    response = connection.getresponse()
    response.read()
    cookies: dict[str, str] = {}
    for header in response.headers.get_all("Set-Cookie") or []:
        cookies.update({name: morsel.value for name, morsel in SimpleCookie(header).items()})
    connection.close()
    if not cookies:
        raise RuntimeError(
            f"{urlsplit(server.origin).netloc} gave no login cookie: {response.status}"
        )
    return cookies


async def _end(server: Server) -> None:
    left = [pid for pid in server.processes() if pid != server.process.pid]
    server.process.send_signal(signal.SIGTERM)
    try:
        await asyncio.to_thread(server.process.wait, 15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    for pid in left:
        _kill(pid)


def _kill(pid: int) -> None:
    """End a kernel that has outlived its server, unless the id now belongs to something else."""
    if b"ipykernel_launcher" in _command(pid):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in task.joinpath("children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    except OSError:
        # It has ended meanwhile.
        return found
    return found


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
