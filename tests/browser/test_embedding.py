"""A plain page in a frame of another site's page."""

from __future__ import annotations

from nbformat.v4 import new_code_cell, new_markdown_cell
from playwright.sync_api import FrameLocator, Page, expect

from .conftest import OpenSite, Site
from .intranet import Intranet

# What an intranet page would have: it believes the one frame that it made, from the one server that it knows.
EMBEDDER = """<!doctype html><title>Intranet</title><h1>Our figures</h1>
<iframe src="{url}" title="Dashboard" style="width: 800px; height: 150px; border: 0"></iframe>
<script>
  const frame = document.querySelector("iframe"), server = new URL(frame.src).origin;
  window.heights = []; window.others = [];
  addEventListener("message", ({{ source, origin, data }}) => {{
    if (source !== frame.contentWindow || origin !== server) return others.push([origin, data]);
    if (data?.type !== "jupyter-dashboards:height") return others.push([origin, data]);
    heights.push(data.height);
    frame.style.height = `${{data.height}}px`;
  }});
</script>"""


def embed(site: Site, intranet: Intranet, path: str) -> tuple[Page, list[str]]:
    """Opens the intranet's page around this path as a viewer who is logged in; with what the console says."""
    html = EMBEDDER.format(url=site.url + path)
    intranet.pages["/"] = ("text/html", html.encode())
    page = site.context().new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(intranet.url)
    return page, said


def framed(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def test_no_other_origin_may_frame_a_page_by_default(site: Site, intranet: Intranet) -> None:
    site.write("frames.ipynb", new_markdown_cell("# Figures"))
    for path in ("/dashboards-plain/frames", "/dashboards/frames", "/dashboards-plain"):
        page, said = embed(site, intranet, path)
        page.wait_for_load_state("networkidle")
        expect(framed(page).locator("#dash-main")).to_have_count(0)
        assert any("frame-ancestors 'self'" in text for text in said)


def test_an_allowed_origin_gets_a_live_page_without_a_bar_as_high_as_its_content(
    site_with: OpenSite, intranet: Intranet
) -> None:
    site = site_with(f"--DashboardsApp.frame_ancestors={intranet.url}")
    site.write(
        "frames.ipynb",
        new_markdown_cell("# Figures"),
        new_code_cell(
            "import ipywidgets as w\n"
            "button, out = w.Button(description='More'), w.Output()\n"
            "@out.capture(clear_output=True)\n"
            "def more(_):\n"
            "    print('\\n'.join(['line'] * 60))\n"
            "button.on_click(more)\n"
            "w.VBox([button, out])"
        ),
        new_code_cell("print('computed')"),
    )
    page, said = embed(site, intranet, "/dashboards-plain/frames")
    content = framed(page)
    expect(content.get_by_text("computed")).to_be_visible()
    expect(content.locator("#dash-status")).to_have_text("Live")
    expect(content.locator("header")).to_have_count(0)
    expect(content.get_by_role("navigation")).to_have_count(0)

    frame = page.locator("iframe")
    height_of_content = "frame => Math.ceil(frame.getBoundingClientRect().height)"
    content.get_by_role("button", name="More").click()
    expect(content.get_by_text("line").last).to_be_visible()
    page.wait_for_function("heights.at(-1) > 1000")
    tall = page.evaluate("heights.at(-1)")
    assert frame.evaluate(height_of_content) == tall
    body = content.locator("body")
    assert body.evaluate("body => Math.ceil(body.getBoundingClientRect().height)") == tall
    # Nothing left to scroll in the frame.
    assert body.evaluate("body => document.scrollingElement.scrollHeight") <= tall + 1
    assert min(page.evaluate("heights")) < 400
    assert page.evaluate("others") == []
    assert not [text for text in said if "violat" in text]

    # The pages with a bar stay unframed: what is pressed there must be meant.
    page, said = embed(site, intranet, "/dashboards/frames")
    page.wait_for_load_state("networkidle")
    expect(framed(page).locator("#dash-main")).to_have_count(0)
    assert any("frame-ancestors 'self'" in text for text in said)


def test_a_page_that_is_not_framed_posts_no_messages(site: Site) -> None:
    site.write("unframed.ipynb", new_markdown_cell("# Figures"))
    visit = site.visit(
        "/dashboards-plain/unframed",
        before=lambda page: page.add_init_script(
            "window.messages = []; addEventListener('message', (e) => messages.push(e.data))"
        ),
    )
    visit.wait_until_live()
    assert visit.page.evaluate("messages") == []
    expect(visit.page.locator("header")).to_have_count(0)
