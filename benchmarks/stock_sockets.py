"""A server extension for the benchmark alone: the server's own kernel websocket with TCP_NODELAY.

`/benchmark/kernels/ID/channels` is `/api/kernels/ID/channels` of jupyter_server, class for class, but for one
option of the socket that the proxy sets too. What is left between the two is the cost of the proxy's filter.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.handlers import _kernel_id_regex
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from jupyter_server.utils import url_path_join


class PromptWebsocketHandler(KernelWebsocketHandler):
    """The server's own, with Nagle's algorithm switched off."""

    async def open(self, kernel_id: str) -> None:
        self.set_nodelay(True)
        await super().open(kernel_id)  # type: ignore[no-untyped-call]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "benchmarks.stock_sockets"}]


def _load_jupyter_server_extension(server: Any) -> None:
    pattern = url_path_join(server.base_url, rf"/benchmark/kernels/{_kernel_id_regex}/channels")
    server.web_app.add_handlers(".*$", [(pattern, PromptWebsocketHandler)])
