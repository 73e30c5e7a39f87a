"""What is due is found by an index, however many schedules are not, and however many runs there have been."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import event, insert, select, text

from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.database.schedule_tables import Schedule, ScheduleAction
from jupyter_dashboards_api.database.tables import now
from jupyter_dashboards_api.schedules.models import Bounds
from jupyter_dashboards_api.schedules.store import ScheduleStore

from .test_firing import hourly, notebook

COUNT = 3000


async def test_a_look_reads_no_table_as_a_whole(database: Database) -> None:
    store = ScheduleStore(database, Bounds())
    number = await notebook(database)
    await store.create([hourly(number, since=now() + timedelta(days=365))])
    _add_many(database)
    if not database.is_shared:
        # SQLite learns how large its tables are when it is told to only.
        assert await _read_as_a_whole(database, store) == []
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    assert await _read_as_a_whole(database, store) == []


async def _read_as_a_whole(database: Database, store: ScheduleStore) -> list[str]:
    """The steps of the queries of a look that read a whole table of schedules."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    await store.look(now())
    event.remove(database.engine, "before_cursor_execute", note)
    assert len(asked) >= 4
    word = "EXPLAIN" if database.is_shared else "EXPLAIN QUERY PLAN"
    with database.engine.connect() as connection:
        steps = [
            str(row[-1])
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"{word} {statement}", parameters)
        ]
    return [
        step
        for step in steps
        if "Seq Scan on schedule" in step or (step.startswith("SCAN") and "USING" not in step)
    ]


def _add_many(database: Database) -> None:
    """More schedules that are not due, and runs that everybody has been told of."""
    moment = now()
    with database.transaction() as session:
        row = session.scalars(select(Schedule).limit(1)).one()
        names = [each.name for each in Schedule.__table__.columns if each.name != "id"]
        like = {name: getattr(row, name) for name in names}
        schedules = [
            {**like, "look_at": moment + timedelta(days=30, seconds=number)}
            for number in range(COUNT)
        ]
        session.execute(insert(Schedule), schedules)
        runs = [
            {
                "schedule_id": row.id,
                "sequence_id": number,
                "nominal_time": moment - timedelta(seconds=number),
                "status": "error",
                "told_at": moment,
            }
            for number in range(COUNT)
        ]
        session.execute(insert(ScheduleAction), runs)
