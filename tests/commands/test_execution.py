"""Cells in real kernels of the server's kernel manager."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbclient.output_widget import OutputWidget
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from jupyter_dashboards_api.commands import cell_client, execution
from jupyter_dashboards_api.commands.execution import CellFailed, Execution, KernelDied, TimedOut

Execute = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(jp_serverapp: Any) -> Execute:
    """Runs cells (sources, or whole ones) in a new kernel; `before` gets the kernel's pid and the notebook."""
    manager = jp_serverapp.kernel_manager

    async def execute(
        *sources: Any,
        seconds: float | None = None,
        kernel: str = "",
        before: Any = None,
        **options: Any,
    ) -> Any:
        cells = [new_code_cell(s) if isinstance(s, str) else s for s in sources]
        notebook = new_notebook(cells=cells)
        kernel_id = await manager.start_kernel(kernel_name=kernel or None)
        try:
            ran = Execution(manager, kernel_id, notebook, **options)
            if before is not None:
                before(manager.get_kernel(kernel_id).provisioner.pid, notebook)
            await ran.run(seconds)
        finally:
            execute.notebook = notebook  # type: ignore[attr-defined]
            if kernel_id in manager:
                await manager.shutdown_kernel(kernel_id, now=True)
        return notebook

    return execute


def printed(notebook: Any, index: int = -1) -> str:
    return "".join(o["text"] for o in notebook.cells[index].outputs if o.output_type == "stream")


async def test_cells_run_in_order_and_tell_their_index(run: Any) -> None:
    seen: list[int] = []
    notebook = await run(
        "x = 1", new_markdown_cell("# x"), " \n", "print(x + 1)", on_cell=seen.append
    )
    assert seen == [0, 3]
    assert printed(notebook) == "2\n"
    assert notebook.cells[3].execution_count == 2
    assert "iopub.status.idle" in notebook.cells[3].metadata.execution


async def test_outputs_of_an_earlier_run_are_gone_also_below_a_cell_that_fails(run: Any) -> None:
    old = new_code_cell(
        "1", outputs=[nbformat.v4.new_output("stream", text="old")], execution_count=9
    )
    with pytest.raises(CellFailed) as failed:
        await run("print('seen'); raise ValueError('bad ünicode')", old)
    assert (failed.value.index, failed.value.ename, failed.value.evalue) == (
        0,
        "ValueError",
        "bad ünicode",
    )
    first, second = run.notebook.cells
    assert [o.output_type for o in first.outputs] == ["stream", "error"]
    assert second.outputs == []
    assert second.execution_count is None


async def test_a_cell_tagged_to_raise_may_raise(run: Any) -> None:
    cell = new_code_cell("1/0", metadata={"tags": ["raises-exception"]})
    assert printed(await run(cell, "print('on')")) == "on\n"


async def test_a_cell_has_its_time_and_the_run_has_its_own(run: Any) -> None:
    begun = time.monotonic()
    with pytest.raises(TimedOut, match="Cell 1 took longer than 3 s"):
        await run("1", "print('begun', flush=True); import time; time.sleep(60)", cell_timeout=3)
    assert printed(run.notebook) == "begun\n"
    with pytest.raises(TimedOut, match="The run took longer than 1 s"):
        await run(*["import time; time.sleep(0.4)"] * 9, seconds=1, cell_timeout=5)
    assert time.monotonic() - begun < 45


@pytest.mark.parametrize("tags", [[], ["raises-exception"]])
async def test_a_run_that_is_cancelled_between_two_cells_interrupts_the_one_that_comes_and_no_other(
    run: Any, tags: list[str]
) -> None:
    """An interrupt that ipykernel gets between them has no effect."""
    task: asyncio.Future[Any]
    waits = new_code_cell("import time; time.sleep(600)", metadata={"tags": tags})

    def cancel(index: int) -> None:
        if index == 1:
            task.cancel()

    task = asyncio.ensure_future(run("1", waits, "print('never')", on_cell=cancel))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 45)
    assert run.notebook.cells[1].outputs[-1].ename == "KeyboardInterrupt"
    assert run.notebook.cells[2].outputs == []


async def test_a_cancelled_run_has_interrupted_its_cell(run: Any) -> None:
    begun = asyncio.Event()
    task = asyncio.ensure_future(
        run("print('now', flush=True)\nwhile True: pass", on_text=lambda name, text: begun.set())
    )
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    assert run.notebook.cells[0].outputs[-1].ename == "KeyboardInterrupt"


async def test_a_cell_that_ignores_interrupts_ends_with_its_kernel(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_INTERRUPT_SECONDS", 1.0)
    begun, pids = asyncio.Event(), []
    code = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('now', flush=True); time.sleep(600)"
    )
    task = asyncio.ensure_future(
        run(
            code,
            on_text=lambda name, text: begun.set(),
            before=lambda pid, notebook: pids.append(pid),
        )
    )
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    assert not psutil.pid_exists(pids[0])


async def test_a_kernels_death_is_seen_within_two_seconds(run: Any) -> None:
    took = []
    for _ in range(3):
        died: list[float] = []

        def kill(name: str, text: str, died: list[float] = died) -> None:
            died.append(time.monotonic())
            os.kill(int(text), signal.SIGKILL)

        with pytest.raises(KernelDied):
            await run(
                "import os, time; print(os.getpid(), flush=True); time.sleep(60)", on_text=kill
            )
        took.append(time.monotonic() - died[0])
    # The machine may be busy for a while.
    assert min(took) < 2


async def test_a_kernel_that_ends_itself_between_cells_is_seen(run: Any) -> None:
    with pytest.raises(KernelDied):
        await run("import os; os._exit(3)", "print('never')")
    assert run.notebook.cells[1].outputs == []


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "raise SystemExit(1)"])
async def test_a_kernel_that_never_answers_is_given_up(
    run: Any, jp_data_dir: Path, code: str
) -> None:
    folder = jp_data_dir / "kernels" / "silent"
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-c", code, "{connection_file}"],
        "display_name": "x",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    with pytest.raises((TimedOut, KernelDied)):
        await asyncio.wait_for(run("1", kernel="silent", start_timeout=1), 20)


OVERSEES = """
import json
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

class Kernel(IPythonKernel):
    kept = None

    async def dispatch_shell(self, msg, /, subshell_id=None, **options):
        _, parts = self.session.feed_identities(msg, copy=False)
        kind = json.loads(parts[1].bytes)["msg_type"]
        if kind == "execute_request" and self.kept is None:
            self.kept = msg
            return
        if self.kept:
            kept, self.kept = self.kept, False
            await super().dispatch_shell(kept, subshell_id=subshell_id, **options)
        await super().dispatch_shell(msg, subshell_id=subshell_id, **options)

IPKernelApp.launch_instance(kernel_class=Kernel)
"""


async def test_a_request_that_the_kernel_oversaw_is_seen_with_the_next_one(
    run: Any, jp_data_dir: Path
) -> None:
    # As ipykernel 7.2 may do it: a request lies in its socket until another one comes.
    folder = jp_data_dir / "kernels" / "oversees"
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-c", OVERSEES, "-f", "{connection_file}"],
        "display_name": "x",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    notebook = await asyncio.wait_for(
        run("print('a')", "print('b')", kernel="oversees", nudge=0.2), 60
    )
    assert [printed(notebook, index) for index in (0, 1)] == ["a\n", "b\n"]


async def test_input_is_refused_at_once(run: Any) -> None:
    with pytest.raises(CellFailed) as failed:
        await asyncio.wait_for(run("input('?')"), 20)
    assert failed.value.ename == "StdinNotImplementedError"


async def test_displays_are_updated_and_outputs_cleared_as_a_page_would(run: Any) -> None:
    notebook = await run(
        "from IPython.display import clear_output, display\nh = display('old', display_id=True)",
        "h.update('new')\nprint('mine')",
        "print('gone', flush=True); clear_output(); print('kept')",
        "print('waits', flush=True); clear_output(wait=True)",
    )
    assert notebook.cells[0].outputs[0].data["text/plain"] == "'new'"
    assert printed(notebook, 1) == "mine\n"
    assert printed(notebook, 2) == "kept\n"
    assert printed(notebook, 3) == "waits\n"


async def test_widgets_keep_their_state_in_the_notebook(run: Any) -> None:
    notebook = await run(
        "import ipywidgets; s = ipywidgets.IntSlider(3); display(s)", "s.value = 8"
    )
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    slider = next(s for s in states.values() if s["model_name"] == "IntSliderModel")
    assert slider["state"]["value"] == 8
    nbformat.validate(notebook)


async def test_ten_megabytes_and_thousands_of_lines_arrive_whole(run: Any) -> None:
    notebook = await run(
        "print('x' * 10_000_000)",
        "import sys\nfor i in range(5000): print(i, 'zürich 東京 🙂', flush=i % 50 == 0)",
    )
    assert len(printed(notebook, 0)) == 10_000_001
    lines = printed(notebook, 1).splitlines()
    assert len(lines) == 5000
    assert lines[-1] == "4999 zürich 東京 🙂"
    assert len(notebook.cells[1].outputs) == 1


async def test_outputs_beyond_the_limit_are_left_out_and_that_is_said(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 100_000)
    said: list[str] = []
    notebook = await run(
        "print('a' * 60_000)",
        "print('b' * 60_000)",
        "from IPython.display import clear_output\nfor i in range(9): clear_output(); print('c' * 30_000, flush=True)",
        on_text=lambda name, text: said.append(text),
    )
    assert len(printed(notebook, 0)) == 60_001
    assert printed(notebook, 1) == ""
    assert len(printed(notebook, 2)) == 30_001
    assert sum("too large" in text for text in said) == 1


async def test_what_is_held_is_never_measured_again(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 100_000)
    measured: list[int] = []
    dumps = json.dumps

    def watched(value: Any, **options: Any) -> str:
        if isinstance(value, dict) and "number" in value:
            measured.append(value["number"])
        return dumps(value, **options)

    monkeypatch.setattr(json, "dumps", watched)
    notebook = await run(
        """from IPython.display import display
for i in range(30): display({"application/json": {"number": i, "x": "x" * 20_000 * (i < 10)}}, raw=True)"""
    )
    assert measured == list(range(30))
    # The small ones had room still.
    held = [output.data["application/json"]["number"] for output in notebook.cells[0].outputs]
    assert held == [0, 1, 2, 3, *range(10, 30)]


async def test_what_is_cleared_or_replaced_makes_room(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 100_000)
    said: list[str] = []
    notebook = await run(
        """from IPython.display import clear_output, display
h = display("-", display_id=True)
for i in range(9): h.update("a" * 40_000)
h.update("last" * 5_000)""",
        """for i in range(9):
    print("b" * 60_000, flush=True)
    clear_output(wait=True)
for i in range(9):
    display("b" * 15_000, display_id="x")
    clear_output(wait=True)
print("last")""",
        "print('c' * 60_000)",
        on_text=lambda name, text: said.append(text),
    )
    assert notebook.cells[0].outputs[0].data["text/plain"] == repr("last" * 5_000)
    assert printed(notebook, 1) == "last\n"
    assert len(printed(notebook, 2)) == 60_001
    assert not any("too large" in text for text in said)


async def test_an_output_that_is_shown_in_many_places_counts_in_each(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 100_000)
    notebook = await run(
        """from IPython.display import display, update_display
for i in range(20): display("-", display_id="x")
update_display("a" * 20_000, display_id="x")"""
    )
    shown = [output.data["text/plain"] for output in notebook.cells[0].outputs]
    assert shown == ["'-'"] * 20


async def test_what_a_cell_raises_is_kept_where_there_is_no_room_any_more(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 10_000)
    monkeypatch.setattr(cell_client, "ERROR_BYTES", 100_000)
    with pytest.raises(CellFailed):
        await run("print('a' * 9_500)", "print('b' * 9_000); raise ValueError('c' * 5_000)")
    notebook = run.notebook
    assert [output.output_type for output in notebook.cells[1].outputs] == ["error"]
    huge = new_code_cell("raise ValueError('c' * 200_000)", metadata={"tags": ["raises-exception"]})
    assert (await run(huge)).cells[0].outputs == []


async def test_widgets_state_and_what_output_widgets_hold_are_bounded_too(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 100_000)
    said: list[str] = []
    sources = {
        "Text": "kept = [widgets.Text('x' * 20_000) for i in range(20)]",
        "Image": "kept = [widgets.Image(value=b'x' * 20_000) for i in range(20)]",
        "Output": """out = widgets.Output()
with out:
    for i in range(20): print("x" * 20_000, flush=True)""",
    }
    for source in sources.values():
        said.clear()
        notebook = await run(
            "import ipywidgets as widgets\n" + source,
            on_text=lambda name, text: said.append(text),
        )
        assert 20_000 < len(json.dumps(notebook.metadata)) < 130_000
        assert sum("too large" in text for text in said) == 1


async def test_an_output_widget_takes_its_outputs_and_no_others_where_there_is_no_room(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_client, "MAX_OUTPUT_BYTES", 10_000)
    said: list[str] = []
    notebook = await run(
        """import ipywidgets as widgets
out, text = widgets.Output(), widgets.Text()
for length in range(0, 10_000, 20): text.value = "x" * length
with out: print("inside", flush=True)
text.value = ""
with out: print("inside", flush=True)
print("outside", flush=True)""",
        on_text=lambda name, text: said.append(text),
    )
    assert printed(notebook) == "outside\n"
    assert sum("too large" in text for text in said) == 1
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    inside = next(s for s in states.values() if s["model_name"] == "OutputModel")
    assert [output["text"] for output in inside["state"]["outputs"]] == ["inside\n"]


async def test_a_kernel_is_told_once_what_its_output_widgets_hold(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = OutputWidget.send

    def watched(self: OutputWidget, data: Any = None, *rest: Any, **options: Any) -> None:
        sent.append(len(data["state"]["outputs"]))
        send(self, data, *rest, **options)

    monkeypatch.setattr(OutputWidget, "send", watched)
    monkeypatch.setattr(cell_client, "TOLD_BYTES", 50_000)
    notebook = await run(
        """import ipywidgets as widgets
small, large = widgets.Output(), widgets.Output()
with small:
    for i in range(20): display(i)
with large: print("x" * 60_000)""",
        "print(len(small.outputs), len(large.outputs))",
    )
    assert printed(notebook) == "20 0\n"
    assert sent == [20]


async def test_what_is_printed_and_raised_is_told_as_it_comes(run: Any) -> None:
    told: list[tuple[str, str]] = []
    with pytest.raises(CellFailed):
        await run(
            "import sys; print('out'); print('err', file=sys.stderr); 1/0",
            on_text=lambda name, text: told.append((name, text)),
        )
    assert ("stdout", "out\n") in told
    assert ("stderr", "err\n") in told
    assert "ZeroDivisionError" in told[-1][1]
    assert "\x1b" not in told[-1][1]


async def test_signal_handlers_of_the_server_stay(run: Any) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await run("1")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_an_output_that_notebooks_can_not_hold_is_left_out_and_the_cell_goes_on(
    run: Any,
) -> None:
    told: list[str] = []
    notebook = await run(
        "display({'text/html': 5}, raw=True); display({'text/plain': 'ok'}, raw=True); print(6 * 7)",
        on_text=lambda name, text: told.append(text),
    )
    assert printed(notebook) == "42\n"
    assert [o.data for o in notebook.cells[0].outputs if "data" in o] == [{"text/plain": "ok"}]
    assert "An output is left out: notebooks can't hold such data." in "".join(told)
