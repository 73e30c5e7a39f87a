"""Whether a schedule's command could be made now: as the commands API asks when it is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..commands.intake import request_of
from ..commands.manager import CommandsManager
from ..commands.models import Submission


async def checked(commands: CommandsManager, body: Mapping[str, Any], owner: str) -> Submission:
    """The command that a schedule would make now. Raises `Refused`, in the words of `POST /commands`."""
    return await commands.intake.submission(request_of(body, None), owner)
