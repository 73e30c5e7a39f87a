"""Pages for people who don't see them or use no mouse: axe's rules, the keyboard, what is announced."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import Page, expect

from .conftest import Site, Visit
from .notebooks import hidden, placed, stored, views

WIDTHS = {"desktop": 1280, "phone": 390}


def violations(page: Page) -> list[str]:
    """What axe calls serious or critical, with the elements. Its script is handed to the browser, not fetched."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def assert_accessible(visit: Visit) -> None:
    """In both themes and at both widths."""
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for name, width in WIDTHS.items():
            visit.page.set_viewport_size({"width": width, "height": 900})
            # Widgets have another theme when the page has heard of it, before the next frame.
            visit.page.evaluate("new Promise((done) => requestAnimationFrame(done))")
            assert violations(visit.page) == [], f"{name}, {scheme}"


@pytest.fixture(scope="module")
def rich(module_site: Site) -> Site:
    """A server with a dashboard of nearly everything."""
    module_site.write(
        "rich/all.ipynb",
        placed(
            new_markdown_cell(
                "# Everything\n\nA [link](https://example.org), $\\sqrt{2}$,\n\n$$\\sum_n n$$\n\n"
                "- [x] done\n- [ ] to do\n\n```python\ncode = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |"
            ),
            *(0, 0, 6, 16),
        ),
        placed(new_code_cell("1 / 0"), 0, 6, 6, 3),
        placed(
            new_code_cell(
                "for n in (*range(30, 38), *range(90, 98), *range(40, 48)):\n"
                "    print(f'\\x1b[{n}mcolour {n}\\x1b[0m \\x1b[7;{n}minverse\\x1b[0m', end=' ')\n"
                "print('\\x1b[38;5;245mgrey\\x1b[0m \\x1b[2mdim\\x1b[0m')"
            ),
            *(3, 6, 6, 5),
        ),
        placed(
            new_code_cell(
                "import pandas as pd\npd.DataFrame({'region': ['north'], 'sales': [3]}, index=['a'])"
            ),
            *(8, 6, 6, 6),
        ),
        placed(
            new_code_cell(
                "import ipywidgets as w\n"
                "w.VBox([w.IntSlider(description='Size'), w.FloatRangeSlider(), w.Dropdown(options='ab'),\n"
                "  w.Text(), w.Textarea(placeholder='Words'), w.Checkbox(description='Agreed'),\n"
                "  w.Button(description='Go', button_style='primary'), w.Button(icon='play'),\n"
                "  w.ToggleButtons(options=['x', 'y']), w.RadioButtons(options=['x', 'y']),\n"
                "  w.IntProgress(value=30), w.DatePicker(description='Day'), w.ColorPicker(),\n"
                "  w.Tab([w.Label('one'), w.Label('two')], titles=['One', 'Two']),\n"
                "  w.Accordion([w.Label('inside')], titles=['Open']), w.SelectMultiple(options='abc')])"
            ),
            *(16, 0, 6, 34),
        ),
        placed(
            new_code_cell(
                "from IPython.display import JSON, Markdown, display\n"
                "display(JSON({'a': {'b': [1, 2]}}), Markdown('## Live *words*'))\n"
                "display({'application/vnd.vegalite.v5+json': {'data': {'values': [{'a': 'x', 'b': 1}]},"
                " 'mark': 'bar', 'encoding': {'x': {'field': 'a', 'type': 'nominal'},"
                " 'y': {'field': 'b', 'type': 'quantitative'}}}}, raw=True)"
            ),
            *(16, 6, 6, 20),
        ),
        hidden(new_code_cell("x = 1")),
        **views(),
    )
    module_site.write("rich/prose.ipynb", new_markdown_cell("# Prose\n\nWords."))
    return module_site


@pytest.mark.parametrize("path", ["/dashboards/rich/all", "/dashboards-plain/rich/all"])
def test_axe_finds_nothing_serious_on_a_dashboard_of_nearly_everything(
    rich: Site, path: str
) -> None:
    visit = rich.visit(path)
    visit.wait_until_live()
    expect(visit.cell(1).get_by_role("alert")).to_be_visible()
    expect(visit.cell(0).locator(".katex").first).to_be_visible()
    expect(visit.cell(4).get_by_role("slider").first).to_be_visible()
    expect(visit.page.locator("#dash-cells [aria-busy=true]")).to_have_count(0)
    assert_accessible(visit)


@pytest.mark.parametrize(
    "path",
    [
        "/dashboards/rich",
        "/dashboards-plain/rich",
        "/dashboards/rich?q=nothing",
        "/dashboards/rich/prose",
        "/dashboards/rich/nobody",
    ],
)
def test_axe_finds_nothing_serious_on_other_pages(rich: Site, path: str) -> None:
    visit = rich.visit(path)
    visit.page.wait_for_load_state("networkidle")
    assert_accessible(visit)


def test_axe_finds_nothing_serious_before_the_kernel_answers_or_after_it_was_refused(
    rich: Site,
) -> None:
    rich.write("rich/stored.ipynb", new_code_cell("1", outputs=stored("stored\n")))

    def refuse_kernels(page: Page) -> None:
        page.route("**/_api/kernels", lambda route: route.fulfill(status=503, body="{}"))

    visit = rich.visit("/dashboards/rich/stored", before=refuse_kernels)
    expect(visit.page.get_by_role("alert")).to_contain_text("All kernels are in use")
    assert_accessible(visit)


def test_a_page_has_its_landmarks_and_one_first_heading(rich: Site) -> None:
    for path, bar in (("/dashboards/rich/all", 1), ("/dashboards-plain/rich/all", 0)):
        page = rich.visit(path, java_script_enabled=False).page
        expect(page.get_by_role("main")).to_have_count(1)
        expect(page.get_by_role("banner")).to_have_count(bar)
        expect(page.get_by_role("navigation", name="Breadcrumb")).to_have_count(bar)
        expect(page.get_by_role("status")).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        expect(page.locator("html")).to_have_attribute("lang", "en")


def focused_text(page: Page) -> str:
    text: str = page.evaluate(
        "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || ''"
    )
    return text.strip()


def test_the_keyboard_reaches_everything_in_order(site: Site) -> None:
    site.write(
        "folder/keys.ipynb",
        placed(new_markdown_cell("[right](#r)"), 0, 6, 6, 2),
        placed(new_markdown_cell("[left](#l)"), 0, 0, 6, 2),
        placed(new_code_cell("runs = globals().get('runs', 0) + 1; print(runs)"), 2, 0, 6, 2),
        **views(),
    )
    visit = site.visit("/dashboards/folder/keys")
    visit.wait_until_live()
    page = visit.page
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(focused_text(page))
        # Whatever has the focus shows it.
        assert page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement);"
            " return style.outlineStyle !== 'none' || style.boxShadow !== 'none'; })()"
        ), reached[-1]
    assert reached[:3] == ["Skip to content", "Dashboards", "folder"]
    assert reached[3] == "View"
    assert reached[4] == "Run again"
    assert reached[5].startswith("Theme")
    assert reached[6:] == ["left", "right"]

    run = page.get_by_role("button", name="Run again")
    run.focus()
    page.keyboard.press("Enter")
    expect(visit.cell(2)).to_have_text("2")
    page.get_by_role("button", name="Theme").focus()
    page.keyboard.press("Space")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_skip_link_shows_itself_and_leads_past_the_bar(site: Site) -> None:
    site.write("skip.ipynb", new_markdown_cell("# Skip\n\n[first link](#x)"))
    for path in ("/dashboards/skip", "/dashboards-plain/skip"):
        page = site.visit(path).page
        page.keyboard.press("Tab")
        link = page.get_by_role("link", name="Skip to content")
        expect(link).to_be_focused()
        expect(link).to_be_in_viewport(ratio=1)
        page.keyboard.press("Enter")
        expect(page.locator("#dash-main")).to_be_focused()
        page.keyboard.press("Tab")
        assert focused_text(page) == "first link"


def test_boxes_that_scroll_can_be_reached_and_scrolled_by_keyboard(site: Site) -> None:
    long = "\n".join(f"line {n}" for n in range(60))
    site.write(
        "scroll.ipynb",
        placed(new_code_cell(f"print({long!r})"), 0, 0, 6, 4),
        placed(new_code_cell("print('short')"), 0, 6, 6, 4),
        **views(),
    )
    visit = site.visit("/dashboards/scroll")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_attribute("tabindex", "0")
    visit.cell(0).focus()
    visit.page.keyboard.press("End")
    expect(visit.page.get_by_text("line 59")).to_be_in_viewport()
    assert visit.cell(1).get_attribute("tabindex") is None


def test_a_page_is_busy_while_its_cells_run_and_not_longer(site: Site) -> None:
    site.write(
        "busy.ipynb",
        new_code_cell(
            "import pathlib, time\nwhile not pathlib.Path('end').exists(): time.sleep(0.05)"
        ),
    )
    (site.folder / "end").unlink(missing_ok=True)
    visit = site.visit("/dashboards/busy", reduced_motion="reduce")
    cells = visit.page.locator("#dash-cells")
    expect(cells).to_have_attribute("aria-busy", "true")
    progress = visit.page.get_by_role("progressbar", name="Running cells")
    expect(progress).to_be_visible()
    expect(visit.page.get_by_role("status")).to_have_text("Running cell 1 of 1")
    assert visit.page.get_by_role("status").get_attribute("aria-live") == "polite"
    # People who want no motion get none, whatever is going on.
    expect(visit.page.locator("[data-state=running]")).to_have_css("animation-name", "none")
    moving = visit.page.evaluate(
        "document.getAnimations().filter((a) => a.playState === 'running').length"
    )
    assert moving == 0
    (site.folder / "end").touch()
    expect(cells).to_have_attribute("aria-busy", "false")
    expect(progress).to_be_hidden()
