"""What a run leaves, as text and as a file, and its log."""

from __future__ import annotations

import asyncio

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from jupyter_dashboards_api.commands import logs, results
from jupyter_dashboards_api.commands.logs import CommandLogger
from jupyter_dashboards_api.commands.results import packed, storable, text_of, unpacked
from jupyter_dashboards_api.errors import Unavailable


def notebook(*outputs: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return new_notebook(cells=[new_markdown_cell("no"), new_code_cell("x", outputs=list(outputs))])


def stream(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    return new_output("stream", name=name, text=text)


def test_lines_end_as_documented_and_pieces_of_a_line_are_one() -> None:
    assert text_of(notebook(stream("1\t"), stream("240\n"), stream("2\t300\r\n"))) == (
        "1\t240\r\n2\t300"
    )


def test_outputs_of_all_kinds_are_text_one_below_the_other() -> None:
    found = text_of(
        notebook(
            stream("printed\n"),
            stream("a warning", "stderr"),
            new_output(
                "display_data", data={"text/html": "<b>x</b>", "text/plain": "\x1b[31mx\x1b[0m"}
            ),
            new_output("execute_result", data={"text/csv": "a,b", "text/plain": "no"}),
            new_output("display_data", data={"application/json": {"a": 1}}),
            new_output("display_data", data={"image/png": "AAAA"}),
            new_output("error", ename="E", evalue="v", traceback=["t"]),
        )
    )
    assert found == 'printed\r\nx\r\na,b\r\n{"a": 1}'


def test_text_is_bounded_and_such_as_every_database_can_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert text_of(notebook(stream("a\0b\ud800c"))) == "a\ufffdb?c"
    assert storable("é" * 10, 5) == "éé"
    monkeypatch.setattr(results, "MAX_TEXT_BYTES", 10)
    assert len(text_of(notebook(stream("x" * 100)))) == 10
    assert results.is_cut(text_of(notebook(stream("é" * 100))))
    assert not results.is_cut(text_of(notebook(stream("x"))))


def test_a_packed_notebook_is_the_notebook_file() -> None:
    ran = notebook(stream("zürich\n"))
    assert nbformat.reads(unpacked(packed(ran)).decode(), as_version=4) == ran


async def test_a_log_is_written_in_order_and_kept_while_the_database_is_away() -> None:
    written: list[str] = []
    away = True

    async def write(text: str) -> None:
        if away:
            raise Unavailable("away")
        written.append(text)

    log = CommandLogger(write)
    log.add("a")
    with pytest.raises(Unavailable):
        await log.close()
    log.add("\0b\ud800\n")
    away = False
    await log.close()
    assert "".join(written) == "a\ufffdb?\n"
    await log.close()
    assert "".join(written) == "a\ufffdb?\n"


async def test_closing_waits_for_the_write_that_is_under_way() -> None:
    begun, go, written = asyncio.Event(), asyncio.Event(), list[str]()

    async def write(text: str) -> None:
        begun.set()
        await go.wait()
        written.append(text)

    log = CommandLogger(write)
    log.add("first")
    await asyncio.wait_for(begun.wait(), 5)
    log.add("second")
    closing = asyncio.ensure_future(log.close())
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait_for(closing, 5)
    assert "".join(written) == "firstsecond"


async def test_a_log_is_cut_where_it_is_full_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    async def write(text: str) -> None:
        written.append(text)

    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    log = CommandLogger(write)
    for _ in range(5):
        log.add("éé")
    await log.close()
    assert "".join(written).startswith("ééééé\n[The log is full")
    assert "".join(written).count("full") == 1
