"""Logging in with a name and a password, and how often it may be tried."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable

from ..errors import InvalidRequest, TooManyAttempts, Unauthorized, Unavailable
from .accounts import clean_username
from .authenticators import Authenticator, Viewer
from .login_sessions import LoginSessions
from .passwords import MAX_LENGTH, HashingThreads
from .throttle import FailureLimit, network

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
        self._owners_turn = asyncio.Lock()

    async def log_in(self, username: str, password: str, address: str) -> tuple[Viewer, str]:
        """The viewer, and the secret of the session that has begun.

        Raises `Unauthorized` for a wrong name or password, `TooManyAttempts`, and `Unavailable` when it can't be checked.
        """
        self._check_address(address)
        viewer, name = None, _possible(username)
        if name is not None:
            # Whoever guesses at somebody's password must not keep them out of where they are logged in already.
            exempt = await self._sessions.knows(name, address)

            def check() -> None:
                self._check_address(address)
                if not exempt:
                    self._wait(self._by_name.wait(_counted(name), time.monotonic()))

            check()
            if len(password) <= MAX_LENGTH:
                # Asked again at its turn: of many attempts at once, most were let in before one of them had failed.
                viewer = await self._authenticate(name, password, check)
        if viewer is None or name is None:
            self._failed(name, address)
            raise Unauthorized("Wrong name or password.")
        self._by_name.succeeded(_counted(name))
        return viewer, await self._sessions.begin(viewer, address)

    async def check_owner(self, check: Callable[[], Awaitable[bool]], address: str) -> bool:
        """Whether the server's own login, which `check` asks, is right. Raises `TooManyAttempts`."""
        self._check_address(address)
        # One at a time: of many attempts at once, all would be let in before one of them had failed.
        async with self._owners_turn:
            self._check_address(address)
            if await check():
                return True
            self._failed(None, address)
            return False

    async def _authenticate(
        self, username: str, password: str, before: Callable[[], None]
    ) -> Viewer | None:
        try:
            return await self._threads.run(
                lambda: self._authenticator.authenticate(username, password), before
            )
        except (Unavailable, TooManyAttempts):
            raise
        except Exception as error:
            self._log.exception("%s failed", type(self._authenticator).__name__)
            raise Unavailable(
                "Logging in does not work now: try again later.", _RETRY_AFTER
            ) from error

    def _check_address(self, address: str) -> None:
        self._wait(self._by_address.wait(network(address), time.monotonic()))

    def _failed(self, name: str | None, address: str) -> None:
        clock = time.monotonic()
        if name is not None:
            self._by_name.failed(_counted(name), clock)
        self._by_address.failed(network(address), clock)

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            raise TooManyAttempts(
                "Too many attempts: try again in a few minutes.", max(1, math.ceil(seconds))
            )


def _possible(username: str) -> str | None:
    """The name as accounts have it; None when nobody can be called so."""
    try:
        return clean_username(username)
    except InvalidRequest:
        return None


def _counted(name: str) -> str:
    """The name under which failures count: for many directories, `Ann` is the account `ann`."""
    return name.casefold()


def same_secret(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that doesn't tell how much of them is. An empty one never is."""
    return bool(other) and hmac.compare_digest(one.encode(errors="replace"), other.encode())
