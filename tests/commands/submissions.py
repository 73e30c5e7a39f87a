"""Commands to submit, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from jupyter_dashboards_api.commands.models import CommandInfo, Submission
from jupyter_dashboards_api.commands.store import CommandStore

SECONDS = 20.0
LOG = logging.getLogger("test")


def wanted(**fields: Any) -> Submission:
    return Submission(
        **{
            "command_type": "SparkCommand",
            "owner": "ann",
            "path": "a.ipynb",
            "notebook_id": None,
            "payload": {},
            "request_hash": "x",
            **fields,
        }
    )


async def until(store: CommandStore, number: int, *statuses: str) -> CommandInfo:
    async with asyncio.timeout(SECONDS):
        while (command := await store.get(number)).status not in statuses:
            await asyncio.sleep(0.01)
        return command


async def said(text: str, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(SECONDS):
        while text not in caplog.text:
            await asyncio.sleep(0.01)
