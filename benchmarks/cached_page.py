"""A page that is in the server's cache: one client, one connection kept alive, one request after another."""

from __future__ import annotations

import http.client
import time

from .figures import Figure, figure
from .servers import Server


def measure(server: Server, notebook: str, count: int) -> dict[str, Figure]:
    """Milliseconds from the request to the body's last byte.

    `identity` without compression, `gzip` as browsers ask, `304` with the page's ETag: nothing has changed.
    """
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Cookie": server.cookie_header, "Accept-Encoding": "identity"}
    path = server.page.format(notebook)
    etag = _get(connection, path, headers, 200)[1]
    try:
        return {
            "identity": _times(connection, path, headers, 200, count),
            "gzip": _times(connection, path, {**headers, "Accept-Encoding": "gzip"}, 200, count),
            "304": _times(connection, path, {**headers, "If-None-Match": etag}, 304, count),
        }
    finally:
        connection.close()


def _times(
    connection: http.client.HTTPConnection,
    path: str,
    headers: dict[str, str],
    status: int,
    count: int,
) -> Figure:
    return figure([_get(connection, path, headers, status)[0] for _ in range(count)])


def _get(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str], status: int
) -> tuple[float, str]:
    start = time.perf_counter()
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    took = (time.perf_counter() - start) * 1000
    if response.status != status:
        raise RuntimeError(f"{path} answers {response.status}, not {status}")
    return took, response.headers.get("Etag", "")
