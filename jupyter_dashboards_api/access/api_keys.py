"""API keys of programs: made once, shown once, kept as a hash. API: personal API keys (the projects API's §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ..database.engine import Database
from ..database.tables import APIKey, now
from ..errors import InvalidRequest, NotFound
from .scopes import check_scopes
from .secret_values import KEY_PREFIX, hashed, masked, new_id, new_key

MAX_LABEL_LENGTH = 40
MAX_KEYS = 10
"""Keys that one owner may have, as the API documents it."""

_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class KeyInfo:
    """A key without its secret. `mask` is its beginning and end."""

    id: str
    label: str
    owner: str
    mask: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class KeyChange:
    """What to set; None leaves a field as it is. `expires` says whether `expires_at` is to be set, to None too."""

    label: str | None = None
    scopes: Sequence[str] | None = None
    expires: bool = False
    expires_at: datetime | None = None


class APIKeys:
    """Makes, finds, changes and revokes keys."""

    def __init__(self, database: Database, max_keys: int = MAX_KEYS) -> None:
        self._database = database
        self._max_keys = max_keys

    def create_now(
        self, owner: str, label: str, scopes: Sequence[str], expires_at: datetime | None = None
    ) -> tuple[KeyInfo, str]:
        """A new key and its secret, which is not kept. Blocks.

        Raises `InvalidRequest` for a bad label, scope or time, and when the owner has `MAX_KEYS` keys.
        """
        with self._database.transaction() as session:
            return self._create(session, owner, label, scopes, expires_at)

    async def create(
        self, owner: str, label: str, scopes: Sequence[str], expires_at: datetime | None = None
    ) -> tuple[KeyInfo, str]:
        """As `create_now`, without blocking."""
        return await self._database.write(
            lambda session: self._create(session, owner, label, scopes, expires_at)
        )

    def list_now(self, owner: str | None = None) -> list[KeyInfo]:
        """The keys of an owner, or of all, the oldest first. Blocks."""
        with self._database.transaction(write=False) as session:
            return _listed(session, owner)

    async def of(self, owner: str) -> list[KeyInfo]:
        """The keys of an owner, the oldest first."""
        return await self._database.read(lambda session: _listed(session, owner))

    async def get(self, owner: str, key_id: str) -> KeyInfo:
        """One key of an owner. Raises `NotFound`."""
        return await self._database.read(lambda session: _info(_own(session, owner, key_id)))

    async def change(self, owner: str, key_id: str, change: KeyChange) -> KeyInfo:
        """Changes a key. Raises `NotFound` and `InvalidRequest`."""

        def work(session: Session) -> KeyInfo:
            key = _own(session, owner, key_id)
            if change.label is not None:
                key.label = check_label(change.label)
            if change.scopes is not None:
                key.scopes = check_scopes(change.scopes)
            if change.expires:
                key.expires_at = check_expiry(change.expires_at)
            return _info(key)

        return await self._database.write(work)

    async def revoke(self, owner: str, key_id: str) -> None:
        """Ends a key of an owner. Raises `NotFound`."""

        def work(session: Session) -> None:
            session.delete(_own(session, owner, key_id))

        await self._database.write(work)

    def revoke_now(self, key_id: str) -> None:
        """Ends a key, whoever owns it. Blocks. Raises `NotFound`."""
        with self._database.transaction() as session:
            key = session.get(APIKey, key_id)
            if key is None:
                raise NotFound("There is no such key.")
            session.delete(key)

    async def find(self, secret: str) -> KeyInfo | None:
        """The key of a secret that a program sent; None when it is unknown or has expired. Notes that it was used."""
        if not secret.startswith(KEY_PREFIX):
            return None
        secret_hash = hashed(secret)

        def look(session: Session) -> KeyInfo | None:
            key = session.scalar(select(APIKey).where(APIKey.secret_hash == secret_hash))
            return _info(key) if key is not None and _is_valid(key) else None

        found = await self._database.read(look)
        if found is not None and (
            found.last_used_at is None or now() - found.last_used_at > _NOTED_EVERY
        ):
            await self._database.execute(
                update(APIKey).where(APIKey.id == found.id).values(last_used_at=now())
            )
        return found

    async def scopes_of(self, key_id: str) -> frozenset[str] | None:
        """The scopes of a key that is still valid, by its id; None when it is not."""

        def look(session: Session) -> frozenset[str] | None:
            key = session.get(APIKey, key_id)
            return frozenset(key.scopes) if key is not None and _is_valid(key) else None

        return await self._database.read(look)

    def _create(
        self,
        session: Session,
        owner: str,
        label: str,
        scopes: Sequence[str],
        expires_at: datetime | None,
    ) -> tuple[KeyInfo, str]:
        # Others that make a key for this owner wait here, and are counted then.
        session.execute(select(APIKey.id).where(APIKey.owner == owner).with_for_update())
        count = session.scalar(select(func.count()).where(APIKey.owner == owner)) or 0
        if count >= self._max_keys:
            raise InvalidRequest(
                f"You can only have {self._max_keys} personal API keys. Remove an existing key first."
            )
        secret = new_key()
        key = APIKey(
            id=new_id(),
            label=check_label(label),
            owner=owner,
            secret_hash=hashed(secret),
            mask=masked(secret),
            scopes=check_scopes(scopes),
            created_at=now(),
            expires_at=check_expiry(expires_at),
        )
        session.add(key)
        return _info(key), secret


def check_label(label: str) -> str:
    """The label without spaces around it. Raises `InvalidRequest`."""
    label = label.strip()
    if not label or len(label) > MAX_LABEL_LENGTH or not label.isprintable():
        raise InvalidRequest(f"A label has between 1 and {MAX_LABEL_LENGTH} characters.")
    return label


def check_expiry(expires_at: datetime | None) -> datetime | None:
    """The time, if it has a zone and is to come. Raises `InvalidRequest`."""
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now()):
        raise InvalidRequest("`expires_at` must be a time to come, with its zone.")
    return expires_at


def _is_valid(key: APIKey) -> bool:
    return key.expires_at is None or key.expires_at > now()


def _own(session: Session, owner: str, key_id: str) -> APIKey:
    key = session.get(APIKey, key_id)
    if key is None or key.owner != owner:
        raise NotFound("Not found.")
    return key


def _listed(session: Session, owner: str | None) -> list[KeyInfo]:
    wanted = select(APIKey).order_by(APIKey.created_at, APIKey.id)
    if owner is not None:
        wanted = wanted.where(APIKey.owner == owner)
    return [_info(key) for key in session.scalars(wanted)]


def _info(key: APIKey) -> KeyInfo:
    return KeyInfo(
        key.id,
        key.label,
        key.owner,
        key.mask,
        tuple(key.scopes),
        key.created_at,
        key.expires_at,
        key.last_used_at,
    )
