"""What commands have left, as it is sent: large answers, outputs that are cut, not there, or not kept any more."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_dashboards_api.commands import results
from jupyter_dashboards_api.commands.models import Limits, Outcome, ResultFile, Submission
from jupyter_dashboards_api.commands.results import packed
from jupyter_dashboards_api.handlers.commands_base import json_with

from .command_client import CommandClient, error_of

MEGABYTE = 1024 * 1024
CONVERT = "NotebookConvertCommand"
NOT_DONE = "Command is not done. Results are unavailable."
NOT_KEPT = "The outputs of this command are not kept any more."
TEXT = "1\x01é – 😀\r\n" * 200_000
NOTEBOOK = new_notebook(cells=[new_code_cell("x" * 2 * MEGABYTE)])
FILE = random.Random(1).randbytes(2 * MEGABYTE)

End = Callable[..., Awaitable[int]]


@pytest.fixture
def end(dashboards: Any) -> End:
    """Makes a command that has ended so, and gives its id."""

    async def run(
        status: str = "done", *, kind: str = "SparkCommand", log: str = "", **left: Any
    ) -> int:
        store = dashboards.commands.store
        owner = dashboards.access.token_user
        await store.submit(Submission(kind, owner, "a.ipynb", None, {"command": {}}, ""))
        (command,) = await store.claim("a server", 1, Limits(1))
        if log:
            await store.log(command, log)
        await store.finish(command, Outcome(status, **left))
        return int(command.id)

    return run


def columns(text: str) -> str:
    return text.replace("\x01", "\t")


@pytest.mark.parametrize(
    ("path", "made", "expected"),
    [
        (
            "results",
            {"text": TEXT, "notebook": b"x"},
            {"inline": True, "results": columns(TEXT)},
        ),
        ("results?raw=true", {"text": TEXT, "notebook": b"x"}, {"inline": True, "results": TEXT}),
        ("status_with_results", {"text": TEXT, "notebook": b"x"}, columns(TEXT)),
        ("logs", {"log": TEXT}, TEXT.encode()),
        ("error_logs", {"status": "error", "log": TEXT}, {"error_log": TEXT}),
        ("notebook", {"notebook": packed(NOTEBOOK)}, "x" * 2 * MEGABYTE),
        ("file", {"kind": CONVERT, "file": ResultFile("a.pdf", "application/pdf", FILE)}, FILE),
        (
            "results?raw=true",
            {"kind": CONVERT, "file": ResultFile("a.pdf", "application/pdf", FILE)},
            FILE,
        ),
    ],
)
async def test_a_large_answer_counts_among_what_is_under_way_and_a_small_one_does_not(
    commands: CommandClient, dashboards: Any, end: End, path: str, made: Any, expected: Any
) -> None:
    large = await end(**made)
    small = await end(text="little", notebook=b"x", log="little")
    with dashboards.files_under_way.hold(512 * MEGABYTE):
        refused = await commands.ask("GET", f"/commands/{large}/{path}")
        error_of(refused, 503)
        assert int(refused.headers["Retry-After"]) > 0
        assert (await commands.get(f"/commands/{small}/results"))["results"] == "little"
        assert (await commands.ask("GET", f"/commands/{small}/logs")).body == b"little"
    response = await commands.ask("GET", f"/commands/{large}/{path}")
    assert response.code == 200
    # Its hash would have been made in the event loop.
    assert "Etag" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    if isinstance(expected, bytes):
        assert response.body == expected
    elif isinstance(expected, dict):
        assert response.headers["Content-Type"].startswith("application/json")
        assert json.loads(response.body) == expected
    elif path == "notebook":
        assert "".join(json.loads(response.body)["cells"][0]["source"]) == expected
    else:
        found = json.loads(response.body)
        assert (found["id"], found["status"], found["results"]) == (str(large), "done", expected)


async def test_a_large_answer_is_made_in_a_thread_when_it_is_its_turn(
    commands: CommandClient, dashboards: Any, end: End
) -> None:
    large = await end(text=TEXT, notebook=b"x")
    small = await end(text="little", notebook=b"x")
    async with dashboards.cache.few_at_once, dashboards.cache.few_at_once:
        asked = asyncio.ensure_future(commands.get(f"/commands/{large}/results"))
        for _ in range(10):
            assert (await commands.get(f"/commands/{small}/results"))["results"] == "little"
        assert not asked.done()
    assert (await asked)["results"] == columns(TEXT)


class TestAClientThatReadsNothing:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"DashboardsApp": {"max_files_under_way": 30 * MEGABYTE}}

    async def test_it_is_sent_no_more_than_the_server_may_hold(
        self,
        commands: CommandClient,
        end: End,
        http_server_port: Any,
        jp_base_url: str,
        jp_serverapp: Any,
    ) -> None:
        # More than the operating system takes for a client.
        large = await end(text="x" * 20 * MEGABYTE, notebook=b"x")
        path = f"/commands/{large}/results"
        reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port[-1], limit=1)
        writer.write(
            f"GET {jp_base_url}api/v1.2{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: token {jp_serverapp.identity_provider.token}\r\n\r\n".encode()
        )
        assert await reader.read(9) == b"HTTP/1.1 "
        async with asyncio.timeout(30):
            while (await commands.ask("GET", path)).code != 503:
                pass
            for _ in range(3):
                assert (await commands.ask("GET", path)).code == 503
            writer.transport.abort()
            while (await commands.ask("GET", path)).code != 200:
                pass


@pytest.mark.parametrize(
    "text", ["", "a", '"\\\n\x01', "é" * 600_000, "x" * (256 * 1024 - 1) + "😀" * 300_000]
)
@pytest.mark.parametrize("model", [{}, {"a": 1, "b": {"c": None}}])
def test_a_long_text_is_put_into_json_as_it_is(model: dict[str, Any], text: str) -> None:
    assert json_with(model, "t", text).decode() == json.dumps({**model, "t": text})


async def test_results_that_are_cut_say_so(
    commands: CommandClient, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_TEXT_BYTES", 100)
    cut, whole = await end(text="x" * 100, notebook=b"x"), await end(text="x" * 90, notebook=b"x")
    for path in ("results", "results?raw=true", "status_with_results"):
        assert (await commands.get(f"/commands/{cut}/{path}"))["truncated"] is True
        assert "truncated" not in await commands.get(f"/commands/{whole}/{path}")


async def test_a_conversion_that_has_run_nothing_has_no_executed_copy(
    commands: CommandClient, end: End
) -> None:
    file = ResultFile("a.pdf", "application/pdf", b"%PDF")
    number = await end(kind=CONVERT, file=file)
    for query in ("", "?format=html"):
        refused = await commands.ask("GET", f"/commands/{number}/notebook{query}")
        assert "has not run its notebook" in error_of(refused, 422)
    assert (await commands.ask("GET", f"/commands/{number}/file")).body == b"%PDF"


async def test_outputs_that_are_not_kept_any_more_are_not_empty_ones(
    commands: CommandClient, end: End
) -> None:
    # Of a command that is done something is left, until it is forgotten.
    number, converted = await end(), await end(kind=CONVERT)
    for path in (
        f"{number}/results",
        f"{number}/results?raw=true",
        f"{number}/notebook",
        f"{number}/notebook?format=html",
        f"{converted}/results?raw=true",
        f"{converted}/file",
    ):
        assert error_of(await commands.ask("GET", f"/commands/{path}"), 422) == NOT_KEPT
    found = await commands.get(f"/commands/{number}/status_with_results")
    assert (found["status"], found["results"]) == ("done", None)
    error_of(await commands.ask("GET", f"/commands/{number}/file"), 404)
    failed = await commands.ask("GET", f"/commands/{await end('error', kind=CONVERT)}/file")
    assert error_of(failed, 422) == NOT_DONE
