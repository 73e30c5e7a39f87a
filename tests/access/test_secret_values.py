"""Secrets that are made here: long enough, all different, and stored so that nobody can read them back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.secret_values import (
    KEY_PREFIX,
    hashed,
    masked,
    new_access_token,
    new_id,
    new_key,
    new_session_secret,
)


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (new_key, KEY_PREFIX + r"[A-Za-z0-9_-]{43}"),
        (new_session_secret, r"[A-Za-z0-9_-]{43}"),
        (new_access_token, r"[A-Za-z0-9_-]{30}"),
        (new_id, r"[0-9a-f]{32}"),
    ],
)
def test_each_secret_is_long_and_new(make: Callable[[], str], form: str) -> None:
    made = [make() for _ in range(200)]
    assert len(set(made)) == 200
    assert all(re.fullmatch(form, secret) for secret in made)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_secret_is_compared_by_its_sha256(secret: str) -> None:
    assert hashed(secret) == hashlib.sha256(secret.encode()).hexdigest()


def test_whatever_was_sent_can_be_looked_up() -> None:
    assert len(hashed("\ud800\0")) == 64


def test_a_mask_tells_a_person_the_key_and_nobody_its_secret() -> None:
    key = new_key()
    assert masked(key).startswith(KEY_PREFIX)
    assert masked(key) == f"{key[:8]}…{key[-4:]}"
