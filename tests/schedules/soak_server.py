"""One server of the soak test, as a process: the real managers of schedules and commands, on a database of its test.

Its commands end at once, without kernels, and keep a journal of what they do that all servers share.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.manager import CommandsManager
from jupyter_dashboards_api.commands.models import CommandInfo, Outcome
from jupyter_dashboards_api.conversion.beside import PicturesBeside
from jupyter_dashboards_api.conversion.browser import PageBrowser
from jupyter_dashboards_api.conversion.converter import NotebookConverter
from jupyter_dashboards_api.dashboards.contents import ContentsStore
from jupyter_dashboards_api.dashboards.finder import DashboardFinder
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer
from jupyter_dashboards_api.dashboards.trust import Trust
from jupyter_dashboards_api.database.engine import Database
from jupyter_dashboards_api.notebooks.registry import NotebookRegistry
from jupyter_dashboards_api.schedules.manager import SchedulesManager


class QuickCommands(CommandsManager):
    """The real commands, whose body ends at once."""

    def __init__(self, *, journal: Path, name: str, **options: Any) -> None:
        # One write to it is one line, whoever writes at the same time, and stays when its writer is killed.
        self._file = os.open(journal, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._name = name
        super().__init__(**options)

    def _new_queue(self, *parts: Any) -> Any:
        self._run = self._end_at_once
        return super()._new_queue(*parts)

    async def added(self, command_ids: Sequence[int]) -> None:
        for each in command_ids:
            self._note("fired", each, 0)
        await super().added(command_ids)

    async def _end_at_once(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        self._note("begun", command.id, command.attempt)
        # As long as it takes that some are under way when a server is killed.
        await asyncio.sleep(0.5)
        self._note("done", command.id, command.attempt)
        return Outcome("done")

    def _note(self, what: str, command_id: int, attempt: int) -> None:
        line = json.dumps([what, self._name, command_id, attempt])
        os.write(self._file, f"{line}\n".encode())


def managers(url: str, folder: Path, name: str) -> tuple[Database, QuickCommands, SchedulesManager]:
    """What one server has on a database; its journal is in `folder`."""
    # The schedules' notebook is never read, but it must be there.
    (folder / "a.ipynb").touch()
    database = Database(url=url)
    contents = ContentsStore(AsyncLargeFileManager(root_dir=str(folder)))
    commands = QuickCommands(
        journal=folder / "journal",
        name=name,
        database=database,
        contents=contents,
        notebooks=NotebookRegistry(database, files=contents),
        kernel_manager=AsyncMappingKernelManager(),
        kernel_spec_manager=KernelSpecManager(),
        hidden_environment=(),
        converter=NotebookConverter(
            DashboardRenderer(),
            PageBrowser(),
            PicturesBeside(contents, DashboardFinder(contents), contents),
            contents,
            Trust([]),
        ),
        max_running_commands=16,
    )
    return database, commands, SchedulesManager(database=database, commands=commands)


async def serve(url: str, folder: Path, name: str) -> None:
    """Until it is told to end."""
    database, commands, schedules = managers(url, folder, name)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await commands.start()
    await schedules.start()
    print("ready", flush=True)
    await told.wait()
    await schedules.stop()
    await commands.stop()
    database.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
