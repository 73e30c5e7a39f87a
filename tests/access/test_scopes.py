"""What an API key's scopes let it do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.scopes import ALL, OBJECTS, SCOPES, check_scopes, grants
from jupyter_dashboards_api.errors import InvalidRequest

known = st.sampled_from(sorted(SCOPES))
unknown = st.text().filter(lambda scope: scope not in {*SCOPES, ALL})


@pytest.mark.parametrize("name", OBJECTS)
def test_write_includes_read_and_not_the_other_way_round(name: str) -> None:
    assert grants([f"{name}:write"], f"{name}:read")
    assert grants([f"{name}:write"], f"{name}:write")
    assert grants([f"{name}:read"], f"{name}:read")
    assert not grants([f"{name}:read"], f"{name}:write")


@pytest.mark.parametrize("scope", SCOPES)
def test_the_star_grants_everything(scope: str) -> None:
    assert grants([ALL], scope)


@settings(deadline=None)
@given(st.sets(st.one_of(known, unknown)), known)
def test_a_scope_grants_its_own_object_and_nothing_else(scopes: set[str], needed: str) -> None:
    name, _, action = needed.partition(":")
    enough = {f"{name}:write"} if action == "write" else {f"{name}:write", f"{name}:read"}
    assert grants(scopes, needed) == bool(scopes & enough)


@settings(deadline=None)
@given(st.sets(unknown), known)
def test_unknown_scopes_grant_nothing(scopes: set[str], needed: str) -> None:
    assert not grants(scopes, needed)


@settings(deadline=None)
@given(st.sets(st.one_of(known, unknown, st.just(ALL))), unknown)
def test_nothing_grants_what_is_unknown(scopes: set[str], needed: str) -> None:
    assert not grants(scopes, needed)


def test_the_star_itself_is_nothing_that_a_route_may_need() -> None:
    assert not grants([ALL], ALL)


@settings(deadline=None)
@given(st.lists(st.one_of(known, st.just(ALL)), min_size=1))
def test_scopes_are_stored_once_each_in_the_tables_order(scopes: list[str]) -> None:
    checked = check_scopes(scopes)
    assert checked == [scope for scope in (ALL, *SCOPES) if scope in scopes]
    assert check_scopes(checked) == checked


@settings(deadline=None)
@given(st.sets(known), unknown)
def test_an_unknown_scope_is_refused_by_its_name(scopes: set[str], strange: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_scopes([*scopes, strange])
    assert caught.value.message == f"Invalid scope: {strange[:64]}"


def test_a_key_needs_a_scope() -> None:
    with pytest.raises(InvalidRequest, match="at least one scope"):
        check_scopes([])
