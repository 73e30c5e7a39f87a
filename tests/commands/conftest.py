"""Fixtures of the tests that run commands through a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

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
