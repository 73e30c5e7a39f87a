"""A socket between us and a PostgreSQL, that can be cut at the worst moment."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

from sqlalchemy.engine import make_url

_SIZE = 64 * 1024


class Relay:
    """Passes everything on, on a port of its own, while the block lasts."""

    def __init__(self, url: str) -> None:
        """`url` is SQLAlchemy's, of the PostgreSQL behind it."""
        behind = make_url(url)
        self._behind = (str(behind.host), behind.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = behind.set(port=self._listener.getsockname()[1]).render_as_string(
            hide_password=False
        )
        self._sockets: list[socket.socket] = []
        self._statement = b""
        self.cut = threading.Event()
        """Set when a connection has been cut."""

    def cut_at_commit_of(self, statement: str) -> None:
        """The next connection that commits what a statement did never hears whether it was done. It is."""
        self._statement = statement.encode()

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._behind)
            except OSError:
                return
            self._sockets += [near, far]
            threading.Thread(target=self._ask, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answer, args=(near, far), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        is_meant = False
        try:
            while data := near.recv(_SIZE):
                is_meant = is_meant or (bool(self._statement) and self._statement in data)
                if is_meant and b"COMMIT" in data:
                    self._statement = b""
                    # No answer gets through any more; what is asked, does.
                    near.shutdown(socket.SHUT_RDWR)
                    far.sendall(data)
                    self.cut.set()
                    return
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _answer(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while data := far.recv(_SIZE):
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)
        except OSError:
            return
