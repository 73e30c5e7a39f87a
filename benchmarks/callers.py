"""What it costs to ask who calls: a page from the cache, for every kind of caller, in turns; and logins meanwhile.

`python -m benchmarks.callers` starts a server of its own and prints a table; `--output FILE` writes it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import nbformat

from tests.servers import TOKEN, dashboards_server

ROUNDS, GETS, LOGINS = 6, 200, 20
PASSWORD = "a viewer's password"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callers", description=__doc__)
    parser.add_argument("--output", type=Path, help="file for the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = measure(Path(folder))
    print(text)
    if options.output:
        options.output.write_text(text)
    return 0


def measure(home: Path) -> str:
    notebooks = home / "notebooks"
    notebooks.mkdir()
    cells = [nbformat.v4.new_markdown_cell("# Board"), nbformat.v4.new_code_cell("print(1)")]
    for name in ("board", "open"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / f"{name}.ipynb")
    rules = home / "access.toml"
    rules.write_text('[rules]\n"board.ipynb" = ["ann"]\n"open.ipynb" = "public"\n')
    with dashboards_server(notebooks, home, f"--AccessRules.file={rules}") as server:
        add_viewer(home)
        owner = {"Authorization": f"token {TOKEN}"}
        key = post(
            server.url,
            "/api/personal_api_keys",
            {"label": "b", "scopes": ["dashboard:read"]},
            owner,
        )
        share = post(server.url, "/_api/sharing?path=board", {"enabled": True}, owner, "PATCH")
        callers = {
            "owner, token": (owner, "/dashboards/board"),
            "viewer, session": ({"Cookie": log_in(server.url)}, "/dashboards/board"),
            "program, API key": ({"Authorization": f"Bearer {key['value']}"}, "/dashboards/board"),
            "nobody, public page": ({}, "/dashboards/open"),
            "share link": ({}, f"/shared/{share['access_token']}"),
        }
        times: dict[str, list[float]] = {name: [] for name in callers}
        for _ in range(ROUNDS):
            for name, (headers, path) in callers.items():
                times[name] += gets(server.port, path, headers, GETS)
        logins, meanwhile = logins_and_others(server.port, server.url)
    return table(times, logins, meanwhile)


def add_viewer(home: Path) -> None:
    command = [sys.executable, "-m", "jupyter_dashboards_api", "users", "add", "ann"]
    environment = {
        **os.environ,
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
    }
    subprocess.run(
        [*command, "--password-stdin"], input=PASSWORD, text=True, env=environment, check=True
    )


def post(
    url: str, path: str, body: object, headers: dict[str, str], method: str = "POST"
) -> dict[str, str]:
    request = urllib.request.Request(
        url + path,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **headers},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, str] = json.load(response)
    return answer


def log_in(url: str) -> str:
    request = urllib.request.Request(
        f"{url}/login",
        data=json.dumps({"username": "ann", "password": PASSWORD}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        cookies = response.headers.get_all("Set-Cookie")
    return next(cookie.partition(";")[0] for cookie in cookies if "dashboards-viewer" in cookie)


def gets(port: int, path: str, headers: dict[str, str], count: int) -> list[float]:
    """Milliseconds of each request, one after another on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    found = []
    for _ in range(count):
        start = time.perf_counter()
        connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
        response = connection.getresponse()
        response.read()
        found.append((time.perf_counter() - start) * 1000)
        if response.status != 200:
            raise RuntimeError(f"{path} answers {response.status}")
    connection.close()
    return found


def logins_and_others(port: int, url: str) -> tuple[list[float], list[float]]:
    """How long logins take, and how long something cheap takes while a process of its own logs in again and again."""
    start = time.perf_counter()
    times = []
    for _ in range(LOGINS):
        begun = time.perf_counter()
        log_in(url)
        times.append((time.perf_counter() - begun) * 1000)
    seconds = time.perf_counter() - start
    # Four at once, so that both hashing threads are busy all the time.
    program = (
        "import sys, concurrent.futures as f; from benchmarks.callers import log_in\n"
        f"with f.ThreadPoolExecutor(4) as pool: list(pool.map(log_in, [sys.argv[1]] * {LOGINS * 2}))"
    )
    with subprocess.Popen([sys.executable, "-c", program, url]) as crowd:
        time.sleep(min(0.3, seconds))
        meanwhile = []
        while crowd.poll() is None:
            meanwhile += gets(port, "/_api/openapi.json", {}, 1)
            time.sleep(0.005)
    return times, meanwhile


def table(times: dict[str, list[float]], logins: list[float], meanwhile: list[float]) -> str:
    owner = median(times["owner, token"])
    rows = [
        f"| {name} | {median(values):.2f} | {percentile(values, 95):.2f} | {median(values) / owner:.2f} |"
        for name, values in times.items()
    ]
    return "\n".join(
        [
            "# What it costs to ask who calls",
            "",
            f"`python -m benchmarks.callers`: a small page from the cache, gzip, {ROUNDS} rounds of {GETS} requests each in",
            "turns, one connection, SQLite. A viewer's session, a key and a link are looked up in the database at each request.",
            "",
            "| caller | p50 ms | p95 ms | p50 ÷ owner |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            f"A login (Argon2id, 19 MiB) takes {median(logins):.0f} ms. While four log in at once, over and over, something cheap",
            f"is answered in {median(meanwhile):.1f} ms (p50), {percentile(meanwhile, 99):.1f} ms (p99), {max(meanwhile):.1f} ms (longest; {len(os.sched_getaffinity(0))} cores, two hashing).",
            "",
        ]
    )


def percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


if __name__ == "__main__":
    sys.exit(main())
