"""What a viewer sees when the network, the kernel or the server's room for kernels fails."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nbformat.v4 import new_code_cell
from playwright.sync_api import Browser, expect

from tests.servers import ServerProcess, dashboards_server

from .conftest import Site, Visit
from .notebooks import stored
from .wire import Wire

WAIT = """
import os, pathlib, time
def until(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Path]]:
    """A server with room for one kernel, which ends a second after its page has gone."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("narrow")
    options = ["--KernelBindings.max_kernels=1", "--KernelBindings.retry_after=1"]
    with dashboards_server(folder, home, "--KernelBindings.retention=1", *options) as server:
        yield server, folder


@pytest.fixture
def narrow(browser: Browser, narrow_server: tuple[ServerProcess, Path]) -> Iterator[Site]:
    site = Site(browser, *narrow_server)
    yield site
    site.close()


@pytest.fixture
def wire(shared_server: tuple[ServerProcess, Path]) -> Iterator[Wire]:
    with Wire(shared_server[0].port) as between:
        yield between


@pytest.fixture
def wired(
    browser: Browser, shared_server: tuple[ServerProcess, Path], wire: Wire
) -> Iterator[Site]:
    """The shared server at the other end of the wire."""
    site = Site(browser, *shared_server, url=wire.url)
    yield site
    site.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 45
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


def kernel_process(visit: Visit, index: int = 0) -> int:
    """The process id that this cell has printed, as soon as there was room for its kernel."""
    expect(visit.cell(index)).to_have_text(re.compile(r"^\d+\s*$"))
    return int(visit.cell(index).inner_text())


def has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def connections(server: ServerProcess, visit: Visit) -> int:
    """How many sockets are open to the kernel of a page, as the server knows it."""
    kernel_id = visit.sockets[-1].partition("/kernels/")[2].partition("/")[0]
    # As the page itself asks, whose wire is cut: a cookie's name is made from the address.
    cookies = [f"{each['name']}={each['value']}" for each in visit.page.context.cookies()]
    headers = {"Cookie": "; ".join(cookies), "Host": urlsplit(visit.page.url).netloc}
    asked = urllib.request.Request(f"{server.url}/_api/kernels/{kernel_id}", headers=headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return int(json.load(answer)["connections"])


def test_after_a_short_break_the_page_shows_what_it_missed(
    wired: Site, wire: Wire, shared_server: tuple[ServerProcess, Path]
) -> None:
    for name in ("go-on", "reached"):
        (wired.folder / name).unlink(missing_ok=True)
    wired.write(
        "break.ipynb",
        new_code_cell(f"{WAIT}\nprint('before')"),
        new_code_cell(
            "print('first')\nuntil('go-on')\nprint('missed')\npathlib.Path('reached').touch()"
        ),
        new_code_cell("print('last')", outputs=stored("old\n")),
    )
    visit = wired.visit("/dashboards/break")
    expect(visit.cell(1)).to_have_text("first")
    wire.cut()
    status = visit.page.get_by_role("status")
    expect(status).to_have_text("Connection lost. Reconnecting…")
    wait_for(lambda: connections(shared_server[0], visit) == 0, "the end for the server")
    (wired.folder / "go-on").touch()
    wait_for((wired.folder / "reached").exists, "the cell's end")
    expect(visit.cell(2)).to_have_text("old")
    wire.mend()
    expect(visit.cell(1)).to_have_text("first\nmissed")
    expect(visit.cell(2)).to_have_text("last")
    expect(status).to_have_text("Live")
    expect(visit.page.locator("#dash-alert")).to_be_empty()
    assert len({url.split("?")[0] for url in visit.sockets}) == 1


def test_widgets_go_on_working_after_a_break(wired: Site, wire: Wire) -> None:
    wired.write(
        "widget-break.ipynb",
        new_code_cell(
            "import ipywidgets as w\n"
            "size, told = w.IntSlider(description='Size'), w.Label()\n"
            "size.observe(lambda c: setattr(told, 'value', f'size is {c.new}'), 'value')\n"
            "w.VBox([size, told])"
        ),
    )
    visit = wired.visit("/dashboards/widget-break")
    visit.wait_until_live()
    slider = visit.page.get_by_role("slider")
    slider.press("ArrowRight")
    expect(visit.cell(0)).to_contain_text("size is 1")
    wire.cut()
    expect(visit.page.get_by_role("status")).to_contain_text("Connection lost")
    slider.press("ArrowRight")
    wire.mend()
    expect(visit.cell(0)).to_contain_text("size is 2")


@pytest.mark.parametrize("way", ["there", "back"])
def test_widgets_go_on_working_after_a_change_or_its_answer_was_lost(
    wired: Site, wire: Wire, way: str
) -> None:
    """A phone without signal: what is sent is gone before anybody sees that the connection is."""
    got = wired.folder / f"got {way}"
    wired.write(
        f"lost {way}.ipynb",
        new_code_cell(
            "import ipywidgets as w\nfrom pathlib import Path\n"
            "size, told = w.IntSlider(description='Size'), w.Label()\n"
            "def take(change):\n"
            f"    Path({got.name!r}).write_text(str(change.new))\n"
            "    told.value = f'size is {change.new}'\n"
            "size.observe(take, 'value')\n"
            "w.VBox([size, told])"
        ),
    )
    visit = wired.visit(f"/dashboards/lost {way}")
    slider = visit.page.get_by_role("slider")
    expect(visit.page.get_by_role("status")).to_have_text("Live")
    slider.press("ArrowRight")
    expect(visit.page.get_by_text("size is 1", exact=True)).to_be_visible()
    # The answer to that one has come too.
    expect(visit.page.locator("body")).to_have_attribute("data-kernel", "idle")
    wire.swallow(way)
    slider.press("ArrowRight")
    if way == "back":
        wait_for(lambda: got.read_text() == "2", "the change")
    else:
        wait_for(lambda: wire.lost > 0, "the change")
    wire.cut()
    expect(visit.page.get_by_role("status")).to_have_text("Connection lost. Reconnecting…")
    wire.mend()
    wait_for(lambda: got.read_text() == "2", "the change")
    slider.press("ArrowRight")
    expect(visit.page.get_by_text("size is 3", exact=True)).to_be_visible()


def test_a_page_that_comes_back_too_late_offers_a_new_kernel(
    browser: Browser, narrow_server: tuple[ServerProcess, Path]
) -> None:
    server, folder = narrow_server
    with Wire(server.port) as wire:
        site = Site(browser, server, folder, url=wire.url)
        site.write(
            "late.ipynb",
            new_code_cell("import os; print(os.getpid())"),
            new_code_cell("print('result')"),
        )
        visit = site.visit("/dashboards/late")
        visit.wait_until_live()
        process = kernel_process(visit)
        wire.cut()
        wait_for(lambda: has_ended(process), "the kernel's end")
        wire.mend()
        expect(visit.page.get_by_role("alert")).to_contain_text("The kernel is gone.")
        expect(visit.page.get_by_role("status")).to_have_text("Not live")
        expect(visit.cell(1)).to_have_text("result")
        visit.page.get_by_role("button", name="Restart").click()
        expect(visit.page.get_by_role("status")).to_have_text("Live")
        expect(visit.page.get_by_role("alert")).to_be_hidden()
        assert kernel_process(visit) != process
        site.close()


def test_a_kernel_that_dies_in_a_cell_is_said_to_be_dead_and_can_be_restarted(narrow: Site) -> None:
    narrow.write(
        "dying.ipynb",
        new_code_cell("print('shown before')"),
        new_code_cell(
            "import os, pathlib\n"
            "if not pathlib.Path('died').exists():\n"
            "    pathlib.Path('died').touch(); os._exit(1)\n"
            "print('survived')",
            outputs=stored("stored\n"),
        ),
        new_code_cell("print('shown after')"),
    )
    visit = narrow.visit("/dashboards/dying")
    expect(visit.page.get_by_role("alert")).to_contain_text("The kernel died.")
    expect(visit.page.get_by_role("status")).to_have_text("Not live")
    expect(visit.page.locator("#dash-cells")).to_have_attribute("aria-busy", "false")
    expect(visit.cell(0)).to_have_text("shown before")
    expect(visit.cell(1)).to_have_text("stored")
    visit.page.get_by_role("button", name="Restart").click()
    expect(visit.cell(1)).to_have_text("survived")
    expect(visit.cell(2)).to_have_text("shown after")
    expect(visit.page.get_by_role("status")).to_have_text("Live")


def test_a_kernel_that_dies_by_a_widget_is_said_to_be_dead(narrow: Site) -> None:
    narrow.write(
        "killer.ipynb",
        new_code_cell(
            "import os, ipywidgets as w\n"
            "button = w.Button(description='Die')\n"
            "button.on_click(lambda _: os._exit(1))\nbutton"
        ),
    )
    visit = narrow.visit("/dashboards/killer")
    # Not before the kernel of the page before has ended.
    expect(visit.page.get_by_role("status")).to_have_text("Live")
    visit.page.get_by_role("button", name="Die").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("The kernel died.")
    expect(visit.page.get_by_role("button", name="Restart")).to_be_visible()


def test_a_full_server_says_so_keeps_stored_results_and_lets_the_page_in_later(
    narrow: Site,
) -> None:
    narrow.write(
        "busy.ipynb",
        new_code_cell("import os; print(os.getpid())", outputs=stored("stored\n")),
    )
    first = narrow.visit("/dashboards/busy")
    first.wait_until_live()
    process = kernel_process(first)
    second = narrow.visit("/dashboards/busy")
    expect(second.page.get_by_role("alert")).to_contain_text("All kernels are in use")
    expect(second.page.get_by_role("alert")).to_contain_text("Trying again in")
    expect(second.page.get_by_role("button", name="Try now")).to_be_visible()
    expect(second.page.get_by_role("status")).to_have_text("Showing stored results")
    expect(second.cell(0)).to_have_text("stored")
    first.page.close()
    expect(second.page.get_by_role("status")).to_have_text("Live")
    expect(second.cell(0)).not_to_have_text("stored")
    assert kernel_process(second) != process


def test_leaving_a_page_ends_its_kernel(narrow: Site) -> None:
    narrow.write("left.ipynb", new_code_cell("import os; print(os.getpid())"))
    visit = narrow.visit("/dashboards/left")
    visit.wait_until_live()
    process = kernel_process(visit)
    assert not has_ended(process)
    visit.page.get_by_role("link", name="Dashboards").click()
    wait_for(lambda: has_ended(process), "the kernel's end")
