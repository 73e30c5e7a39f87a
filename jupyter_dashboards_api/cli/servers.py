"""Which running server a command means: named by an option or the environment, or found among those of this account."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from .client import CommandsClient, Refused

URL_VARIABLE = "JUPYTER_DASHBOARDS_URL"
TOKEN_VARIABLE = "JUPYTER_DASHBOARDS_TOKEN"  # noqa: S105


@dataclass(frozen=True)
class RunningServer:
    """A server with the commands API; `root` is its folder where it runs on this machine, empty otherwise."""

    client: CommandsClient
    root: str = ""

    def path_of(self, notebook: str) -> str:
        """The path of the server's contents manager for a notebook: of a file below its folder, or as it was given."""
        if self.root and Path(notebook).is_file():
            file, root = Path(notebook).resolve(), Path(self.root).resolve()
            if file.is_relative_to(root):
                return file.relative_to(root).as_posix()
        return notebook.strip("/")


def find(url: str | None, token: str | None, notebook: str | None = None) -> RunningServer:
    """The server that is meant. Raises `Refused` when there is none, or more than one.

    Where several run, it is the one in whose folder `notebook` is.
    """
    url = url or os.environ.get(URL_VARIABLE)
    token = token or os.environ.get(TOKEN_VARIABLE)
    if url:
        address, of_url = _split(url)
        return RunningServer(CommandsClient(address, token or of_url))
    # One that was killed leaves its file. Its number may be another process's by now, and its port that of the next server.
    latest = {address: (known, root) for address, known, root in _running()}
    found = [
        RunningServer(CommandsClient(address, token or known), root)
        for address, (known, root) in latest.items()
    ]
    if len(found) > 1 and notebook is not None and Path(notebook).is_file():
        file = Path(notebook).resolve()
        found = [each for each in found if file.is_relative_to(Path(each.root).resolve())] or found
    if not found:
        raise Refused(
            f"No server of this account is running: name one by --url and --token, or {URL_VARIABLE} and {TOKEN_VARIABLE}."
        )
    if len(found) > 1:
        found = [each for each in found if each.client.answers()] or found
    if len(found) > 1:
        names = ", ".join(each.client.url for each in found)
        raise Refused(f"Several servers are running: name one by --url: {names}")
    return found[0]


def _split(url: str) -> tuple[str, str]:
    """The server's address of what a person copies from a browser or from the server's log, and its token."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("--url must be an address such as http://127.0.0.1:8888/.")
    token = (parse_qs(parts.query).get("token") or [""])[0]
    path = parts.path.rstrip("/").removesuffix("/dashboards")
    return urlunsplit((parts.scheme, parts.netloc, path, "", "")), token


def _written(file: Path) -> float:
    """When a file was written, in seconds; 0 when it is gone."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _running() -> Iterator[tuple[str, str, str]]:
    """Address, token and folder of each server of this account that may run, from the files that servers leave, the latest last."""
    # Not jupyter_server's own function: its import alone takes seconds.
    from jupyter_core.paths import jupyter_runtime_dir

    for file in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json"), key=_written):
        try:
            known = json.loads(file.read_text(encoding="utf-8"))
            os.kill(int(known["pid"]), 0)
            address, token, root = known["url"], known.get("token") or "", known["root_dir"]
        except (OSError, ValueError, KeyError, TypeError):
            # It is being written, or its server is gone.
            continue
        if str(address).startswith(("http://", "https://")):
            yield str(address), str(token), str(root)
