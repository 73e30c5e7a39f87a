"""One viewer's kernel: to which notebook and owner it is bound, and the state of the conversation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from .environment import KernelRequest
from .policy import Rules
from .throttle import TokenBucket

MAX_COMMS = 10_000
"""Most comm ids that are remembered; a notebook of so many widgets would not be usable anyway."""

_UNNOTICED = 0.002
"""Seconds: an ordinary message takes a hundredth of it."""

_REST = 20
_LONGEST_REST = 5.0


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

    `waiting` holds the messages that the kernel has not answered yet, by message id in the order they
    were sent: size in bytes and sender (the session of their socket); `executing` the ids of those that
    run a cell; `comms` the ids of the open comms, whoever opened them. `preamble` is code that the server runs before the first cell,
    under the message id `preamble_id`; viewers see none of that run's messages. Before `rests_until` (seconds
    of the monotonic clock) no further frame of the viewer is read.
    """

    kernel_id: str
    path: str
    owner: str
    session_id: str
    request: KernelRequest
    rules: Rules
    execute_limit: TokenBucket
    comm_limit: TokenBucket
    max_executing: int
    max_waiting_bytes: int
    preamble: str
    preamble_id: str
    prepared: bool = False
    joined: bool = False
    last_session_id: str = ""
    executing: set[str] = field(default_factory=set)
    waiting: dict[str, tuple[int, str]] = field(default_factory=dict)
    waiting_bytes: int = 0
    comms: set[str] = field(default_factory=set)
    sockets: set[Socket] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    rests_until: float = 0.0

    def comm_opened(self, comm_id: str) -> None:
        """Remember an open comm."""
        if len(self.comms) < MAX_COMMS:
            self.comms.add(comm_id)

    def comm_closed(self, comm_id: str) -> None:
        """Forget a closed comm."""
        self.comms.discard(comm_id)

    def sent(self, msg_id: str, size: int, sender: str) -> None:
        """Remember a message that goes to the kernel; none of its id is waiting."""
        self.waiting_bytes += size
        self.waiting[msg_id] = (size, sender)

    def settled(self, msg_id: str) -> None:
        """Forget a message that the kernel is done with, and those before it.

        A kernel takes the shell messages of one sender in order, and not every kernel answers all of
        them. Those of several senders overtake each other.
        """
        if msg_id not in self.waiting:
            return
        _, sender = self.waiting[msg_id]
        for earlier, (size, its_sender) in list(self.waiting.items()):
            if its_sender == sender:
                del self.waiting[earlier]
                self.waiting_bytes -= size
                self.executing.discard(earlier)
            if earlier == msg_id:
                return

    def rest(self, busy: float, now: float) -> float:
        """Seconds until the next frame may be read after one took `busy` seconds of this server's time.

        So all sockets of a binding together leave the server to others most of the time, whatever they send.
        """
        if busy < _UNNOTICED:
            return max(self.rests_until - now, 0.0)
        self.rests_until = max(self.rests_until, now) + _REST * busy
        return min(self.rests_until - now, _LONGEST_REST)

    def forget_waiting(self) -> None:
        """Nothing that was sent so far will be answered to anybody."""
        self.executing.clear()
        self.waiting.clear()
        self.waiting_bytes = 0

    def restarted(self) -> None:
        """The kernel has begun anew: nothing of the old one's state is left."""
        self.comms.clear()
        self.forget_waiting()
        self.prepared = False
