"""Whether a schedule's command could be made now: as the commands API asks when it is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..commands.convert_submission import CONVERT, convert_request
from ..commands.manager import CommandsManager
from ..commands.models import Submission
from ..commands.submission import Refused, run_request
from ..dashboards.contents import clean_path
from ..errors import Forbidden, InvalidRequest, NotFound, Unreadable


async def checked(commands: CommandsManager, body: Mapping[str, Any], owner: str) -> Submission:
    """The command that a schedule would make now. Raises `Refused`, in the words of `POST /commands`."""
    try:
        if body.get("command_type") == CONVERT:
            return await _conversion(commands, body, owner)
        return await _run(commands, body, owner)
    except Refused:
        raise
    except (Forbidden, InvalidRequest, NotFound, Unreadable) as error:
        raise Refused(error.message) from error


async def _run(commands: CommandsManager, body: Mapping[str, Any], owner: str) -> Submission:
    request = run_request(body, None)
    if request.note_id is not None:
        known = await commands.notebooks.by_id(request.note_id)
        path = known.path if known is not None else ""
        missing = f"There is no spark notebook for account 1 with Id: {request.note_id}"
    else:
        path, missing = clean_path(request.path or ""), "There is no notebook at this path."
    entry = await commands.contents.stat(path) if path else None
    if entry is None or entry.kind != "notebook":
        raise Refused(missing)
    notebook = await commands.notebooks.identify(path)
    await commands.require_cluster(path, notebook.id, request.label)
    return request.submission(path, notebook.id, owner)


async def _conversion(commands: CommandsManager, body: Mapping[str, Any], owner: str) -> Submission:
    request = convert_request(body, None)
    known = await commands.notebooks.by_id(request.resource_id)
    entry = await commands.contents.stat(known.path) if known is not None else None
    if known is None or entry is None or entry.kind != "notebook":
        kind = "notebook" if request.resource_type == "Note" else "notebook dashboard"
        raise Refused(f"There is no {kind} for account 1 with resourceId: {request.resource_id}")
    if request.addresses and not commands.mailer.is_configured:
        raise Refused("mailIds: This server sends no mail; Mailer.host is not set.")
    commands.converter.require(request.file_format)
    if request.execute:
        await commands.require_cluster(known.path, known.id, request.label)
    return request.submission(known.path, owner)
