"""Fixtures of the tests that run commands through a server, or store them without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_dashboards_api.commands import results, runner
from jupyter_dashboards_api.commands.store import CommandStore
from jupyter_dashboards_api.database.engine import Database
from tests.conftest import Fetch
from tests.handlers.command_client import CommandClient


@pytest.fixture
def client(
    fetch: Fetch, jp_serverapp: Any, jp_asyncio_loop: Any, dashboards: Any
) -> Iterator[CommandClient]:
    """A client of the commands API, with the owner's token, of a server that runs commands."""
    jp_asyncio_loop.run_until_complete(dashboards.commands.start())
    yield CommandClient(fetch, jp_serverapp.identity_provider.token)
    jp_asyncio_loop.run_until_complete(dashboards.commands.stop())


class HoldEnd:
    """Keeps runs whose cells have ended from packing what they leave, until they may."""

    def __init__(self) -> None:
        self._is_there, self._may_go = threading.Event(), threading.Event()

    def text_of(self, *given: Any) -> str:
        self._is_there.set()
        assert self._may_go.wait(30)
        return results.text_of(*given)

    async def until_there(self) -> None:
        """Waits until a run has come to its end."""
        assert await asyncio.to_thread(self._is_there.wait, 30)

    def release(self) -> None:
        """They may go on."""
        self._may_go.set()


@pytest.fixture
def hold_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[HoldEnd]:
    """Holds all runs of the test's server at their end."""
    held = HoldEnd()
    monkeypatch.setattr(runner, "text_of", held.text_of)
    yield held
    held.release()


@pytest.fixture
def store(database: Database) -> CommandStore:
    return CommandStore(database)
