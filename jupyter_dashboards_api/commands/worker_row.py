"""What Procrastinate's worker does with its row in the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procrastinate.connector import BaseConnector
    from procrastinate.manager import JobManager, NotificationCallback

_NEVER = 1e9
"""Seconds: whether another server is dead is not for its worker to say."""


def with_row(connector: BaseConnector, row: Callable[[], int], again: float) -> JobManager:
    """What lets a worker use the row of its server, which outlives it; `row` returns that one's id.

    By itself a worker that loses its connection stops its heartbeat, and comes back with another row, though what it has begun
    goes on; and it removes the rows of others, however short they were away. Both would make a server that lives look dead.
    Nor does it see that its listener has ended, which may happen when the database is away for a moment: here that one begins
    `again` after so many seconds.
    """
    from procrastinate.exceptions import ConnectorException
    from procrastinate.jobs import Status
    from procrastinate.manager import JobManager

    class WorkerRow(JobManager):
        async def register_worker(self) -> int:
            return row()

        async def unregister_worker(self, worker_id: int) -> None:
            pass

        async def update_heartbeat(self, worker_id: int) -> None:
            pass

        async def listen_for_jobs(
            self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
        ) -> None:
            while True:
                with contextlib.suppress(ConnectorException):
                    await super().listen_for_jobs(on_notification=on_notification, queues=queues)
                await asyncio.sleep(again)

        async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
            # Before a worker begins: not rows, but the jobs that a former one has left, or one whose server is gone.
            mine = await self.list_jobs_async(status="doing", worker_id=row())
            orphaned = await self.get_stalled_jobs(seconds_since_heartbeat=_NEVER)
            for job in (*mine, *orphaned):
                if job.id is not None:
                    # Another server may be doing the same.
                    with contextlib.suppress(ConnectorException):
                        await self.finish_job_by_id_async(job.id, Status.ABORTED, delete_job=True)
            return []

    return WorkerRow(connector)
