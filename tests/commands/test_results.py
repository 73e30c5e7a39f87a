"""What a run leaves, as text and as a file, and its log."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

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


class Long(str):
    """A text of which only slices may be taken: any step over all of it would hold the event loop up."""

    def _refuse(self, *_: Any) -> Any:
        raise AssertionError("a step over the whole text")

    __str__ = __add__ = encode = replace = rstrip = splitlines = _refuse


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


@pytest.mark.parametrize("before", range(50, 130))
def test_a_text_in_pieces_is_the_text_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    ran = notebook(
        new_output("display_data", data={"text/plain": "\n"}),
        stream("x" * before + "\r\n\x1b[31;1mtwo\x1b"),
        stream("[0m\r"),
        stream("\nthree\n\n\nfour é\x1b[0m\r\r\n\n\x1b[0m"),
        stream("no", "stderr"),
        new_output("display_data", data={"application/json": {"a": ["y" * before, 1]}}),
        stream("\n"),
        new_output("display_data", data={"image/png": "AAAA"}),
        stream("end\n"),
    )
    monkeypatch.setattr(results, "PIECE_CHARACTERS", 120)
    assert text_of(ran) == (
        f"\r\n{'x' * before}\r\ntwo\r\nthree\r\n\r\n\r\nfour é\r\n"
        f'{{"a": ["{"y" * before}", 1]}}\r\n\r\nend'
    )


def test_no_step_is_over_a_whole_text_and_none_over_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Never(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise AssertionError("what is left out is looked at")

    monkeypatch.setattr(results, "PIECE_CHARACTERS", 1000)
    monkeypatch.setattr(results, "MAX_TEXT_BYTES", 5000)
    ran = notebook(stream("x"))
    ran.cells[1].outputs[0].text = Long("printed\n" * 1000)
    ran.cells[1].outputs.append(Never())
    text = text_of(ran)
    assert text == ("printed\r\n" * 1000)[:5000]
    assert results.is_cut(text)


def test_a_notebook_is_packed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PIECE_CHARACTERS", 1000)
    lines = "printed\n" * 1000
    ran = notebook(
        stream(lines),
        new_output(
            "display_data",
            data={"text/html": lines, "image/png": "A" * 4000, "application/json": "j" * 1500},
        ),
        new_output("error", ename="E", evalue="v" * 1500, traceback=["t"]),
    )
    file = json.loads(unpacked(packed(ran)))
    printed, shown, error = file["cells"][1]["outputs"]
    texts = [printed["text"], shown["data"]["text/html"], shown["data"]["image/png"]]
    assert all(isinstance(text, list) and max(map(len, text)) <= 2000 for text in texts)
    assert [shown["data"]["application/json"], error["evalue"]] == ["j" * 1500, "v" * 1500]
    assert ran.cells[1].outputs[0].text == lines
    assert nbformat.reads(json.dumps(file), as_version=4) == ran

    steps: list[int] = []

    class Deflating:
        def compress(self, data: bytes) -> bytes:
            steps.append(len(data))
            return b""

        def flush(self) -> bytes:
            return b""

    monkeypatch.setattr(zlib, "compressobj", lambda level: Deflating())
    packed(ran)
    assert sum(steps) > 20_000
    assert max(steps) <= 3000


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


async def test_what_is_printed_during_a_write_is_written_though_nothing_more_is_printed() -> None:
    begun, go, written = asyncio.Event(), asyncio.Event(), asyncio.Queue[str]()

    async def write(text: str) -> None:
        begun.set()
        await go.wait()
        written.put_nowait(text)

    log = CommandLogger(write)
    log.add("first")
    await asyncio.wait_for(begun.wait(), 5)
    log.add("second")
    go.set()
    assert await asyncio.wait_for(written.get(), 5) == "first"
    assert await asyncio.wait_for(written.get(), 5) == "second"
    await log.close()


async def test_a_log_outlasts_whatever_keeps_it_from_being_written_and_does_not_hammer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "_EVERY", 0.01)
    monkeypatch.setattr(logs, "AGAIN", 3600)
    asked, written = 0, list[str]()
    is_short = True

    async def write(text: str) -> None:
        nonlocal asked
        asked += 1
        if is_short:
            raise RuntimeError("can't start new thread")
        written.append(text)

    log = CommandLogger(write)
    log.add("first\n")
    for _ in range(30):
        await asyncio.sleep(0.01)
        log.add(".")
    assert asked == 1
    is_short = False
    await log.close()
    assert "".join(written).rstrip(".") == "first\n"


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
