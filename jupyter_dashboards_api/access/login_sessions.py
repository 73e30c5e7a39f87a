"""Viewers' sessions: rows of the database, so that they can be ended from anywhere and at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ..database.engine import Database
from ..database.tables import LoginSession, now
from .authenticators import Viewer
from .secret_values import hashed, new_id, new_session_secret

MAX_SESSIONS = 100
"""Sessions that one viewer may have; a new one ends the oldest."""

# How exactly it is known when a session was last used; each note is a write.
_NOTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True)
class SessionInfo:
    """A session that is valid now."""

    id: str
    username: str
    groups: frozenset[str]


class LoginSessions:
    """Begins, finds and ends sessions."""

    def __init__(self, database: Database, lifetime: timedelta, idle: timedelta) -> None:
        self._database = database
        self._lifetime = lifetime
        self._idle = idle

    async def begin(self, viewer: Viewer, address: str) -> str:
        """The secret of a new session, for the viewer's cookie; it is not kept."""
        secret = new_session_secret()

        def work(session: Session) -> None:
            # Whoever logs in pays for the clearing up.
            session.execute(delete(LoginSession).where(LoginSession.expires_at <= now()))
            newest = (
                select(LoginSession.id)
                .where(LoginSession.username == viewer.username)
                .order_by(LoginSession.created_at.desc())
                .offset(MAX_SESSIONS - 1)
            )
            for old in session.scalars(newest).all():
                session.execute(delete(LoginSession).where(LoginSession.id == old))
            session.add(
                LoginSession(
                    id=new_id(),
                    secret_hash=hashed(secret),
                    username=viewer.username,
                    groups=sorted(viewer.groups),
                    address=address[:64],
                    expires_at=now() + self._lifetime,
                )
            )

        await self._database.write(work)
        return secret

    async def find(self, secret: str) -> SessionInfo | None:
        """The session of a cookie; None when it has ended. Notes that it was used."""
        secret_hash = hashed(secret)

        def look(session: Session) -> tuple[SessionInfo, datetime] | None:
            row = self._valid(session, LoginSession.secret_hash == secret_hash)
            return (_info(row), row.last_seen_at) if row is not None else None

        found = await self._database.read(look)
        if found is None:
            return None
        info, last_seen = found
        if now() - last_seen > _NOTED_EVERY:
            await self._database.execute(
                update(LoginSession).where(LoginSession.id == info.id).values(last_seen_at=now())
            )
        return info

    async def groups_of(self, session_id: str) -> frozenset[str] | None:
        """The groups that a session's viewer is in now, by the session's id; None when it has ended."""

        def look(session: Session) -> frozenset[str] | None:
            row = self._valid(session, LoginSession.id == session_id)
            return frozenset(row.groups) if row is not None else None

        return await self._database.read(look)

    async def end(self, session_id: str) -> None:
        """Ends one session."""
        await self._database.execute(delete(LoginSession).where(LoginSession.id == session_id))

    async def end_all(self, username: str) -> int:
        """Ends all sessions of a viewer; returns how many there were."""
        return await self._database.execute(
            delete(LoginSession).where(LoginSession.username == username)
        )

    async def knows(self, username: str, address: str) -> bool:
        """Whether the viewer has a session from this address."""
        return await self._database.read(
            lambda session: (
                self._valid(
                    session,
                    LoginSession.username == username,
                    LoginSession.address == address[:64],
                )
                is not None
            )
        )

    def _valid(self, session: Session, *conditions: object) -> LoginSession | None:
        return session.scalars(
            select(LoginSession)
            .where(
                *conditions,  # type: ignore[arg-type]
                LoginSession.expires_at > now(),
                LoginSession.last_seen_at > now() - self._idle,
            )
            .limit(1)
        ).first()


def _info(row: LoginSession) -> SessionInfo:
    return SessionInfo(row.id, row.username, frozenset(row.groups))
