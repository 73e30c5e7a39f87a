"""The commands API: run a notebook, and what becomes of it. API: `specs/commands.md` §1."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tornado.web import authenticated

from ..commands.convert_submission import CONVERT
from ..commands.copy_page import copy_page
from ..commands.history import history_query
from ..commands.intake import request_of, rerun_request
from ..commands.models import CommandInfo
from ..commands.results import columns, unpacked
from ..commands.submission import KEY_FIELD, Refused
from ..commands.wire import MAX_NUMBER, read_number, seconds, user_id
from ..errors import Conflict, InvalidRequest, NotFound, Unreadable
from .commands_base import CommandsAPIHandler, command_model, content_disposition

NOT_DONE = "Command is not done. Results are unavailable."


class CommandsHandler(CommandsAPIHandler):
    """`/api/v1.2/commands`: submit, and the history."""

    @authenticated
    async def post(self) -> None:
        """Submits a command; it waits then."""
        header = self.request.headers.get("Idempotency-Key")
        request = await asyncio.to_thread(lambda: request_of(self.body(), header))
        owner, key = self.caller.name, request.idempotency_key
        try:
            # Before its notebook is looked for, which may be gone by now.
            command = await self.commands.store.known(owner, key, request.request_hash)
            if command is None:
                submission = await self.commands.intake.submission(request, owner)
                command = await self.commands.submit(submission)
        except Conflict as error:
            raise Refused(error.message) from error
        throttled = await self.commands.throttled([command])
        model = command_model(command, throttled=command.id in throttled)
        if command.callback_secret is not None:
            # This once.
            model["callback_secret"] = command.callback_secret
        self.send(model)

    @authenticated
    async def get(self) -> None:
        """The history, newest first."""
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        query = history_query(given, self.caller.name, datetime.now(UTC))
        wanted, is_empty = query.wanted, query.is_empty
        if query.user_id is not None:
            names = await self.commands.store.owners()
            owner = next((name for name in names if user_id(name) == query.user_id), None)
            wanted, is_empty = replace(wanted, owner=owner), is_empty or owner is None
        found: list[CommandInfo] = []
        more = False
        if not is_empty:
            found, more = await self.commands.store.history(wanted, query.per_page, query.offset)
        throttled = await self.commands.throttled(found)
        self.send(
            {
                "commands": [
                    command_model(
                        each,
                        with_properties=query.with_properties,
                        throttled=each.id in throttled,
                    )
                    for each in found
                ],
                "paging_info": query.paging_info(more),
            }
        )


class _CommandHandler(CommandsAPIHandler):
    """One command; anyone who may see commands may see any."""

    async def command(self, command_id: str) -> CommandInfo:
        """The command of the URL. Raises `NotFound`."""
        number = read_number(command_id)
        if number is None:
            raise NotFound("There is no such command.")
        return await self.commands.store.get(number)

    async def send_file(self, command: CommandInfo) -> None:
        """Sends the file that a conversion has made. Raises `NotFound`."""
        file = await self.commands.store.file_of(command.id)
        if file is None:
            raise NotFound("This command has made no file.")
        is_html = file.mime == "text/html"
        if is_html:
            # It is a user's content on this server's origin: its scripts are of no origin.
            self.set_header("Content-Security-Policy", "sandbox allow-scripts")
        self.set_header("Content-Disposition", content_disposition(file.name))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        kind = f"{file.mime}; charset=UTF-8" if is_html else file.mime
        self.finish(file.data, set_content_type=kind)


class CommandHandler(_CommandHandler):
    """`/api/v1.2/commands/ID`: the command, and its end."""

    @authenticated
    async def get(self, command_id: str) -> None:
        """The command object."""
        command = await self.command(command_id)
        model = command_model(
            command,
            with_properties=self.flag("include_query_properties"),
            throttled=command.id in await self.commands.throttled([command]),
        )
        model["attempts"] = [
            {
                "number": each.number,
                "outcome": each.outcome,
                "reason": each.reason,
                "kernel_id": each.kernel_id,
                "start_time": seconds(each.started_at),
                "end_time": seconds(each.ended_at),
            }
            for each in await self.commands.store.attempts(command.id)
        ]
        self.send(model)

    @authenticated
    async def put(self, command_id: str) -> None:
        """Cancels: `{"status": "kill"}`, or, as one client does it, nothing."""
        command = await self.command(command_id)
        status = self.body().get("status", "kill")
        if status != "kill":
            raise Unreadable("status must be kill.")
        killed, command = await self.commands.cancel(command.id)
        answer: dict[str, Any] = {"kill_succeeded": killed, "status": command.status}
        if not killed:
            answer["result"] = f"The command is {command.status} already."
        self.send(answer)

    @authenticated
    async def delete(self, command_id: str) -> None:
        """Deletes a command that has ended, with its log and results."""
        command = await self.command(command_id)
        await self.commands.remove(command.id)
        self.send({"id": command.id, "deleted": True})


class CommandRerunHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/rerun`: the same command once more, as a new one."""

    @authenticated
    async def post(self, command_id: str) -> None:
        """Submits it; the answer is the new command. Clients send an empty body."""
        command = await self.command(command_id)
        key = self.request.headers.get("Idempotency-Key") or self.body().get(KEY_FIELD)
        request = rerun_request(command, self.caller.name, key)
        try:
            new = await self.commands.store.known(
                request.owner, request.idempotency_key, request.request_hash
            )
            if new is None:
                new = await self.commands.submit(await self.commands.intake.again(request))
        except Conflict as error:
            raise Refused(error.message) from error
        throttled = await self.commands.throttled([new])
        self.send(command_model(new, throttled=new.id in throttled))


class CommandResultsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/results`: the outputs as text, once it is done."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        if command.status != "done":
            raise Unreadable(NOT_DONE)
        if command.command_type == CONVERT:
            if self.flag("raw"):
                await self.send_file(command)
            else:
                self.send({"inline": False, "result_location": _locations(command)})
            return
        found = await self.commands.store.result_of(command.id)
        text = found[0] if found else ""
        if self.flag("raw"):
            self.set_header("X-Content-Type-Options", "nosniff")
            self.set_header("Cache-Control", "no-store")
            self.finish(text, set_content_type="text/plain; charset=UTF-8")
            return
        self.send({"inline": True, "results": columns(text)})


class CommandFileHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/file`: what a conversion has made."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        if command.status != "done":
            raise Unreadable(NOT_DONE)
        await self.send_file(command)


class CommandStatusResultsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/status_with_results`."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        found = await self.commands.store.result_of(command.id) if command.is_final else None
        model = command_model(command)
        self.send(
            {
                "id": str(command.id),
                "status": command.status,
                "progress": command.progress,
                "error": command.error,
                **_results(command, found[0] if found else None, raw=self.flag("raw")),
                "path": model["path"],
            }
        )


class CommandLogsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/logs`: the log as text, whole or what is new since an offset in bytes."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        data = (await self.commands.store.log_of(command.id)).encode()
        # All of it is kept from the beginning (`err`): the log that may still be lost (`tmp`) has always nothing. The
        # Python client counts in bytes and prints that many characters from the end, so only what is new is sent.
        new = data[self._offset("err_file_processed") :]
        self._offset("tmp_file_processed")
        self.set_header("err_length", str(len(new)))
        self.set_header("tmp_length", "0")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.finish(new, set_content_type="text/plain; charset=UTF-8")

    def _offset(self, name: str) -> int:
        offset = read_number(self.get_query_argument(name, "") or "0")
        if offset is None:
            raise InvalidRequest(f"{name} must be a whole number from 0 to {MAX_NUMBER}.")
        return offset


class CommandErrorLogsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/error_logs`: why a command has failed."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        failed = command.status == "error"
        log = await self.commands.store.log_of(command.id) if failed else ""
        self.send({"error_log": log})


class CommandJobsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/jobs`: the jobs of a cluster that a finished command has run; of local kernels, none."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        self.send(list(command.payload.get("jobs", [])))


class CommandNotebookHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/notebook`: the executed copy of the notebook, with its outputs, as a file.

    With `?format=html` as a page that needs no server.
    """

    @authenticated
    async def get(self, command_id: str) -> None:
        wanted = self.get_query_argument("format", "ipynb")
        if wanted not in ("ipynb", "html"):
            raise InvalidRequest("format must be ipynb or html.")
        command = await self.command(command_id)
        found = await self.commands.store.result_of(command.id)
        if found is None:
            raise Unreadable(NOT_DONE)
        data = await asyncio.to_thread(unpacked, found[1])
        kind, media_type = "ipynb", "application/x-ipynb+json"
        if wanted == "html":
            data = await asyncio.to_thread(copy_page, data, command.path)
            kind, media_type = "html", "text/html; charset=UTF-8"
            # It is a user's content on this server's origin.
            self.set_header("Content-Security-Policy", "sandbox")
        name = f"command-{command.id}.{kind}"
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.finish(data, set_content_type=media_type)


def _locations(command: CommandInfo) -> list[str]:
    return [f"commands/{command.id}/results?raw=true"]


def _results(command: CommandInfo, text: str | None, *, raw: bool) -> dict[str, Any]:
    if command.command_type == CONVERT and command.status == "done":
        return {"inline": False, "results": None, "result_location": _locations(command)}
    if command.status != "done":
        return {"inline": True, "results": None}
    return {"inline": True, "results": text if raw else columns(text or "")}
