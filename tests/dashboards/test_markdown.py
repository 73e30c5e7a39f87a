"""Markdown cells as HTML."""

from __future__ import annotations

import pytest

from jupyter_dashboards_api.dashboards.markdown import markdown


@pytest.mark.parametrize(
    ("source", "begin"),
    [
        ("# Of *both*  kinds", '<h1 id="Of-both--kinds">'),
        ("## Größe & `x < y`", '<h2 id="Größe-&amp;-x-&lt;-y">'),
        ('### say "x" onload=1', '<h3 id="say-&quot;x&quot;-onload=1">'),
        # Those of the page itself.
        ("# dash-status", "<h1>"),
        ("# _private", "<h1>"),
        ("# ![](a.png)", "<h1>"),
    ],
)
def test_a_heading_can_be_led_to_as_in_jupyter(source: str, begin: str) -> None:
    assert markdown(source).startswith(begin)


def test_a_picture_that_is_not_attached_leaves_its_cell_alone() -> None:
    assert '<img src="attachment:x.png"' in markdown("before ![a](attachment:x.png) after")
