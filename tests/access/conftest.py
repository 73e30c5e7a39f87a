"""A database that all tests of this folder share, on each backend in turn, and what they need in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import CursorResult, Executable, delete

from jupyter_dashboards_api.access.passwords import HashingThreads
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.tables import Notebook, Table, now

Run = Callable[[Executable], Any]
NewNotebook = Callable[[str], int]


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database; a test that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('access') / 'dashboards.sqlite'}"
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open and empty database: emptying one is quicker than making one."""
    opened = Database(url=database_url)
    with opened.transaction() as session:
        for table in reversed(Table.metadata.sorted_tables):
            session.execute(delete(table))
    yield opened
    opened.close()


@pytest.fixture
def run(database: Database) -> Run:
    """Runs one statement, as another program would; returns its first row, if it has any."""

    def execute(statement: Executable) -> Any:
        with database.transaction() as session:
            result = session.execute(statement)
            if isinstance(result, CursorResult) and not result.returns_rows:
                return None
            row = result.first()
            return tuple(row) if row is not None else None

    return execute


@pytest.fixture
def new_notebook(database: Database) -> NewNotebook:
    """The id of a notebook at a path."""

    def make(path: str) -> int:
        with database.transaction() as session:
            notebook = Notebook(uuid=str(uuid.uuid4()), short_id=uuid.uuid4().hex[:8], path=path)
            session.add(notebook)
            session.flush()
            return notebook.id

    return make


@pytest.fixture
def threads() -> Iterator[HashingThreads]:
    hashing = HashingThreads()
    yield hashing
    hashing.close()


@pytest.fixture
def long_ago() -> datetime:
    """A time that is over for everything that ends."""
    return now() - timedelta(days=1000)
