"""What no schedule can be made of: each field with bad values, bodies that are none, and what is not there.

Never a status of 500 and above: clients would try again for 21 minutes.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_dashboards_api.schedules.requests import FIELDS

from .command_client import CommandClient, error_of
from .scheduler_client import Make, put

BAD: list[tuple[str, Any]] = [
    ("command_type", 7),
    ("command_type", None),
    ("command", "x"),
    ("command", {"note_id": "x"}),
    ("command", {"note_id": [1]}),
    ("command", {"note_id": 10**30}),
    ("command", {}),
    ("start_time", "tomorrow"),
    ("start_time", 7),
    ("start_time", "9999-01-01T00:00Z"),
    ("start_time", "2026-02-30T00:00Z"),
    ("end_time", "2999-06-30T00:00Z"),
    ("end_time", ["2999-06-30T00:00Z"]),
    ("frequency", 0),
    ("frequency", -1),
    ("frequency", 1.5),
    ("frequency", True),
    ("frequency", "often"),
    ("frequency", 10**30),
    ("frequency", [1]),
    ("time_unit", "years"),
    ("time_unit", 7),
    ("time_zone", "Mars/Olympus"),
    ("time_zone", "../../etc/passwd"),
    ("time_zone", 7),
    ("name", "a<b"),
    ("name", "x" * 256),
    ("name", 7),
    ("name", "a\0"),
    ("label", 7),
    ("tags", 7),
    ("no_catch_up", "perhaps"),
    ("no_catch_up", 1),
    ("retry", 4),
    ("retry", "x"),
    ("retry_delay", -1),
    ("concurrency", 0),
    ("concurrency", 101),
    ("concurrency", 1.0),
    ("concurrency", {}),
    ("execution_order", 7),
    ("template", [1]),
    ("pool", 7),
    ("time_out", -1),
    ("time_out", "soon"),
    ("dependency_info", 7),
    ("dependency_info", {"files": 7}),
    ("dependency_info", {"files": [7]}),
    ("dependency_info", {"files": ["../x"]}),
    ("dependency_info", {"files": [".ssh/key"]}),
    ("dependency_info", {"files": [""]}),
    ("dependency_info", {"files": ["x"] * 101}),
    ("dependency_info", {"files": [{"path": "a", "window_start": "-29"}]}),
    ("dependency_info", {"hive_tables": [{"name": "t"}]}),
    ("notification", 7),
    ("notification", {"notification_email_list": ["no address"]}),
    ("notification", {"is_digest": True}),
    ("notification", {"is_digest": "x", "notification_email_list": ["a@example.org"]}),
    ("notification", {"is_digest": 1, "digest_time_hour": 24}),
    ("webhook", 7),
    ("webhook", "ftp://example.org"),
    ("webhook", "https://user:secret@example.org"),
    ("webhook", {"url": "https://example.org", "secret": "short"}),
    ("keep_last", 0),
    ("keep_days", 10**9),
    ("keep_days", "x"),
]


async def test_a_bad_value_of_any_field_is_422_and_makes_nothing(
    make_schedule: Make, commands: CommandClient
) -> None:
    for field, value in BAD:
        assert await make_schedule(422, **{field: value}), field
    assert (await commands.get("/scheduler"))["schedules"] == []


async def test_a_bad_cron_expression_is_422(make_schedule: Make) -> None:
    for expression in (
        *("", "x", "* * *", "0 0 12 31 2 ?", "0 0 25 * * ?", "0 0 12 * * ? 1999", 7, "0 " * 500),
        *([1], {"a": 1}, True),
    ):
        assert await make_schedule(422, frequency=None, cron_expression=expression)


async def test_a_body_that_is_no_json_object_is_400(commands: CommandClient) -> None:
    for body in (b"{", b"[]", b'"x"', b"\xff"):
        error_of(await commands.ask("POST", "/scheduler", body), 400)
        error_of(await commands.ask("POST", "/scheduler/preview", body), 400)
    digits = await commands.ask("POST", "/scheduler", b'{"frequency": ' + b"9" * 5000 + b"}")
    assert "too many digits" in error_of(digits, 400)
    response = await commands.ask("POST", "/scheduler", b'{"macros": [{"a": NaN}]}')
    error_of(response, 422)


async def test_a_bad_edit_is_422_and_changes_nothing(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule()
    path = f"/scheduler/{made['id']}"
    for field, value in (
        ("frequency", 0),
        ("time_zone", "Mars"),
        ("command", {"note_id": 12321}),
        ("command", 7),
        ("cron_expression", "x"),
        ("end_time", "2012-01-01T00:00Z"),
        ("concurrency", "x"),
        ("frequency", None),
    ):
        await put(commands, path, {field: value, "name": "changed"}, 422)
    assert await commands.get(path) == made


async def test_what_is_not_there_is_404_in_the_api_s_words(commands: CommandClient) -> None:
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("POST", "/duplicate"),
        ("PUT", "/owner"),
        ("POST", "/run"),
        ("GET", "/preview"),
        ("GET", "/actions"),
        ("GET", "/actions/1"),
        ("GET", "/instances"),
        ("GET", "/instances/1"),
        ("GET", "/instances/1/logs"),
        ("GET", "/instances/1/results"),
        ("POST", "/instances/1/rerun"),
    ):
        for number in ("999", "99999999999999999999"):
            error_of(await commands.ask(method, f"/scheduler/{number}{path}"), 404)


NASTY: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        1.5,
        10**30,
        1e308,
        "",
        " ",
        "x",
        "1",
        "-1",
        "true",
        "\0",
        "\ud800",
    ),
    *(
        "<script>",
        "x" * 5000,
        "2026-01-01T00:00Z",
        "* * * * *",
        "\u202e",
        "'; drop table schedules; --",
    ),
    *([], [None], ["x"], [["x"]], [{"a": "b"}], {}, {"a": "b"}, {"path": "x"}, {"files": ["x"]}),
    {"url": "http://[", "secret": "x" * 20},
    {"url": "http://example.org:99999/"},
    {"digest_time_hour": "x", "is_digest": False},
    {"can_notify": False, "notify_success": 7},
    {"notification_email_list": {"a": 1}},
    {"files": [{"path": None}], "hive_tables": None},
)


async def test_nothing_that_a_field_can_hold_is_the_server_s_fault(
    make_schedule: Make, commands: CommandClient
) -> None:
    made = await make_schedule()
    wrong = []
    for field in sorted(FIELDS):
        for value in NASTY:
            for method, path in (
                ("POST", "/scheduler"),
                ("PUT", f"/scheduler/{made['id']}"),
                ("POST", "/scheduler/preview"),
            ):
                body = {"command_type": "SparkCommand", "command": made["command"], "frequency": 1}
                sent = {**body, field: value} if method == "POST" else {field: value}
                response = await commands.ask(method, path, json.dumps(sent))
                if response.code not in (200, 422):
                    wrong.append((method, path, field, value, response.code))
    assert wrong == []
    # And what was taken can be seen.
    pages = 0
    path = "/scheduler?per_page=100&page="
    while (await commands.get(f"{path}{pages + 1}"))["schedules"]:
        pages += 1
    assert pages > 0


@pytest.mark.parametrize("value", ["x" * 300_000, [["x"] * 100] * 1000])
async def test_a_large_value_is_refused_or_taken(
    make_schedule: Make, commands: CommandClient, value: Any
) -> None:
    made = await make_schedule()
    for field in sorted(FIELDS):
        body = {"command_type": "SparkCommand", "command": made["command"], "frequency": 1}
        response = await commands.ask("POST", "/scheduler", {**body, field: value})
        assert response.code in (200, 422), field
