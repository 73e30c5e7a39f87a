"""One viewer's kernel: to which notebook and owner it is bound, and the state of the conversation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from .policy import Rules
from .throttle import TokenBucket

MAX_COMMS = 10_000
"""Most comm ids that are remembered; a notebook of so many widgets would not be usable anyway."""


class Socket(Protocol):
    """A viewer's websocket, as far as its binding needs it."""

    session_id: str

    def release(self) -> None:
        """Let go of the kernel at once, without waiting for the client's side to close."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the websocket."""


@dataclass(eq=False, slots=True)
class Binding:
    """A kernel, the notebook whose cells it may run, and the viewer whom it belongs to.

    `executing` holds the message ids of execute requests without a reply yet, `comms` the ids of the
    open comms, whoever opened them. `preamble` is code that the server runs before the first cell,
    under the message id `preamble_id`; viewers see none of that run's messages.
    """

    kernel_id: str
    path: str
    owner: str
    session_id: str
    rules: Rules
    execute_limit: TokenBucket
    comm_limit: TokenBucket
    max_executing: int
    preamble: str
    preamble_id: str
    prepared: bool = False
    joined: bool = False
    last_session_id: str = ""
    executing: set[str] = field(default_factory=set)
    comms: set[str] = field(default_factory=set)
    sockets: set[Socket] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None

    def comm_opened(self, comm_id: str) -> None:
        """Remember an open comm."""
        if len(self.comms) < MAX_COMMS:
            self.comms.add(comm_id)

    def comm_closed(self, comm_id: str) -> None:
        """Forget a closed comm."""
        self.comms.discard(comm_id)

    def restarted(self) -> None:
        """The kernel has begun anew: nothing of the old one's state is left."""
        self.comms.clear()
        self.executing.clear()
        self.prepared = False
