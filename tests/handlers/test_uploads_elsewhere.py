"""Uploads to a server whose contents manager keeps no files."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Fetch
from tests.notebooks.archives import bundle_of, notebook_bytes
from tests.notebooks.memory_contents import MemoryContents


@pytest.fixture
def jp_server_config(jp_server_config: Any) -> Any:
    jp_server_config.ServerApp.contents_manager_class = MemoryContents
    return jp_server_config


async def test_a_dashboard_is_uploaded_replaced_shown_and_deleted_without_a_disk(
    upload: Any, delete: Any, fetch: Fetch, jp_root_dir: Any
) -> None:
    assert (await upload("a/p1", ("x.ipynb", notebook_bytes("first text")))).code == 201
    assert "first text" in (await fetch("/dashboards/a/p1")).body.decode()
    bundle = bundle_of("second text", hello_txt="hi")
    assert (await upload("a/p1", ("x.zip", bundle))).code == 201
    assert "second text" in (await fetch("/dashboards/a/p1")).body.decode()
    assert (await fetch("/dashboards/a/p1/hello.txt")).body == b"hi"
    assert (await delete("a/p1")).code == 204
    assert (await fetch("/dashboards/a/p1")).code == 404
    assert not list(jp_root_dir.iterdir())
