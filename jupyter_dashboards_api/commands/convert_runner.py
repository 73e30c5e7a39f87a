"""Carries out one attempt of a conversion: runs the notebook first if asked to, makes the file, mails it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import nbformat

from ..conversion.converter import MIME_TYPES, NotebookConverter
from ..dashboards.contents import ContentsStore
from ..errors import DashboardsError
from .logs import CommandLogger
from .mail import Attachment, Mailer, MailFailed, Stages
from .models import CommandInfo, Outcome, ResultFile
from .results import unpacked

MAX_FILE_BYTES = 200 * 1024 * 1024
"""A larger file is not kept: it is a row of the database."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff/\\]+")


class ConvertRunner:
    """Converts notebooks."""

    def __init__(
        self,
        *,
        run: Callable[[CommandInfo, CommandLogger], Awaitable[Outcome]],
        contents: ContentsStore,
        converter: NotebookConverter,
        mailer: Mailer,
        stages: Stages,
    ) -> None:
        """`run` runs a command's notebook; `contents` is the whole contents manager."""
        self._run = run
        self._contents = contents
        self._converter = converter
        self._mailer = mailer
        self._stages = stages

    async def run(self, command: CommandInfo, log: CommandLogger) -> Outcome:
        """How the attempt ended. What was run is kept, whatever becomes of the conversion."""
        asked = command.payload["command"]
        executed = b""
        limit = asyncio.timeout_at(_end_of(command))
        try:
            if asked["execute"]:
                outcome = await self._run(command, log)
                if outcome.status != "done":
                    return outcome
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # The run had ended already, and was kept.
                    return replace(outcome, status="cancelled", retryable=False)
                executed = outcome.notebook
                data = await asyncio.to_thread(unpacked, executed)
                notebook = await asyncio.to_thread(nbformat.reads, data.decode(), 4)
            else:
                notebook, _ = await self._contents.notebook(command.path)
            kind = asked["fileFormat"]
            log.say(f"Converting to {kind}.")
            async with limit:
                made = await self._converter.convert(
                    notebook,
                    command.path,
                    kind,
                    is_note=asked["resourceType"] == "Note",
                    show_code=asked["showCode"],
                )
            if len(made) > MAX_FILE_BYTES:
                raise DashboardsError(f"The file has {len(made)} bytes, which is too much.")
        except asyncio.CancelledError:
            if not executed:
                raise
            return Outcome("cancelled", retryable=False, notebook=executed)
        except TimeoutError:
            # Some come from the network, without a limit.
            message = (
                f"The conversion took longer than {command.timeout:g} s."
                if limit.expired()
                else "The notebook could not be converted: something did not answer in time."
            )
            log.say(message)
            return Outcome("error", {"message": message}, retryable=True, notebook=executed)
        except DashboardsError as failed:
            log.say(failed.message)
            return Outcome("error", {"message": failed.message}, notebook=executed)
        file = ResultFile(file_name(command.path, kind), MIME_TYPES[kind], made)
        log.say(f"{file.name}: {len(made)} bytes.")
        addresses = command.payload.get("addresses", [])
        if addresses:
            attachment = Attachment(file.name, file.mime, file.data)
            text = f"{file.name}, as it was asked for by {command.owner} (command {command.id})."
            try:
                await self._mailer.deliver(
                    command, log, self._stages, addresses, file.name, text, [attachment]
                )
            except MailFailed as failed:
                error = {"message": failed.message}
                return Outcome("error", error, failed.retryable, notebook=executed, file=file)
        log.say("Done.")
        return Outcome("done", notebook=executed, file=file)


def _end_of(command: CommandInfo) -> float | None:
    """When the attempt must have its file, running and drawing together, by the event loop's clock."""
    if command.timeout is None:
        return None
    return asyncio.get_running_loop().time() + command.timeout


def file_name(path: str, kind: str) -> str:
    """A name for the file of a notebook, without what could end a header or leave a folder."""
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".ipynb")
    if stem == "index" and folder:
        stem = folder.rpartition("/")[2]
    return f"{_UNSAFE.sub('_', stem).strip('. ')[:120] or 'notebook'}.{kind}"
