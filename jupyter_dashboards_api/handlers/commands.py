"""The commands API: run a notebook, and what becomes of it. API: `specs/commands.md` §1."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import nbformat
from tornado.web import authenticated

from ..commands.convert_submission import CONVERT
from ..commands.history import history_query
from ..commands.intake import request_of, rerun_request
from ..commands.models import CommandInfo
from ..commands.results import columns, is_cut, unpacked
from ..commands.submission import KEY_FIELD, Refused
from ..commands.wire import MAX_NUMBER, read_number, seconds, user_id
from ..dashboards.outputs import MAX_INLINED
from ..errors import Conflict, InvalidRequest, NotFound, Unreadable
from .commands_base import CommandsAPIHandler, command_model, content_disposition, json_with

NOT_DONE = "Command is not done. Results are unavailable."
NOT_KEPT = "The outputs of this command are not kept any more."


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
        await self.send_new(command)

    @authenticated
    async def get(self) -> None:
        """The history, newest first."""
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        query = history_query(given, self.caller.name, datetime.now(UTC))
        wanted, is_empty = query.wanted, query.is_empty
        if query.user_id is not None:
            names = await self.commands.store.owners()
            # Several names may have one number.
            owners = tuple(name for name in names if user_id(name) == query.user_id)
            wanted, is_empty = replace(wanted, owners=owners), is_empty or not owners
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

    async def send_file(self, command: CommandInfo) -> None:
        """Sends the file that a conversion has made. Raises `NotFound`, or `Unreadable` when it is not kept any more."""
        if command.command_type != CONVERT:
            raise NotFound("This command has made no file.")
        file = await self.commands.store.file_of(command.id)
        if file is None:
            raise Unreadable(NOT_KEPT if command.status == "done" else NOT_DONE)
        is_html = file.mime == "text/html"
        if is_html:
            # It is a user's content on this server's origin: its scripts are of no origin.
            self.set_header("Content-Security-Policy", "sandbox allow-scripts")
        self.set_header("Content-Disposition", content_disposition(file.name))
        self.set_header("X-Content-Type-Options", "nosniff")
        sending = self.send_bytes(
            file.data, f"{file.mime}; charset=UTF-8" if is_html else file.mime
        )
        del file
        await sending


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
        body = self.body()
        if body and body.get("status") != "kill":
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
        await self.send_new(new)


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
            elif self.flag("inline"):
                await self.send_bytes(await self._file(command))
            else:
                self.send({"inline": False, "result_location": _locations(command)})
            return
        await self.send_bytes(await self._answer(command))

    async def _answer(self, command: CommandInfo) -> bytes:
        found = await self.commands.store.result_of(command.id)
        if found is None:
            raise Unreadable(NOT_KEPT)
        text, raw = found[0], self.flag("raw")
        return await self.made(len(text), lambda: _results({}, text, raw=raw))

    async def _file(self, command: CommandInfo) -> bytes:
        """The file in the answer itself, as one client asks for it that can follow no place: as text, or base64."""
        file = await self.commands.store.file_of(command.id)
        if file is None:
            raise Unreadable(NOT_KEPT)
        is_text = file.mime == "text/html"
        model = {
            "inline": True,
            "result_location": _locations(command),
            "encoding": None if is_text else "base64",
        }

        def make() -> bytes:
            text = file.data.decode() if is_text else base64.b64encode(file.data).decode()
            return json_with(model, "results", text)

        return await self.made(len(file.data), make)


class CommandFileHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/file`: what a conversion has made."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        # Of one whose mail has failed the file is there.
        if command.status not in ("done", "error"):
            raise Unreadable(NOT_DONE)
        await self.send_file(command)


class CommandStatusResultsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/status_with_results`."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        await self.send_bytes(await self._answer(command))

    async def _answer(self, command: CommandInfo) -> bytes:
        model = {
            "id": str(command.id),
            "status": command.status,
            "progress": command.progress,
            "error": command.error,
            "path": command_model(command)["path"],
        }
        if command.status == "done" and command.command_type == CONVERT:
            place = {"inline": False, "results": None, "result_location": _locations(command)}
            return json.dumps({**model, **place}).encode()
        is_done = command.status == "done"
        found = await self.commands.store.result_of(command.id) if is_done else None
        if found is None:
            return json.dumps({**model, "inline": True, "results": None}).encode()
        text, raw = found[0], self.flag("raw")
        return await self.made(len(text), lambda: _results(model, text, raw=raw))


class CommandLogsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/logs`: the log as text, whole or what is new since an offset in bytes."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        new = await self._since(command, self._offset("err_file_processed"))
        # All of it is kept from the beginning (`err`): the log that may still be lost (`tmp`) has always nothing. The
        # Python client counts in bytes and prints that many characters from the end, so only what is new is sent.
        self._offset("tmp_file_processed")
        self.set_header("err_length", str(len(new)))
        self.set_header("tmp_length", "0")
        self.set_header("X-Content-Type-Options", "nosniff")
        sending = self.send_bytes(new, "text/plain; charset=UTF-8")
        del new
        await sending

    async def _since(self, command: CommandInfo, offset: int) -> bytes:
        log = await self.commands.store.log_of(command.id)
        return await self.made(len(log), lambda: log.encode()[offset:])

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
        await self.send_bytes(await self._answer(command))

    async def _answer(self, command: CommandInfo) -> bytes:
        failed = command.status == "error"
        log = await self.commands.store.log_of(command.id) if failed else ""
        return await self.made(len(log), lambda: json_with({}, "error_log", log))


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
        kind = "application/x-ipynb+json"
        if wanted == "html":
            kind = "text/html; charset=UTF-8"
            # It is a user's content on this server's origin: its scripts are of no origin.
            self.set_header("Content-Security-Policy", "sandbox allow-scripts")
        name = f"command-{command.id}.{wanted}"
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.set_header("X-Content-Type-Options", "nosniff")
        await self.send_bytes(await self._copy(command, as_page=wanted == "html"), kind)

    async def _copy(self, command: CommandInfo, *, as_page: bool) -> bytes:
        found = await self.commands.store.result_of(command.id)
        if found is None:
            raise Unreadable(NOT_KEPT if command.status == "done" else NOT_DONE)
        kept = found[1]
        if not kept:
            raise Unreadable("This conversion has not run its notebook: there is no executed copy.")

        data = await self.made(len(kept), lambda: unpacked(kept), is_slow=True)
        if not as_page:
            return data
        # Few at once: a page may have many times as much in it as its notebook, of pictures beside that.
        async with self.dashboards.cache.few_at_once:
            with self.dashboards.files_under_way.hold(MAX_INLINED):
                notebook = await asyncio.to_thread(nbformat.reads, data.decode(), 4)
                return await self.commands.converter.convert(
                    notebook, command.path, "html", is_note=True, show_code=True
                )


def _locations(command: CommandInfo) -> list[str]:
    return [f"commands/{command.id}/results?raw=true"]


def _results(model: Mapping[str, Any], text: str, *, raw: bool) -> bytes:
    """The answer with the outputs as text; it says so where there were more than are kept."""
    cut = {"truncated": True} if is_cut(text) else {}
    return json_with({**model, "inline": True, **cut}, "results", text if raw else columns(text))
