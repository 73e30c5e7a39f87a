"""Running notebooks, side by side in one run: this project, papermill's command, jupyter-scheduler, nbclient.

`python -m benchmarks.commands` starts a Jupyter server with this extension, without warm kernels, and jupyter-scheduler;
another one with this extension as it is by default, where a kernel waits for the next run; and installs papermill into an
environment of its own (once). Each contender runs the notebook of ten cells in turns; `--output FILE` writes the table.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import nbformat

from tests.servers import TOKEN, ServerProcess

from .workplace import cache_folder

CELLS, ROUNDS, AT_ONCE, PLACES = 10, 7, 10, 4
COLD, WARM = "this project, cold kernel", "this project, warm kernel"
PAPERMILL, SCHEDULER = "papermill, command", "jupyter-scheduler, job"
OURS, NBCLIENT, CONNECTED = "this project", "nbclient", "nbclient, connected"
SECONDS = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    papermill = papermill_python(cache_folder())
    with tempfile.TemporaryDirectory() as folder:
        text = measure(Path(folder), papermill, options.rounds)
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


def papermill_python(cache: Path) -> Path:
    """The Python of an environment that has papermill, with the kernel that this environment has."""
    folder = cache / f"papermill-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print("Installing papermill into its own environment (once)")
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*command, "papermill", "ipykernel"], check=True, timeout=900)
        (folder / "complete").touch()
    return python


def measure(home: Path, papermill: Path, rounds: int) -> str:
    root = home / "root"
    root.mkdir()
    cells = [nbformat.v4.new_code_cell(f"print('line', {number})") for number in range(CELLS)]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    nbformat.write(notebook, root / "ten.ipynb")
    both = "{'jupyter_dashboards_api': True, 'jupyter_scheduler': True}"
    server = new_server(home / "cold", root, both, "--KernelPool.warm_kernels=0")
    warm_server = new_server(home / "warm", root, "{'jupyter_dashboards_api': True}")
    with server, warm_server:
        client, warm_client = Client(server.port), Client(warm_server.port)
        note_id, warm_id = client.note_id(), warm_client.note_id()
        ways: dict[str, Callable[[], float]] = {
            COLD: lambda: client.command(note_id),
            WARM: lambda: warm_client.warm_command(warm_id),
            PAPERMILL: lambda: papermill_run(papermill, root, home),
            SCHEDULER: client.job,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        warm_client.command(warm_id)
        for way in ways.values():
            way()
        for _ in range(rounds):
            for name, way in ways.items():
                times[name].append(way())
        load = os.getloadavg()
        with Watch(server.port) as watch:
            ours = client.many(lambda: client.submit(note_id), client.is_done)
        theirs = client.many(client.submit_job, client.job_is_done)
    ready = asyncio.run(ready_kernel(notebook, rounds))
    return table(times, ours, theirs, watch.times, ready, load)


def new_server(home: Path, root: Path, extensions: str, *options: str) -> ServerProcess:
    home.mkdir()
    return ServerProcess(
        [
            "jupyter_server",
            "--port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={root}",
            f"--ServerApp.jpserver_extensions={extensions}",
            f"--CommandsManager.max_running_commands={PLACES}",
            "--no-browser",
            "--allow-root",
            *options,
        ],
        home,
    )


class Client:
    """Asks the server, one request after another on one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        data = json.dumps(body) if body is not None else None
        self._connection.request(method, path, body=data, headers=headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{path} answers {response.status}: {text[:200]!r}")
        return json.loads(text)

    def note_id(self) -> int:
        return int(self.ask("GET", "/api/v1.2/notebooks?path=ten.ipynb")["notebooks"][0]["id"])

    def submit(self, note_id: int) -> str:
        body = {"command_type": "SparkCommand", "note_id": note_id}
        return str(self.ask("POST", "/api/v1.2/commands", body)["id"])

    def is_done(self, command: str) -> bool:
        found = self.ask("GET", f"/api/v1.2/commands/{command}")
        if found["status"] in ("error", "cancelled"):
            raise RuntimeError(str(found["error"]))
        return bool(found["status"] == "done")

    def submit_job(self) -> str:
        body = {
            "name": "job",
            "input_uri": "ten.ipynb",
            "runtime_environment_name": Path(sys.prefix).name,
            "output_formats": ["ipynb"],
        }
        environments = self.ask("GET", "/scheduler/runtime_environments")
        body["runtime_environment_name"] = environments[0]["name"]
        return str(self.ask("POST", "/scheduler/jobs", body)["job_id"])

    def job_is_done(self, job: str) -> bool:
        found = self.ask("GET", f"/scheduler/jobs/{job}")
        # A job that has not begun yet says that it is STOPPED.
        if found["status"] == "FAILED":
            raise RuntimeError(str(found.get("status_message")))
        return bool(found["status"] == "COMPLETED")

    def command(self, note_id: int) -> float:
        """Followed live, as `jupyter dashboards run --watch` does."""
        start = time.perf_counter()
        command = self.submit(note_id)
        headers = {"Authorization": f"token {TOKEN}"}
        self._connection.request("GET", f"/api/v1.2/commands/{command}/stream", headers=headers)
        # It ends with the command.
        self._connection.getresponse().read()
        seconds = time.perf_counter() - start
        if not self.is_done(command):
            raise RuntimeError("The stream has ended before its command.")
        return seconds

    def warm_command(self, note_id: int) -> float:
        """Once a kernel waits; the next one is waited for too: its start is not to disturb the next contender."""
        self._wait_for_kernel()
        seconds = self.command(note_id)
        self._wait_for_kernel()
        return seconds

    def _wait_for_kernel(self) -> None:
        start = time.perf_counter()
        while [kernel["execution_state"] for kernel in self.ask("GET", "/api/kernels")] != ["idle"]:
            if time.perf_counter() - start > SECONDS:
                raise TimeoutError
            time.sleep(0.05)

    def job(self) -> float:
        return self._timed(self.submit_job, self.job_is_done)

    def many(self, submit: Callable[[], str], is_done: Callable[[str], bool]) -> float:
        """Seconds until all of `AT_ONCE` are done."""
        start = time.perf_counter()
        waiting = [submit() for _ in range(AT_ONCE)]
        while waiting := [one for one in waiting if not is_done(one)]:
            if time.perf_counter() - start > SECONDS:
                raise TimeoutError
            time.sleep(0.05)
        return time.perf_counter() - start

    def _timed(self, submit: Callable[[], str], is_done: Callable[[str], bool]) -> float:
        start = time.perf_counter()
        one = submit()
        while not is_done(one):
            if time.perf_counter() - start > SECONDS:
                raise TimeoutError
            time.sleep(0.02)
        return time.perf_counter() - start


class Watch:
    """Asks for something cheap, on a thread, as long as its block lasts."""

    def __init__(self, port: int) -> None:
        self.times: list[float] = []
        self._port = port
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ended.is_set():
            start = time.perf_counter()
            connection.request("GET", "/_api/openapi.json")
            connection.getresponse().read()
            self.times.append((time.perf_counter() - start) * 1000)
            time.sleep(0.01)


def papermill_run(python: Path, root: Path, home: Path) -> float:
    start = time.perf_counter()
    command = [str(python), "-m", "papermill", str(root / "ten.ipynb"), str(home / "out.ipynb")]
    environment = {**os.environ, "IPYTHONDIR": str(home / "ipython")}
    subprocess.run(
        [*command, "--no-progress-bar"], env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - start


async def ready_kernel(notebook: Any, rounds: int) -> dict[str, list[float]]:
    """Seconds until the cells have run in a kernel that is ready, by our execution and by nbclient's own.

    Both connect to the kernel first, of which nbclient takes 200 ms to wait for nothing; the third is nbclient in a
    client that was connected before.
    """
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
    from nbclient import NotebookClient

    from jupyter_dashboards_api.commands.execution import Execution

    manager = AsyncMappingKernelManager()
    kernel_id = await manager.start_kernel(kernel_name="python3")
    times: dict[str, list[float]] = {OURS: [], NBCLIENT: [], CONNECTED: []}
    for _ in range(rounds + 1):
        start = time.perf_counter()
        await Execution(manager, kernel_id, notebook).run()
        times[OURS].append(time.perf_counter() - start)
        start = time.perf_counter()
        client = NotebookClient(notebook, km=manager.get_kernel(kernel_id))
        await client.async_execute()
        times[NBCLIENT].append(time.perf_counter() - start)
        # It has its connection now.
        start = time.perf_counter()
        await client.async_execute()
        times[CONNECTED].append(time.perf_counter() - start)
        client.kc.stop_channels()
    await manager.shutdown_kernel(kernel_id, now=True)
    return {name: values[1:] for name, values in times.items()}


def table(
    times: dict[str, list[float]],
    ours: float,
    theirs: float,
    meanwhile: list[float],
    ready_times: dict[str, list[float]],
    loads: tuple[float, float, float],
) -> str:
    middle = {name: median(values) for name, values in times.items()}
    rows = [
        f"| {name} | {middle[name]:.2f} | {min(values):.2f} | {max(values):.2f} "
        f"| {middle[name] / middle[COLD]:.1f} | {middle[name] / middle[WARM]:.1f} |"
        for name, values in times.items()
    ]
    ready = {name: median(values) for name, values in ready_times.items()}
    load = ", ".join(f"{value:.1f}" for value in loads)
    p95 = sorted(meanwhile)[len(meanwhile) * 95 // 100]
    return "\n".join(
        [
            "# Running notebooks",
            "",
            f"`python -m benchmarks.commands`, {len(os.sched_getaffinity(0))} cores, load {load}: a notebook of {CELLS} cells that",
            "print, each run with a kernel of its own, from asking for it until it is done; contenders in turns. A cold kernel is",
            "started for the run; a warm one waits for it (`KernelPool`, the default), since a run of the same folder before.",
            "This project's runs are followed by their stream; the scheduler has none, and is asked every 20 ms.",
            "",
            "| run by | median s | least s | most s | ÷ cold | ÷ warm |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "| | target | measured | |",
            "| --- | --- | --- | --- |",
            _row(
                "cold kernel, sooner than papermill's command", 3, middle[PAPERMILL] / middle[COLD]
            ),
            _row(
                "cold kernel, sooner than a job of jupyter-scheduler",
                3,
                middle[SCHEDULER] / middle[COLD],
            ),
            _row(
                "warm kernel, sooner than papermill's command", 3, middle[PAPERMILL] / middle[WARM]
            ),
            _row(
                f"connecting to a ready kernel, and the cells ({ready[OURS]:.3f} s), sooner than nbclient ({ready[NBCLIENT]:.3f} s)",
                2,
                ready[NBCLIENT] / ready[OURS],
            ),
            f"| the same, beside nbclient in a client that is connected already ({ready[CONNECTED]:.3f} s) | "
            f"| {ready[CONNECTED] / ready[OURS]:.1f} x | |",
            _row(
                f"{AT_ONCE} at once, {PLACES} running ({ours:.1f} s), sooner than jupyter-scheduler ({theirs:.1f} s)",
                4,
                theirs / ours,
            ),
            f"| other requests' p95 meanwhile, ms | ≤ 50 | {p95:.1f} | {'' if p95 <= 50 else '**missed**'} |",
            "",
            "Of nbclient's time with a ready kernel, 0.2 s are a pause of its `wait_for_ready` after connecting, which does nothing;",
            "ours connects within its time in both rows.",
            "",
        ]
    )


def _row(what: str, target: float, ratio: float) -> str:
    return f"| {what} | ≥ {target} x | {ratio:.1f} x | {'' if ratio >= target else '**missed**'} |"


if __name__ == "__main__":
    sys.exit(main())
