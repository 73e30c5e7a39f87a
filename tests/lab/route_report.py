"""A server extension for tests: tells which routes its server has, whoever brought them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.routing import PathMatches, Rule, RuleRouter
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

PATH = "/tests/routes"


class RoutesHandler(JupyterHandler):
    """The routes in the order in which they are tried."""

    @allow_unauthenticated
    def get(self) -> None:
        self.finish(json.dumps([model(rule) for rule in rules(self.application.default_router)]))


def rules(router: RuleRouter) -> Iterator[Rule]:
    """All rules of a router and of those within it."""
    for rule in router.rules:
        if isinstance(rule.target, RuleRouter):
            yield from rules(rule.target)
        else:
            yield rule


def model(rule: Rule) -> dict[str, Any]:
    """A rule as JSON."""
    handler = rule.target
    assert isinstance(rule.matcher, PathMatches), rule
    assert issubclass(handler, RequestHandler), rule
    return {
        "pattern": rule.matcher.regex.pattern,
        "handler": f"{handler.__module__}.{handler.__qualname__}",
        "methods": [
            method
            for method in RequestHandler.SUPPORTED_METHODS
            if getattr(handler, method.lower()) is not getattr(RequestHandler, method.lower())
        ],
        "websocket": issubclass(handler, WebSocketHandler),
    }


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "tests.lab.route_report"}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.web_app.add_handlers(".*$", [(url_path_join(server.base_url, PATH), RoutesHandler)])
