"""Procrastinate's tables come and go with ours, and follow its versions."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import inspect, text

from jupyter_dashboards_api.database import queue_schema
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.migrations import downgrade, upgrade
from tests.postgres import Postgres

ROOT = Path(__file__).parents[2]
OPEN = "from jupyter_dashboards_api.database.engine import Database; Database(url={!r}).open()"

SHIPPED = sorted(file.name for file in Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def columns(database: Database) -> dict[str, set[str]]:
    found = inspect(database.engine)
    return {
        table: {column["name"] for column in found.get_columns(table, queue_schema.SCHEMA)}
        for table in found.get_table_names(queue_schema.SCHEMA)
    }


def functions(database: Database) -> set[str]:
    statement = "SELECT proname FROM pg_proc WHERE pronamespace = 'dashboards_queue'::regnamespace"
    with database.engine.connect() as connection:
        return set(connection.scalars(text(statement)))


def test_a_database_with_an_older_procrastinates_tables_gets_what_is_new(
    postgres: Postgres,
) -> None:
    new, old = Database(url=postgres.new_database()), Database(url=postgres.new_database())
    new.open()
    old.open()
    with old.engine.begin() as connection:
        assert queue_schema.missing(connection) == []
        connection.execute(text("DROP SCHEMA dashboards_queue CASCADE"))
        connection.execute(text("CREATE SCHEMA dashboards_queue"))
        connection.execute(text("CREATE TABLE dashboards_queue.applied (name TEXT PRIMARY KEY)"))
        # As if there had been only the first version, long ago.
        connection.execute(text("SET LOCAL search_path TO dashboards_queue"))
        script = (Path(SchemaManager.get_migrations_path()) / SHIPPED[0]).read_text()
        connection.execution_options(no_parameters=True).exec_driver_sql(script)
        connection.execute(text("INSERT INTO applied VALUES (:name)"), {"name": SHIPPED[0]})
        assert queue_schema.missing(connection) == SHIPPED[1:]
    assert columns(old) != columns(new)
    upgrade(old.engine)
    assert columns(old) == columns(new)
    assert functions(old) == functions(new)
    with old.engine.connect() as connection:
        assert queue_schema.missing(connection) == []
    for database in (new, old):
        database.close()


def test_it_goes_down_and_up_again_and_sqlite_does_without_it(
    postgres: Postgres, tmp_path: Path
) -> None:
    database = Database(url=postgres.new_database())
    before = columns(database)
    assert "procrastinate_jobs" in before
    downgrade(database.engine, "0002")
    assert columns(database) == {}
    upgrade(database.engine)
    assert columns(database) == before
    database.close()
    small = Database(url=f"sqlite:///{tmp_path / 'dashboards.sqlite'}")
    with small.engine.connect() as connection:
        assert queue_schema.missing(connection) == []
    small.close()


def test_without_the_extra_a_server_says_at_its_start_what_to_install(tmp_path: Path) -> None:
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith("procrastinate"):
            (tmp_path / installed.name).symlink_to(installed)
    started = subprocess.run(
        [sys.executable, "-S", "-c", OPEN.format("postgresql://ann:secret@127.0.0.1/dashboards")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 1
    assert "pip install 'jupyter_dashboards_api[postgres]'" in started.stderr
    assert "secret" not in started.stderr.splitlines()[-1]
