"""How long a server's event loop is held up: a process of its own that asks for something cheap, again and again.

Run as `python -m benchmarks.probe PORT PATH`; it ends with its standard input and then prints milliseconds as JSON.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import select
import sys
import time
from pathlib import Path

from .figures import Figure, figure

_PATIENCE = 10.0
_PAUSE = 0.02
"""Seconds between an answer and the next question."""


class Probe:
    """The process; asks from `start` to `stop`. A question without an answer in time counts with its patience."""

    def __init__(self, port: int, path: str) -> None:
        self._arguments = [sys.executable, "-m", "benchmarks.probe", str(port), path]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Begin to ask; returns when the process runs."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[1]
        )
        assert self._process.stdout
        await self._process.stdout.readline()

    async def stop(self) -> Figure:
        """Milliseconds of each answer."""
        assert self._process
        # Without input, even an empty one, `communicate` would leave the pipe open.
        out, _ = await asyncio.wait_for(self._process.communicate(b""), 60)
        return figure(json.loads(out))


def _ask(port: int, path: str) -> list[float]:
    times: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    while not select.select([sys.stdin], [], [], _PAUSE)[0]:
        start = time.perf_counter()
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
        times.append((time.perf_counter() - start) * 1000)
    return times


if __name__ == "__main__":
    print("asking", flush=True)
    print(json.dumps(_ask(int(sys.argv[1]), sys.argv[2])))
