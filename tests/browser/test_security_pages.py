"""What a page may do, and what nobody gets out of it: neither sources, nor a kernel to run code of one's own in."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from playwright.sync_api import expect

from .conftest import OpenSite, Site, Visit
from .intranet import Intranet
from .notebooks import PNG, hidden, placed, stored, views

SECRET = "TheAuthorsSecret"


def test_the_policy_of_each_load_has_a_nonce_of_its_own_and_no_eval(site: Site) -> None:
    site.write("policy.ipynb", new_code_cell("1"))
    context = site.context()
    nonces = set()
    for path in ("/dashboards/policy", "/dashboards-plain/policy", "/dashboards", "/dashboards/x"):
        for _ in range(2):
            response = context.request.get(site.url + path)
            policy = response.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe-eval" not in policy
            script = re.search(r"script-src ([^;]*)", policy)
            assert script is not None
            assert "unsafe-inline" not in script[1]
            nonce = re.search(r"'nonce-([^']{16,})'", script[1])
            assert nonce is not None
            nonces.add(nonce[1])
            # Every script of the page is one that the policy names.
            assert set(re.findall(r'<script[^>]*nonce="([^"]+)"', response.text())) <= {nonce[1]}
    assert len(nonces) == 8


def test_text_cannot_be_evaluated_in_the_page(site: Site) -> None:
    site.write(
        "evaluate.ipynb",
        new_code_cell(
            "from IPython.display import Javascript\n"
            "Javascript('try { element.textContent = eval(\"6 * 7\") } '\n"
            "           'catch (error) { element.textContent = error.name }')"
        ),
    )
    visit = site.visit("/dashboards/evaluate")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("EvalError")


def test_no_source_reaches_the_browser(site: Site) -> None:
    site.write(
        "secret.ipynb",
        placed(new_code_cell(f"{SECRET} = 1\nprint('ok')", outputs=stored("ok\n")), 0, 0, 12, 2),
        hidden(new_code_cell(f"def author():\n    '''{SECRET}'''\n    return 1 / 0  # {SECRET}")),
        # Warnings, tracebacks, pagers and syntax errors quote source.
        placed(new_code_cell(f"import warnings; warnings.warn('x')  # {SECRET}"), 2, 0, 12, 2),
        placed(
            new_code_cell(
                f"author()  # {SECRET}",
                outputs=[
                    new_output("error", ename="E", evalue=SECRET, traceback=[SECRET]),
                    new_output("stream", name="stderr", text=SECRET),
                ],
            ),
            4,
            0,
            12,
            2,
        ),
        placed(new_code_cell("author??"), 6, 0, 12, 2),
        placed(new_code_cell(f"this is no {SECRET}"), 8, 0, 12, 2),
        # Widgets: a callback that fails, a function that fails in interact, a view that nobody has.
        placed(
            new_code_cell(
                "import ipywidgets as w\n"
                "button, out = w.Button(description='Fail'), w.Output()\n"
                "button.on_click(out.capture()(lambda _: author()))\n"
                f"w.interact(lambda n: [author(), '{SECRET}'], n=(0, 3))\n"
                "w.VBox([button, out])"
            ),
            10,
            0,
            12,
            8,
        ),
        placed(
            new_code_cell(
                "from traitlets import Unicode\n"
                f"class Nobody(w.DOMWidget):  # {SECRET}\n"
                "    _model_module = Unicode('nobody').tag(sync=True)\n"
                "    _model_name = Unicode('NobodyModel').tag(sync=True)\n"
                "    _view_module = Unicode('nobody').tag(sync=True)\n"
                "    _view_name = Unicode('NobodyView').tag(sync=True)\n"
                "Nobody()"
            ),
            18,
            0,
            12,
            4,
        ),
        new_code_cell(f"# {SECRET}", id="unplaced"),
        placed(new_markdown_cell("the end"), 22, 0, 12, 2),
        **views(),
    )
    visit = site.visit("/dashboards/secret")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("ok")
    visit.page.get_by_role("button", name="Fail").click()
    expect(visit.cell(6).get_by_role("alert")).to_have_count(2)
    expect(visit.cell(7).get_by_role("alert")).to_contain_text("cannot be shown")
    assert len(visit.frames) > 20
    frames = [frame if isinstance(frame, bytes) else frame.encode() for frame in visit.frames]
    assert not [frame for frame in frames if SECRET.encode() in frame]
    assert SECRET not in visit.page.content()
    context = visit.page.context
    for path in ("secret", "secret?view=report_default", "secret.ipynb", "../files/secret.ipynb"):
        assert SECRET not in context.request.get(f"{site.url}/dashboards/{path}").text()


BREAKING = [
    "</div></div></section></div></main><p id='{id}'>escaped</p>",
    "<div><table><tr><td><p id='{id}'>unclosed",
    "<p id='{id}'>before</p><!-- a comment that never ends",
    "<p id='{id}'>x</p><script>/* a script that never ends",
    "<p id='{id}'>x</p><plaintext>",
    "<p id='{id}'>x</p><textarea>",
    "<p id='{id}'>x</p><style>/* a style sheet that never ends",
    "</body></html><base href='https://outside.example/'><p id='{id}'>x</p>",
]


@pytest.mark.parametrize("script", [False, True], ids=["stored", "live"])
def test_html_stays_in_the_cell_that_shows_it(site: Site, script: bool) -> None:
    html = [text.format(id=f"p{index}") for index, text in enumerate(BREAKING)]
    cells: list[Any] = [
        new_code_cell(
            f"from IPython.display import HTML\nHTML({text!r})",
            outputs=[new_output("display_data", data={"text/html": text})],
        )
        for text in html
    ]
    site.write("breaking.ipynb", *cells, new_markdown_cell("# The last [cell](./beside)"))
    visit = site.visit("/dashboards/breaking", java_script_enabled=script)
    if script:
        visit.wait_until_live()
    sections = visit.page.locator("#dash-main > #dash-cells > section")
    expect(sections).to_have_count(len(html) + 1)
    expect(sections.last).to_have_text("The last cell")
    expect(sections.last.get_by_role("link")).to_have_js_property(
        "href", f"{site.url}/dashboards/beside"
    )
    for index in range(len(html)):
        expect(visit.cell(index).locator(f"#p{index}")).to_have_count(1)
    assert "outside.example" not in visit.page.evaluate("document.baseURI")


# Sends requests through a websocket of its own, in the old JSON form, and returns their replies in order.
RAW_SOCKET = """
async ([url, requests]) => {
  const socket = new WebSocket(url), replies = [];
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  for (const [index, { type, channel = "shell", content }] of requests.entries()) {
    const header = { msg_id: `raw-${index}`, msg_type: type, session: "raw", username: "",
                     version: "5.3", date: new Date().toISOString() };
    const answer = new Promise((resolve) => socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      const ours = message.parent_header?.msg_id === header.msg_id;
      if (ours && (message.msg_type.endsWith("_reply") || message.msg_type === "error"))
        resolve([message.msg_type, message.content.status, message.content.ename ?? null]);
    }));
    socket.send(JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel }));
    replies.push(await answer);
  }
  return [replies, socket.readyState === WebSocket.OPEN];
}
"""


def raw_replies(visit: Visit, *requests: dict[str, Any]) -> tuple[list[list[str]], bool]:
    url = visit.sockets[0].split("?")[0] + "?session_id=raw"
    replies, alive = visit.page.evaluate(RAW_SOCKET, [url, list(requests)])
    return replies, alive


def test_code_that_a_viewer_sends_is_refused_and_the_socket_lives_on(site: Site) -> None:
    site.write(
        "target.ipynb",
        new_code_cell("runs = globals().get('runs', 0) + 1; print('run', runs)"),
        new_markdown_cell("open('pwned', 'w')"),
    )
    visit = site.visit("/dashboards/target")
    visit.wait_until_live()
    write = "open('pwned', 'w').write('x')"
    replies, alive = raw_replies(
        visit,
        {"type": "execute_request", "content": {"code": write}},
        {"type": "execute_request", "content": {"code": "1"}},
        {"type": "execute_request", "content": {"code": "0; " + write}},
        {"type": "inspect_request", "content": {"code": "runs", "cursor_pos": 1}},
        {"type": "history_request", "content": {"hist_access_type": "tail", "n": 9}},
        {"type": "shutdown_request", "channel": "control", "content": {"restart": False}},
        {
            "type": "execute_request",
            "content": {"code": "0", "user_expressions": {"x": write}, "store_history": True},
        },
    )
    assert alive
    assert [reply[1:] for reply in replies] == [["error", "Refused"]] * 6 + [["ok", None]]
    assert not (site.folder / "pwned").exists()
    # The page's own socket knows nothing of it and works on.
    visit.page.get_by_role("button", name="Run again").click()
    expect(visit.cell(0)).to_have_text("run 3")


def test_a_viewer_s_page_finds_no_other_way_to_a_kernel_or_a_file(site: Site) -> None:
    site.write("ways.ipynb", new_code_cell(f"print('ok')  # {SECRET}"))
    visit = site.visit("/dashboards/ways")
    visit.wait_until_live()
    answers = visit.page.evaluate(
        """paths => Promise.all(paths.map(async (path) => {
             const answer = await fetch(path);
             return [path, answer.status, await answer.text()];
           }))""",
        [
            "/api/kernels",
            "/api/sessions",
            "/api/terminals",
            "/api/contents/ways.ipynb",
            "/files/ways.ipynb",
            "/nbconvert/html/ways.ipynb",
            "/dashboards/ways.ipynb?download=1",
        ],
    )
    for path, status, text in answers:
        assert SECRET not in text, path
        assert status in (403, 404) or path.startswith("/dashboards"), path


def test_a_kernel_answers_nobody_but_its_viewer(site: Site) -> None:
    site.write("own.ipynb", new_code_cell("print('mine')"))
    visit = site.visit("/dashboards/own")
    visit.wait_until_live()
    kernel = visit.sockets[0].split("?")[0].removesuffix("/channels").replace("ws:", "http:")
    assert visit.page.context.request.get(kernel).ok
    assert site.context().request.get(kernel).status == 404


def test_other_hosts_are_out_of_reach_unless_the_operator_names_them(
    site: Site, site_with: OpenSite, intranet: Intranet
) -> None:
    intranet.pages["/logo.png"] = ("image/png", base64.b64decode(PNG))
    cell = new_code_cell(
        f"from IPython.display import HTML\nHTML('<img alt=logo src=\"{intranet.url}/logo.png\">')"
    )
    open_site = site_with(f"--DashboardsApp.csp_sources={ {'img-src': [intranet.url]} }")
    width = "image => image.naturalWidth"
    for where in (site, open_site):
        where.write("logo.ipynb", cell)
    visit = site.visit("/dashboards/logo")
    visit.wait_until_live()
    assert visit.page.get_by_alt_text("logo").evaluate(width) == 0
    assert any("CSP violation: img-src" in text for text in visit.console)
    assert not intranet.asked
    visit = open_site.visit("/dashboards/logo")
    visit.wait_until_live()
    expect(visit.page.get_by_alt_text("logo")).to_have_js_property("naturalWidth", 5)
    assert not visit.console
