"""A command followed live: its log and its progress as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell
from tornado.httpclient import HTTPResponse

from tests.conftest import Fetch, Write

from .callers import Callers

pytestmark = pytest.mark.usefixtures("runs")


@dataclass(frozen=True)
class Event:
    name: str
    id: int | None
    data: dict[str, Any]


def parsed(text: str) -> list[Event]:
    """The events of a stream, without its comments."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append(Event(fields["event"], number, json.loads(fields["data"])))
    return found


def log_in(events: list[Event]) -> str:
    return "".join(event.data["text"] for event in events if event.name == "log")


def statuses(events: list[Event]) -> list[str]:
    found = [event.data["status"] for event in events if event.name == "status"]
    return [word for index, word in enumerate(found) if found[index - 1 : index] != [word]]


class Stream:
    """What has come of a stream so far."""

    def __init__(self) -> None:
        self.text = ""
        self.changed = asyncio.Event()
        self.response: asyncio.Future[HTTPResponse]

    def take(self, chunk: bytes) -> None:
        self.text += chunk.decode()
        self.changed.set()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(30):
            while text not in self.text:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def follow(fetch: Fetch, command_id: int, **options: Any) -> AsyncIterator[Stream]:
    stream = Stream()
    # As long as a kernel may take to start, and a run.
    options.setdefault("request_timeout", 90)
    stream.response = asyncio.ensure_future(
        fetch(f"/api/v1.2/commands/{command_id}/stream", streaming_callback=stream.take, **options)
    )
    try:
        yield stream
    finally:
        stream.response.cancel()


async def submit(fetch: Fetch, path: str = "a.ipynb") -> int:
    body = {
        "command_type": "JupyterNotebookCommand",
        "path": path,
        "label": None,
        "upload_to_source": False,
    }
    response = await fetch("/api/v1.2/commands", method="POST", body=json.dumps(body))
    assert response.code == 200, response.body
    return int(json.loads(response.body)["id"])


async def ended(fetch: Fetch, command_id: int) -> list[Event]:
    """All events of a command, when it has ended."""
    async with follow(fetch, command_id) as stream:
        response = await stream.response
    assert response.code == 200
    return parsed(stream.text)


WAITING = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.02)"
PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


async def test_the_log_and_the_progress_come_while_the_command_runs(
    fetch: Fetch, write_notebook: Write, jp_root_dir: Path
) -> None:
    write_notebook(
        "a.ipynb",
        new_code_cell("print('one – é')"),
        new_code_cell(WAITING),
        new_code_cell("print('two')"),
        **PYTHON,
    )
    command_id = await submit(fetch)
    async with follow(fetch, command_id) as stream:
        # The second cell waits for us.
        await stream.until("one")
        await stream.until('"cell_index": 1')
        (jp_root_dir / "go").touch()
        response = await stream.response
    assert response.code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=UTF-8"
    assert "no-store" in response.headers["Cache-Control"]
    events = parsed(stream.text)
    assert statuses(events)[-2:] == ["running", "done"]
    last = events[-1]
    assert last.name == "status"
    assert (last.data["progress"], last.data["cells"], last.data["error"]) == (100, 3, None)
    assert any(event.data.get("cell_index") == 1 for event in events)
    log = await fetch(f"/api/v1.2/commands/{command_id}/logs")
    assert log_in(events) == log.body.decode()
    assert "one – é\n" in log_in(events)
    assert "two\n" in log_in(events)
    ids = [event.id for event in events if event.name == "log"]
    assert ids == sorted(ids)  # type: ignore[type-var]
    assert ids[-1] == len(log.body)


async def test_who_comes_late_or_comes_back_gets_the_rest_and_no_more(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_code_cell("print('é' * 100_000)"), **PYTHON)
    command_id = await submit(fetch)
    first = await ended(fetch, command_id)
    again = await ended(fetch, command_id)
    assert log_in(again) == log_in(first)
    whole = log_in(first).encode()
    pieces = [event for event in again if event.name == "log"]
    # No event is so long that it holds everybody else up.
    assert len(pieces) > 1
    for piece in pieces:
        assert piece.id is not None
        for options in (
            {"headers": {"Last-Event-ID": str(piece.id)}},
            {"path": f"?last_event_id={piece.id}"},
        ):
            suffix = options.pop("path", "")
            response = await fetch(f"/api/v1.2/commands/{command_id}/stream{suffix}", **options)
            events = parsed(response.body.decode())
            assert log_in(events).encode() == whole[piece.id :]
            assert statuses(events) == ["done"]


async def test_a_failed_command_ends_its_stream_with_the_reason(
    fetch: Fetch, write_notebook: Write
) -> None:
    write_notebook("a.ipynb", new_code_cell("1 / 0"), **PYTHON)
    last = (await ended(fetch, await submit(fetch)))[-1]
    assert last.data["status"] == "error"
    assert last.data["error"]["ename"] == "ZeroDivisionError"


async def test_what_can_not_be_followed_is_refused_as_the_api_refuses(fetch: Fetch) -> None:
    response = await fetch("/api/v1.2/commands/999/stream")
    assert response.code == 404
    assert json.loads(response.body)["error"]["error_code"] == 404


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "9" * 16])
async def test_a_last_id_that_is_no_number_is_400(
    fetch: Fetch, write_notebook: Write, last: str
) -> None:
    write_notebook("a.ipynb", new_code_cell("1"), **PYTHON)
    command_id = await submit(fetch)
    response = await fetch(
        f"/api/v1.2/commands/{command_id}/stream", headers={"Last-Event-ID": last}
    )
    assert response.code == 400


class TestLimits:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"CommandsManager": {"max_streams": 1, "stream_heartbeat": 0.1}}

    async def test_only_so_many_streams_are_open_and_one_that_is_left_counts_no_more(
        self, fetch: Fetch, write_notebook: Write, jp_root_dir: Path, dashboards: Any
    ) -> None:
        write_notebook("a.ipynb", new_code_cell(WAITING), **PYTHON)
        command_id = await submit(fetch)
        async with follow(fetch, command_id) as stream:
            await stream.until("running")
            refused = await fetch(f"/api/v1.2/commands/{command_id}/stream")
            assert refused.code == 503
            assert int(refused.headers["Retry-After"]) > 0
            (jp_root_dir / "go").touch()
            assert (await stream.response).code == 200
        assert (await ended(fetch, command_id))[-1].data["status"] == "done"

    async def test_a_client_that_goes_makes_room(
        self,
        fetch: Fetch,
        write_notebook: Write,
        jp_root_dir: Path,
        http_server_port: Any,
        jp_base_url: str,
        jp_serverapp: Any,
    ) -> None:
        write_notebook("a.ipynb", new_code_cell(WAITING), **PYTHON)
        command_id = await submit(fetch)
        reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port[-1])
        writer.write(
            f"GET {jp_base_url}api/v1.2/commands/{command_id}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: token {jp_serverapp.identity_provider.token}\r\n\r\n".encode()
        )
        await reader.readuntil(b"event: status")
        writer.close()
        async with asyncio.timeout(30):
            while (await fetch(f"/api/v1.2/commands/{command_id}/logs")).code != 200 or (
                jp_serverapp.web_app.settings["dashboards"].commands.feed.count
            ):
                await asyncio.sleep(0.02)
        (jp_root_dir / "go").touch()
        assert (await ended(fetch, command_id))[-1].data["status"] == "done"

    async def test_a_silent_stream_shows_that_it_is_there_until_its_key_is_revoked(
        self, fetch: Fetch, write_notebook: Write, jp_root_dir: Path, dashboards: Any
    ) -> None:
        write_notebook("a.ipynb", new_code_cell(WAITING), **PYTHON)
        command_id = await submit(fetch)
        callers = Callers(fetch, dashboards)
        key, secret = await dashboards.access.keys.create(
            dashboards.access.token_user, "a key", ("command:read",)
        )
        client = callers.bearer(secret)
        async with follow(fetch, command_id, token=None, headers=client.headers) as stream:
            await stream.until('"running"')
            stream.text = stream.text.replace(": still here", "")
            await stream.until(": still here")
            await callers.owner().send("DELETE", f"/api/personal_api_keys/{key.id}")
            assert (await stream.response).code == 200
        assert statuses(parsed(stream.text))[-1] == "running"
        (jp_root_dir / "go").touch()
        assert (await ended(fetch, command_id))[-1].data["status"] == "done"


class TestThatIsNeverSilent:
    @pytest.fixture
    def extension_config(self) -> dict[str, Any]:
        return {"CommandsManager": {"stream_heartbeat": 1.5}}

    async def test_it_ends_with_its_key(
        self, fetch: Fetch, write_notebook: Write, jp_root_dir: Path, dashboards: Any
    ) -> None:
        printing = WAITING.replace("time.sleep(0.02)", "print('on'); time.sleep(0.05)")
        write_notebook("a.ipynb", new_code_cell(printing), **PYTHON)
        command_id = await submit(fetch)
        callers = Callers(fetch, dashboards)
        key, secret = await dashboards.access.keys.create(
            dashboards.access.token_user, "a key", ("command:read", "notebook:read")
        )
        client = callers.bearer(secret)
        async with follow(fetch, command_id, token=None, headers=client.headers) as stream:
            await stream.until("on")
            await callers.owner().send(
                "PATCH", f"/api/personal_api_keys/{key.id}", {"scopes": ["notebook:read"]}
            )
            async with asyncio.timeout(30):
                assert (await stream.response).code == 200
        (jp_root_dir / "go").touch()
        assert (await ended(fetch, command_id))[-1].data["status"] == "done"
