"""Another web server, of another origin than the dashboards."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Intranet:
    """Serves `pages`, by path; the value is a content type and a body."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        intranet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                intranet.asked.append(self.path)
                kind, body = intranet.pages.get(self.path, ("text/plain", b"nothing"))
                self.send_response(200 if self.path in intranet.pages else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *message: Any) -> None:
                """Nothing: the default writes to stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Intranet:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
