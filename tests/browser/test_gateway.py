"""The page with kernels of a gateway, whose websocket has another form and no subprotocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell
from playwright.sync_api import expect

from tests.servers import ServerProcess

from .conftest import OpenSite


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real Jupyter Kernel Gateway with a token."""
    command = [
        "kernel_gateway",
        "--KernelGatewayApp.ip=127.0.0.1",
        "--KernelGatewayApp.port={port}",
        "--KernelGatewayApp.port_retries=0",
        "--KernelGatewayApp.auth_token=between-servers",
    ]
    with ServerProcess(command, tmp_path) as server:
        yield server


def test_a_page_comes_alive_with_a_kernel_of_a_gateway(
    gateway: ServerProcess, site_with: OpenSite
) -> None:
    site = site_with(f"--gateway-url={gateway.url}", "--GatewayClient.auth_token=between-servers")
    site.write(
        "remote.ipynb",
        new_code_cell("print('computed', 20 + 1)"),
        new_code_cell(
            "import ipywidgets\n"
            "slider = ipywidgets.IntSlider(3, description='size')\n"
            "picture = ipywidgets.Image(value=b'\\x89PNG not really')\n"
            "label = ipywidgets.Label('size 3')\n"
            "slider.observe(lambda change: setattr(label, 'value', f'size {change.new}'), 'value')\n"
            "ipywidgets.VBox([slider, label, picture])"
        ),
        new_code_cell("print('after the picture')"),
    )
    visit = site.visit("/dashboards/remote")
    visit.wait_until_live()
    expect(visit.cell(0)).to_have_text("computed 21")
    expect(visit.cell(2)).to_have_text("after the picture")
    expect(visit.cell(1)).to_contain_text("size 3")
    visit.cell(1).get_by_role("slider").press("ArrowRight")
    expect(visit.cell(1)).to_contain_text("size 4")
