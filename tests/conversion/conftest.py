"""A browser and an exporter as the server has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from jupyter_dashboards_api.conversion.browser import PageBrowser
from jupyter_dashboards_api.conversion.exporter import PageExporter
from jupyter_dashboards_api.conversion.page import MemoryPage
from jupyter_dashboards_api.dashboards.rendering import DashboardRenderer

MakePage = Callable[..., MemoryPage]


@pytest.fixture
def browser(jp_asyncio_loop: Any) -> Iterator[PageBrowser]:
    """A browser that is ended after the test."""

    async def make() -> PageBrowser:
        return PageBrowser(timeout=30)

    made = jp_asyncio_loop.run_until_complete(make())
    yield made
    jp_asyncio_loop.run_until_complete(made.stop())


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
