"""The HTML of a notebook's author: cleaned, and never out of its place in the page."""

from __future__ import annotations

import re
import time

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.dashboards.outputs import OutputReader

from .outputs import reader


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<SCRIPT src='x.js'></SCRIPT>",
        "<div><script type=module>a</div></script>",
        "<svg><script>alert(1)</script></svg>",
        "<script>unclosed",
        "<p>a<script\n>b</script\t>c",
    ],
)
def test_scripts_are_dropped(html: str) -> None:
    cleaned = reader().clean_html(html)
    assert "script" not in cleaned.lower()
    assert "alert" not in cleaned


@pytest.mark.parametrize(
    "html",
    [
        "</div></section></main></body></html>",
        "<div><b>unclosed <i>",
        "<table><tr><td>unclosed",
        "</p></p></li></ul>",
        "<!-- never closed <p>",
        "<!--> </section></main> -->",
        "<!---> </section></main> -->",
        "<!-- a --!> </section></main> -->",
        "<![CDATA[ > </section></main> ]]>",
        "<?php > </section></main> ?>",
        "<!DOCTYPE html><p>x",
        "<plaintext>",
        "<textarea>unclosed",
        "<style>unclosed",
        "<style>a</style x></section></main>",
        "<title>unclosed",
        "<select><option>unclosed",
        "<template>unclosed",
        '<p title="unclosed',
        "<noscript><p>unclosed",
        "<iframe>unclosed",
        "<div " * 200,
        "<div>" * 800,
        "</div>" * 800,
        "\x00<p\x00>",
    ],
)
def test_no_html_of_an_author_leaves_its_place(html: str) -> None:
    cleaned = reader().clean_html(html)
    # What the browser would see closed or cut short outside the element that holds it.
    assert "</section" not in cleaned
    assert "</main" not in cleaned
    # Within a tag, as in `<a<!>`, it is a part of the tag's name.
    assert not re.search("(?:^|>)[^<]*<!", cleaned)
    assert "<?" not in cleaned
    assert "plaintext" not in cleaned
    page = BeautifulSoup(f"<section>{cleaned}</section><p id=after></p>", "html.parser")
    after = page.find(id="after")
    assert after is not None
    assert after.parent is page
    for name in set(re.findall(r"</(\w+)", cleaned)):
        assert len(re.findall(rf"<{name}[ >]", cleaned)) == len(re.findall(rf"</{name}>", cleaned))


def test_a_whole_html_document_becomes_a_part_of_the_page() -> None:
    document = (
        '<!DOCTYPE html><html lang="de" data-theme="x"><head><title>T</title><base href="/elsewhere/">'
        '<meta http-equiv="refresh" content="0;url=/elsewhere"><style>p{color:red}</style></head>'
        '<body style="display:none"><p>Body</p></body></html>'
    )
    cleaned = reader().clean_html(document)
    assert cleaned == "<style>p{color:red}</style><p>Body</p>"


def test_the_author_s_markup_survives() -> None:
    html = (
        '<div class="a" data-x="1" style="color:red">Tom &amp; <b>Jerry</b> &lt;3 é<br/>'
        '<svg viewBox="0 0 1 1"><linearGradient id="g"></linearGradient></svg>'
        '<a href="?a=1&amp;b=2">link</a></div>'
    )
    before, after = (
        BeautifulSoup(text, "html.parser") for text in (html, reader().clean_html(html))
    )
    assert after == before


@given(st.text(alphabet="<>/!-?[]ab \"'=&;#\x00\n", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_html_is_cleaned_and_clean_html_stays_as_it_is(html: str) -> None:
    cleaned = reader().clean_html(html)
    assert reader().clean_html(cleaned) == cleaned
    assert "<!" not in cleaned


def test_html_nested_too_deep_to_be_balanced_is_shown_as_text() -> None:
    html = "<div>" * 5000 + "deep" + "</div>" * 5000
    shown = OutputReader(trusted=True).clean_html(html)
    assert shown.startswith("<pre>&lt;div&gt;")
    assert "<div" not in shown


def test_a_tag_name_without_end_is_looked_at_once() -> None:
    start = time.process_time()
    reader().clean_html("<" + "a" * 60_000)
    assert time.process_time() - start < 5


def test_html_of_unfinished_tags_is_shown_as_text() -> None:
    # Would take minutes: the parser looks at each of them to the end of the text.
    assert OutputReader(trusted=True).clean_html("<a" * 200_000).startswith("<pre>&lt;a&lt;a")
