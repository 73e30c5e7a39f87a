"""Whoever else uses the database: another program's connection that holds a lock, other processes of ours."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url

from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Account

_BEGIN = """
import logging, sys
from sqlalchemy.orm import Session
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Account
logging.basicConfig(level=logging.INFO)
url, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
"""


def account(username: str) -> Account:
    return Account(username=username, password_hash="hash", groups=[])


@contextmanager
def writing(url: str, table: str = "accounts") -> Iterator[None]:
    """Another connection is about to write to a table; it has not decided what, and others can read."""
    address = make_url(url)
    if address.drivername == "sqlite":
        sqlite = sqlite3.connect(str(address.database), isolation_level=None)
        try:
            sqlite.execute("BEGIN IMMEDIATE")
            yield
        finally:
            sqlite.close()
        return
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


def at_once(url: str, program: str, number: int = 2) -> list[str]:
    """Runs a program in several processes that begin at the same moment; what each wrote to its log.

    The program finds `url`, `name` (another one in each process) and the imports above.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _BEGIN + program, url, f"process-{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for n in range(number)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        logs = [process.communicate(timeout=60)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * number, "\n".join(logs)
    return logs


def usernames(database: Database) -> list[str]:
    with database.transaction(write=False) as session:
        return sorted(name for (name,) in session.query(Account.username))
