"""The passwords of share links: making them, and checking what somebody typed.

Garbage must not keep the right password out: guesses are counted per link, not per address, and a right password opens the
link however many wrong ones came before it. What bounds the work is that a link's guesses are checked one after another,
and that one address may have only a few waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from ..errors import InvalidRequest, TooManyAttempts, Unauthorized
from .activities import Activities
from .page_tokens import PageTokens
from .passwords import HashingThreads, check_strength, hash_password, matching
from .secret_values import new_access_token
from .shares import OpenShare, PasswordInfo, Shares
from .throttle import FailureLimit, network

MAX_PASSWORDS = 10
"""Active passwords of one link: each guess may have to be checked against all of them."""

MAX_NOTE_LENGTH = 100
GUESSES, GUESSING_SECONDS = 10, 60
"""Wrong guesses that a link answers with 401 in so many seconds; further ones get 429."""

MAX_WAITING = 16
"""Guesses of one address that may wait for one link."""

LIFETIME = timedelta(hours=24)
"""How long a share token unlocks its link."""


class SharePasswords:
    """Adds passwords, and checks guesses."""

    def __init__(
        self, shares: Shares, threads: HashingThreads, tokens: PageTokens, activities: Activities
    ) -> None:
        self._shares = shares
        self._threads = threads
        self._tokens = tokens
        self._activities = activities
        self._guesses = FailureLimit(GUESSES, GUESSING_SECONDS)
        self._turns: dict[int, asyncio.Lock] = {}
        self._waiting: Counter[tuple[int, str]] = Counter()

    async def add(
        self, notebook_id: int, password: str | None, note: str, by: str
    ) -> tuple[PasswordInfo, str]:
        """A new password for a notebook's link, and its text, which is not kept; one is made up if none is given.

        Raises `InvalidRequest` for a bad password or note, and while the link needs no password.
        """
        self.check(password, note)
        chosen = password or new_access_token()[:22]
        share_id, required = await self._shares.share_id(notebook_id, by)
        if not required:
            raise InvalidRequest("Password protection must be enabled before creating passwords")
        hashed = await self._threads.run(lambda: hash_password(chosen))
        info = await self._shares.password(share_id, note, by[:128], hashed, MAX_PASSWORDS)
        return info, chosen

    @staticmethod
    def check(password: str | None, note: str) -> None:
        """Raises `InvalidRequest` for what can be no password (None: one is made up) or note."""
        if len(note) > MAX_NOTE_LENGTH:
            raise InvalidRequest(f"`note` has at most {MAX_NOTE_LENGTH} characters.")
        if password:
            check_strength(password)

    async def unlock(
        self, share: OpenShare, password: str, address: str, path: str | None = None
    ) -> str:
        """The share token for a right password. `path` is the notebook's in records, by default the contents manager's.

        Raises `Unauthorized` for a wrong one, and `TooManyAttempts` when there were many wrong ones.
        """
        async with self._turn(share.id, address):
            password_id = await self._threads.run(lambda: matching(password, share.hashes))
        if password_id is not None:
            await self._record(share, address, password_id, path)
            return self._tokens.share_token(share.token, password_id, LIFETIME)
        clock, name = time.monotonic(), str(share.id)
        if self._guesses.wait(name, clock) > 0:
            # Not recorded: the log must not grow by whoever guesses.
            raise TooManyAttempts("Too many attempts: try again in a minute.", GUESSING_SECONDS)
        self._guesses.failed(name, clock)
        await self._record(share, address, None, path)
        raise Unauthorized("Incorrect password")

    def is_unlocked(self, share: OpenShare, share_token: str) -> int | None:
        """The id of the password by which a share token opens this link; None when it doesn't."""
        told = self._tokens.read_share_token(share_token)
        if told is None or told.access_token != share.token:
            return None
        return told.password_id if share.is_unlocked_by(told.password_id) else None

    async def _record(
        self, share: OpenShare, address: str, password_id: int | None, path: str | None
    ) -> None:
        success = password_id is not None
        attempt: Mapping[str, Any] = {
            "access_token_suffix": share.token[-6:],
            "client_ip": address,
            "success": success,
            "resource_type": "notebook",
            "password_id": password_id,
            "password_note": share.notes.get(password_id) if password_id is not None else None,
        }
        await self._activities.record(
            "share_login_success" if success else "share_login_failed",
            "visitor",
            path=share.path if path is None else path,
            notebook_id=share.notebook_id,
            detail={"authentication_attempt": attempt},
        )

    @asynccontextmanager
    async def _turn(self, share_id: int, address: str) -> AsyncIterator[None]:
        """Waits until no other guess at this link is being checked."""
        place = (share_id, network(address))
        if self._waiting[place] >= MAX_WAITING:
            raise TooManyAttempts("Too many attempts at once: try again in a second.", 1)
        self._waiting[place] += 1
        lock = self._turns.setdefault(share_id, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]
            if not any(link == share_id for link, _ in self._waiting):
                self._turns.pop(share_id, None)
