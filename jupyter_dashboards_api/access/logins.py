"""Logging in with a name and a password, and how often it may be tried."""

from __future__ import annotations

import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable

from ..errors import TooManyAttempts, Unauthorized, Unavailable
from .accounts import MAX_NAME_LENGTH
from .authenticators import Authenticator, Viewer
from .login_sessions import LoginSessions
from .passwords import MAX_LENGTH, HashingThreads
from .throttle import FailureLimit

_OWNER = "\0owner"
"""The name under which failures of the server's own login are counted; no viewer can have it."""

_RETRY_AFTER = 10


class Logins:
    """Checks names and passwords in threads, as long for names that don't exist as for those that do."""

    def __init__(
        self,
        authenticator: Authenticator,
        sessions: LoginSessions,
        threads: HashingThreads,
        by_name: FailureLimit,
        by_address: FailureLimit,
        log: logging.Logger,
    ) -> None:
        self._authenticator = authenticator
        self._sessions = sessions
        self._threads = threads
        self._by_name = by_name
        self._by_address = by_address
        self._log = log

    async def log_in(self, username: str, password: str, address: str) -> tuple[Viewer, str]:
        """The viewer, and the secret of the session that has begun.

        Raises `Unauthorized` for a wrong name or password, `TooManyAttempts`, and `Unavailable` when it can't be checked.
        """
        await self._check_attempts(username, address)
        possible = len(username) <= MAX_NAME_LENGTH and len(password) <= MAX_LENGTH
        viewer = await self._authenticate(username, password) if possible else None
        if viewer is None:
            self._failed(username, address)
            raise Unauthorized("Wrong name or password.")
        self._by_name.succeeded(username)
        return viewer, await self._sessions.begin(viewer, address)

    async def check_owner(self, check: Callable[[], Awaitable[bool]], address: str) -> bool:
        """Whether the server's own login, which `check` asks, is right. Raises `TooManyAttempts`."""
        self._wait(self._by_address.wait(address, time.monotonic()))
        if await check():
            return True
        self._failed(_OWNER, address)
        return False

    async def _authenticate(self, username: str, password: str) -> Viewer | None:
        try:
            return await self._threads.run(
                lambda: self._authenticator.authenticate(username, password)
            )
        except Unavailable:
            raise
        except Exception as error:
            self._log.exception("%s failed", type(self._authenticator).__name__)
            raise Unavailable(
                "Logging in does not work now: try again later.", _RETRY_AFTER
            ) from error

    async def _check_attempts(self, username: str, address: str) -> None:
        clock = time.monotonic()
        self._wait(self._by_address.wait(address, clock))
        wait = self._by_name.wait(username, clock)
        # Whoever guesses at somebody's password must not keep them out of where they are logged in already.
        if wait > 0 and not await self._sessions.knows(username, address):
            self._wait(wait)

    def _failed(self, username: str, address: str) -> None:
        clock = time.monotonic()
        self._by_name.failed(username, clock)
        self._by_address.failed(address, clock)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            raise TooManyAttempts(
                "Too many attempts: try again in a few minutes.", max(1, math.ceil(seconds))
            )


def same_secret(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that doesn't tell how much of them is. An empty one never is."""
    return bool(other) and hmac.compare_digest(one.encode(errors="replace"), other.encode())
