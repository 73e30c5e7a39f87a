from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from jupyter_dashboards_api.database import backends
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.migrations import NewerSchema, downgrade, migrating, upgrade
from jupyter_dashboards_api.database.tables import (
    Activity,
    LoginSession,
    Notebook,
    Share,
    SharePassword,
    ShareToken,
    Table,
    now,
)

from .others import account, at_once, usernames, writing

VERSION = "alembic_version"


def fill(database: Database) -> None:
    """A row in each table that others refer to or are referred to by."""
    notebook = Notebook(path="a.ipynb", uuid="uuid", short_id="short")
    share = Share(notebook=notebook, created_by="ada", frame_ancestors=[])
    share.tokens.append(ShareToken(token="token"))
    share.passwords.append(SharePassword(password_hash="hash", note="", created_by="ada"))
    login = LoginSession(
        id="id", secret_hash="hash", username="ada", groups=[], address="", expires_at=now()
    )
    with database.transaction() as session:
        session.add_all([account("ada"), share, login])
        session.flush()
        session.add(
            Activity(
                id="id", activity="x", actor="ada", notebook_id=notebook.id, path="", detail={}
            )
        )


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in inspect(connection).get_table_names()
            if name != VERSION
        }


def test_the_schema_goes_up_from_nothing_down_and_up_again_with_rows_in_it(
    database: Database,
) -> None:
    names = set(Table.metadata.tables)
    assert set(inspect(database.engine).get_table_names()) == names | {VERSION}
    fill(database)
    downgrade(database.engine)
    assert inspect(database.engine).get_table_names() == [VERSION]
    upgrade(database.engine)
    assert counts(database.engine) == dict.fromkeys(names, 0)
    fill(database)
    upgrade(database.engine)
    assert usernames(database) == ["ada"]


def test_the_migrated_schema_is_that_of_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_every_constraint_has_the_name_that_the_tables_give_it(database: Database) -> None:
    found = inspect(database.engine)
    for table in Table.metadata.sorted_tables:
        named = {
            key["name"]
            for keys in (found.get_unique_constraints, found.get_foreign_keys)
            for key in keys(table.name)
        }
        assert named == {
            constraint.name
            for constraint in table.constraints
            if isinstance(constraint, sa.UniqueConstraint | sa.ForeignKeyConstraint)
        }


def test_processes_that_start_at_once_migrate_once_and_all_come_up(database_url: str) -> None:
    program = """
database = Database(url=url)
database.open()
with database.transaction() as session:
    session.add(Account(username=name, password_hash="hash", groups=[]))
database.close()
"""
    logs = at_once(database_url, program, 3)
    assert "".join(logs).count("Running upgrade  -> 0001") == 1
    database = Database(url=database_url)
    assert usernames(database) == ["process-0", "process-1", "process-2"]
    database.close()


def test_threads_that_open_databases_at_once_all_come_up(database_url: str, tmp_path: Path) -> None:
    urls = [database_url] * 4 + [f"sqlite:///{tmp_path / str(number)}" for number in range(8)]
    databases = [Database(url=url, busy_timeout=60) for url in urls]
    begin = threading.Barrier(len(databases))

    def open_it(database: Database) -> None:
        begin.wait(60)
        database.open()

    with ThreadPoolExecutor(len(databases)) as threads:
        list(threads.map(open_it, databases))
    for database in databases:
        assert usernames(database) == []
        database.close()


def test_a_new_file_that_many_connect_to_at_once_lets_all_in(tmp_path: Path) -> None:
    number = 4
    begin = threading.Barrier(number)

    def connect(engine: Engine) -> str:
        begin.wait(60)
        with engine.connect() as connection:
            mode = connection.execute(text("PRAGMA journal_mode")).scalar_one()
        engine.dispose()
        return str(mode)

    with ThreadPoolExecutor(number) as threads:
        for round_ in range(30):
            url = f"sqlite:///{tmp_path / str(round_)}"
            engines = [backends.create(url, 15) for _ in range(number)]
            assert list(threads.map(connect, engines)) == ["wal"] * number


def test_a_later_versions_database_is_refused_and_left_as_it_is(database: Database) -> None:
    fill(database)
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION} SET version_num = '9999'"))
    later = Database(url=database.url)
    for _ in range(2):
        with pytest.raises(NewerSchema, match=r"newer version .*: install"):
            later.open()
    later.close()
    assert usernames(database) == ["ada"]


def test_a_migration_that_fails_leaves_nothing_behind(database_url: str) -> None:
    engine = backends.create(database_url, 5)
    with engine.begin() as connection:
        # The last table that the first migration makes.
        connection.execute(text("CREATE TABLE activities (id INTEGER)"))
    with pytest.raises(sa.exc.DBAPIError):
        upgrade(engine)
    assert inspect(engine).get_table_names() == ["activities"]
    engine.dispose()


def test_a_start_that_has_nothing_to_migrate_waits_for_nobody(database: Database) -> None:
    with writing(database.url):
        second = Database(url=database.url, busy_timeout=0.1)
        second.open()
        second.close()


def test_a_table_that_is_copied_to_change_it_keeps_the_rows_that_refer_to_it(
    database: Database,
) -> None:
    fill(database)
    before = counts(database.engine)
    assert set(before.values()) == {0, 1}
    with migrating(database.engine) as connection:
        operations = Operations(MigrationContext.configure(connection))
        copied = "always" if connection.dialect.name == "sqlite" else "never"
        with operations.batch_alter_table("notebooks", recreate=copied) as batch:
            batch.add_column(sa.Column("kind", sa.String(10)))
    assert counts(database.engine) == before
    # And what is deleted later takes its rows along again.
    with database.transaction() as session:
        session.execute(sa.delete(Notebook))
    after = counts(database.engine)
    assert (after["shares"], after["share_tokens"], after["share_passwords"]) == (0, 0, 0)
    assert after["activities"] == 1


def test_a_file_that_is_no_database_keeps_the_server_from_starting(tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite"
    file.write_text("These are notes, and no database at all.\n" * 100)
    database = Database(url=f"sqlite:///{file}")
    with pytest.raises(sa.exc.DatabaseError):
        database.open()
    database.close()
    assert file.read_text().startswith("These are notes")


def test_the_id_of_a_deleted_notebook_is_never_given_again(database: Database) -> None:
    fill(database)
    with database.transaction() as session:
        first = session.query(Notebook.id).scalar()
        session.execute(sa.delete(Notebook))
    again = Notebook(path="a.ipynb", uuid="other", short_id="other")
    with database.transaction() as session:
        session.add(again)
        session.flush()
        assert again.id > first


def test_sqlites_own_tool_finds_the_file_in_order(tmp_path: Path) -> None:
    database = Database(url=f"sqlite:///{tmp_path / 'a.sqlite'}")
    fill(database)
    database.close()
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
