"""The environment that a dashboard's kernel starts with.

A local kernel inherits the server's environment, because notebooks need what the operator put there
(paths, proxies, data base addresses), but none of the server's own credentials: a viewer's kernel
that holds the server's token could do all that the owner can. A gateway's kernel has the gateway's
environment; it is sent nothing but the variables below, and gateways accept only names that begin
with ``KERNEL_``.

=========================  =====================================================================
``QUERY_STRING``           the page's query string as in CGI, without ``?`` and credentials
``DASHBOARD_PATH``         the notebook's contents path
``DASHBOARD_USER``         the viewer's user name
``KERNEL_USER_AUTH``       the viewer as JSON; the name the Node dashboards server used
``PLOTLY_RENDERER``        ``plotly_mimetype``, unless set: renderers that need no outside host
``BOKEH_RESOURCES``        ``inline``, unless set
``KERNEL_QUERY_STRING``,   the same again for gateways
``KERNEL_DASHBOARD_PATH``,
``KERNEL_DASHBOARD_USER``,
``KERNEL_USERNAME``
=========================  =====================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote_plus

from ..errors import InvalidRequest
from .capacity import VISITORS

MAX_QUERY_LENGTH = 4096
"""Longest query string in characters."""

SERVER_CREDENTIALS = (
    "*GATEWAY*HEADERS*",
    "*GATEWAY*PASSWORD*",
    "*GATEWAY*PWD*",
    "*GATEWAY*TOKEN*",
    "CONFIGPROXY_AUTH_TOKEN",
    "DASHBOARD_SERVER_AUTH_TOKEN",
    "EG_*PASSWORD*",
    "EG_*TOKEN*",
    "JPY_*SECRET*",
    "JPY_*TOKEN*",
    "JUPYTERHUB_*COOKIE*",
    "JUPYTERHUB_*CRYPT*",
    "JUPYTERHUB_*OAUTH*",
    "JUPYTERHUB_*SECRET*",
    "JUPYTERHUB_*TOKEN*",
    # This project's own: its database's URL, for one, has a password in it.
    "JUPYTER_DASHBOARDS_*",
    "JUPYTER_*AUTH*",
    "JUPYTER_*PASSWORD*",
    "JUPYTER_*SECRET*",
    "JUPYTER_*TOKEN*",
    "KG_*PASSWORD*",
    "KG_*TOKEN*",
)
"""Names (shell patterns) of the variables that hold credentials of Jupyter servers, gateways and this project."""

# Credentials: the server's token, the field against forged requests, an API key.
_DROPPED_PARAMETERS = frozenset({"token", "_xsrf", "personal_api_key"})
_USER_FIELDS = ("username", "name", "display_name", "initials", "avatar_url", "color")


@dataclass(frozen=True, slots=True)
class KernelRequest:
    """What a viewer's page asks for: the kernel of the notebook at `path` (a contents path).

    `owner` is who the kernel will belong to; `user` the identity model of jupyter_server's user. The kernel counts as one
    of `counted_as` (default: the owner) and, if `visitor`, of all visitors. `ended` is called with the reason when the
    kernel is released.
    """

    path: str
    owner: str
    query: str = ""
    session_id: str = ""
    user: Mapping[str, Any] = field(default_factory=dict)
    counted_as: str = ""
    visitor: bool = False
    ended: Callable[[str], None] = lambda reason: None

    @property
    def holders(self) -> tuple[str, ...]:
        """The names under which the kernel is counted."""
        return (self.counted_as or self.owner, *((VISITORS,) if self.visitor else ()))


def clean_query(query: str) -> str:
    """The query string for the kernel. Raises `InvalidRequest` when it is too long."""
    query = query.removeprefix("?")
    if len(query) > MAX_QUERY_LENGTH:
        raise InvalidRequest(f"The query string is longer than {MAX_QUERY_LENGTH} characters.")
    kept = (
        part
        for part in query.split("&")
        if unquote_plus(part.partition("=")[0]).lower() not in _DROPPED_PARAMETERS
    )
    return "&".join(kept)


def inherited_environment(
    server_environment: Mapping[str, str], hidden: Iterable[str]
) -> dict[str, str]:
    """What a kernel on this machine inherits of the server's environment. `hidden`: name patterns to leave out."""
    patterns = tuple(hidden)
    inherited = {
        name: value
        for name, value in server_environment.items()
        if not any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
    }
    inherited.setdefault("PLOTLY_RENDERER", "plotly_mimetype")
    inherited.setdefault("BOKEH_RESOURCES", "inline")
    return inherited


def local_environment(
    request: KernelRequest, server_environment: Mapping[str, str], hidden: Iterable[str]
) -> dict[str, str]:
    """The whole environment of a viewer's kernel on this machine."""
    return inherited_environment(server_environment, hidden) | _documented(request)


def gateway_environment(
    request: KernelRequest, server_environment: Mapping[str, str]
) -> dict[str, str]:
    """What is sent to a gateway. It keeps the ``KERNEL_USERNAME`` that the operator has set."""
    documented = _documented(request)
    if "KERNEL_USERNAME" in server_environment:
        del documented["KERNEL_USERNAME"]
    return documented


def _documented(request: KernelRequest) -> dict[str, str]:
    query = clean_query(request.query)
    username = str(request.user.get("username", ""))
    user = {name: request.user.get(name) for name in _USER_FIELDS if name in request.user}
    variables = {
        "QUERY_STRING": query,
        "DASHBOARD_PATH": request.path,
        "DASHBOARD_USER": username,
        "KERNEL_USER_AUTH": json.dumps(user),
        "KERNEL_QUERY_STRING": query,
        "KERNEL_DASHBOARD_PATH": request.path,
        "KERNEL_DASHBOARD_USER": username,
        "KERNEL_USERNAME": username,
    }
    for value in variables.values():
        if "\0" in value:
            raise InvalidRequest("A NUL character cannot be passed to a kernel.")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest("This text cannot be passed to a kernel.") from None
    return variables
