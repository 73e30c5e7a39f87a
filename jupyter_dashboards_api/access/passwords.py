"""Passwords that people choose: Argon2id hashes, made and checked in threads of their own.

Each check takes tens of milliseconds of a core, by design; so only a few run at once, and only so many may wait.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ..errors import InvalidRequest, Unavailable

MIN_LENGTH = 8
MAX_LENGTH = 1024
"""Characters. Longer ones are only work."""

_RETRY_AFTER = 5

# RFC 9106's second choice is for 64 MiB; OWASP's first for servers that hash on request is 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Checked where there is nobody to check, so that the time doesn't tell.
_dummy = _hasher.hash(secrets.token_urlsafe(16))

T = TypeVar("T")


def check_strength(password: str) -> str:
    """The password, if it may be one. Raises `InvalidRequest`."""
    if len(password) < MIN_LENGTH:
        raise InvalidRequest(f"The password must have at least {MIN_LENGTH} characters.")
    if len(password) > MAX_LENGTH:
        raise InvalidRequest(f"The password must have at most {MAX_LENGTH} characters.")
    return password


def hash_password(password: str) -> str:
    """A new Argon2id hash with parameters and salt in it. Blocks."""
    return _hasher.hash(password.encode("utf-8", "surrogatepass"))


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password belongs to a stored hash. Blocks, as long for no hash (None) as for one."""
    if len(password) > MAX_LENGTH:
        password, stored = "", None
    try:
        _hasher.verify(stored or _dummy, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def matching(password: str, stored: Sequence[tuple[int, str]]) -> int | None:
    """The id of the first hash that the password belongs to. Blocks; checks one hash at least."""
    for number, value in stored:
        if verify_password(password, value):
            return number
    if not stored:
        verify_password(password, None)
    return None


class HashingThreads:
    """Runs what hashes passwords, a few at a time."""

    def __init__(self, threads: int = 2, max_waiting: int = 256) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dashboards-password")
        # The pool's own queue would not ask again whether the work is still wanted.
        self._free = asyncio.Semaphore(threads)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, work: Callable[[], T], before: Callable[[], None] = lambda: None) -> T:
        """What `work` returns. Raises `Unavailable` when too many others wait.

        `before` is called in the event loop when it is this one's turn; what it raises is raised, and `work` not begun.
        """
        if self._waiting >= self._max_waiting:
            raise Unavailable("Too many logins at once: try again soon.", _RETRY_AFTER)
        self._waiting += 1
        try:
            async with self._free:
                before()
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the threads; what waits is not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
