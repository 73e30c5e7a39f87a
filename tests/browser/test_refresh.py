"""A run that writes its outputs back, seen from pages that are open: they change without being loaded again."""

from __future__ import annotations

import re
import time
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import Page, expect

from .conftest import Site, Visit
from .guarded import Link, as_owner
from .notebooks import stored
from .test_accessibility import assert_accessible

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
COUNT = "from pathlib import Path\nruns = Path('{name}.txt'); n = runs.stat().st_size if runs.exists() else 0\n"


def cells(name: str, *more: NotebookNode) -> list[NotebookNode]:
    """A notebook that counts its runs, each of a page's kernel too."""
    return [
        new_markdown_cell("# Sales of the day"),
        new_code_cell(
            COUNT.format(name=name) + "runs.write_text('x' * (n + 1)); print('run', n + 1)",
            outputs=stored("stored long ago\n"),
        ),
        *more,
    ]


def run(site: Site, path: str) -> None:
    """Runs a notebook by the API and has its outputs written back; returns when that is done."""
    body = {"command_type": "JupyterNotebookCommand", "path": path, "upload_to_source": True}
    command = as_owner(site, "POST", "/api/v1.2/commands", body)
    end = time.monotonic() + 60
    while command["status"] not in ("done", "error", "cancelled"):
        assert time.monotonic() < end
        time.sleep(0.1)
        command = as_owner(site, "GET", f"/api/v1.2/commands/{command['id']}")
    assert command["status"] == "done", command


def listens(page: Page) -> None:
    """Notes in the page how many messages it has had of its stored results."""
    page.add_init_script(
        """
        window.told = [];
        window.WebSocket = class extends WebSocket {
          constructor(...options) {
            super(...options);
            if (this.url.includes("/_api/refresh"))
              this.addEventListener("message", ({ data }) => told.push(JSON.parse(data)));
          }
        };
        """
    )


def is_listening(visit: Visit) -> None:
    visit.page.wait_for_function("told.length > 0")
    # A page that is loaded again has lost it.
    visit.page.evaluate("window.loadedOnce = true")


def as_of(page: Page) -> Any:
    return page.locator("#dash-asof time")


def test_a_page_without_a_kernel_shows_the_results_of_each_run_as_it_ends(
    guarded: Site,
) -> None:
    folder = "kept fresh"
    picture = new_code_cell(
        "from IPython.display import HTML, Math, display\n"
        "display(HTML('<p>a paragraph of now</p>'), Math('x^2'))"
    )
    guarded.write(f"{folder}/board.ipynb", *cells("still", picture), **PYTHON)
    link = Link(guarded, f"{folder}/board.ipynb")
    link.change(enabled=True, live=False)
    visits = [
        guarded.visit(f"/{kind}/{link.token}", before=listens) for kind in ("shared", "embedded")
    ]
    before = []
    for visit in visits:
        expect(visit.cell(1)).to_have_text("stored long ago")
        before.append(as_of(visit.page).get_attribute("datetime"))
        is_listening(visit)
    for count in (1, 2):
        run(guarded, f"{folder}/board.ipynb")
        for visit in visits:
            expect(visit.cell(1)).to_have_text(f"run {count}")
    for visit, old in zip(visits, before, strict=True):
        expect(visit.cell(2)).to_contain_text("a paragraph of now")
        # Typeset as at the page's begin.
        expect(visit.cell(2).locator(".katex").first).to_be_visible()
        expect(visit.page.locator(".dash-newer")).to_have_text(
            re.compile("Newer results are shown")
        )
        new = as_of(visit.page).get_attribute("datetime")
        assert old is not None
        assert new is not None
        assert new > old
        assert new == visit.page.evaluate("told.at(-1).executed_at")
        expect(visit.page.locator("#dash-asof")).to_have_text(re.compile(r"As of \w+ \d+, \d{4}"))
        assert visit.page.evaluate("loadedOnce") is True
        assert folder not in visit.page.content()
        assert visit.console == []


def test_a_live_page_offers_the_results_of_a_run_and_shows_them_when_asked(site: Site) -> None:
    site.write("offered.ipynb", *cells("offered"), **PYTHON)
    visit = site.visit("/dashboards/offered", before=listens)
    visit.wait_until_live()
    expect(visit.cell(1)).to_have_text("run 1")
    is_listening(visit)
    run(site, "offered.ipynb")
    note = visit.page.locator(".dash-newer")
    expect(note).to_have_text("Newer results Show")
    # The viewer's own results stay.
    expect(visit.cell(1)).to_have_text("run 1")
    assert_accessible(visit)
    note.get_by_role("button", name="Show").press("Enter")
    expect(visit.cell(1)).to_have_text("run 2")
    # The last thing that is done.
    expect(note.get_by_role("button")).to_have_count(0)
    assert as_of(visit.page).get_attribute("datetime") == visit.page.evaluate(
        "told.at(-1).executed_at"
    )
    # What is shown is the runs' again, until the viewer computes.
    run(site, "offered.ipynb")
    expect(visit.cell(1)).to_have_text("run 3")
    visit.page.get_by_role("button", name="Run again").click()
    expect(visit.cell(1)).to_have_text("run 4")
    visit.wait_until_live()
    run(site, "offered.ipynb")
    expect(note).to_have_text("Newer results Show")
    visit.page.get_by_role("button", name="Run again").click()
    expect(visit.cell(1)).to_have_text("run 6")
    visit.wait_until_live()
    # Those are newer still.
    expect(note).to_have_text("")
    assert visit.page.evaluate("loadedOnce") is True
    assert visit.console == []


def test_a_plain_page_offers_them_in_a_corner(site: Site) -> None:
    site.write("corner.ipynb", *cells("corner"), **PYTHON)
    visit = site.visit("/dashboards-plain/corner", before=listens)
    visit.wait_until_live()
    is_listening(visit)
    run(site, "corner.ipynb")
    note = visit.page.locator("body > .dash-newer")
    expect(note).to_have_text("Newer results Show")
    assert_accessible(visit)
    note.get_by_role("button").click()
    expect(visit.cell(1)).to_have_text("run 2")


def test_a_page_says_of_when_its_results_are_with_and_without_javascript(site: Site) -> None:
    site.write("when.ipynb", *cells("when"), **PYTHON)
    run(site, "when.ipynb")
    page = site.visit("/dashboards/when", java_script_enabled=False).page
    time_of_run = as_of(page).get_attribute("datetime")
    assert time_of_run is not None
    expect(page.locator("#dash-asof")).to_have_text(
        f"As of {time_of_run[:16].replace('T', ' ')} UTC"
    )
    plain = site.visit("/dashboards-plain/when", java_script_enabled=False).page
    expect(plain.locator("footer #dash-asof")).to_be_visible()
    # A person edits the words: the results are still those of then.
    file = site.folder / "when.ipynb"
    file.write_text(file.read_text().replace("of the day", "of the week"))
    again = site.visit("/dashboards/when", java_script_enabled=False).page
    expect(again.get_by_role("heading", name="Sales of the week")).to_be_visible()
    assert as_of(again).get_attribute("datetime") == time_of_run


def test_a_page_that_lost_its_connection_catches_up(site: Site) -> None:
    site.write("caught.ipynb", new_markdown_cell("# Up"), *cells("caught")[1:], **PYTHON)
    visit = site.visit("/dashboards/caught", before=listens)
    visit.wait_until_live()
    is_listening(visit)
    visit.page.context.set_offline(True)
    run(site, "caught.ipynb")
    visit.page.context.set_offline(False)
    visit.page.evaluate("dispatchEvent(new Event('online'))")
    expect(visit.page.locator(".dash-newer")).to_have_text("Newer results Show")
