"""Macros: what their expressions become, what is refused, and how they get into arguments."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.commands.macros import (
    MAX_EXPRESSION,
    MAX_MACROS,
    parsed_macros,
    resolved,
    substituted,
    written,
)
from jupyter_dashboards_api.commands.submission import Refused, run_request
from jupyter_dashboards_api.errors import InvalidRequest

NOMINAL = datetime(2026, 3, 31, 1, 30, 5, 678_900, tzinfo=UTC)
NOW = NOMINAL + timedelta(minutes=1)
BERLIN = ZoneInfo("Europe/Berlin")


def values(*expressions: Any, nominal: datetime = NOMINAL) -> list[Any]:
    """What expressions become, as macros `m0`, `m1` and so on."""
    macros = parsed_macros([{f"m{n}": text} for n, text in enumerate(expressions)])
    return list(resolved(macros, nominal, NOW).values())


def value(expression: Any, nominal: datetime = NOMINAL) -> Any:
    return values(expression, nominal=nominal)[0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a text'", "a text"),
        ('"it\'s"', "it's"),
        (r"'\n\t\\\'\"\x41\u00e9\u{1F642}\ud83d\ude42\q'", "\n\t\\'\"Aé🙂🙂q"),
        ("1", 1),
        (" -2.5 ; ", -2.5),
        ("1e3", 1000.0),
        ("true", True),
        (7, 7),
        (False, False),
        ("1 + 2", 3),
        ("'a' + 1 + 2", "a12"),
        ("'a' + (1 + 2)", "a3"),
        ("1 + 2 + 'a'", "3a"),
        ("'' + true + 1.0 + 0.5 + 1e21 + 1e-7 + 0.00001", "true10.51e+211e-70.00001"),
    ],
)
def test_literals_and_sums_are_as_in_javascript(expression: Any, expected: Any) -> None:
    found = value(expression)
    assert (found, type(found)) == (expected, type(expected))


# The first is the one of the API's documentation, the second that of a schedule as a client has it.
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Qubole_nominal_time.clone().subtract('days', 7).strftime('%Y-%m-%d')", "2026-03-24"),
        ("Qubole_nominal_time.clone().subtract('minutes', 60).strftime('%H')", "00"),
        ("Qubole_nominal_time_iso", "2026-03-31T01:30:05+00:00"),
        ("Qubole_nominal_time", "2026-03-31T01:30:05+00:00"),
        ("moment().format()", "2026-03-31T01:31:05+00:00"),
        ("moment('2026-02-28').add(1, 'day').format('D.M.YY')", "1.3.26"),
        ("moment(Qubole_nominal_time).subtract(1, 'month').format('YYYY-MM-DD')", "2026-02-28"),
        ("moment().add(1, 'Q').format('Q YYYY')", "2 2026"),
        ("moment().startOf('week').format('dddd D')", "Sunday 29"),
        ("moment().startOf('isoWeek').format('ddd DD')", "Mon 30"),
        ("moment().startOf('quarter').format()", "2026-01-01T00:00:00+00:00"),
        ("moment().endOf('month').toISOString()", "2026-03-31T23:59:59.999Z"),
        ("moment().startOf('hour').unix()", 1774918800),
        ("moment().tz('Asia/Kolkata').format('HH:mm Z z')", "07:01 +05:30 IST"),
        ("moment().tz('Asia/Kolkata').utc().strftime('%H:%M %z %%')", "01:31 +0000 %"),
        ("moment().format('[Day] DDD, Do MMMM, h:mm a')", "Day 90, 31st March, 1:31 am"),
        ("moment().strftime('%A %b %j %-d %I %p %y %T %F')", "Tuesday Mar 090 31 01 AM 26 01:31:05 2026-03-31"),
        ("moment().format('YYYY-MM-DDTHH:mm:ss.SSS')", "2026-03-31T01:31:05.678"),
    ],
)  # fmt: skip
def test_times_are_reckoned_with_and_written_as_moment_js_does(
    expression: str, expected: Any
) -> None:
    assert value(expression) == expected


def test_macros_use_the_ones_before_them() -> None:
    assert values("moment()", "m0.clone().add(1, 'd').strftime('%d')", "'day ' + m1")[1:] == [
        "01",
        "day 01",
    ]


def test_a_moment_is_changed_by_its_methods_unless_it_is_cloned_as_in_javascript() -> None:
    found = values("moment('2026-01-01')", "m0.add(1, 'day').format('D')", "m0.format('D')")
    assert found == ["2026-01-02T00:00:00+00:00", "2", "2"]


def test_days_follow_the_calendar_of_the_zone_and_hours_the_clock() -> None:
    # The night of 29 March 2026 has no hour from 2 to 3 in Berlin.
    before = datetime(2026, 3, 28, 2, 30, tzinfo=BERLIN)
    assert (
        value("Qubole_nominal_time.add(1, 'day').format()", before) == "2026-03-29T03:30:00+02:00"
    )
    assert value("Qubole_nominal_time.add(24, 'hours').format()", before) == (
        "2026-03-29T03:30:00+02:00"
    )
    noon = datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)
    assert value("Qubole_nominal_time.add(1, 'day').format('H Z')", noon) == "12 +02:00"
    assert value("Qubole_nominal_time.add(24, 'hours').format('H Z')", noon) == "13 +02:00"
    assert value("Qubole_nominal_time.startOf('day').format()", noon) == "2026-03-28T00:00:00+01:00"


@pytest.mark.parametrize(
    "expression",
    [
        "", " ", "unknown", "m0", "'a", "`a`", "'a' - 'b'", "1 * 2", "a = 1", "1; 2", "1 2", "(1", "1)", "-'a'", "1.2.3",
        "function() {}", "alert(1)", "this", "null", "[1]", "{}", "'a'.length", "'a'.constructor", "moment", "moment(1)",
        "moment('soon')", "moment('2026-01-01', 'YYYY')", "moment().constructor", "moment().__class__", "moment()['add']",
        "moment().add(1)", "moment().add('days', '1')", "moment().add(1.5, 'days')", "moment().add(1, 'fortnight')",
        "moment().add(1, 1)", "moment().add(true, 'days')", "moment().add(99999, 'years')", "moment().add(1e300, 'hours')",
        "moment().tz('../../etc/passwd')", "moment().tz('Europe')", "moment().tz('No/Where')", "moment().strftime('%')",
        "moment().strftime('%E')", "moment().format('gggg')", "moment().format(1)", "moment() + 1", "1e999", "9" * 400,
        r"'\ud800'", r"'\u{110000}'", "moment('9999-12-31T23:59:59-05:00').utc().format()", "(" * 500, "'a' + " * 200,
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused(expression: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        value(expression)
    assert error.value.message.startswith("macros: m0")


def test_a_refusal_says_what_is_supported() -> None:
    with pytest.raises(Refused) as error:
        run_request({**BODY, "macros": [{"day": "Math.random()"}]}, None)
    message = error.value.message
    assert message.startswith("Command type could not be created. Errors: macros: day: ")
    assert "Qubole_nominal_time" in message
    assert "strftime" in message


@pytest.mark.parametrize(
    "macros",
    [
        "no json", "{}", 1, True, {"a": "1"}, ["a"], [{}], [{"a": "1", "b": "2"}], [{"a b": "1"}], [{"": "1"}],
        [{"moment": "1"}], [{"Qubole_nominal_time": "1"}], [{"true": "1"}], [{"a": None}], [{"a": [1]}], [{"a": 10**400}],
        [{"a": float("nan")}], [{"a": "1" * (MAX_EXPRESSION + 1)}], [{"a": "1"}] * (MAX_MACROS + 1), "[" * 100_000,
        [{"a": "1" * 3000}] * 7, "[" * 50_000,
    ],
)  # fmt: skip
def test_what_are_no_macros_is_refused(macros: Any) -> None:
    with pytest.raises(Refused):
        run_request({**BODY, "macros": macros}, None)


@pytest.mark.parametrize("nothing", [None, "", [], "[]"])
def test_without_macros_texts_stay_as_they_are(nothing: Any) -> None:
    request = run_request({**BODY, "macros": nothing, "arguments": {"x": "$a$"}}, None)
    assert (request.arguments, request.macros) == ({"x": "$a$"}, {})


def test_macros_may_be_json_text() -> None:
    request = run_request({**BODY, "macros": '[{"a": "\'x\'"}]', "arguments": '{"x": "$a$"}'}, None)
    assert request.arguments == {"x": "x"}


def test_macros_are_put_into_all_texts_of_the_arguments_and_into_nothing_else() -> None:
    macros = {"year": "2026", "month": 3, "nasty": "'; import os $year$"}
    arguments = {
        "table": "t_$year$_$month$",
        "list": ["$year$", {"$year$": "$unknown$year$"}, 1, None, True],
        "code": "$nasty$",
        "money": "$5 and $",
    }
    assert substituted(arguments, macros) == {
        "table": "t_2026_3",
        "list": ["2026", {"$year$": "$unknown2026"}, 1, None, True],
        # What a macro has become is not looked at again.
        "code": "'; import os $year$",
        "money": "$5 and $",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a$a$", "1a$"),
        ("$a$$a$", "11"),
        ("$$a$$", "$1$"),
        ("$a", "$a"),
        ("a$", "a$"),
        ("$", "$"),
        ("", ""),
        ("$b$a$b$", "$b1b$"),
        ("x$a$y$ab$z", "x1y2z"),
        ("$a $a$", "$a 1"),
    ],
)
def test_a_name_stands_between_two_signs_that_no_other_name_has(text: str, expected: str) -> None:
    assert substituted([text], {"a": 1, "ab": "2"}) == [expected]


def test_digits_that_are_no_number_are_read_once() -> None:
    before = time.process_time()
    for begin in ("", "1."):
        with pytest.raises(InvalidRequest, match="can't be read"):
            resolved([("a", begin + "1" * 50_000 + "a")], NOMINAL, NOW)
    # Read anew from each digit they take minutes.
    assert time.process_time() - before < 3


def test_what_substitution_may_add_is_bounded() -> None:
    body = {
        **BODY,
        "macros": [{"a": f"'{'x' * 3900}'"}],
        "arguments": {"x": "$a$" * 1000},
    }
    with pytest.raises(Refused, match="too long"):
        run_request(body, None)
    growing = [{"a0": "'xxxxxxxxxx'"}, *({f"a{n}": f"a{n - 1} + a{n - 1}"} for n in range(1, 50))]
    with pytest.raises(Refused, match="longer than"):
        run_request({**BODY, "macros": growing}, None)


def test_a_schedules_nominal_time_is_given_to_the_request() -> None:
    macros = [{"day": "Qubole_nominal_time.strftime('%Y-%m-%d %H')"}]
    body = {**BODY, "macros": macros, "arguments": {"day": "$day$"}}
    request = run_request(body, None, nominal=NOMINAL.astimezone(BERLIN))
    assert request.arguments == {"day": "2026-03-31 03"}
    assert request.macros == {"day": "2026-03-31 03"}


BODY: dict[str, Any] = {"command_type": "SparkCommand", "note_id": "1"}
PIECES = st.sampled_from(
    ["moment", "()", "(", ")", ".", "add", "format", "'%Y'", "'days'", "1", "1e9", "+", "-", ",", "a", "'", "\\", " "]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.lists(PIECES, max_size=12).map("".join))
def test_no_expression_is_anything_but_a_value_or_a_refusal(text: str) -> None:
    try:
        found = value(text)
    except InvalidRequest:
        return
    json.dumps(found, allow_nan=False)
    assert isinstance(written(found), str)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_any_text_as_json_writes_it_is_read_back(text: str) -> None:
    assert value(json.dumps(text)) == text
