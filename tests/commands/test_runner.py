"""Commands that run notebooks, through a server: from the request to what is left of the run."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.commands import execution
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

KERNEL = {"name": "python3", "display_name": "Python 3"}
PID = "import os; print('pid', os.getpid(), flush=True)"
WAIT = "import time; time.sleep(600)"


@pytest.fixture
def extension_config() -> dict[str, Any]:
    return {"CommandsManager": {"clusters": CLUSTERS}}


CLUSTERS = {
    "bounded": {"limits": {"memory_mb": 2048, "cpu_seconds": 77}, "environment": {"PLACE": "é b"}},
    "elsewhere": {"kernelspec": "python3"},
    "far": {"gateway": {"url": "http://127.0.0.1:9", "token_variable": "Token_Of_The_Gateway"}},
    "nowhere": {"kernelspec": "no-such-kernel"},
}


@pytest.fixture
def start(client: CommandClient, write_notebook: Write) -> Callable[..., Any]:
    """Submits a notebook of these cells, and answers the command."""

    async def submit(
        *sources: str, path: str = "a.ipynb", parameters: str = "", **fields: Any
    ) -> Any:
        cells = [new_code_cell(source) for source in sources]
        if parameters:
            cells.insert(0, new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        write_notebook(path, *cells, kernelspec=KERNEL)
        return await client.submit(note_id=await client.note_id(path), **fields)

    return submit


async def log_of(client: CommandClient, command: Any) -> str:
    return (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()


async def notebook_of(client: CommandClient, command: Any) -> Any:
    response = await client.ask("GET", f"/commands/{command['id']}/notebook")
    assert response.code == 200, response.body
    return nbformat.reads(response.body.decode(), as_version=4)


async def pid_of(client: CommandClient, command: Any) -> int:
    """The kernel's process, as the first cell prints it; the log is live."""
    while "pid " not in (log := await log_of(client, command)):
        await asyncio.sleep(0.05)
    return int(log.partition("pid ")[2].split()[0])


def is_gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_progress_counts_cells_and_names_the_one_that_runs(
    client: CommandClient, start: Any, jp_root_dir: Path
) -> None:
    waits = "import os, time\nwhile not os.path.exists('go %d'): time.sleep(0.02)"
    command = await start(*[waits % index for index in range(4)])
    seen = []
    async for each in client.polls(command["id"]):
        seen.append(each)
        if each["cell_index"] is not None:
            # Each cell goes on when it has been seen to run.
            (jp_root_dir / f"go {each['cell_index']}").touch()
    assert seen[-1]["status"] == "done"
    names = ("progress", "cells", "cells_done", "cell_index")
    assert [seen[-1][name] for name in names] == [100, 4, 4, 3]
    running = [each for each in seen if each["status"] == "running"]
    assert {each["cell_index"] for each in running} >= {0, 1, 2, 3}
    progress = [each["progress"] for each in seen]
    assert progress == sorted(progress)
    assert {25, 50, 75} <= set(progress)


async def test_arguments_run_in_a_copy_and_the_source_stays_as_it_was(
    client: CommandClient, start: Any, jp_root_dir: Path
) -> None:
    command = await start(
        "print(region, year * 2, sep='\\t')",
        "{'a': region}",
        parameters="region = 'x'\nyear = 1",
        arguments={"region": "zürich'; import os #", "year": 21, "yaer": 3},
    )
    before = (jp_root_dir / "a.ipynb").read_bytes()
    assert (await client.ended(command["id"]))["status"] == "done"
    results = await client.get(f"/commands/{command['id']}/results")
    assert results["results"] == "zürich'; import os #\t42\r\n{'a': \"zürich'; import os #\"}"
    copy = await notebook_of(client, command)
    nbformat.validate(copy)
    assert copy.cells[1].metadata.tags == ["injected-parameters"]
    assert copy.cells[2].outputs[0].text == "zürich'; import os #\t42\n"
    assert (jp_root_dir / "a.ipynb").read_bytes() == before
    assert "declares no parameter yaer" in await log_of(client, command)


async def test_the_copy_is_a_page_too_that_asks_no_other_host(
    client: CommandClient, start: Any
) -> None:
    html = "from IPython.display import HTML; HTML('<script src=https://a.example/x.js></script><b>bold</b>')"
    widget = "import ipywidgets; ipywidgets.IntSlider(3)"
    picture = "import matplotlib.pyplot as p; p.plot([1, 2]); p.show()"
    command = await start("print('<zürich>')", html, widget, "%matplotlib inline\n" + picture)
    assert (await client.ended(command["id"]))["status"] == "done"
    page = await client.ask("GET", f"/commands/{command['id']}/notebook?format=html")
    text = page.body.decode()
    assert page.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert page.headers["Content-Security-Policy"] == "sandbox allow-scripts"
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert "&lt;zürich&gt;" in text
    assert "<b>bold</b>" in text
    assert "data:image/png;base64," in text
    assert "default-src &#39;none&#39;" in text
    assert "cdnjs." not in text
    assert "//cdn" not in text
    assert "unpkg" not in text
    other = await client.ask("GET", f"/commands/{command['id']}/notebook?format=pdf")
    assert other.code == 400


async def test_the_page_of_the_copy_has_its_charts_formulas_errors_and_pictures_beside_it(
    client: CommandClient, start: Any, jp_root_dir: Path
) -> None:
    (jp_root_dir / "p.png").write_bytes(b"a picture")
    shown = {
        "application/vnd.plotly.v1+json": {"data": [], "layout": {"title": "one plot"}},
        "application/vnd.vegalite.v5+json": {"mark": "bar", "title": "one chart"},
        "text/latex": "$x^2$",
        "text/html": "<img src='p.png'>",
    }
    displays = [f"display({{{mime!r}: {data!r}}}, raw=True)" for mime, data in shown.items()]
    warning = "import sys; sys.stderr.write('a warning')"
    command = await start(*displays, warning, "fails = 1 / 0")
    assert (await client.ended(command["id"]))["status"] == "error"
    answer = await client.ask("GET", f"/commands/{command['id']}/notebook?format=html")
    page = BeautifulSoup(answer.body, "html.parser")
    data = {str(each["data-mime"]): each.get_text() for each in page.select("script.dash-mime")}
    assert "one plot" in data["application/vnd.plotly.v1+json"]
    assert "one chart" in data["application/vnd.vegalite.v5+json"]
    assert page.select(".dash-latex")[0].get_text() == "$x^2$"
    picture = page.select(".dash-html img")[0]
    assert picture["src"] == f"data:image/png;base64,{base64.b64encode(b'a picture').decode()}"
    assert "a warning" in page.select("[data-stream=stderr]")[0].get_text()
    assert "ZeroDivisionError" in page.select(".dash-traceback")[0].get_text()
    assert "fails = 1 / 0" in page.select(".dash-code")[-1].get_text()


async def test_a_failed_cell_is_named_and_what_ran_before_it_is_kept(
    client: CommandClient, start: Any
) -> None:
    command = await start("print('before')", "1/0", "print('after')")
    ended = await client.ended(command["id"])
    assert ended["status"] == "error"
    assert ended["error"]["cell_index"] == 1
    assert ended["error"]["ename"] == "ZeroDivisionError"
    assert ended["cells_done"] == 1
    copy = await notebook_of(client, command)
    assert copy.cells[0].outputs[0].text == "before\n"
    assert copy.cells[2].outputs == []
    assert "ZeroDivisionError: division by zero" in await log_of(client, command)


async def test_cancelling_a_cell_that_runs_ends_its_kernel(
    client: CommandClient, start: Any
) -> None:
    command = await start(f"{PID}\n{WAIT}")
    pid = await pid_of(client, command)
    response = await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    assert json.loads(response.body)["kill_succeeded"] is True
    ended = await client.ended(command["id"])
    assert ended["status"] == "cancelled"
    assert ended["error"] is None
    assert is_gone(pid)
    copy = await notebook_of(client, command)
    assert copy.cells[0].outputs[0].text == f"pid {pid}\n"
    assert copy.cells[0].outputs[-1].ename == "KeyboardInterrupt"


async def test_cancelling_ends_also_a_kernel_that_ignores_it_and_its_children(
    client: CommandClient, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_INTERRUPT_SECONDS", 0.5)
    command = await start(
        "import signal, subprocess; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600']); print('child', child.pid)",
        PID,
        WAIT,
    )
    pid = await pid_of(client, command)
    child = int((await log_of(client, command)).partition("child ")[2].split()[0])
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    assert is_gone(pid)
    assert is_gone(child)


async def test_cancelling_at_any_moment_leaves_no_kernel(
    client: CommandClient, start: Any, jp_serverapp: Any, dashboards: Any
) -> None:
    children = set(psutil.Process().children())
    for wait in (0, 0.01, 0.03, 0.06, 0.1, 0.3, 0.6):
        command = await start("print(1)", WAIT)
        await asyncio.sleep(wait)
        await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
        assert (await client.ended(command["id"]))["status"] == "cancelled"
    # Kernels may wait for the next command.
    await dashboards.commands.pool.stop()
    assert jp_serverapp.kernel_manager.list_kernel_ids() == []
    left = set(psutil.Process().children()) - children
    assert [each for each in left if not is_gone(each.pid)] == []


async def test_a_dead_kernel_is_an_error_and_a_retry_is_an_attempt_of_its_own(
    client: CommandClient, start: Any, jp_root_dir: Path
) -> None:
    once = "import os, signal\nif not os.path.exists('been'):\n    open('been', 'w'); os.kill(os.getpid(), signal.SIGKILL)"
    command = await start("1", once, "print('there')", retry=1)
    ended = await client.ended(command["id"])
    assert ended["status"] == "done", ended
    attempts = ended["attempts"]
    assert [each["outcome"] for each in attempts] == ["error", "done"]
    assert attempts[0]["reason"] == "The kernel died."
    assert attempts[0]["kernel_id"] != attempts[1]["kernel_id"]


async def test_a_run_that_takes_too_long_is_ended_with_the_reason(
    client: CommandClient, start: Any
) -> None:
    # The kernel's start is part of it.
    command = await start(PID, WAIT, timeout=20)
    ended = await client.ended(command["id"])
    assert ended["status"] == "error"
    assert ended["error"]["message"] == "The run took longer than 20 s."
    assert ended["error"]["cell_index"] == 1
    assert is_gone(await pid_of(client, command))
    assert ended["error"]["message"] in await log_of(client, command)


async def test_two_commands_of_one_notebook_at_once_both_succeed(
    client: CommandClient, start: Any
) -> None:
    first = await start(
        "import time; time.sleep(0.5); print(x)", parameters="x = 0", arguments={"x": 1}
    )
    second = await client.submit(note_id=await client.note_id("a.ipynb"), arguments={"x": 2})
    for command, text in ((first, "1"), (second, "2")):
        assert (await client.ended(command["id"]))["status"] == "done"
        assert (await client.get(f"/commands/{command['id']}/results"))["results"] == text


async def test_a_label_gives_its_kernel_environment_and_limits(
    client: CommandClient, start: Any
) -> None:
    code = "import os, resource as r; print(os.environ['PLACE'], r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CPU)[0])"
    command = await start(code, label="bounded")
    assert (await client.ended(command["id"]))["status"] == "done"
    results = await client.get(f"/commands/{command['id']}/results")
    assert results["results"] == f"é b {2**31} 77"


async def test_a_notebook_needs_a_kernelspec_or_a_label(
    client: CommandClient, write_notebook: Write
) -> None:
    write_notebook("bare.ipynb", new_code_cell("print('ran')"))
    note = await client.note_id("bare.ipynb")
    refused = await client.refused(command_type="SparkCommand", note_id=note)
    assert refused.endswith(f"There is no cluster associated with notebook with Id: {note}")
    refused = await client.refused(command_type="SparkCommand", note_id=note, label="unknown")
    assert refused.endswith("There is no cluster with the label unknown.")
    command = await client.submit(note_id=note, label="elsewhere")
    assert (await client.ended(command["id"]))["status"] == "done"
    command = await client.submit(note_id=note, label="nowhere", retry=3)
    ended = await client.ended(command["id"])
    assert ended["status"] == "error"
    assert "no-such-kernel" in ended["error"]["message"]
    assert ended["attempt"] == 1


async def test_the_kernel_has_the_servers_environment_without_its_credentials(
    client: CommandClient, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_DATABASE", "for-notebooks")
    secrets = (
        "JUPYTER_TOKEN",
        "JUPYTERHUB_API_TOKEN",
        "JUPYTER_DASHBOARDS_SMTP_PASSWORD",
        "KG_AUTH_TOKEN",
        "Token_Of_The_Gateway",
    )
    for name in secrets:
        monkeypatch.setenv(name, "a-secret-of-the-server")
    command = await start("import os; print(dict(os.environ))")
    assert (await client.ended(command["id"]))["status"] == "done"
    results = (await client.get(f"/commands/{command['id']}/results"))["results"]
    assert "for-notebooks" in results
    assert "a-secret-of-the-server" not in results


async def test_the_kernel_works_in_the_notebooks_folder(client: CommandClient, start: Any) -> None:
    command = await start(
        "import os; print(os.path.basename(os.getcwd()))", path="sub/deep/a.ipynb"
    )
    assert (await client.ended(command["id"]))["status"] == "done"
    results = await client.get(f"/commands/{command['id']}/results")
    assert results["results"] == "deep"


async def test_what_runs_is_not_in_the_accounts_history(
    client: CommandClient, start: Callable[..., Any]
) -> None:
    command = await start("print(get_ipython().history_manager.hist_file)")
    assert (await client.ended(command["id"]))["status"] == "done"
    assert ":memory:" in await log_of(client, command)


async def test_a_server_that_stops_leaves_no_kernel(
    client: CommandClient, start: Any, dashboards: Any
) -> None:
    pid = await pid_of(client, await start(PID, WAIT))
    await dashboards.commands.stop()
    assert is_gone(pid)


async def test_a_kernel_killed_from_outside_ends_the_command(
    client: CommandClient, start: Any
) -> None:
    command = await start(PID, WAIT)
    os.kill(await pid_of(client, command), signal.SIGKILL)
    ended = await asyncio.wait_for(client.ended(command["id"]), 30)
    assert ended["error"]["message"] == "The kernel died."


async def test_a_gateway_that_is_down_is_not_a_missing_kernel(
    client: CommandClient, start: Any
) -> None:
    command = await start("1", label="far", retry=1)
    ended = await client.ended(command["id"])
    assert ended["error"]["message"] == "The gateway of the kernels does not answer."
    assert ended["attempt"] == 2


@pytest.mark.parametrize("enabled", ["", "alt.renderers.enable('mimetype')"])
async def test_a_chart_of_altair_is_kept_as_data_that_needs_no_other_host(
    start: Callable[..., Any], client: CommandClient, enabled: str
) -> None:
    chart = "alt.Chart(alt.Data(values=[{'a': 1}])).mark_bar().encode(x='a:Q')"
    command = await start("import altair as alt", enabled or "1", chart)
    assert (await client.ended(command["id"]))["status"] == "done"
    (output,) = (await notebook_of(client, command)).cells[-1].outputs
    (mime,) = set(output.data) - {"text/plain"}
    assert re.fullmatch(r"application/vnd\.vegalite\.v\d+\+json", mime)


async def test_the_cell_that_runs_is_told_by_its_name_too(
    client: CommandClient, write_notebook: Write
) -> None:
    cells = [
        new_code_cell("1", metadata={"name": "load"}),
        new_code_cell("2"),
        new_code_cell("1 / 0", metadata={"name": "é" * 100}),
    ]
    write_notebook("named.ipynb", *cells, kernelspec=KERNEL)
    command = await client.submit(note_id=await client.note_id("named.ipynb"))
    assert command["cell_name"] is None
    ended = await client.ended(command["id"])
    assert (ended["cell_index"], ended["cell_name"]) == (2, "é" * 50)
