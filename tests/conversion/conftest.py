"""A browser and an exporter as the server has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from jupyter_dashboards_api.conversion.browser import PageBrowser
from jupyter_dashboards_api.conversion.exporter import PageExporter
from jupyter_dashboards_api.conversion.page import MemoryPage
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer

MakePage = Callable[..., MemoryPage]


@pytest.fixture(scope="module")
def jp_asyncio_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """In place of pytest-jupyter's, which ends with its test: one for a file, whose tests may share a browser."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()


@contextmanager
def opened(loop: asyncio.AbstractEventLoop) -> Iterator[PageBrowser]:
    async def make() -> PageBrowser:
        return PageBrowser(timeout=30)

    made = loop.run_until_complete(make())
    yield made
    loop.run_until_complete(made.stop())


@pytest.fixture(scope="module")
def browser(jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[PageBrowser]:
    """The browser of a file's tests that leave it as it is: a server has one for all conversions too."""
    with opened(jp_asyncio_loop) as made:
        yield made


@pytest.fixture
def own_browser(jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[PageBrowser]:
    """One to change and to kill, that is ended after the test."""
    with opened(jp_asyncio_loop) as made:
        yield made


@pytest.fixture(scope="session")
def exporter() -> PageExporter:
    """Makes pages."""
    return PageExporter(DashboardRenderer())


@pytest.fixture
def page(exporter: PageExporter) -> MakePage:
    """The page of cells."""

    def make(*cells: NotebookNode, **options: Any) -> MemoryPage:
        metadata = options.pop("metadata", {})
        notebook = nbformat.v4.new_notebook(cells=list(cells), metadata=metadata)
        options = {"is_note": True, "show_code": False, "trusted": False, **options}
        return exporter.page(notebook, "folder/a note.ipynb", **options)

    return make
