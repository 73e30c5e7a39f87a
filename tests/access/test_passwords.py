"""Passwords: how they are hashed and checked, and that nothing is told by the time that it takes."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable

import pytest

from jupyter_dashboards_api.access.passwords import (
    MAX_LENGTH,
    MIN_LENGTH,
    HashingThreads,
    check_strength,
    hash_password,
    matching,
    verify_password,
)
from jupyter_dashboards_api.errors import InvalidRequest, Unavailable

PASSWORD = "correct horse"
HASH = hash_password(PASSWORD)


def test_a_password_is_stored_as_an_argon2id_hash_with_a_salt_of_its_own() -> None:
    other = hash_password(PASSWORD)
    assert HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in HASH
    assert other != HASH
    # The column's length.
    assert len(HASH) < 255
    assert verify_password(PASSWORD, HASH)
    assert verify_password(PASSWORD, other)


@pytest.mark.parametrize("wrong", ["", "correct hors", "correct horse ", "Correct horse", "\0"])
def test_another_password_is_wrong(wrong: str) -> None:
    assert not verify_password(wrong, HASH)


@pytest.mark.parametrize(
    "password",
    ["x" * MAX_LENGTH, "ü" * 500 + "\U0001f600" * 500, "lone \ud800 surrogate", "with\0zero"],
)
def test_a_password_may_be_of_any_characters(password: str) -> None:
    stored = hash_password(check_strength(password))
    assert verify_password(password, stored)
    assert not verify_password(password[:-1], stored)


def test_a_password_longer_than_can_be_set_is_wrong() -> None:
    assert not verify_password("x" * (MAX_LENGTH + 1), HASH)
    assert not verify_password(PASSWORD + "x" * 1_000_000, HASH)


@pytest.mark.parametrize("stored", ["", "no hash", "$argon2id$v=19$m=19456,t=2,p=1$"])
def test_nothing_belongs_to_what_is_no_hash(stored: str) -> None:
    assert not verify_password(PASSWORD, stored)


def test_a_password_has_a_least_and_a_most_length() -> None:
    assert check_strength("x" * MIN_LENGTH) == "x" * MIN_LENGTH
    assert check_strength("x" * MAX_LENGTH) == "x" * MAX_LENGTH
    with pytest.raises(InvalidRequest, match="at least 8 characters"):
        check_strength("x" * (MIN_LENGTH - 1))
    with pytest.raises(InvalidRequest, match="at most 1024 characters"):
        check_strength("x" * (MAX_LENGTH + 1))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_checking_nobodys_password_takes_as_long_as_checking_somebodys() -> None:
    ratios = []
    for _ in range(7):
        somebody = seconds(lambda: verify_password("wrong", HASH))
        nobody = seconds(lambda: verify_password("wrong", None))
        too_long = seconds(lambda: verify_password("x" * 5000, HASH))
        no_password = seconds(lambda: matching("wrong", []))
        ratios += [nobody / somebody, too_long / somebody, no_password / somebody]
    assert 0.5 < statistics.median(ratios) < 2


def test_nobodys_password_is_always_wrong() -> None:
    assert not verify_password("", None)
    assert not verify_password(PASSWORD, None)


def test_matching_names_the_password_that_was_right() -> None:
    stored = [(3, HASH), (7, hash_password("another one"))]
    assert matching(PASSWORD, stored) == 3
    assert matching("another one", stored) == 7
    assert matching("a third one", stored) is None
    assert matching(PASSWORD, []) is None


async def test_threads_answer_what_the_work_returns_and_raise_what_it_raises(
    threads: HashingThreads,
) -> None:
    assert await threads.run(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)
    assert await threads.run(threading.get_ident) != threading.get_ident()


async def test_only_so_many_run_and_only_so_many_wait() -> None:
    threads = HashingThreads(threads=2, max_waiting=5)
    go, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(30)
        with lock:
            running -= 1

    tasks = [asyncio.ensure_future(threads.run(work)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await threads.run(work)
    assert refused.value.retry_after > 0
    go.set()
    await asyncio.gather(*tasks)
    assert most <= 2
    await threads.run(work)
    threads.close()


async def test_whoever_waits_is_asked_again_when_it_is_their_turn() -> None:
    threads = HashingThreads(threads=1)
    begun: list[int] = []

    def before() -> None:
        if begun:
            raise LookupError("not any more")

    answers = await asyncio.gather(
        *(threads.run(lambda: begun.append(1), before) for _ in range(3)), return_exceptions=True
    )
    threads.close()
    assert [type(answer) for answer in answers] == [type(None), LookupError, LookupError]
    assert begun == [1]
