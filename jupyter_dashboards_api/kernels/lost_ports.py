"""A kernel that somebody else has taken a port from, between jupyter_client's choice of it and the kernel's use.

jupyter_client binds to port 0, notes what it was given and closes that again, and a kernel imports a lot before it binds:
for a third of a second and more anybody may be given the port. ipykernel then ends by itself, and that is seen as any
other death; but without its IOPub port it neither answers nor ends
(https://github.com/jupyter/jupyter_client/issues/487). Its heartbeat's port it can do without.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from .launch import LAUNCHERS

_PORTS = ("shell_port", "stdin_port", "control_port", "iopub_port")


async def has_lost_port(kernel: Any) -> bool:
    """Whether a kernel, given by its manager, can't ever answer since somebody else has one of its ports.

    False for what can't be told: kernels elsewhere or of another account, and launchers whose kernel may listen
    somewhere out of sight, in a container say.
    """
    pid = getattr(getattr(kernel, "provisioner", None), "pid", None)
    # Linux lets a kernel bind beside our probe. Elsewhere a look could itself take the port from it.
    if not psutil.LINUX or not isinstance(pid, int) or kernel.transport != "tcp":
        return False
    ports = {int(getattr(kernel, name)) for name in _PORTS}
    return await asyncio.to_thread(_has_lost, pid, str(kernel.ip), ports)


def _has_lost(pid: int, ip: str, ports: set[int]) -> bool:
    try:
        process = psutil.Process(pid)
        if process.ppid() != os.getpid():
            return False
        family = [process, *process.children(recursive=True)]
        own = _listening(family)
        if not own & ports and not any(_is_ipykernel(each) for each in family):
            return False
        taken = {port for port in ports - own if _is_taken(ip, port)}
        # It may have begun to listen meanwhile.
        return bool(taken and taken - _listening(family))
    except (psutil.Error, OSError):
        return False


def _listening(family: Sequence[psutil.Process]) -> set[int]:
    return {
        connection.laddr.port
        for process in family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def _is_ipykernel(process: psutil.Process) -> bool:
    """Whether the process itself is ipykernel's, with the network that we see: its ports can be nobody else's then."""
    # Whatever stands before `-m` but options would be a launcher's own words.
    words = itertools.dropwhile(_is_option, process.cmdline()[1:])
    if next(words, "") != "-m" or next(words, "") not in LAUNCHERS:
        return False
    return _network(str(process.pid)) == _network("self")


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-m"


def _network(process: str) -> Path:
    return Path("/proc", process, "ns", "net").readlink()


def _is_taken(ip: str, port: int) -> bool:
    """Whether ZMQ could not bind to the port, which it does in the same way."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
