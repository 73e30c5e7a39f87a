"""Ports that nobody else is given between their choice and their use.

What binds to port 0, or calls somebody, gets one from 32768 on; those who must name theirs before they use it, servers that tests
start and kernels, choose below that, each in a range of its own. Otherwise one in some thousand starts of a kernel fails.
"""

from __future__ import annotations

import contextlib
import random
import socket

from jupyter_client.connect import LocalPortCache

_RANDOM = random.SystemRandom()


def free_port(first: int = 20_000, end: int = 32_000, ip: str = "127.0.0.1") -> int:
    """A port of the loopback interface that nobody listens on now."""
    while True:
        port = _RANDOM.randrange(first, end)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((ip, port))
            return port


class KernelPorts(LocalPortCache):
    """Those of kernels on this machine; `instance()` makes it the one that this process asks."""

    def find_available_port(self, ip: str) -> int:
        while (port := free_port(10_000, 20_000, ip)) in self.currently_used_ports:
            pass
        self.currently_used_ports.add(port)
        return port
