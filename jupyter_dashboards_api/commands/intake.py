"""What is asked for, checked against what is there: from a request, or from a command that has ended, to a submission."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from jupyter_core.utils import ensure_async

from ..conversion.converter import NotebookConverter
from ..dashboards.contents import ContentsStore, clean_path
from ..errors import DashboardsError, Forbidden, InvalidRequest, NotFound, Unreadable
from ..notebooks.registry import NotebookId, NotebookRegistry
from .callbacks import own_address
from .clusters import Cluster, check_cluster, cluster_of, named_kernelspec
from .convert_submission import CONVERT, ConvertRequest, convert_request
from .mail import Mailer
from .models import CommandInfo, Submission
from .parameters import check_names, declared, language_of, unknown_names
from .submission import KEY_FIELD, MAX_KEY, Refused, RunRequest, run_request, text

_OF_RUN = ("jobs", "unknown_arguments", "cell_names")
_GONE = "The notebook of this command is not there any more."


def request_of(
    body: Mapping[str, Any], key: str | None, *, nominal: datetime | None = None
) -> RunRequest | ConvertRequest:
    """The request of a body; `key` is the idempotency key of a header, `nominal` the time that macros start from.

    For a thread: a large body takes a while. Raises `Refused`.
    """
    if body.get("command_type") == CONVERT:
        return convert_request(body, key, nominal=nominal)
    return run_request(body, key, nominal=nominal)


def rerun_request(command: CommandInfo, owner: str, key: Any) -> Submission:
    """The same command once more; macros keep the values that they had. Raises `Refused` for one that has not ended."""
    if not command.is_final:
        raise Refused(f"The command is {command.status}; it can be run again when it has ended.")
    return Submission(
        command_type=command.command_type,
        owner=owner,
        path=command.path,
        notebook_id=command.notebook_id,
        payload={
            **{name: value for name, value in command.payload.items() if name not in _OF_RUN},
            "rerun_of": command.id,
        },
        request_hash=hashlib.sha256(f"rerun {command.id}".encode()).hexdigest(),
        name=command.name,
        tags=command.tags,
        label=command.label,
        priority=command.priority,
        timeout=command.timeout,
        retry=command.retry,
        retry_delay=command.retry_delay,
        idempotency_key=text({KEY_FIELD: key}, KEY_FIELD, MAX_KEY),
    )


class CommandIntake:
    """Makes submissions. Each method raises `Refused` for what can't be carried out as it is."""

    def __init__(
        self,
        *,
        notebooks: NotebookRegistry,
        contents: ContentsStore,
        converter: NotebookConverter,
        mailer: Mailer,
        clusters: Mapping[str, Cluster],
        kernel_spec_manager: Any,
    ) -> None:
        """`contents` is the whole of the server's contents manager, `clusters` the configured ones by label."""
        self._notebooks = notebooks
        self._contents = contents
        self._converter = converter
        self._mailer = mailer
        self._clusters = clusters
        self._specs = kernel_spec_manager

    async def submission(self, request: RunRequest | ConvertRequest, owner: str) -> Submission:
        """The command to store for a request."""
        if isinstance(request, ConvertRequest):
            kind = "notebook" if request.resource_type == "Note" else "notebook dashboard"
            missing = f"There is no {kind} for account 1 with resourceId: {request.resource_id}"
            notebook = await self._by_id(request.resource_id, missing)
        else:
            notebook = await self._to_run(request)
        made = self._with_mail(request.submission(notebook.path, notebook.id, owner))
        await self._check(made, notebook)
        return await self._told(made)

    async def of_body(self, body: Mapping[str, Any], owner: str) -> Submission:
        """The command that a body would make now, macros and all."""
        return await self.submission(await asyncio.to_thread(request_of, body, None), owner)

    async def again(self, rerun: Submission) -> Submission:
        """The command to store for a `rerun_request`, of the notebook as it is now."""
        if rerun.notebook_id is None:
            raise Refused(_GONE)
        notebook = await self._by_id(rerun.notebook_id, _GONE)
        shown = dict(rerun.payload["command"])
        if "path" in shown:
            shown["path"] = notebook.path
        made = replace(rerun, path=notebook.path, payload={**rerun.payload, "command": shown})
        made = self._with_mail(made)
        await self._check(made, notebook)
        return await self._told(made)

    async def language(self, metadata: Any) -> str:
        """The language of a notebook: as its metadata, which anybody may have written, says it, else its kernelspec's."""
        language = language_of(metadata)
        name = named_kernelspec(metadata) if isinstance(metadata, Mapping) else ""
        if language or not name:
            return language
        try:
            spec = await ensure_async(self._specs.get_kernel_spec(name))
        except Exception:
            # It is not installed, or a gateway does not answer: the run says so.
            return ""
        found = spec["spec"].get("language") if isinstance(spec, dict) else spec.language
        return str(found or "").lower()

    async def _by_id(self, notebook_id: int, missing: str) -> NotebookId:
        known = await self._notebooks.there(notebook_id)
        if known is None:
            raise Refused(missing)
        return known

    async def _to_run(self, request: RunRequest) -> NotebookId:
        if request.note_id is not None:
            missing = f"There is no spark notebook for account 1 with Id: {request.note_id}"
            return await self._by_id(request.note_id, missing)
        try:
            path = clean_path(request.path or "")
        except InvalidRequest as error:
            raise Refused(error.message) from error
        entry = await self._contents.stat(path)
        if entry is None or entry.kind != "notebook":
            # Noted, if one was there: what is put there later is another notebook.
            await self._notebooks.find(path)
            raise Refused("There is no notebook at this path.")
        return await self._notebooks.identify(path)

    async def _check(self, made: Submission, notebook: NotebookId) -> None:
        """Whether it can be carried out on this server, as far as that can be told now."""
        asked = made.payload["command"]
        is_conversion = made.command_type == CONVERT
        if is_conversion and made.payload.get("addresses") and not self._mailer.is_configured:
            raise Refused("mailIds: This server sends no mail; Mailer.host is not set.")
        try:
            if is_conversion:
                self._converter.require(asked["fileFormat"])
            if not is_conversion or asked["execute"]:
                cluster = cluster_of(made.label, self._clusters)
                if not cluster.label:
                    source, _ = await self._contents.notebook(notebook.path)
                    check_cluster(cluster, source.metadata, notebook.id)
        except Refused:
            raise
        except (Forbidden, NotFound, Unreadable) as error:
            # The file itself is at fault, not what the caller may do.
            raise Refused(error.message) from error

    def _with_mail(self, made: Submission) -> Submission:
        """With the owner's address, if a mail is asked for and can be sent: who runs it again gets it, not who ran it first."""
        if not (made.payload.get("can_notify") and self._mailer.is_configured):
            return made
        return replace(made, mail_to=own_address(made.owner))

    async def _told(self, made: Submission) -> Submission:
        """With the names of arguments that the notebook doesn't declare; the run looks again, in the kernel's language."""
        arguments = made.payload["argument_values"]
        unknown: list[str] = []
        if arguments:
            try:
                source, _ = await self._contents.notebook(made.path)
            except DashboardsError:
                # The run says what is wrong with it.
                return made
            language = await self.language(source.metadata)
            try:
                check_names(arguments, language)
            except InvalidRequest as error:
                raise Refused(error.message) from error
            known = await asyncio.to_thread(declared, source, language)
            unknown = unknown_names(arguments, known)
        return replace(made, payload={**made.payload, "unknown_arguments": unknown})
