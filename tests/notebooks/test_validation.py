"""What counts as a notebook."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.errors import InvalidRequest
from jupyter_dashboards_api.notebooks.validation import read_notebook

from .archives import notebook_bytes

V4: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": []}


def bad(data: bytes | dict[str, Any]) -> str:
    """The message with which it is refused."""
    with pytest.raises(InvalidRequest) as refused:
        read_notebook(data if isinstance(data, bytes) else json.dumps(data).encode(), "It")
    assert refused.value.message.startswith("It ")
    assert len(refused.value.message) < 300
    return refused.value.message


def test_a_notebook_is_read_as_it_is() -> None:
    assert read_notebook(notebook_bytes("déjà")).cells[0].source == "déjà"
    assert read_notebook(b"\xef\xbb\xbf" + notebook_bytes()).nbformat == 4


def test_old_notebooks_are_converted() -> None:
    old = nbformat.v3.new_notebook(
        worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell(input="1 + 1")])]
    )
    notebook = read_notebook(nbformat.v3.nbjson.writes(old).encode())
    assert (notebook.nbformat, notebook.cells[0].source) == (4, "1 + 1")


def test_missing_and_repeated_cell_ids_are_mended() -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": ["a\n", "b"]}
    cells = [cell, {**cell, "id": "x"}, {**cell, "id": "x"}]
    notebook = read_notebook(json.dumps({**V4, "nbformat_minor": 5, "cells": cells}).encode())
    assert len({cell.id for cell in notebook.cells}) == 3
    assert notebook.cells[0].source == "a\nb"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"not json", "not JSON"),
        (b'{"cells": [', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"[]", "no cells"),
        (b"null", "no cells"),
        (b"{}", "no cells"),
        ({"cells": []}, "notebook format"),
        ({**V4, "nbformat": "4"}, "notebook format"),
        ({**V4, "nbformat": 5}, "notebook format"),
        ({**V4, "cells": None}, "not a valid"),
        ({**V4, "cells": {}}, "not a valid"),
        ({**V4, "cells": [None]}, "not a valid"),
        ({**V4, "cells": [{"cell_type": "code"}]}, "not a valid"),
        ({**V4, "metadata": []}, "not a valid"),
        ({"nbformat": 3, "worksheets": [{}]}, "not a valid"),
        ({**V4, "metadata": {"title": "\ud800"}}, "not valid Unicode"),
        ({**V4, "metadata": {"\udfff": 1}}, "not valid Unicode"),
    ],
)
def test_what_is_no_notebook_is_refused_with_the_reason(
    data: bytes | dict[str, Any], says: str
) -> None:
    assert says in bad(data)


def test_json_that_nobody_can_write_out_again_is_refused() -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    assert "too deeply" in bad({**V4, "metadata": {"deep": deep}})


def test_surrogate_pairs_are_text() -> None:
    data = json.dumps({**V4, "metadata": {"title": "😀"}}).encode()
    assert b"\\ud83d" in data
    assert read_notebook(data).metadata.title == "😀"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
CELL = st.fixed_dictionaries(
    {},
    optional={
        key: JSON | st.sampled_from(["code", "markdown", "raw"])
        for key in ("cell_type", "source", "metadata", "outputs", "execution_count", "id")
    },
)
NOTEBOOK = st.fixed_dictionaries(
    {},
    optional={
        "nbformat": st.sampled_from([1, 2, 3, 4]) | JSON,
        "nbformat_minor": st.integers(0, 6) | JSON,
        "metadata": JSON,
        "cells": st.lists(CELL, max_size=3) | JSON,
        "worksheets": st.lists(st.dictionaries(st.just("cells"), st.lists(CELL))) | JSON,
    },
)


@settings(max_examples=300, deadline=None)
@given(NOTEBOOK | JSON)
def test_anything_is_either_a_notebook_that_can_be_stored_or_refused(data: Any) -> None:
    try:
        notebook = read_notebook(json.dumps(data).encode())
    except InvalidRequest:
        return
    nbformat.validate(notebook)
    nbformat.writes(notebook, version=nbformat.NO_CONVERT).encode()
