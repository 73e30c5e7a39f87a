"""The tables. A change here needs a migration (`migrations/versions/`); a test compares both.

Secrets that are only compared (API keys, session cookies) are stored as SHA-256 hashes, passwords as Argon2 hashes. The
tokens of share links are stored as they are: their owner is shown them again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def now() -> datetime:
    """The time in UTC, as all times are stored."""
    return datetime.now(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """A time with its zone; SQLite stores none, so it is put back when a time is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("A time without a zone.")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """Base of all tables."""

    # A later migration can change only a constraint that has a name, and each database makes up others.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UTCDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON,
    }


class Account(Table):
    """A viewer who logs in with a password that is kept here."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(128), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    groups: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class LoginSession(Table):
    """A viewer's login. `secret_hash` is of what the cookie holds; `id` names the session and opens nothing."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    username: Mapped[str] = mapped_column(String(128), index=True)
    groups: Mapped[list[str]]
    address: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class APIKey(Table):
    """A key of a program's. `mask` is what a person knows it by."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    label: Mapped[str] = mapped_column(String(128))
    owner: Mapped[str] = mapped_column(String(128), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    mask: Mapped[str] = mapped_column(String(32))
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Notebook(Table):
    """What a contents path is known by. An id is never given to another notebook, a path only to one that is there."""

    __tablename__ = "notebooks"
    __table_args__ = (
        Index(
            "one_notebook_per_path",
            "path",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), unique=True)
    short_id: Mapped[str] = mapped_column(String(12), unique=True)
    path: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    missing_since: Mapped[datetime | None]
    revision: Mapped[str | None] = mapped_column(String(100))
    deleted_at: Mapped[datetime | None]


class Share(Table):
    """How a notebook is shared by link."""

    __tablename__ = "shares"

    id: Mapped[int] = mapped_column(primary_key=True)
    notebook_id: Mapped[int] = mapped_column(
        ForeignKey("notebooks.id", ondelete="CASCADE"), unique=True
    )
    enabled: Mapped[bool] = mapped_column(default=False)
    password_required: Mapped[bool] = mapped_column(default=False)
    live: Mapped[bool] = mapped_column(default=True)
    settings: Mapped[dict[str, Any] | None]
    parameters: Mapped[str] = mapped_column(Text, default="")
    frame_ancestors: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime | None]

    notebook: Mapped[Notebook] = relationship()
    tokens: Mapped[list[ShareToken]] = relationship(cascade="all, delete-orphan")
    passwords: Mapped[list[SharePassword]] = relationship(
        cascade="all, delete-orphan", order_by="SharePassword.id"
    )


class ShareToken(Table):
    """An access token of a link. Only the present one has no end; one that was replaced has a few minutes left."""

    __tablename__ = "share_tokens"
    __table_args__ = (
        Index(
            "one_present_token_per_share",
            "share_id",
            unique=True,
            sqlite_where=text("expires_at IS NULL"),
            postgresql_where=text("expires_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    share_id: Mapped[int] = mapped_column(ForeignKey("shares.id", ondelete="CASCADE"), index=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]


class SharePassword(Table):
    """One of the passwords that open a link. Those that were deleted stay, so that the activity log can name them."""

    __tablename__ = "share_passwords"

    id: Mapped[int] = mapped_column(primary_key=True)
    share_id: Mapped[int] = mapped_column(ForeignKey("shares.id", ondelete="CASCADE"), index=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    note: Mapped[str] = mapped_column(String(100))
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=now)
    is_active: Mapped[bool] = mapped_column(default=True)


class Activity(Table):
    """What somebody did, as the activity log tells it. Only ever added to."""

    __tablename__ = "activities"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    activity: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(String(128))
    notebook_id: Mapped[int | None] = mapped_column(
        ForeignKey("notebooks.id", ondelete="SET NULL"), index=True
    )
    path: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
