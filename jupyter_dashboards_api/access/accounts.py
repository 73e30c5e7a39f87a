"""Viewers' accounts: names, passwords and groups that are kept in the database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from ..database.engine import Database
from ..database.tables import Account, LoginSession
from ..errors import Conflict, InvalidRequest, NotFound
from .passwords import check_strength, hash_password

MAX_NAME_LENGTH = 128

_GROUP = re.compile(r"[\w.@+-]{1,128}")


@dataclass(frozen=True)
class AccountInfo:
    """An account without its password."""

    username: str
    groups: tuple[str, ...]
    created_at: datetime


class Accounts:
    """Makes, lists and ends accounts. Its methods block: the command line calls them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, username: str, password: str, groups: Iterable[str] = ()) -> None:
        """Raises `Conflict` for a name that is taken, and `InvalidRequest` for a bad name, group or password."""
        name, hashed = clean_username(username), hash_password(check_strength(password))
        cleaned = clean_groups(groups)
        try:
            with self._database.transaction() as session:
                session.add(Account(username=name, password_hash=hashed, groups=cleaned))
        except IntegrityError as error:
            raise Conflict(f"There is a viewer {name} already.") from error

    def set_password(self, username: str, password: str) -> None:
        """Sets a password, and ends the viewer's sessions. Raises `NotFound` and `InvalidRequest`."""
        username, hashed = _composed(username), hash_password(check_strength(password))
        with self._database.transaction() as session:
            account = session.scalar(select(Account).where(Account.username == username))
            if account is None:
                raise NotFound(f"There is no viewer {username}.")
            account.password_hash = hashed
            session.execute(delete(LoginSession).where(LoginSession.username == username))

    def set_groups(self, username: str, groups: Iterable[str]) -> None:
        """Puts a viewer into these groups and no others, sessions that are open included. Raises `NotFound`."""
        username, cleaned = _composed(username), clean_groups(groups)
        with self._database.transaction() as session:
            account = session.scalar(select(Account).where(Account.username == username))
            if account is None:
                raise NotFound(f"There is no viewer {username}.")
            account.groups = cleaned
            for login in session.scalars(
                select(LoginSession).where(LoginSession.username == username)
            ):
                login.groups = cleaned

    def remove(self, username: str) -> None:
        """Ends an account and its sessions. Raises `NotFound`."""
        username = _composed(username)
        with self._database.transaction() as session:
            account = session.scalar(select(Account).where(Account.username == username))
            if account is None:
                raise NotFound(f"There is no viewer {username}.")
            session.delete(account)
            session.execute(delete(LoginSession).where(LoginSession.username == username))

    def list_all(self) -> list[AccountInfo]:
        """All accounts, by name."""
        with self._database.transaction(write=False) as session:
            return [
                AccountInfo(account.username, tuple(account.groups), account.created_at)
                for account in session.scalars(select(Account).order_by(Account.username))
            ]

    def find(self, username: str) -> tuple[str, list[str]] | None:
        """The password's hash and the groups of an account; None when there is none."""
        username = _composed(username)
        with self._database.transaction(write=False) as session:
            account = session.scalar(select(Account).where(Account.username == username))
            return (account.password_hash, list(account.groups)) if account is not None else None


def clean_username(username: str) -> str:
    """The name, if a viewer may be called so. Raises `InvalidRequest`."""
    name = _composed(username)
    if (
        not name.strip()
        or name != name.strip()
        or len(name) > MAX_NAME_LENGTH
        or ":" in name
        or not name.isprintable()
    ):
        raise InvalidRequest(
            f"A viewer's name has up to {MAX_NAME_LENGTH} characters, no colon and no space at its ends."
        )
    return name


def _composed(username: str) -> str:
    """The name in the form in which it is stored: keyboards and files write `é` in two ways."""
    return unicodedata.normalize("NFC", username)


def clean_groups(groups: Iterable[str]) -> list[str]:
    """The groups, each once, in order. Raises `InvalidRequest`."""
    cleaned = sorted(set(groups))
    for group in cleaned:
        if not _GROUP.fullmatch(group):
            raise InvalidRequest(
                "A group's name is made of letters, digits, and the characters _ . @ + -"
            )
    return cleaned
