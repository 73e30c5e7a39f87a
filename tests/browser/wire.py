"""A wire between visitors and a server, which a test can cut and mend."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Wire:
    """Passes TCP connections of a port of its own on to `port`, both on loopback.

    While it is cut, open connections end and new ones are refused, as when a network goes down.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.sent = bytearray()
        """All that visitors have sent, as it went over the wire."""
        self.lost = 0
        """Bytes that it has swallowed."""
        self._whole = True
        self._swallows: set[str] = set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.cut()

    def swallow(self, *ways: str) -> None:
        """Until it is mended, what is sent `there` or `back` over open connections is lost, and nobody is told: no signal."""
        self._swallows = set(ways)

    def cut(self) -> None:
        with self._lock:
            self._whole = False
            ends = list(self._open)
        for end in ends:
            _end(end)

    def mend(self) -> None:
        with self._lock:
            self._whole = True
            self._swallows = set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._whole:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open |= {near, far}
            for source, sink, way in ((near, far, "there"), (far, near, "back")):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, way), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if way == "there":
                    self.sent += data
                if way in self._swallows:
                    self.lost += len(data)
                else:
                    sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        for end in (source, sink):
            _end(end)


def _end(connection: socket.socket) -> None:
    # Shutting down wakes the thread that reads; closing alone would not.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
