"""The description of the API for programs: an OpenAPI 3.1 document, made from the tables of routes and of scopes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import allow_unauthenticated

from ..access.scopes import SCOPES
from .base import DashboardsAPIHandler
from .identity import PAGE_TOKEN_HEADER
from .permissions import Audience, Permission

if TYPE_CHECKING:
    from .routes import Route

_SCHEMES: dict[str, dict[str, Any]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The server's token, or an API key. `token` in place of `Bearer` will do.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The token as the password of any user.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-AUTH-TOKEN"},
    "page": {
        "type": "apiKey",
        "in": "header",
        "name": PAGE_TOKEN_HEADER,
        "description": "What a shared or public page carries.",
    },
}

# A part of a path that a template leaves open → the parameter's name, and the paths that come of it.
_PARTS = (
    ("[/PATH]", "path", ("", "/{path}")),
    ("[.json]", "", ("", ".json")),
    ("/PATH", "path", ("/{path}",)),
    ("/NAME", "name", ("/{name}",)),
    ("/FILE", "file", ("/{file}",)),
)


class OpenAPIHandler(DashboardsAPIHandler):
    """`GET /_api/openapi.json`."""

    identifies = False

    def initialize(
        self,
        name: str,
        permissions: Mapping[str, Permission] | None = None,
        document: Callable[[], Mapping[str, Any]] = dict,
        **options: Any,
    ) -> None:
        super().initialize(name, permissions, **options)
        self.document = document

    @allow_unauthenticated
    async def get(self) -> None:
        """The document, with this server's address."""
        self.finish(json.dumps({**self.document(), "servers": [{"url": self.base_url}]}))


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI document of these routes, without the server's address."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for path in paths_of(route.template):
            item = paths.setdefault(path, {})
            names = re.findall(r"\{(\w+)\}", path)
            if names:
                item["parameters"] = [_parameter(name) for name in names]
            for method, permission in route.permissions.items():
                item[method.lower()] = _operation(route.summary, permission)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter_dashboards_api",
            "version": version("jupyter_dashboards_api"),
            "description": "Scopes of API keys:\n\n"
            + "\n".join(f"- `{scope}`: {text}" for scope, text in SCOPES.items()),
        },
        "paths": paths,
        "components": {"securitySchemes": _SCHEMES},
    }


def paths_of(template: str) -> list[str]:
    """The OpenAPI paths of a route's template; several where a part may be left out."""
    found = [template]
    for part, _, forms in _PARTS:
        found = [
            path.replace(part, form)
            for path in found
            for form in (forms if part in path else (part,))
        ]
    return found


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(summary: str, permission: Permission) -> dict[str, Any]:
    everybody = permission.audience is Audience.EVERYBODY
    operation: dict[str, Any] = {
        "summary": summary,
        "description": f"For {permission.audience.value}.",
        "responses": {
            "2XX": {"description": "It worked."},
            "4XX": {"description": "The caller's fault; the body says what to do."},
        },
        "security": [],
    }
    if everybody:
        return operation
    scopes = [permission.scope]
    operation["security"] = [{"bearer": scopes}, {"basic": scopes}, {"header": scopes}]
    if permission.audience in (Audience.BY_PATH, Audience.VIEWERS):
        operation["security"].append({"page": []})
    operation["responses"]["401"] = {"description": "No valid credential was sent."}
    operation["responses"]["403"] = {"description": f"The caller lacks `{permission.scope}`."}
    return operation
