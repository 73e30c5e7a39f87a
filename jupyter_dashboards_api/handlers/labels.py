"""Which labels commands can have on this server. API: `specs/commands.md` §4."""

from __future__ import annotations

from tornado.web import authenticated

from .commands_base import CommandsAPIHandler


class LabelsHandler(CommandsAPIHandler):
    """`/api/v1.2/labels`: the labels, and what stands behind them."""

    @authenticated
    async def get(self) -> None:
        """By name."""
        self.send({"labels": self.commands.labels()})
