"""Share links: how a notebook is shared. API: "sharing" of the projects API (§1.7 of its specification).

Terms
    A *share* belongs to a notebook, and is there from the first change on. It is open to whoever has its *access token*
    while it is `enabled`, has not expired, and its notebook is there. With `password_required` a password of the share is
    needed too (`share_passwords.py`). Refreshing gives it a new token; the old one works `GRACE` longer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..dashboards.csp import is_source
from ..database.engine import Database
from ..database.tables import Notebook, Share, SharePassword, ShareToken, now
from ..errors import InvalidRequest, NotFound
from .secret_values import new_access_token

GRACE = timedelta(minutes=5)
"""How long a token works after it was replaced."""

SETTINGS = ("whitelabel", "noHeader", "showInspector", "legend", "detailed", "hideExtraDetails")
"""The settings that are true or false; `theme` is the one that isn't."""

THEMES = ("light", "dark", "system")
MAX_PARAMETERS_LENGTH = 4096
MAX_FRAME_ANCESTORS = 50

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class PasswordInfo:
    """A password of a share, without the password."""

    id: int
    note: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class ShareConfiguration:
    """How a notebook is shared. A notebook that was never shared has no access token yet.

    `parameters` is a query string that the kernel of a link's page always gets, in place of the page's own; `live` says
    whether such a page has a kernel at all. `frame_ancestors` are sources of the CSP directive; none: the server's own.
    """

    notebook_id: int
    enabled: bool = False
    access_token: str | None = None
    settings: Mapping[str, Any] | None = None
    password_required: bool = False
    passwords: tuple[PasswordInfo, ...] = ()
    live: bool = True
    parameters: str = ""
    frame_ancestors: tuple[str, ...] = ()
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class OpenShare:
    """A share that its token opens now. `path` is the contents manager's; `hashes` are of its active passwords.

    Its notebook `is_missing` when nothing was at the path.
    """

    id: int
    token: str
    notebook_id: int
    short_id: str
    path: str
    settings: Mapping[str, Any]
    password_required: bool
    hashes: tuple[tuple[int, str], ...]
    notes: Mapping[int, str]
    live: bool
    parameters: str
    frame_ancestors: tuple[str, ...]
    is_missing: bool = False

    def is_unlocked_by(self, password_id: int | None) -> bool:
        """Whether who knew this password, or none, may see it."""
        return not self.password_required or any(password_id == known for known, _ in self.hashes)


class Shares:
    """Reads and changes how notebooks are shared."""

    def __init__(self, database: Database, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called after a change that may have ended somebody's right."""
        self._database = database
        self._changed = changed

    async def configuration(self, notebook_id: int) -> ShareConfiguration:
        """How a notebook is shared."""

        def look(session: Session) -> ShareConfiguration:
            share = _of(session, notebook_id)
            if share is None:
                return ShareConfiguration(notebook_id)
            return _configuration(share)

        return await self._database.read(look)

    async def change(
        self, notebook_id: int, changes: Mapping[str, Any], by: str
    ) -> ShareConfiguration:
        """Sets the fields that `changes` names, the others stay. Raises `InvalidRequest`, and has changed nothing then."""
        cleaned = clean_changes(changes)

        def work(session: Session) -> ShareConfiguration:
            share = _of(session, notebook_id) or _new(session, notebook_id, by)
            for name, value in cleaned.items():
                setattr(share, name, value)
            session.flush()
            return _configuration(share)

        configuration = await self._database.write(work)
        self._changed()
        return configuration

    async def refresh(self, notebook_id: int, by: str) -> ShareConfiguration:
        """A new access token; the old one works for `GRACE`. Of several at once, each makes one and one stays."""

        def work(session: Session) -> ShareConfiguration:
            # The lock on the share is what makes others wait (SQLite has one writer anyway).
            share = _of(session, notebook_id, lock=True)
            if share is None:
                # Another may have made it meanwhile, and others may be refreshing it.
                _new(session, notebook_id, by)
                share = _of(session, notebook_id, lock=True)
                assert share is not None
            end = now() + GRACE
            for token in share.tokens:
                if token.expires_at is None:
                    token.expires_at = end
            # Before the new one: there is one present token at any time.
            session.flush()
            share.tokens.append(ShareToken(token=new_access_token()))
            session.flush()
            for token in [each for each in share.tokens if _has_ended(each.expires_at)]:
                share.tokens.remove(token)
            session.flush()
            return _configuration(share)

        return await self._database.write(work)

    async def open(self, token: str) -> OpenShare | None:
        """The share of an access token; None when it is unknown, disabled or expired, or its notebook is gone."""

        def look(session: Session) -> OpenShare | None:
            row = session.execute(
                select(Share, ShareToken.expires_at)
                .join(ShareToken, ShareToken.share_id == Share.id)
                .where(ShareToken.token == token)
            ).first()
            if row is None:
                return None
            share, token_end = row
            notebook = share.notebook
            if (
                not share.enabled
                or _has_ended(token_end)
                or _has_ended(share.expires_at)
                or notebook.deleted_at is not None
            ):
                return None
            return _opened(share, token, notebook)

        if not _TOKEN.fullmatch(token):
            return None
        return await self._database.read(look)

    async def password(
        self, share_id: int, note: str, by: str, hashed: str, most: int
    ) -> PasswordInfo:
        """Adds a password by its hash. Raises `InvalidRequest` when the share has `most` of them."""

        def work(session: Session) -> PasswordInfo:
            share = session.get_one(Share, share_id, with_for_update=True)
            if sum(each.is_active for each in share.passwords) >= most:
                raise InvalidRequest(f"A link has at most {most} passwords: delete one first.")
            password = SharePassword(password_hash=hashed, note=note, created_by=by)
            share.passwords.append(password)
            session.flush()
            return _password(password)

        return await self._database.write(work)

    async def delete_password(self, notebook_id: int, password_id: int) -> PasswordInfo:
        """Deletes a password; who came by it is out at once. Raises `NotFound`."""

        def work(session: Session) -> PasswordInfo:
            share = _of(session, notebook_id)
            for password in share.passwords if share is not None else ():
                if password.id == password_id and password.is_active:
                    password.is_active = False
                    return _password(password)
            raise NotFound("Password not found")

        deleted = await self._database.write(work)
        self._changed()
        return deleted

    async def share_id(self, notebook_id: int, by: str) -> tuple[int, bool]:
        """The id of a notebook's share, and whether it needs a password; made now if there is none."""

        def work(session: Session) -> tuple[int, bool]:
            share = _of(session, notebook_id) or _new(session, notebook_id, by)
            return share.id, share.password_required

        return await self._database.write(work)


def clean_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a share as they are stored. Raises `InvalidRequest` that names the field. Unknown fields are ignored."""
    cleaned: dict[str, Any] = {}
    for name in ("enabled", "password_required", "live"):
        if name in changes:
            if not isinstance(changes[name], bool):
                raise InvalidRequest(f"`{name}` must be true or false.")
            cleaned[name] = changes[name]
    if "settings" in changes:
        cleaned["settings"] = clean_settings(changes["settings"])
    if "parameters" in changes:
        cleaned["parameters"] = _parameters(changes["parameters"])
    if "frame_ancestors" in changes:
        cleaned["frame_ancestors"] = _frame_ancestors(changes["frame_ancestors"])
    if "expires_at" in changes:
        cleaned["expires_at"] = _expiry(changes["expires_at"])
    return cleaned


def clean_settings(settings: Any) -> dict[str, Any] | None:
    """The settings that are known; the others are dropped without a word, as the API documents it."""
    if settings is None:
        return None
    if not isinstance(settings, dict):
        raise InvalidRequest("Invalid settings format")
    cleaned: dict[str, Any] = {
        name: settings[name] for name in SETTINGS if isinstance(settings.get(name), bool)
    }
    if settings.get("theme") in THEMES:
        cleaned["theme"] = settings["theme"]
    return cleaned


def _parameters(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_PARAMETERS_LENGTH or not value.isprintable():
        raise InvalidRequest(
            f"`parameters` must be a query string of at most {MAX_PARAMETERS_LENGTH} characters."
        )
    return value.removeprefix("?")


def _frame_ancestors(value: Any) -> list[str]:
    if (
        not isinstance(value, list)
        or len(value) > MAX_FRAME_ANCESTORS
        or not all(isinstance(each, str) and is_source(each) for each in value)
    ):
        raise InvalidRequest(
            "`frame_ancestors` must be a list of sources such as https://intranet.example.org."
        )
    return value


def _expiry(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise InvalidRequest("`expires_at` must be an ISO 8601 time with its zone.") from error
    if time.tzinfo is None:
        raise InvalidRequest("`expires_at` must be an ISO 8601 time with its zone.")
    return time


def _has_ended(time: datetime | None) -> bool:
    return time is not None and time <= now()


def _of(session: Session, notebook_id: int, *, lock: bool = False) -> Share | None:
    wanted = select(Share).where(Share.notebook_id == notebook_id)
    return session.scalar(wanted.with_for_update() if lock else wanted)


def _new(session: Session, notebook_id: int, by: str) -> Share:
    # Two that make it at once: the second waits for this lock, and then finds it.
    session.get_one(Notebook, notebook_id, with_for_update=True)
    share = _of(session, notebook_id)
    if share is None:
        share = Share(notebook_id=notebook_id, frame_ancestors=[], created_by=by[:128])
        share.tokens.append(ShareToken(token=new_access_token()))
        session.add(share)
        session.flush()
    return share


def _active(passwords: Sequence[SharePassword]) -> list[SharePassword]:
    return [password for password in passwords if password.is_active]


def _configuration(share: Share) -> ShareConfiguration:
    token = next((each.token for each in share.tokens if each.expires_at is None), None)
    return ShareConfiguration(
        notebook_id=share.notebook_id,
        enabled=share.enabled,
        access_token=token,
        settings=share.settings,
        password_required=share.password_required,
        passwords=tuple(_password(each) for each in _active(share.passwords)),
        live=share.live,
        parameters=share.parameters,
        frame_ancestors=tuple(share.frame_ancestors),
        created_at=share.created_at,
        expires_at=share.expires_at,
    )


def _opened(share: Share, token: str, notebook: Notebook) -> OpenShare:
    active = _active(share.passwords)
    return OpenShare(
        id=share.id,
        token=token,
        notebook_id=notebook.id,
        short_id=notebook.short_id,
        path=notebook.path,
        settings=share.settings or {},
        password_required=share.password_required,
        hashes=tuple((each.id, each.password_hash) for each in active),
        notes={each.id: each.note for each in active},
        live=share.live,
        parameters=share.parameters,
        frame_ancestors=tuple(share.frame_ancestors),
        is_missing=notebook.missing_since is not None,
    )


def _password(password: SharePassword) -> PasswordInfo:
    return PasswordInfo(password.id, password.note, password.created_by, password.created_at)
