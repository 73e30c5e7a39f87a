"""Who is calling, as every part of the project knows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["owner", "key", "viewer", "visitor", "nobody"]


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page token allows: one dashboard, for one visitor.

    `share` is the link's access token, empty for a public dashboard; `password_id` the password that opened the link, if
    it has one. `path` is the notebook's contents path where the dashboard is public; a link's path is looked up anew each
    time, since notebooks move.
    """

    visitor: str
    path: str = ""
    share: str = ""
    password_id: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request.

    `name` stands in records and is what a kernel is told; `owner_id` is whose kernels are whose, empty for who can have
    none. `explicit` says that the credential is one that no browser adds by itself, so that no other site can make a
    browser send it. `credential_id` names the session (viewer) or key (key) that was used.
    """

    kind: Kind
    name: str
    owner_id: str = ""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    explicit: bool = False
    credential_id: str = ""
    visit: Visit | None = None


NOBODY = Caller("nobody", "")
