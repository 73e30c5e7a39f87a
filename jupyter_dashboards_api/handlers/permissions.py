"""What a route permits: the scope that it needs, and who may come with it. Pure; the table itself is `routes.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..access.scopes import ALL, SCOPES


class Audience(Enum):
    """Who may use a route, each with those that follow. Owners are asked for by the server's authorizer as well."""

    EVERYBODY = "everybody"
    """Nothing is looked at: files of this project, and what has a credential of its own, as a share link has."""
    BY_PATH = "whoever may open the path"
    """Nobody in particular too, where the access rules make the path public."""
    VIEWERS = "viewers and visitors"
    """Callers that are known, for what they may open."""
    OWNERS = "owners"
    """Owners, and keys with the scope."""
    NO_KEYS = "owners themselves"
    """Owners, and no key: what could give a key more than it has."""


@dataclass(frozen=True)
class Permission:
    """What one method of a route needs. `scope` is empty only for everybody."""

    scope: str
    audience: Audience = Audience.OWNERS

    def __post_init__(self) -> None:
        if ({*SCOPES, ALL}.issuperset([self.scope])) is (self.audience is Audience.EVERYBODY):
            raise ValueError(f"{self.scope!r} is no scope for {self.audience.value}")

    def __str__(self) -> str:
        return self.scope or "public"

    @property
    def resource(self) -> str:
        """What the server's authorizer is asked about: the scope's object."""
        return self.scope.partition(":")[0] if self.scope != ALL else "personal_api_keys"

    @property
    def action(self) -> str:
        """What the server's authorizer is asked about: read or write."""
        return self.scope.partition(":")[2] or "write"


PUBLIC = Permission("", Audience.EVERYBODY)
OPEN = Permission("dashboard:read", Audience.BY_PATH)
VIEW = Permission("dashboard:read", Audience.VIEWERS)
MANAGE_KEYS = Permission("*", Audience.NO_KEYS)
PUBLISH = Permission("dashboard:write")
