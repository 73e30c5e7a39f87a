"""What clients submit, as it is read: nulls, texts for numbers, commas for lists, and what is refused. Pure."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_dashboards_api.commands.convert_submission import convert_request
from jupyter_dashboards_api.commands.submission import Refused, RunRequest, run_request
from jupyter_dashboards_api.commands.wire import MAX_BODY_BYTES, is_deep, json_object
from jupyter_dashboards_api.errors import DashboardsError, InvalidRequest, TooLarge

SPARK = {"command_type": "SparkCommand", "note_id": "123"}
JUPYTER = {"command_type": "JupyterNotebookCommand", "path": "a/b.ipynb"}

# What `qds sparkcmd submit --note-id 123` of qds-sdk 1.17.0 sends.
PYTHON_CLI = {
    **SPARK,
    **dict.fromkeys(
        (
            "program",
            "cmdline",
            "sql",
            "script_location",
            "macros",
            "tags",
            "label",
            "language",
            "app_id",
            "name",
            "arguments",
            "user_program_arguments",
            "pool",
        )
    ),
    "can_notify": False,
    "retry": 0,
}


def spark(**fields: Any) -> RunRequest:
    return run_request({**SPARK, **fields}, None)


def refusal(body: dict[str, Any], key: str | None = None) -> str:
    with pytest.raises(Refused) as caught:
        run_request(body, key)
    assert caught.value.status == 422
    start = "Command type could not be created. Errors: "
    assert caught.value.message.startswith(start)
    return caught.value.message.removeprefix(start)


def test_all_the_nulls_of_the_python_client_mean_nothing() -> None:
    request = run_request(PYTHON_CLI, None)
    assert request.note_id == 123
    assert (request.name, request.label, request.pool, request.timeout) == (None,) * 4
    assert request.tags == ()
    assert request.arguments == {}
    assert request.arguments_text == ""
    assert (request.can_notify, request.upload_to_source) == (False, False)
    assert (request.retry, request.retry_delay, request.priority) == (0, 0, 0)


def test_fields_of_other_clients_are_tolerated() -> None:
    seen = {"print_logs": True, "print_logs_live": False, "template": "generic", "unknown": [1]}
    assert spark(**seen, macros=[{"day": "1"}], program="", cmdline="x", sql="y").note_id == 123


@pytest.mark.parametrize("value", [123, "123", " 123 "])
def test_note_id_is_a_number_or_its_text(value: Any) -> None:
    assert spark(note_id=value).note_id == 123


@pytest.mark.parametrize(
    "value",
    [True, 1.5, 123.0, "1.5", "x", [], {}, -1, 2**31, "99999999999", "\u0661", "0x1", math.nan],
)
def test_other_note_ids_are_refused(value: Any) -> None:
    assert refusal({**SPARK, "note_id": value}).startswith("note_id must be a whole number")


@pytest.mark.parametrize("value", [None, ""])
def test_note_id_is_required(value: Any) -> None:
    assert refusal({**SPARK, "note_id": value}) == "note_id is required."


@pytest.mark.parametrize("value", [None, "", "HiveCommand", "sparkcommand", 1, [], {"a": 1}])
def test_other_command_types_are_refused(value: Any) -> None:
    assert "command_type" in refusal({**SPARK, "command_type": value})


@pytest.mark.parametrize("value", [None, "", "notebook"])
def test_language_is_notebook_or_left_out(value: Any) -> None:
    assert spark(language=value).note_id == 123


@pytest.mark.parametrize("value", ["python", "scala", 1, []])
def test_other_languages_are_refused(value: Any) -> None:
    assert "language" in refusal({**SPARK, "language": value})


@pytest.mark.parametrize("value", ["n" * 255, "note_command", "Größe 1/2 (ok)", "日本"])
def test_a_name_has_up_to_255_characters(value: str) -> None:
    assert spark(name=value).name == value


@pytest.mark.parametrize(
    "value",
    ["n" * 256, "a&b", "a<b", "a>b", 'a"b', "a'b", "<b>x</b>", "a\nb", "a\0b", "\ud800", 1, ["x"]],
)
def test_other_names_are_refused(value: Any) -> None:
    assert refusal({**SPARK, "name": value}).startswith("name ")


@pytest.mark.parametrize(
    ("fields", "tags"),
    [
        ({"tags": ["a", "b"]}, ("a", "b")),
        ({"tags": "a,b"}, ("a", "b")),
        ({"tags": ["a,b", "c"]}, ("a", "b", "c")),
        ({"tag": "notes"}, ("notes",)),
        ({"tag": ["notes"]}, ("notes",)),
        ({"tags": None, "tag": "notes"}, ("notes",)),
        ({"tags": ["a"], "tag": "notes"}, ("a", "notes")),
        ({"tags": " a , a ,, b"}, ("a", "b")),
        ({"tags": []}, ()),
        ({"tags": ""}, ()),
        ({"tags": ["t" * 255]}, ("t" * 255,)),
    ],
)
def test_tags_are_a_list_or_a_text_with_commas_under_either_name(
    fields: dict[str, Any], tags: tuple[str, ...]
) -> None:
    assert spark(**fields).tags == tags


@pytest.mark.parametrize(
    "value", [["t" * 256], [1], [None], {"a": 1}, 5, True, "a\nb", ["\ud800"], list("abcde") * 100]
)
def test_other_tags_are_refused(value: Any) -> None:
    if isinstance(value, list) and len(value) > 100:
        value = [f"tag{number}" for number in range(101)]
    assert "tag" in refusal({**SPARK, "tags": value})


@pytest.mark.parametrize("value", [{"k": "v", "n": 1}, '{"k": "v", "n": 1}'])
def test_arguments_are_an_object_or_its_json_text_and_are_echoed_as_sent(value: Any) -> None:
    request = spark(arguments=value)
    assert request.arguments == {"k": "v", "n": 1}
    assert request.arguments_text == value


@pytest.mark.parametrize("value", [None, "", {}])
def test_no_arguments_are_an_empty_text_in_the_answer(value: Any) -> None:
    assert spark(arguments=value).arguments_text == ""


@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "[1]",
        [1],
        5,
        True,
        {"a": math.nan},
        {"a": math.inf},
        '{"a": NaN}',
        '{"a": 1e999}',
        {"a;b": 1},
        {"a-b": 1},
        {"": 1},
        {"a": "\ud800"},
        "[" * 100_000,
        '{"a": ' * 60 + "1" + "}" * 60,
    ],
)
def test_other_arguments_are_refused(value: Any) -> None:
    assert refusal({**SPARK, "arguments": value})


@pytest.mark.parametrize(("value", "read"), [("true", True), ("False", False), (True, True)])
def test_flags_come_as_texts_too(value: Any, read: bool) -> None:
    assert spark(can_notify=value).can_notify is read


@pytest.mark.parametrize("field", ["can_notify", "upload_to_source"])
def test_other_flags_are_refused(field: str) -> None:
    assert field in refusal({**JUPYTER, field: "perhaps"})


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("retry", [0, 1, 3, "2", None], [4, -1, "x"]),
        ("retry_delay", [0, 5, "5", None], [-1, 1.5]),
        ("timeout", [1, "60", None], [0, -5, "soon"]),
        ("priority", [-100, 0, 100], [101, -101]),
    ],
)
def test_numbers_have_their_ranges(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(spark(**{field: value}), field) == (
            int(value) if value else value or (None if field == "timeout" else 0)
        )
    for value in bad:
        assert refusal({**SPARK, field: value}).startswith(field)


def test_a_notebook_by_path_replaces_its_source_unless_told_otherwise() -> None:
    assert run_request(JUPYTER, None).upload_to_source is True
    assert run_request({**JUPYTER, "upload_to_source": "false"}, None).upload_to_source is False
    assert run_request(JUPYTER, None).path == "a/b.ipynb"
    assert spark().upload_to_source is False
    assert spark(upload_to_source=True, upload_failures=True).upload_to_source is True


def test_macros_stand_in_names_tags_and_addresses_too() -> None:
    macros = {"macros": [{"day": "'Monday'"}]}
    request = spark(**macros, name="of $day$ $night$", tags=["$day$", "a,$day$s"], tag="b$day$")
    assert request.name == "of Monday $night$"
    assert request.tags == ("Monday", "a", "Mondays", "bMonday")
    mailed = convert_request(
        {
            "command_type": "NotebookConvertCommand",
            "resourceId": 1,
            "resourceType": "Note",
            "fileFormat": "pdf",
            "mailIds": "$day$@example.org",
            **macros,
        },
        None,
    )
    assert mailed.addresses == ("Monday@example.org",)
    assert refusal({**SPARK, "macros": [{"x": "'<'"}], "name": "$x$"}).startswith("name")
    long = {"macros": [{"x": repr("y" * 300)}], "name": "$x$"}
    assert refusal({**SPARK, **long}).startswith("name")


@pytest.mark.parametrize(
    "value", [None, "", "a", "a.txt", 5, "\ud800.ipynb", "x" * 5000 + ".ipynb"]
)
def test_a_path_without_a_notebook_s_extension_is_refused(value: Any) -> None:
    assert refusal({**JUPYTER, "path": value}).startswith("path ")


def test_the_idempotency_key_is_a_header_or_a_field() -> None:
    assert run_request(SPARK, "k").idempotency_key == "k"
    assert spark(idempotency_key="k").idempotency_key == "k"
    assert spark(idempotency_key=None).idempotency_key is None
    assert "idempotency_key" in refusal(SPARK, "k" * 129)
    assert "idempotency_key" in refusal({**SPARK, "idempotency_key": 5})


def test_the_same_request_has_the_same_hash_wherever_its_key_stands() -> None:
    first = spark(name="n", idempotency_key="k").request_hash
    assert run_request({"name": "n", **SPARK}, "k").request_hash == first
    assert spark(name="other").request_hash != first


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
GOOD = {"note_id": 1, "path": "a.ipynb", "language": None, "name": "n", "retry": 1}
FIELDS = (
    *sorted(set(PYTHON_CLI) - {"command_type"}),
    "path",
    "tag",
    "timeout",
    "retry_delay",
    "priority",
    "idempotency_key",
)
BODIES = st.fixed_dictionaries(
    {"command_type": st.sampled_from(["SparkCommand", "JupyterNotebookCommand"]) | JSON},
    optional={name: st.just(GOOD[name]) | JSON if name in GOOD else JSON for name in FIELDS},
)


@given(BODIES, st.none() | st.text())
@example({"command_type": "SparkCommand", "note_id": 1, "arguments": {"a": 10**300}}, None)
def test_no_field_s_value_does_more_than_be_refused(body: dict[str, Any], key: str | None) -> None:
    with suppress(Refused):
        request = run_request(body, key)
        # What is stored and echoed.
        json.dumps([request.arguments_text, dict(request.arguments)], allow_nan=False).encode()
        for text in (request.name, request.label, request.path, *request.tags):
            assert "\0" not in (text or "").encode().decode()


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"a":' * 5_000)
@example(b"9" * 5_000)
@example(b'{"a": ' + b"9" * 5_000 + b"}")
@example(b"\xff\xfe{\x00")
@example(b"\xef\xbb\xbf{}")
@example(b"  \n")
def test_no_body_whatsoever_is_more_than_a_caller_s_fault(data: bytes) -> None:
    statuses = []
    try:
        assert not is_deep(json_object(data), 100)
    except DashboardsError as error:
        statuses.append(error.status)
    assert all(400 <= status < 500 for status in statuses)


def test_bodies_that_are_deep_or_large_are_refused() -> None:
    deep = b'{"a":' * 101 + b"1" + b"}" * 101
    with pytest.raises(InvalidRequest, match="deep"):
        json_object(deep)
    assert json_object(deep[5:-1])
    with pytest.raises(TooLarge):
        json_object(b" " * (MAX_BODY_BYTES + 1))
