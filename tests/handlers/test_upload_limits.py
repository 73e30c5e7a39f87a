"""Who may upload, and how much: the body of a request is not read further than it has to be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Fetch
from tests.notebooks.archives import FORM, bundle_of, form, notebook_bytes, tree, zip_of

from .conftest import refusal

NOTEBOOK = ("nbname.ipynb", notebook_bytes("first text"))


@pytest.mark.parametrize(
    "extension_config",
    [{"NotebookUploads": {"max_upload_size": 5000, "max_entries": 3, "max_unpacked_size": 20_000}}],
)
class TestLimits:
    async def test_an_upload_over_the_limit_is_413(
        self, upload: Any, jp_root_dir: Path, fetch: Fetch
    ) -> None:
        big = ("x.ipynb", notebook_bytes("x" * 6000))
        status, message = refusal(await upload("p1", big))
        assert status == 413
        assert "5000" in message
        assert tree(jp_root_dir) == {}
        assert (await upload("p1", NOTEBOOK)).code == 201

    async def test_an_upload_without_a_declared_length_is_counted(
        self, fetch: Fetch, jp_root_dir: Path
    ) -> None:
        body = form(("x.ipynb", notebook_bytes("x" * 300_000)))

        async def chunks(write: Any) -> None:
            for at in range(0, len(body), 1000):
                await write(body[at : at + 1000])

        response = await fetch(
            "/_api/notebooks/p1", method="POST", headers=FORM, body_producer=chunks
        )
        assert refusal(response)[0] == 413
        assert tree(jp_root_dir) == {}

    async def test_an_archive_with_too_many_entries_is_413(self, upload: Any) -> None:
        entries = {"index.ipynb": notebook_bytes(), "a": "", "b": "", "c": ""}
        assert refusal(await upload("p1", ("b.zip", zip_of(entries))))[0] == 413

    async def test_an_archive_that_unpacks_to_too_much_is_413(
        self, upload: Any, jp_root_dir: Path
    ) -> None:
        bomb = bundle_of(zeros_bin=b"\0" * 1_000_000)
        assert len(bomb) < 5000
        status, message = refusal(await upload("p1", ("b.zip", bomb)))
        assert status == 413
        assert "20000" in message
        assert tree(jp_root_dir) == {}

    async def test_a_refused_body_is_not_read_for_ever(self, send_head: Any) -> None:
        _, writer = await send_head(10**12)
        sent = 0
        try:
            while sent < 200_000_000:
                writer.write(bytes(1_000_000))
                await writer.drain()
                sent += 1_000_000
        except ConnectionError:
            pass
        writer.close()
        assert sent < 100_000_000

    async def test_a_client_that_sends_before_it_listens_reads_the_answer(
        self, send_head: Any
    ) -> None:
        reader, writer = await send_head(4_000_000)
        writer.write(bytes(4_000_000))
        await writer.drain()
        answer = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 413 ")

    async def test_a_client_that_asks_first_is_told_at_once(self, send_head: Any) -> None:
        reader, writer = await send_head(6000, "Expect: 100-continue")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    upload: Any, send_head: Any, jp_root_dir: Path
) -> None:
    await upload("p1", NOTEBOOK)
    before = tree(jp_root_dir)
    body = form(("x.ipynb", notebook_bytes("x" * 100_000)))
    _, writer = await send_head(len(body))
    writer.write(body[:50_000])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await asyncio.sleep(0.1)
    assert tree(jp_root_dir) == before
    assert (await upload("p1", ("x.ipynb", notebook_bytes("after")))).code == 201


async def test_without_the_token_nothing_is_uploaded_or_deleted(
    upload: Any, delete: Any, fetch: Fetch, jp_root_dir: Path
) -> None:
    for token in (None, "wrong"):
        status, message = refusal(await upload("p1", NOTEBOOK, token=token))
        assert status == 401
        assert "Authentication required" in message
    assert (await fetch("/dashboards/p1")).code == 404
    await upload("p1", NOTEBOOK)
    for token in (None, "wrong"):
        assert refusal(await delete("p1", token=token))[0] == 401
    assert (await fetch("/dashboards/p1")).code == 200
    assert list(tree(jp_root_dir)) == ["p1.ipynb"]


async def test_an_anonymous_callers_body_is_not_read(send_head: Any) -> None:
    reader, writer = await send_head(100_000_000, token=None)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_cookie_needs_the_xsrf_header(
    upload: Any, fetch: Fetch, jp_serverapp: Any, jp_root_dir: Path
) -> None:
    token = jp_serverapp.identity_provider.token
    login = await fetch(f"/dashboards?token={token}", token=None)
    cookies = "; ".join(value.partition(";")[0] for value in login.headers.get_list("Set-Cookie"))
    assert cookies
    assert (await fetch("/dashboards", token=None, headers={"Cookie": cookies})).code == 200
    refused = await upload("p1", NOTEBOOK, token=None, headers={"Cookie": cookies})
    assert refusal(refused)[0] == 403
    assert tree(jp_root_dir) == {}
    cookies += "; _xsrf=abc"
    headers = {"Cookie": cookies, "X-XSRFToken": "abc"}
    assert (await upload("p1", NOTEBOOK, token=None, headers=headers)).code == 201
