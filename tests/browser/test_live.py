"""A page comes alive: stored outputs first, then the viewer's own kernel, cell by cell."""

from __future__ import annotations

from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import expect

from .conftest import OpenSite, Site
from .notebooks import hidden, placed, stored, views


def test_the_stored_outputs_are_there_without_javascript(site: Site) -> None:
    site.write(
        "nojs.ipynb",
        new_markdown_cell("# Sales"),
        new_code_cell("print('live')", outputs=stored("stored result\n")),
    )
    visit = site.visit("/dashboards/nojs", java_script_enabled=False)
    expect(visit.page.get_by_role("heading", name="Sales")).to_be_visible()
    expect(visit.cell(1)).to_contain_text("stored result")
    expect(visit.page.locator("#dash-asof")).to_contain_text("As of")


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
    # When the frame has been that shows it.
    seen = visit.page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(window.seen))))"
    )
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


def test_cells_run_in_notebook_order_whatever_their_places_and_the_page_says_which(
    site: Site,
) -> None:
    site.write(
        "order.ipynb",
        placed(new_code_cell("order = [0]; print(order)"), 4, 0, 12, 2),
        placed(new_markdown_cell("# Order"), 0, 0, 12, 2),
        new_code_cell("   "),
        hidden(new_code_cell("order.append(3)")),
        placed(new_code_cell("order.append(4); print(order)"), 2, 0, 12, 2),
        **views(),
    )
    visit = site.visit("/dashboards/order")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("[0]")
    expect(visit.cell(4)).to_have_text("[0, 3, 4]")
    assert visit.statuses == [
        "Starting kernel…",
        "Running cell 1 of 3",
        "Running cell 2 of 3",
        "Running cell 3 of 3",
        "Live",
    ]


def test_hidden_cells_take_effect_but_show_nothing(site: Site) -> None:
    site.write(
        "hidden.ipynb",
        placed(new_markdown_cell("# Styled"), 0, 0, 12, 2),
        hidden(
            new_code_cell(
                "from IPython.display import HTML, Javascript, display\n"
                "display(HTML('<style>.dash-markdown h1 {color: rgb(1, 2, 3)}</style>'\n"
                "             '<p>for nobody</p>'))\n"
                "display(Javascript('document.body.dataset.author = \"ran\"'))"
            )
        ),
        hidden(new_markdown_cell("Hidden words", id="words")),
        **views(),
    )
    visit = site.visit("/dashboards/hidden")
    visit.wait_until_live()
    expect(visit.page.get_by_role("heading", name="Styled")).to_have_css("color", "rgb(1, 2, 3)")
    expect(visit.page.locator("body")).to_have_attribute("data-author", "ran")
    expect(visit.page.get_by_text("for nobody")).to_be_hidden()
    assert "Hidden words" not in visit.page.content()
    assert visit.page.locator("#dash-main").evaluate("node => node.innerText") == "Styled"
    assert not visit.console


def test_outputs_are_cleared_and_updated_in_their_places(site: Site) -> None:
    site.write(
        "updates.ipynb",
        new_code_cell("handle = display('first', display_id='shown')"),
        new_code_cell(
            "import time\nfrom IPython.display import clear_output, update_display\n"
            "for step in (1, 2, 3):\n"
            "    clear_output(wait=True); print('step', step); time.sleep(0.1)",
            outputs=stored("stored\n"),
        ),
        new_code_cell("print('to be gone'); clear_output()"),
        new_code_cell("update_display('second', display_id='shown'); handle.display('again')"),
        new_code_cell("handle.update('third')"),
    )

    def note_texts(page: object) -> None:
        page.add_init_script(  # type: ignore[attr-defined]
            """
            window.texts = [];
            document.addEventListener("DOMContentLoaded", () => {
              const area = document.querySelector('[data-cell-index="1"]');
              const look = () => { window.texts.push(area.textContent.trim());
                                   requestAnimationFrame(look); };
              look();
            });
            """
        )

    visit = site.visit("/dashboards/updates", before=note_texts)
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("'third'")
    expect(visit.cell(1)).to_have_text("step 3")
    expect(visit.cell(2)).to_have_text("")
    expect(visit.cell(3)).to_have_text("'third'")
    assert "" not in visit.page.evaluate("window.texts")


def test_terminal_text_is_coloured_and_overwritten_as_in_a_terminal(site: Site) -> None:
    site.write(
        "terminal.ipynb",
        new_code_cell(
            "import sys, time\n"
            "print('\\x1b[31mred\\x1b[0m and \\x1b[1mbold\\x1b[0m')\n"
            "for n in range(4):\n"
            "    print(f'\\rstep {n} of 3', end=''); sys.stdout.flush(); time.sleep(0.05)\n"
            "print('\\nthe warning', file=sys.stderr)"
        ),
    )
    visit = site.visit("/dashboards/terminal")
    visit.wait_until_live()
    expect(visit.cell(0).locator("pre.dash-stream")).to_have_text("red and bold\nstep 3 of 3")
    expect(visit.cell(0).locator(".ansi-red-fg")).to_have_text("red")
    expect(visit.cell(0).locator(".ansi-bold")).to_have_text("bold")
    assert "warning" not in visit.page.content()


def test_run_again_runs_all_cells_in_the_same_kernel(site: Site) -> None:
    site.write(
        "again.ipynb",
        new_code_cell("runs = globals().get('runs', 0) + 1\nprint('run', runs)"),
        new_code_cell("if runs == 1: print('only at first')"),
    )
    visit = site.visit("/dashboards/again")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("run 1")
    expect(visit.cell(1)).to_have_text("only at first")
    visit.page.get_by_role("button", name="Run again").click()
    expect(visit.cell(0)).to_have_text("run 2")
    expect(visit.cell(1)).to_have_text("")
    visit.wait_until_live()
    assert len(visit.sockets) == 1
    assert not visit.console


def test_a_cell_that_has_no_output_any_more_loses_its_stored_one(site: Site) -> None:
    site.write(
        "silent.ipynb",
        new_code_cell("x = 1", outputs=stored("of another time\n")),
        new_code_cell("print(x)"),
    )
    visit = site.visit("/dashboards/silent")
    visit.wait_until_live()
    expect(visit.cell(1)).to_have_text("1")
    expect(visit.cell(0)).to_have_text("")


def test_each_page_has_its_own_kernel_which_knows_the_query_string(site: Site) -> None:
    site.write(
        "query.ipynb",
        new_code_cell("import os; seen = globals().get('seen', 0) + 1; print(os.getpid(), seen)"),
        new_code_cell("print(os.environ['QUERY_STRING'])"),
    )
    context = site.context()
    pages = [
        site.visit(f"/dashboards/query?{query}", context)
        for query in ("region=north&year=2026", "region=s%C3%BCd")
    ]
    for visit in pages:
        visit.wait_until_live()
    kernels = [visit.cell(0).inner_text().strip() for visit in pages]
    assert kernels[0] != kernels[1]
    assert all(kernel.endswith(" 1") for kernel in kernels)
    expect(pages[0].cell(1)).to_have_text("region=north&year=2026")
    expect(pages[1].cell(1)).to_have_text("region=s%C3%BCd")


def test_results_of_now_have_the_time_of_now(site: Site) -> None:
    site.write("time.ipynb", new_code_cell("print('x')", outputs=stored("x\n")))
    visit = site.visit("/dashboards/time", java_script_enabled=False)
    time = visit.page.locator("#dash-asof time")
    before = time.get_attribute("datetime")
    live = site.visit("/dashboards/time")
    live.wait_until_live()
    after = live.page.locator("#dash-asof time").get_attribute("datetime")
    assert before is not None
    assert after is not None
    assert before < after


def test_prose_alone_starts_no_kernel(site: Site) -> None:
    site.write("prose.ipynb", new_markdown_cell("# Only words"), new_code_cell("  \n"))
    visit = site.visit("/dashboards/prose")
    visit.wait_until_live()
    assert not visit.sockets
    assert not [url for url in visit.requests if "_api/kernels" in url]
    expect(visit.page.get_by_role("button", name="Run again")).to_be_hidden()
