"""What a client asks of the history: every filter, in every client's spelling. Pure."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jupyter_dashboards_api.commands.history import HistoryQuery, history_query
from jupyter_dashboards_api.commands.models import Filter
from jupyter_dashboards_api.commands.wire import (
    read_flag,
    read_number,
    read_time,
    schedule_time,
    seconds,
    timestamp,
    user_id,
)
from jupyter_dashboards_api.errors import InvalidRequest

NOW = datetime(2026, 11, 26, 14, 30, 5, tzinfo=UTC)
END_OF_DAY = datetime.combine(NOW.date(), time.max, UTC)


def asked(**arguments: Any) -> HistoryQuery:
    return history_query({name: str(text) for name, text in arguments.items()}, "ann", NOW)


def test_by_default_it_is_the_first_ten_of_one_s_own_of_the_last_thirty_days() -> None:
    query = asked()
    assert (query.page, query.per_page, query.offset, query.with_properties) == (1, 10, 0, False)
    assert query.wanted == Filter(
        owners=("ann",),
        since=datetime.combine(NOW.date(), time.max, UTC).replace(month=10, day=27),
        until=END_OF_DAY,
    )


@pytest.mark.parametrize("name", ["page", "per_page", "status", "start_date", "all_users", "name"])
def test_an_empty_argument_is_none(name: str) -> None:
    assert asked(**{name: ""}) == asked()


def test_a_page_has_at_most_100_commands() -> None:
    assert asked(per_page=100).per_page == 100
    assert asked(per_page=5000).per_page == 100
    assert asked(page=3, per_page=20).offset == 40


def test_the_ends_of_the_history_have_no_neighbouring_page() -> None:
    assert asked().paging_info(more=False) == {
        "previous_page": None,
        "next_page": None,
        "per_page": 10,
    }
    assert asked(page=2).paging_info(more=True) == {
        "previous_page": 1,
        "next_page": 3,
        "per_page": 10,
    }


@pytest.mark.parametrize("yes", ["1", "true", "True"])
def test_all_users_are_everybody(yes: str) -> None:
    assert asked(all_users=yes).wanted.owners is None
    assert asked(all_users="0").wanted.owners == ("ann",)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        (
            "2026-11-03",
            datetime(2026, 11, 3, tzinfo=UTC),
            datetime.combine(date(2026, 11, 3), time.max, UTC),
        ),
        *(
            (
                text,
                datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC),
                datetime(2026, 11, 3, 4, 5, 6, 999_999, tzinfo=UTC),
            )
            for text in ("2026-11-03T04:05:06Z", "2026-11-03 04:05:06 UTC")
        ),
        (
            "2026-11-03T04:05Z",
            datetime(2026, 11, 3, 4, 5, tzinfo=UTC),
            datetime(2026, 11, 3, 4, 5, 0, 999_999, tzinfo=UTC),
        ),
    ],
)
def test_both_dates_are_inclusive_in_each_of_the_api_s_formats(
    text: str, start: datetime, end: datetime
) -> None:
    assert asked(start_date=text).wanted.since == start
    assert asked(end_date=text).wanted.until == end


def test_without_a_start_it_is_thirty_days_before_the_end() -> None:
    wanted = asked(end_date="2020-03-31").wanted
    assert wanted.since is not None
    assert wanted.until is not None
    assert (wanted.until - wanted.since).days == 30
    assert asked(end_date="0001-01-02").wanted.since == datetime.min.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "filters"),
    [
        ({"command_type": "SparkCommand"}, {"command_types": ("SparkCommand",)}),
        (
            {"command_type": "SparkCommand, HiveCommand"},
            {"command_types": ("SparkCommand", "HiveCommand")},
        ),
        ({"status": "done"}, {"statuses": ("done",)}),
        ({"status": "success,failed"}, {"statuses": ("done", "error")}),
        ({"command_source": "SCHEDULED"}, {"source": "SCHEDULED"}),
        ({"name": "a name"}, {"name": "a name"}),
        ({"cluster_label": "spark1"}, {"label": "spark1"}),
        ({"command_id": "7"}, {"command_id": 7}),
        ({"note_id": "7"}, {"notebook_id": 7}),
        ({"tags": "a,b"}, {"tags": ("a", "b")}),
        ({"tag": "a"}, {"tags": ("a",)}),
    ],
)
def test_every_filter(arguments: dict[str, str], filters: dict[str, Any]) -> None:
    wanted = asked(**arguments).wanted
    assert {name: getattr(wanted, name) for name in filters} == filters


def test_a_user_s_number_asks_for_that_user_s_commands() -> None:
    query = asked(qbol_user_id=user_id("bob"))
    assert query.user_id == user_id("bob")
    assert query.wanted.owners is None


def test_no_command_belongs_to_a_session() -> None:
    assert asked(session_id=69).is_empty
    assert not asked().is_empty


@pytest.mark.parametrize(
    "arguments",
    [
        {"page": "0"},
        {"page": "-1"},
        {"page": "x"},
        {"page": "99999999999"},
        {"per_page": "1.5"},
        {"status": "perhaps"},
        {"start_date": "yesterday"},
        {"end_date": "2026-13-01"},
        {"end_date": "2026-11-26T25:00:00Z"},
        {"command_id": "x"},
        {"qbol_user_id": "ann"},
        {"name": "a\0b"},
        {"name": "x" * 5000},
    ],
)
def test_what_can_never_be_answered_is_refused_by_its_name(arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(**arguments)
    assert next(iter(arguments)) in caught.value.message


NAMES = ("page", "per_page", "status", "start_date", "end_date", "command_id", "tags", "note_id")


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), st.text()))
@example({"end_date": "0001-01-01T00:00:00Z"})
@example({"start_date": "9999-12-31"})
def test_no_query_whatsoever_is_more_than_refused(arguments: dict[str, str]) -> None:
    with suppress(InvalidRequest):
        query = history_query(arguments, "ann", NOW)
        assert query.wanted.until is not None
        assert 1 <= query.per_page <= 100


def test_the_three_formats_of_times() -> None:
    moment = datetime(2016, 10, 3, 7, 14, 39, 250_000, tzinfo=UTC)
    assert timestamp(moment) == "2016-10-03T07:14:39Z"
    assert seconds(moment) == 1475478879
    assert schedule_time(moment) == "2016-10-03T07:14Z"
    assert (timestamp(None), seconds(None), schedule_time(None)) == (None, None, None)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_that_we_write_is_a_time_that_we_read(moment: datetime) -> None:
    text = timestamp(moment)
    assert text is not None
    assert read_time(text, time.min) == moment.replace(microsecond=0)


@given(st.text())
@example("\u0661")
@example("9" * 5000)
def test_a_number_is_one_that_the_database_can_hold(text: str) -> None:
    number = read_number(text)
    assert number is None or 0 <= number < 2**31


@pytest.mark.parametrize("text", ["1", "true", "True", " yes "])
def test_a_flag_is_set_in_any_clients_spelling(text: str) -> None:
    assert read_flag(text) is True


@given(st.text() | st.sampled_from(["0", "false", "no", "", "11", "truely"]))
def test_a_flag_is_not_set_by_any_other_word(text: str) -> None:
    assume(text.strip().lower() not in ("1", "true", "yes"))
    assert read_flag(text) is False
