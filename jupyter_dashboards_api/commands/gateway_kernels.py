"""Kernels at the gateway of a cluster, with the methods of a kernel manager that a run needs.

jupyter_server's own gateway manager serves the one gateway of the whole server; here each cluster may have its own. API:
https://jupyter-kernel-gateway.readthedocs.io, the same as Enterprise Gateway's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from tornado.escape import url_escape
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from .clusters import Gateway
from .gateway_client import GatewayClientOfKernel, gateway_client

_SECONDS = 20.0
_START_SECONDS = 300.0
"""A cluster may first have to find a place for the kernel; the run's own time-out is shorter."""

_MOST_REQUESTS = 500
"""At once. Tornado's shared client sends ten, and fails those that have waited for 20 seconds."""


class GatewayKernels:
    """The kernels that this server has started at one gateway."""

    default_kernel_name = "python3"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._kernels: set[str] = set()
        self._client: AsyncHTTPClient | None = None

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self._kernels

    async def get_kernel_spec(self, name: str) -> Any:
        """The kernelspec's model."""
        return await self._ask("GET", f"/api/kernelspecs/{url_escape(name, plus=False)}")

    async def start_kernel(
        self, *, kernel_name: str, env: Mapping[str, str], path: str = ""
    ) -> str:
        """Starts a kernel and answers its id; the gateway knows no `path`."""
        body = {"name": kernel_name, "env": dict(env)}
        model = await self._ask("POST", "/api/kernels", body, seconds=_START_SECONDS)
        kernel_id = str(model["id"])
        self._kernels.add(kernel_id)
        return kernel_id

    def adopt(self, kernel_id: str) -> None:
        """Takes over a kernel that another server has started there."""
        self._kernels.add(kernel_id)

    def get_kernel(self, kernel_id: str) -> GatewayKernel:
        """The kernel, to be connected to."""
        url = self._url(f"/api/kernels/{url_escape(kernel_id)}/channels")
        return GatewayKernel(f"ws{url.removeprefix('http')}", self._headers())

    async def is_alive(self, kernel_id: str) -> bool:
        """Whether the gateway still has it."""
        try:
            await self._ask("GET", f"/api/kernels/{url_escape(kernel_id)}")
        except HTTPClientError as error:
            if error.code == 404:
                return False
            raise
        return True

    async def interrupt_kernel(self, kernel_id: str) -> None:
        """Interrupts what it does."""
        await self._ask("POST", f"/api/kernels/{url_escape(kernel_id)}/interrupt", {})

    async def shutdown_kernel(self, kernel_id: str, now: bool = False) -> None:
        """Ends it."""
        try:
            await self._ask("DELETE", f"/api/kernels/{url_escape(kernel_id)}")
        except HTTPClientError as error:
            if error.code != 404:
                raise
        self._kernels.discard(kernel_id)

    def close(self) -> None:
        """Closes the connections. The kernels stay."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _url(self, path: str) -> str:
        return self._gateway.url + path

    def _headers(self) -> dict[str, str]:
        name = self._gateway.token_variable
        token = os.environ.get(name, "") if name else ""
        return {"Authorization": f"token {token}"} if token else {}

    async def _ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = _SECONDS
    ) -> Any:
        request = HTTPRequest(
            self._url(path),
            method=method,
            headers={"Content-Type": "application/json", **self._headers()},
            body=None if body is None else json.dumps(body),
            request_timeout=seconds,
            # Its credentials are for this gateway only.
            follow_redirects=False,
        )
        if self._client is None:
            self._client = AsyncHTTPClient(force_instance=True, max_clients=_MOST_REQUESTS)
        response = await self._client.fetch(request)
        return json.loads(response.body) if response.body else None


class GatewayKernel:
    """One kernel of a gateway."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)

    async def connect(self, on_end: Callable[[], None]) -> GatewayClientOfKernel:
        """A client; `on_end` is called when the kernel is gone."""
        return await gateway_client(self._url, {"headers": self._headers}, on_end)
