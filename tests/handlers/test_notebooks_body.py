"""What clients of the notebooks API send: JSON, and what its document shows in place of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.errors import DashboardsError, InvalidRequest
from jupyter_dashboards_api.handlers.notebooks_body import ids_of, name_of, read_fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_json_is_read_as_it_is(fields: dict[str, Any]) -> None:
    assert read_fields(json.dumps(fields).encode()) == fields


@settings(deadline=None)
@given(st.binary())
def test_other_bytes_are_an_object_or_refused(data: bytes) -> None:
    for body in (data, b"{" + data + b"}"):
        try:
            fields = read_fields(body)
        except DashboardsError:
            continue
        ids_of(fields)
        name_of(fields)


def test_the_document_s_sample_is_read() -> None:
    body = b'{nbkIds: ["8da5dd53-8ce0-4817-b6a1-e088f1aac8a7"], module: "notebooks"}'
    assert ids_of(read_fields(body)) == ["8da5dd53-8ce0-4817-b6a1-e088f1aac8a7"]


def test_values_without_quotes_stay_texts() -> None:
    body = b"{time: 12:30, until: 2026-12-13 06:50, period: null, other: ~, no: yes, n: 007}"
    assert read_fields(body) == {
        "time": "12:30",
        "until": "2026-12-13 06:50",
        "period": None,
        "other": None,
        "no": "yes",
        "n": "007",
    }


BOMB = (
    "{"
    + "a0: &a0 [x, x], "
    + ", ".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60))
    + "}"
)
MERGES = (
    "{"
    + "b0: &b0 {x: y}, "
    + ", ".join(f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}]}}" for n in range(1, 60))
    + "}"
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        MERGES,
        "{" * 50_000,
        "[" * 50_000,
        "{a: !!python/object/apply:os.getcwd []}",
        "{" + "a" * 900_000,
    ],
    ids=["aliases", "merges", "deep", "deep list", "a tag", "long"],
)
def test_no_body_takes_long_or_makes_an_object(body: str) -> None:
    begun = time.monotonic()
    try:
        fields = read_fields(body.encode())
    except DashboardsError:
        fields = {}
    assert time.monotonic() - begun < 5
    assert all(isinstance(each, (str, list, dict, type(None))) for each in fields.values())


@pytest.mark.parametrize("body", [BOMB, MERGES, "{a: &a [*a]}"], ids=["lists", "objects", "itself"])
def test_aliases_are_refused_since_an_error_that_repeats_the_value_would_write_them_out(
    body: str,
) -> None:
    with pytest.raises(InvalidRequest):
        read_fields(body.encode())
