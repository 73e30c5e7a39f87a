"""Which token a request's headers carry, in every form that programs send."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.credentials import (
    MAX_SECRET_LENGTH,
    HeaderCredential,
    header_credential,
)

T = "b73c18384e5437ec78dde64669c6a95faa590efac5135eca"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "x_auth_token", "username"),
    [
        (f"token {T}", "", ""),
        (f"Bearer {T}", "", ""),
        (f"Basic {T}", "", ""),
        (f"Basic {encoded(f'user:{T}')}", "", "user"),
        (f"Basic {encoded(f':{T}')}", "", ""),
        (f"Basic {encoded(f'jürgen:{T}')}", "", "jürgen"),
        ("", T, ""),
    ],
)
def test_every_form_carries_the_same_token(
    authorization: str, x_auth_token: str, username: str
) -> None:
    assert header_credential(authorization, x_auth_token) == HeaderCredential(T, username)


@pytest.mark.parametrize("scheme", "token Token TOKEN bearer BEARER basic BASIC bAsIc".split())
@pytest.mark.parametrize("space", [" ", "   ", "\t"])
def test_a_scheme_is_written_in_any_case_with_any_space_after_it(scheme: str, space: str) -> None:
    assert header_credential(f"  {scheme}{space}{T} ", "") == HeaderCredential(T)


@settings(deadline=None)
@given(st.binary(min_size=24, max_size=24))
def test_a_token_of_48_hexadecimal_digits_under_basic_is_taken_as_it_is(token: bytes) -> None:
    assert header_credential(f"Basic {token.hex()}", "") == HeaderCredential(token.hex())


def test_a_password_may_hold_colons() -> None:
    assert header_credential(f"Basic {encoded('ann:a:b:c')}", "") == HeaderCredential(
        "a:b:c", "ann"
    )


@pytest.mark.parametrize("authorization", [f"token {T}x", "Basic !!", "Digest a", "token"])
def test_the_header_x_auth_token_wins(authorization: str) -> None:
    assert header_credential(authorization, f" {T} ") == HeaderCredential(T)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "token",
        "Bearer   ",
        T,
        f"Digest {T}",
        f"Negotiate {T}",
        f"Bearer: {T}",
        f"token {T}\nHost: x",
        f"Basic {encoded('user:')}",
        f"token {'a' * (MAX_SECRET_LENGTH + 1)}",
    ],
)
def test_nothing_else_is_a_credential(authorization: str) -> None:
    assert header_credential(authorization, "") is None


def test_an_empty_header_x_auth_token_is_none() -> None:
    assert header_credential(f"token {T}", "  ") == HeaderCredential(T)
    assert header_credential("", "\t") is None


@settings(deadline=None)
@given(
    st.one_of(
        st.text(),
        st.builds("{} {}".format, st.sampled_from(["token", "Basic", "Bearer", "x"]), st.text()),
        st.binary().map(lambda data: f"Basic {base64.b64encode(data).decode()}"),
    ),
    st.one_of(st.just(""), st.text()),
)
def test_no_header_is_an_error(authorization: str, x_auth_token: str) -> None:
    found = header_credential(authorization, x_auth_token)
    assert found is None or 0 < len(found.secret) <= MAX_SECRET_LENGTH


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters=":"), max_size=20)
tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@settings(deadline=None)
@given(names, tokens)
def test_what_basic_encodes_is_read_back(name: str, token: str) -> None:
    assert header_credential(f"Basic {encoded(f'{name}:{token}')}", "") == HeaderCredential(
        token, name
    )
