"""Pictures that a cell has among its attachments."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_notebook

from jupyter_dashboards_api.dashboards import outputs
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer
from jupyter_dashboards_api.errors import TooLarge

from .outputs import PNG


def notebook(source: str, attachments: Any) -> NotebookNode:
    """Of one cell, which nobody has validated."""
    made = new_notebook()
    cell = {"cell_type": "markdown", "metadata": {}, "source": source, "attachments": attachments}
    made.cells = [from_dict(cell)]
    return made


@pytest.fixture
def renderer() -> DashboardRenderer:
    return DashboardRenderer()


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("p.png", "![alt](attachment:p.png)"),
        ("a b.png", "![alt](attachment:a%20b.png)"),
        ("a b.png", "![alt](<attachment:a b.png>)"),
        ("a b.png", "<img src='attachment:a b.png' alt='alt' width='50'>"),
        ("übersicht.png", "![alt](attachment:übersicht.png)"),
        ("Bob's & 100%.png", "![alt](<attachment:Bob's & 100%25.png>)"),
        ("a%20b.png", "![alt](attachment:a%20b.png)"),
    ],
)
def test_an_attachment_is_found_by_its_name_however_the_text_writes_it(
    renderer: DashboardRenderer, name: str, source: str, trusted: bool
) -> None:
    made = notebook(f"before {source} after", {name: {"image/png": PNG}})
    rendered = renderer.render(made, "a.ipynb", trusted=trusted)
    (image,) = rendered.images.values()
    assert image.data == base64.b64decode(PNG)
    shown = BeautifulSoup(rendered.body, "html.parser").img
    assert shown is not None
    assert shown["src"] == f"/_api/images/{image.name}?path=a.ipynb"
    assert shown["alt"] == "alt"


@pytest.mark.parametrize(
    "attachments",
    [
        *(None, {}, [1], 5, "text", {"other.png": {"image/png": PNG}}),
        *({"x.png": bundle} for bundle in ({}, [], "text", None, {"image/png": 5})),
        *({"x.png": bundle} for bundle in ({"image/png": ""}, {"text/html": "<b>"})),
    ],
)
def test_of_a_missing_or_malformed_attachment_the_text_is_left(
    renderer: DashboardRenderer, attachments: Any
) -> None:
    made = notebook("one ![a *picture* <](attachment:x.png) two", attachments)
    page = BeautifulSoup(renderer.render(made, "a.ipynb").body, "html.parser")
    assert page.get_text().split() == ["one", "a", "picture", "<", "two"]
    assert page.img is None


def test_an_attachment_that_is_shown_many_times_is_read_once_and_bounded_in_a_file(
    renderer: DashboardRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = base64.b64decode
    read: list[str] = []
    monkeypatch.setattr(base64, "b64decode", lambda text: read.append(text) or decode(text))
    made = notebook("![x](attachment:x.png) " * 50, {"x.png": {"image/png": PNG}})
    rendered = renderer.render(made, "a.ipynb")
    assert rendered.body.count(b"<img") == 50
    assert read == [PNG]
    monkeypatch.setattr(outputs, "MAX_INLINED", 40 * len(PNG))
    with pytest.raises(TooLarge, match="each as often as it is shown"):
        renderer.render(made, "a.ipynb", inline=True)
    with pytest.raises(TooLarge):
        renderer.payload(made)
    # A browser of ours is given each picture once.
    assert renderer.render(made, "a.ipynb", inline=True, images_at="/i/").body.count(b"<img") == 50
