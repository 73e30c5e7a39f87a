"""Markdown as HTML: what becomes of attachments."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup
from nbformat import from_dict
from nbformat.v4 import new_notebook

from jupyter_dashboards_api.dashboards.markdown import markdown
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer

from .test_outputs import PNG


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("p.png", "![alt](attachment:p.png)"),
        ("a b.png", "![alt](attachment:a%20b.png)"),
        ("a b.png", "![alt](<attachment:a b.png>)"),
        ("übersicht.png", "![alt](attachment:übersicht.png)"),
        ("Bob's & 100%.png", "![alt](<attachment:Bob's & 100%25.png>)"),
        ("a%20b.png", "![alt](attachment:a%20b.png)"),
    ],
)
def test_an_attachment_is_found_by_its_name_however_the_text_writes_it(
    name: str, source: str
) -> None:
    html = markdown(f"before {source} after", {name: {"image/png": PNG}})
    image = BeautifulSoup(html, "html.parser").img
    assert image is not None
    assert image["src"] == f"data:image/png;base64,{PNG}"
    assert image["alt"] == "alt"


@pytest.mark.parametrize(
    "attachments",
    [
        *(None, {}, [1], 5, "text", {"other.png": {"image/png": PNG}}),
        *({"x.png": bundle} for bundle in ({}, [], "text", None, {"image/png": 5})),
        {"x.png": {"image/png": ""}},
    ],
)
def test_of_a_missing_or_malformed_attachment_the_text_is_left(attachments: Any) -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": "one ![a *picture*](attachment:x.png) two"}  # fmt: skip
    notebook = new_notebook()
    notebook.cells = [from_dict({**cell, "attachments": attachments})]
    page = BeautifulSoup(DashboardRenderer().render(notebook, "a.ipynb").body, "html.parser")
    assert page.get_text().split() == ["one", "a", "picture", "two"]
    assert page.img is None
