"""The commands API: run a notebook, and what becomes of it. API: `specs/commands.md` §1."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

from tornado.web import authenticated

from ..commands.models import STATUSES, CommandInfo, Filter, Submission
from ..commands.results import unpacked
from ..commands.submission import Refused, RunRequest, run_request
from ..dashboards.contents import clean_path
from ..errors import InvalidRequest, NotFound, Unreadable
from ..notebooks.registry import NotebookId
from .commands_base import CommandsAPIHandler, command_model

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 10
DEFAULT_DAYS = 30

NOT_DONE = "Command is not done. Results are unavailable."


class CommandsHandler(CommandsAPIHandler):
    """`/api/v1.2/commands`: submit, and the history."""

    @authenticated
    async def post(self) -> None:
        """Submits a command; it waits then."""
        request = run_request(self.body(), self.request.headers.get("Idempotency-Key"))
        notebook = await self._notebook(request)
        command = await self.commands.submit(_submission(request, notebook, self.caller.name))
        self.send(command_model(command))

    async def _notebook(self, request: RunRequest) -> NotebookId:
        """The notebook that is to be run, as it is now. Raises `Refused`."""
        if request.note_id is not None:
            known = await self.commands.notebooks.by_id(request.note_id)
            missing = f"There is no spark notebook for account 1 with Id: {request.note_id}"
        else:
            try:
                path = clean_path(request.path or "")
            except InvalidRequest as error:
                raise Refused(error.message) from error
            missing = f"There is no notebook at the path {request.path}"
            entry = await self.commands.contents.stat(path)
            if entry is None or entry.kind != "notebook":
                raise Refused(missing)
            known = await self.commands.notebooks.identify(path)
        if known is None:
            raise Refused(missing)
        entry = await self.commands.contents.stat(known.path)
        if entry is None or entry.kind != "notebook":
            raise Refused(missing)
        return known

    @authenticated
    async def get(self) -> None:
        """The history, newest first."""
        page = self._number("page", 1)
        per_page = min(self._number("per_page", DEFAULT_PER_PAGE), MAX_PER_PAGE)
        found, more = await self.commands.store.history(
            self._filter(), per_page, (page - 1) * per_page
        )
        properties = self.flag("include_query_properties")
        self.send(
            {
                "commands": [command_model(each, with_properties=properties) for each in found],
                "paging_info": {
                    "previous_page": page - 1 if page > 1 else None,
                    "next_page": page + 1 if more else None,
                    "per_page": per_page,
                },
            }
        )

    def _filter(self) -> Filter:
        end = self._time("end_date", time.max) or datetime.now(UTC)
        start = self._time("start_date", time.min) or end - timedelta(days=DEFAULT_DAYS)
        statuses = self._words("status")
        unknown = set(statuses) - STATUSES
        if unknown:
            raise InvalidRequest(f"status {min(unknown)[:40]!r} is unknown.")
        command_id = self.get_query_argument("command_id", "")
        return Filter(
            owner=None if self.flag("all_users") else self.caller.name,
            since=start,
            until=end,
            command_types=self._words("command_type"),
            statuses=statuses,
            source=self.get_query_argument("command_source", "") or None,
            name=self.get_query_argument("name", "") or None,
            label=self.get_query_argument("cluster_label", "") or None,
            tags=self._words("tags") or self._words("tag"),
            command_id=self._number("command_id", 1) if command_id else None,
        )

    def _words(self, name: str) -> tuple[str, ...]:
        words = self.get_query_argument(name, "").split(",")
        return tuple(word.strip() for word in words if word.strip())

    def _number(self, name: str, default: int) -> int:
        text = self.get_query_argument(name, "") or str(default)
        if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
            raise InvalidRequest(f"{name} must be a whole number from 1.")
        return int(text[:9])

    def _time(self, name: str, of_day: time) -> datetime | None:
        text = self.get_query_argument(name, "")
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError as error:
            raise InvalidRequest(f"{name} must be YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ.") from error
        if len(text) == len("YYYY-MM-DD"):
            found = datetime.combine(found.date(), of_day)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class _CommandHandler(CommandsAPIHandler):
    """One command; anyone who may see commands may see any."""

    async def command(self, command_id: str) -> CommandInfo:
        """The command of the URL. Raises `NotFound`."""
        if len(command_id) > 18:
            raise NotFound("There is no such command.")
        return await self.commands.store.get(int(command_id))


class CommandHandler(_CommandHandler):
    """`/api/v1.2/commands/ID`: the command, and its end."""

    @authenticated
    async def get(self, command_id: str) -> None:
        """The command object."""
        command = await self.command(command_id)
        model = command_model(command, with_properties=self.flag("include_query_properties"))
        model["attempts"] = [
            {
                "number": each.number,
                "outcome": each.outcome,
                "reason": each.reason,
                "kernel_id": each.kernel_id,
                "start_time": int(each.started_at.timestamp()),
                "end_time": int(each.ended_at.timestamp()) if each.ended_at else None,
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


class CommandResultsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/results`: the outputs as text, once it is done."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        if command.status != "done":
            raise Unreadable(NOT_DONE)
        found = await self.commands.store.result_of(command.id)
        text = found[0] if found else ""
        if self.flag("raw"):
            self.set_header("X-Content-Type-Options", "nosniff")
            self.finish(text, set_content_type="text/plain; charset=UTF-8")
            return
        self.send({"inline": True, "results": text})


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
                "inline": True,
                "results": found[0] if found and command.status == "done" else None,
                "path": model["path"],
            }
        )


class CommandLogsHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/logs`: the log as text, whole or what is new since an offset in bytes."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        data = (await self.commands.store.log_of(command.id)).encode()
        # While it runs, the log is the one that may still be lost (`tmp`); afterwards it is kept (`err`).
        seen = self._offset("err_file_processed") + self._offset("tmp_file_processed")
        new = data[seen:]
        kept = len(new) if command.is_final else 0
        self.set_header("err_length", str(kept))
        self.set_header("tmp_length", str(len(new) - kept))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.finish(new, set_content_type="text/plain; charset=UTF-8")

    def _offset(self, name: str) -> int:
        text = self.get_query_argument(name, "") or "0"
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            raise InvalidRequest(f"{name} must be a whole number from 0.")
        return int(text)


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
        await self.command(command_id)
        self.send([])


class CommandNotebookHandler(_CommandHandler):
    """`/api/v1.2/commands/ID/notebook`: the executed copy of the notebook, with its outputs, as a file."""

    @authenticated
    async def get(self, command_id: str) -> None:
        command = await self.command(command_id)
        found = await self.commands.store.result_of(command.id)
        if found is None:
            raise Unreadable(NOT_DONE)
        data = await asyncio.to_thread(unpacked, found[1])
        self.set_header("Content-Disposition", f'attachment; filename="command-{command.id}.ipynb"')
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.finish(data, set_content_type="application/x-ipynb+json")


def _submission(request: RunRequest, notebook: NotebookId, owner: str) -> Submission:
    is_jupyter = request.command_type == "JupyterNotebookCommand"
    shown: dict[str, Any] = {
        "cmdline": None,
        "language": "notebook",
        "note_id": notebook.id,
        "program": None,
        "arguments": request.arguments_text,
        "user_program_arguments": None,
        "sql": None,
        "md_cmd": True,
        "app_id": None,
        "retry": request.retry,
    }
    if is_jupyter:
        shown |= {
            "path": request.path,
            "upload_to_source": request.upload_to_source,
            "retry_delay": request.retry_delay,
        }
    return Submission(
        command_type=request.command_type,
        owner=owner,
        path=notebook.path,
        notebook_id=notebook.id,
        payload={
            "command": shown,
            "argument_values": json.loads(json.dumps(request.arguments)),
            "can_notify": request.can_notify,
            "pool": request.pool,
            "upload_to_source": request.upload_to_source,
        },
        request_hash=request.request_hash,
        name=request.name,
        tags=request.tags,
        label=request.label,
        priority=request.priority,
        timeout=request.timeout,
        retry=request.retry,
        retry_delay=request.retry_delay,
        idempotency_key=request.idempotency_key,
    )
