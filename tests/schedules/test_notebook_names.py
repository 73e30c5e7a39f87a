"""Names of the notebooks API's files, and the zone of the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.contents import clean_path
from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.schedules.fields import zone_named
from jupyter_dashboards_api.schedules.local_zone import local_zone
from jupyter_dashboards_api.schedules.notebook_names import new_name, renamed, user_segment

MOMENT = datetime(2023, 12, 13, 7, 13, 50, tzinfo=UTC)


def test_new_names_have_time_and_user_and_a_number_where_there_are_several() -> None:
    assert new_name(MOMENT, "admin", 0) == "2023-12-13_07:13:50_admin.ipynb"
    assert new_name(MOMENT, "admin", 1) == "2023-12-13_07:13:50_admin_1.ipynb"


@pytest.mark.parametrize("user", ["admin", "ann@example.org", "J-P_2", "Ångström", "李"])
def test_ordinary_names_stay_as_they_are(user: str) -> None:
    assert user_segment(user) == user


@given(st.text())
def test_every_user_has_one_safe_folder(user: str) -> None:
    segment = user_segment(user)
    assert clean_path(segment) == segment
    assert "/" not in segment
    assert len(new_name(MOMENT, user, 999).encode()) < 150


@given(st.text(), st.text())
def test_two_users_never_share_a_folder(one: str, other: str) -> None:
    assert (user_segment(one) == user_segment(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b", "a_b"), ("a/b", "a\\b"), (".a", "a"), ("e\u0301", "é"), ("x" * 99, "x" * 98)],
)
def test_names_that_are_changed_alike_stay_apart(one: str, other: str) -> None:
    assert user_segment(one) != user_segment(other)


@given(st.text())
def test_a_new_name_is_a_plain_file_name_or_refused(name: str) -> None:
    try:
        wanted = renamed(name)
    except InvalidRequest:
        return
    assert wanted.endswith(".ipynb")
    assert clean_path(wanted) == wanted
    assert "/" not in wanted


def test_the_zone_is_that_of_tz_else_of_the_system(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    name = tmp_path / "timezone"
    name.write_text("Asia/Tokyo\n")
    assert local_zone("America/New_York", link, name) == "America/New_York"
    assert local_zone(":/usr/share/zoneinfo/Asia/Kolkata", link, name) == "Asia/Kolkata"
    assert local_zone("", link, name) == "Europe/Berlin"
    assert local_zone("nonsense", nothing, name) == "Asia/Tokyo"
    # Always one that there is.
    zone_named(local_zone("", nothing, nothing))
    zone_named(local_zone())
