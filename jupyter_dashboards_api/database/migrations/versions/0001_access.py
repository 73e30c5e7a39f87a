"""Accounts, sessions, API keys, notebooks, share links, activities."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int, *, unique: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, unique=unique)


def _json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=nullable)


def _of(table: str, *, unique: bool = False) -> sa.Column[Any]:
    key = sa.ForeignKey(f"{table}s.id", ondelete="CASCADE")
    return sa.Column(f"{table}_id", sa.Integer(), key, nullable=False, unique=unique)


def _number() -> sa.Column[Any]:
    return sa.Column("id", sa.Integer(), primary_key=True)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "accounts",
        _number(),
        _text("username", 128, unique=True),
        _text("password_hash", 255),
        _json("groups"),
        _time("created_at"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        _text("secret_hash", 64, unique=True),
        _text("username", 128),
        _json("groups"),
        _text("address", 64),
        _time("created_at"),
        _time("last_seen_at"),
        _time("expires_at"),
    )
    op.create_index("ix_sessions_username", "sessions", ["username"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        _text("label", 128),
        _text("owner", 128),
        _text("secret_hash", 64, unique=True),
        _text("mask", 32),
        _json("scopes"),
        _time("created_at"),
        _time("expires_at", nullable=True),
        _time("last_used_at", nullable=True),
    )
    op.create_index("ix_api_keys_owner", "api_keys", ["owner"])
    op.create_table(
        "notebooks",
        _number(),
        _text("uuid", 36, unique=True),
        _text("short_id", 12, unique=True),
        sa.Column("path", sa.Text(), nullable=False),
        _time("created_at"),
        _time("deleted_at", nullable=True),
        # An id is never used again, not even that of the last row.
        sqlite_autoincrement=True,
    )
    there = sa.text("deleted_at IS NULL")
    op.create_index(
        "one_notebook_per_path",
        "notebooks",
        ["path"],
        unique=True,
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_table(
        "shares",
        _number(),
        _of("notebook", unique=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("password_required", sa.Boolean(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        _json("settings", nullable=True),
        sa.Column("parameters", sa.Text(), nullable=False),
        _json("frame_ancestors"),
        _time("created_at"),
        _text("created_by", 128),
        _time("expires_at", nullable=True),
    )
    op.create_table(
        "share_tokens",
        _number(),
        _of("share"),
        _text("token", 64, unique=True),
        _time("created_at"),
        _time("expires_at", nullable=True),
    )
    op.create_index("ix_share_tokens_share_id", "share_tokens", ["share_id"])
    present = sa.text("expires_at IS NULL")
    op.create_index(
        "one_present_token_per_share",
        "share_tokens",
        ["share_id"],
        unique=True,
        sqlite_where=present,
        postgresql_where=present,
    )
    op.create_table(
        "share_passwords",
        _number(),
        _of("share"),
        _text("password_hash", 255),
        _text("note", 100),
        _text("created_by", 128),
        _time("created_at"),
        sa.Column("is_active", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_share_passwords_share_id", "share_passwords", ["share_id"])
    op.create_table(
        "activities",
        sa.Column("id", sa.String(32), primary_key=True),
        _text("activity", 64),
        _text("actor", 128),
        sa.Column(
            "notebook_id",
            sa.Integer(),
            sa.ForeignKey("notebooks.id", ondelete="SET NULL"),
            nullable=True,
        ),
        sa.Column("path", sa.Text(), nullable=False),
        _json("detail"),
        _time("created_at"),
    )
    op.create_index("ix_activities_notebook_id", "activities", ["notebook_id"])
    op.create_index("ix_activities_created_at", "activities", ["created_at"])


def downgrade() -> None:
    """Drops the tables, with all that is in them."""
    for table in (
        "activities",
        "share_passwords",
        "share_tokens",
        "shares",
        "notebooks",
        "api_keys",
        "sessions",
        "accounts",
    ):
        op.drop_table(table)
