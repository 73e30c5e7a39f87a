"""A real PostgreSQL for tests: Debian's package, on a free loopback port, in a folder that is gone afterwards."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from .ports import free_port

ACCOUNT = "postgres"
_SECONDS = 60

_PR_SET_PDEATHSIG = 1

# Nothing here outlives the tests, so nothing waits for a disk.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB")


class Postgres:
    """A PostgreSQL server, started when the block begins and ended with it; every role may log in without a password.

    Raises `RuntimeError` where PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        self._programs = _programs()
        # Not in pytest's own folder: that is closed to other accounts, and too deep for a socket's name.
        self._folder = Path(tempfile.mkdtemp(prefix="dashboards-postgres-"))
        self._log = self._folder / "log"
        try:
            self._as_owner: dict[str, Any] = {}
            if os.geteuid() == 0:
                # PostgreSQL refuses to run as root.
                owner = _account()
                os.chown(self._folder, owner.pw_uid, owner.pw_gid)
                self._as_owner = {
                    "user": owner.pw_uid,
                    "group": owner.pw_gid,
                    "extra_groups": [],
                }
            self._run(
                *("initdb", "--auth=trust", f"--username={ACCOUNT}", "--encoding=UTF8"),
                *("--no-locale", "--no-sync", "--pgdata", str(self._folder / "data")),
            )
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts the server, on the port that it had before. Returns when it answers."""
        # Others look for free ports too: the one that was found may be taken by now.
        ports = [self.port] if self.port else [free_port() for _ in range(3)]
        for self.port in ports:
            if self._started():
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        """Ends the server; its databases stay. Sessions are cut off."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_SECONDS)
        self._process = None

    def url(self, database: str = ACCOUNT) -> str:
        """The SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://{ACCOUNT}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """The URL of a new database: an empty one, or a copy of another one to which nobody is connected."""
        name = f"test_{uuid.uuid4().hex}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=ACCOUNT, dbname=ACCOUNT, autocommit=True
        )

    def _started(self) -> bool:
        command = [
            *(self._programs / "postgres", "-D", self._folder / "data"),
            *("-h", "127.0.0.1", "-p", str(self.port), "-k", self._folder),
        ]
        for setting in _FAST:
            command += ["-c", setting]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=_end_with_parent,
                **self._as_owner,
            )
        end = time.monotonic() + _SECONDS
        while self._process.poll() is None and time.monotonic() < end:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                # Somebody else's server could answer at this port just before ours gives up.
                if self._process.poll() is None:
                    return True
        self.stop()
        return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._folder,
            check=False,
            **self._as_owner,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stderr}")


def _programs() -> Path:
    """The folder of PostgreSQL's programs: Debian's newest, else the one on PATH."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: _number(path.parents[1].name), default=None)
    found = newest or shutil.which("initdb")
    if found is None:
        raise RuntimeError("These tests need PostgreSQL: scripts/test --install")
    return Path(found).resolve().parent


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise RuntimeError(
            f"PostgreSQL does not run as root, and there is no account {ACCOUNT!r}: scripts/test --install"
        ) from None


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0


def _end_with_parent() -> None:
    # A test run that is killed can't end its server itself.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
