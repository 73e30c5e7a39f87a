"""What stands between a replica and its database, so that a test can come between them."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType

from tests.ports import free_port


class Proxy:
    """A port of the loopback interface that leads to another one, until the block ends."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: set[socket.socket] = set()
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        # It is given up, and taken again: nobody else may be given it meanwhile.
        self.port = free_port()
        self._door = socket.create_server(("127.0.0.1", self.port))
        self._unanswered = b""
        self._latest = b""
        self.has_cut = threading.Event()
        """Set when it has come between, as it was asked to."""

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._let_in, args=(self._door,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hang_up()
        self._flows.set()

    def hold(self) -> None:
        """Lets nothing through any more; nobody is told."""
        self._flows.clear()

    def hold_after(self, statement: str) -> None:
        """Lets nothing through any more from the next such statement on, in the middle of its transaction."""
        self._latest = statement.encode()

    def keep_back_commit_of(self, statement: str) -> None:
        """Cuts the next connection that commits such a statement: it is done, and nobody hears of it."""
        self._unanswered = statement.encode()

    def mend(self) -> None:
        """Lets everything through again, what was held back first."""
        if not self._flows.is_set():
            self._flows.set()
            return
        self._door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._let_in, args=(self._door,), daemon=True).start()

    def hang_up(self) -> None:
        """Ends all connections, and takes no new ones."""
        # A thread that waits at it would not be woken by its end.
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        with self._lock:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _let_in(self, door: socket.socket) -> None:
        while True:
            try:
                caller, _ = door.accept()
            except OSError:
                return
            try:
                called = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                caller.close()
                continue
            with self._lock:
                self._ends |= {caller, called}
            threading.Thread(target=self._carry, args=(caller, called), daemon=True).start()

    def _carry(self, caller: socket.socket, called: socket.socket) -> None:
        other = {caller: called, called: caller}
        said = b""
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([caller, called], [], [])
                self._flows.wait()
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        raise OSError
                    other[end].sendall(data)
                    if end is caller:
                        said += data
                    if end is caller and self._latest and self._latest in data:
                        self._latest = b""
                        self.hold()
                        self.has_cut.set()
                    if end is caller and b"COMMIT" in data:
                        self._keep_back(said, called)
                        said = b""
        with self._lock:
            self._ends -= {caller, called}
        caller.close()
        called.close()

    def _keep_back(self, said: bytes, called: socket.socket) -> None:
        with self._lock:
            if not self._unanswered or self._unanswered not in said:
                return
            self._unanswered = b""
        # The answer says that it is done.
        called.recv(65536)
        self.has_cut.set()
        raise OSError
