"""A standalone Spark cluster on loopback: a master and one worker, of the pyspark that is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType

import pyspark

from tests.ports import free_port

SECONDS = 40.0


class SparkCluster:
    """Runs while the block does; `master` is its URL, `environment` what kernels need to reach it from this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._home = Path(pyspark.__file__).parent
        self._port, self._web, self._worker_web = free_port(), free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.master = f"spark://127.0.0.1:{self._port}"
        self.web = f"http://127.0.0.1:{self._web}"
        temporary = folder / "temporary"
        temporary.mkdir()
        # Java and Spark leave files there, some for good.
        self.environment = {
            "SPARK_HOME": str(self._home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(temporary),
            "TMPDIR": str(temporary),
            "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={temporary}",
        }

    def __enter__(self) -> SparkCluster:
        try:
            self._start("master.Master", "--port", str(self._port), "--webui-port", str(self._web))
            self._until("<html", "The master did not start")
            options = ["--cores", "2", "--memory", "1g", "--work-dir", str(self._folder / "work")]
            self._start(
                "worker.Worker", "--webui-port", str(self._worker_web), *options, self.master
            )
            self._until('"aliveworkers" : 1', "The worker did not come")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self, name: str, *options: str) -> None:
        log = (self._folder / f"{name}.log").open("wb")
        with log:
            self._processes.append(
                subprocess.Popen(
                    [
                        self._home / "bin" / "spark-class",
                        f"org.apache.spark.deploy.{name}",
                        "--host",
                        "127.0.0.1",
                        *options,
                    ],
                    env={**os.environ, **self.environment, "SPARK_DAEMON_MEMORY": "256m"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Executors are the worker's children: they end with it.
                    start_new_session=True,
                )
            )

    def _until(self, text: str, otherwise: str) -> None:
        path = "json/" if text.startswith('"') else ""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self._web}/{path}", timeout=5
                ) as page:
                    if text in page.read().decode():
                        return
            except OSError:
                pass
            if any(process.poll() is not None for process in self._processes):
                break
            time.sleep(0.1)
        logs = "\n".join(file.read_text()[-2000:] for file in self._folder.glob("*.log"))
        raise RuntimeError(f"{otherwise}:\n{logs}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
