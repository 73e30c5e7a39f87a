"""Tokens of pages and of share links: what they say, how long, and that nobody else can make one."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import timedelta

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.callers import Visit
from jupyter_dashboards_api.access.page_tokens import PageToken, PageTokens, ShareToken

SECRET = b"s" * 32
MINUTES = timedelta(minutes=15)
TOKENS = PageTokens(SECRET, MINUTES, timedelta(hours=24))
VISIT = Visit("f" * 32, "sales/ümsatz.ipynb", "", None)

# What may stand in `Sec-WebSocket-Protocol` (RFC 6455: a token of RFC 2616) and in a URL's path without escapes.
FITS_ANYWHERE = re.compile(r"[A-Za-z0-9._~-]+")


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return claims


visits = st.builds(
    Visit,
    st.text(max_size=32),
    st.text(max_size=300),
    st.text(max_size=40),
    st.one_of(st.none(), st.integers(0, 2**31)),
)


@settings(deadline=None)
@given(visits)
def test_a_page_token_says_what_it_was_made_of(visit: Visit) -> None:
    before = time.time()
    token = TOKENS.page_token(visit)
    told = TOKENS.read_page_token(token)
    assert told is not None
    assert told.visit == visit
    assert before <= told.begun <= time.time()
    assert FITS_ANYWHERE.fullmatch(token)


@settings(deadline=None)
@given(st.text(max_size=64), st.integers(0, 2**31))
def test_a_share_token_says_what_it_was_made_of(access_token: str, password_id: int) -> None:
    token = TOKENS.share_token(access_token, password_id, MINUTES)
    assert TOKENS.read_share_token(token) == ShareToken(access_token, password_id)
    assert FITS_ANYWHERE.fullmatch(token)


@pytest.mark.parametrize("path", ["a" * 4096, "и" * 2048, "漢" * 1365, "\U0001f600" * 1024])
def test_the_longest_path_has_a_token_too(path: str) -> None:
    told = TOKENS.read_page_token(TOKENS.page_token(Visit("v", path)))
    assert told is not None
    assert told.visit.path == path


def test_each_visit_is_another_visitors() -> None:
    visits = {TOKENS.new_visit(path="a.ipynb").visitor for _ in range(100)}
    assert len(visits) == 100
    assert TOKENS.new_visit(share="s", password_id=3).share == "s"


def test_a_token_ends() -> None:
    over = PageTokens(SECRET, timedelta(seconds=-5), timedelta(hours=24))
    assert TOKENS.read_page_token(over.page_token(VISIT)) is None
    assert TOKENS.read_share_token(TOKENS.share_token("t", 1, timedelta(seconds=-5))) is None
    assert claims_of(TOKENS.page_token(VISIT))["exp"] == pytest.approx(time.time() + 900, abs=5)


def test_renewals_do_not_outlive_the_longest_time() -> None:
    begun = time.time() - timedelta(hours=24).total_seconds() + 60
    token = TOKENS.page_token(VISIT, begun)
    told = TOKENS.read_page_token(token)
    assert told == PageToken(VISIT, begun)
    # A minute is left, and not the quarter of an hour of a new token.
    assert claims_of(token)["exp"] == int(begun + timedelta(hours=24).total_seconds())
    # The renewal of a renewal has begun no later.
    again = TOKENS.page_token(VISIT, told.begun)
    assert claims_of(again)["exp"] == claims_of(token)["exp"]
    too_old = time.time() - timedelta(hours=25).total_seconds()
    assert TOKENS.read_page_token(TOKENS.page_token(VISIT, too_old)) is None


def test_another_servers_token_is_none_of_ours() -> None:
    other = PageTokens(b"o" * 32, MINUTES, MINUTES)
    assert TOKENS.read_page_token(other.page_token(VISIT)) is None
    assert TOKENS.read_share_token(other.share_token("t", 1, MINUTES)) is None


def test_what_the_cookie_secret_itself_signed_is_none_of_ours() -> None:
    claims = claims_of(TOKENS.page_token(VISIT))
    assert TOKENS.read_page_token(jwt.encode(claims, SECRET, "HS256")) is None


def test_a_share_token_is_no_page_token_and_the_other_way_round() -> None:
    assert TOKENS.read_page_token(TOKENS.share_token("t", 1, MINUTES)) is None
    assert TOKENS.read_share_token(TOKENS.page_token(VISIT)) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", ""])
def test_a_header_does_not_choose_the_algorithm(algorithm: str) -> None:
    header, claims, signature = TOKENS.page_token(VISIT).split(".")
    chosen = encoded({"alg": algorithm, "typ": "JWT"})
    assert chosen != header
    for signed in (f"{chosen}.{claims}.{signature}", f"{chosen}.{claims}."):
        assert TOKENS.read_page_token(signed) is None
    unsigned = jwt.encode(claims_of(f"{header}.{claims}.{signature}"), None, "none")
    assert TOKENS.read_page_token(unsigned) is None


@pytest.mark.parametrize("missing", ["exp", "aud"])
def test_a_token_without_an_end_or_an_audience_is_none(missing: str) -> None:
    claims = claims_of(TOKENS.page_token(VISIT))
    del claims[missing]
    assert TOKENS.read_page_token(jwt.encode(claims, TOKENS._key, "HS256")) is None


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.one_of(st.sampled_from("aA0-_.="), st.characters()))
def test_no_character_can_be_changed(where: float, other: str) -> None:
    token = TOKENS.page_token(VISIT)
    # The signature's last digit holds bits that mean nothing.
    place = int(where * (len(token) - 1))
    changed = token[:place] + other + token[place + 1 :]
    assert (TOKENS.read_page_token(changed) is None) == (changed != token)


def test_other_claims_do_not_fit_the_signature() -> None:
    header, _, signature = TOKENS.page_token(VISIT).split(".")
    mine = claims_of(TOKENS.page_token(Visit("v", "public.ipynb"))) | {"path": "secret.ipynb"}
    assert TOKENS.read_page_token(f"{header}.{encoded(mine)}.{signature}") is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "\ud800.a.b",
        "é.é.é",
        "e30.e30.e30",
        encoded(b"[" * 9000) + ".e30.e30",
        encoded(b'{"alg":"HS256","a":' + b"[" * 9000) + ".e30.e30",
        encoded({"alg": ["HS256"]}) + ".e30.e30",
        encoded({"alg": "HS256", "b64": False, "crit": ["b64"]}) + "..e30",
        "a" * 1_000_000,
    ],
)
def test_garbage_is_no_token(token: str) -> None:
    assert TOKENS.read_page_token(token) is None
    assert TOKENS.read_share_token(token) is None


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("ab.=-_", max_size=30)))
def test_no_text_is_an_error(text: str) -> None:
    assert TOKENS.read_page_token(text) is None


@settings(deadline=None)
@given(visits)
def test_a_file_token_says_which_link_and_opens_no_page(visit: Visit) -> None:
    token = TOKENS.file_token(visit)
    told = TOKENS.read_file_token(token)
    assert told == Visit("", "", visit.share, visit.password_id)
    assert TOKENS.read_page_token(token) is None
    assert TOKENS.read_share_token(token) is None
    assert TOKENS.read_file_token(TOKENS.page_token(visit)) is None
    assert FITS_ANYWHERE.fullmatch(token)


def test_how_long_a_renewal_lasts_is_known() -> None:
    now = time.time()
    day = timedelta(hours=24).total_seconds()
    assert TOKENS.seconds_left(now) == 900
    assert TOKENS.seconds_left(now - day + 60) == pytest.approx(60, abs=5)
    assert TOKENS.seconds_left(now - day - 60) < 0
