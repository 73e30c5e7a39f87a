"""What is done when the database is away, or the machine is short of something: it is asked again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import DashboardsError, Unavailable

T = TypeVar("T")

AGAIN = 2.0
"""Seconds after which a database that did not answer is asked again."""


async def insist(work: Callable[[], Awaitable[T]], again: float = AGAIN) -> T:
    """What `work` answers, asked again and again while the database is away: a command that runs outlasts that."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(again)


def log_failure(log: logging.Logger, error: Exception) -> None:
    """Says why a queue's work has failed this time.

    No error ends a queue: a machine that is short of threads or files has them again later, as a database is back.
    """
    if isinstance(error, DashboardsError):
        log.error("Commands: %s", error.message)
    else:
        log.error("Commands", exc_info=error)
