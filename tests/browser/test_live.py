"""A page comes alive: stored outputs first, then the viewer's own kernel, cell by cell."""

from __future__ import annotations

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import expect

from .conftest import OpenSite, Site


def stored(text: str) -> list[object]:
    return [new_output("stream", name="stdout", text=text)]


def test_the_stored_outputs_are_there_without_javascript(site: Site) -> None:
    site.write(
        "nojs.ipynb",
        new_markdown_cell("# Sales"),
        new_code_cell("print('live')", outputs=stored("stored result\n")),
    )
    visit = site.visit("/dashboards/nojs", java_script_enabled=False)
    expect(visit.page.get_by_role("heading", name="Sales")).to_be_visible()
    expect(visit.cell(1)).to_contain_text("stored result")
    expect(visit.page.locator("#dash-asof")).to_contain_text("as of")


def test_live_outputs_replace_the_stored_ones(site: Site) -> None:
    site.write(
        "live.ipynb",
        new_code_cell("x = 20", outputs=[]),
        new_code_cell("print('computed', x + 1)", outputs=stored("stored result\n")),
        new_code_cell("x * 2", outputs=stored("an old number\n")),
    )
    visit = site.visit("/dashboards/live")
    visit.wait_until_live()
    expect(visit.cell(1)).to_have_text("computed 21")
    expect(visit.cell(2)).to_have_text("40")
    assert not visit.console


def test_an_area_is_never_blank_between_stored_and_live_outputs(site: Site) -> None:
    site.write(
        "noflash.ipynb",
        new_code_cell("import time; time.sleep(0.5); print('new')", outputs=stored("old\n")),
    )
    context = site.context()
    context.add_init_script(
        """
        window.seen = [];
        document.addEventListener("DOMContentLoaded", () => {
          const area = document.querySelector('[data-cell-index="0"]');
          const look = () => { window.seen.push([area.textContent.trim(), area.offsetHeight]);
                               requestAnimationFrame(look); };
          look();
        });
        """
    )
    visit = site.visit("/dashboards/noflash", context)
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("new")
    seen = visit.page.evaluate("window.seen")
    assert {text for text, _ in seen} == {"old", "new"}
    assert min(height for _, height in seen) > 0


def test_a_failing_cell_does_not_stop_the_others(site: Site) -> None:
    site.write(
        "failing.ipynb",
        new_code_cell("1 / 0  # the secret source"),
        new_code_cell("print('still here')"),
    )
    visit = site.visit("/dashboards/failing")
    visit.wait_until_live()
    expect(visit.cell(0).get_by_role("alert")).to_have_text(
        "This part of the dashboard could not be computed."
    )
    expect(visit.cell(1)).to_have_text("still here")
    assert "ZeroDivisionError" not in visit.page.content()


def test_the_operator_can_have_a_page_stop_at_a_failing_cell(site_with: OpenSite) -> None:
    site = site_with("--DashboardsApp.on_error=stop", "--DashboardsApp.error_text=Out of order")
    site.write(
        "stop.ipynb", new_code_cell("1 / 0"), new_code_cell("print('x')", outputs=stored("kept\n"))
    )
    visit = site.visit("/dashboards/stop")
    expect(visit.cell(0).get_by_role("alert")).to_have_text("Out of order")
    expect(visit.page.locator("body[data-ready]")).to_be_attached()
    expect(visit.cell(1)).to_have_text("kept")


def test_no_source_reaches_the_browser(site: Site) -> None:
    secret = "TheAuthorsSecret"
    site.write(
        "secret.ipynb",
        new_code_cell(f"{secret} = 1\nprint('ok')", outputs=stored("ok\n")),
        new_code_cell(f"import warnings; warnings.warn('{secret[::-1]}')  # {secret}"),
        new_code_cell(f"raise KeyError('x')  # {secret}"),
    )
    visit = site.visit("/dashboards/secret")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("ok")
    assert len(visit.frames) > 5
    frames = [frame if isinstance(frame, bytes) else frame.encode() for frame in visit.frames]
    assert not [frame for frame in frames if secret.encode() in frame]
    assert secret not in visit.page.content()
