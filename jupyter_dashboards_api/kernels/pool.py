"""Warm kernels: started ahead for what runs have used lately, so that a run needn't wait for its kernel.

A notebook can't tell a warm kernel from one that was started for it: it was started with the same kernelspec, environment
and folder, and has run no code. So each waits for runs of one *kind*, is used by one run, and is ended instead if a kernel
that starts now might be another one.

Not for dashboards: their kernels have the viewer and the query in their environment, which can't be given to a process
that runs already; code that set them from inside would have to come before the notebook's own, and after every restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.multikernelmanager import AsyncMultiKernelManager
from jupyter_core.utils import ensure_async
from jupyter_server.gateway.managers import GatewayMappingKernelManager
from traitlets import Float, Integer
from traitlets.config import LoggingConfigurable

from .launch import start_kernel
from .lost_ports import has_lost_port
from .poke import poke
from .process import kill, pid_of
from .sources import EXPRESSION, Sources, sources

_LOOK = 1.0
"""Seconds between two looks at the kernels, as long as there are any."""

_START_SECONDS = 60.0
_PATIENCE = 2.0
_IDLE_SECONDS = 10.0
_QUIET = 0.1
_LONGEST_DELAY = 60.0


@dataclass(frozen=True)
class _Kind:
    """What runs have in common that can use each other's kernels; `path` is the folder as the kernel manager names it."""

    kernel_name: str
    path: str
    environment: frozenset[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class _Kernel:
    """A kernel that waits. `started` is of the clock, `since` of the monotonic one, `active` the kernel's last activity."""

    id: str
    kind: _Kind
    spec: Mapping[str, Any]
    sources: Sources
    folder: tuple[int, int]
    started: float
    since: float
    active: datetime


class _Unfit(Exception):
    """Kernels of this kernelspec can't be kept warm."""


class KernelPool(LoggingConfigurable):
    """Starts kernels ahead on the server's own kernel manager, and hands each to one run."""

    warm_kernels = Integer(
        1,
        min=0,
        help="""Most kernels that wait for the next run of a command, started for the folders and kernelspecs of the last
        ones (kernels of Python on this machine, without a label's environment, limits or Spark); 0: none. Each takes 40 to
        60 MB. One is enough for commands that follow each other.""",
    ).tag(config=True)

    warm_seconds = Float(
        600.0,
        min=1.0,
        help="""Seconds after which a kernel that no command has used is ended; no other is started then until commands
        run again.""",
    ).tag(config=True)

    warm_delay = Float(
        1.0,
        min=0.0,
        help="""Seconds without a new command before a kernel is started ahead, one at a time: while commands come, they
        need the cores.""",
    ).tag(config=True)

    def __init__(self, *, kernel_manager: Any, kernel_spec_manager: Any, **options: Any) -> None:
        """The managers are the server's own."""
        super().__init__(**options)
        self._kernels = kernel_manager
        self._specs = kernel_spec_manager
        self._waiting: list[_Kernel] = []
        # The kinds of the last runs: as many kernels are to wait for each as it is named here.
        self._used: deque[tuple[_Kind, float]] = deque(maxlen=self.warm_kernels)
        self._last_use = 0.0
        self._unfit: set[str] = set()
        self._failures = 0
        self._not_before = 0.0
        self._tending: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._stopped = False

    @property
    def waiting(self) -> list[str]:
        """The ids of the kernels that wait, the oldest first."""
        return [kernel.id for kernel in self._waiting]

    async def take(self, *, kernel_name: str, path: str, env: Mapping[str, str]) -> str | None:
        """A kernel for one run, which has to end it; None when there is none that is as good as new.

        For kernels of Python. The options are those of `start_kernel`.
        """
        if (
            not self.warm_kernels
            or self._stopped
            or not self._has_own()
            or kernel_name in self._unfit
        ):
            return None
        kind = _Kind(kernel_name, path, frozenset(env.items()))
        self._last_use = time.monotonic()
        self._used.append((kind, self._last_use))
        if self._tending is None or self._tending.done():
            self._tending = asyncio.ensure_future(self._tend())
        while (kernel := self._pop(kind)) is not None:
            is_new = False
            try:
                is_new = await self._is_as_new(kernel)
            finally:
                if not is_new:
                    self._give_up(kernel)
            if is_new:
                self._failures = 0
                self._kernels.get_kernel(kernel.id).last_activity = datetime.now(UTC)
                return kernel.id
        return None

    async def stop(self) -> None:
        """Ends the kernels that wait; none is handed out any more."""
        self._stopped = True
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})
        while self._waiting:
            self._end(self._waiting.pop().id)
        if self._ending:
            await asyncio.wait(self._ending)

    def _has_own(self) -> bool:
        """Whether kernels are of this machine, and what is known of their use is written by this thread."""
        return isinstance(self._kernels, AsyncMultiKernelManager) and not isinstance(
            self._kernels, GatewayMappingKernelManager
        )

    def _pop(self, kind: _Kind) -> _Kernel | None:
        for kernel in self._waiting:
            if kernel.kind == kind:
                self._waiting.remove(kernel)
                return kernel
        return None

    async def _is_as_new(self, kernel: _Kernel) -> bool:
        """Whether nobody has used it, and a new one would be the same."""
        try:
            if not await self._is_untouched(kernel):
                return False
            if await self._spec(kernel.kind.kernel_name) != kernel.spec:
                return False
            return await asyncio.to_thread(self._is_unchanged, kernel)
        except Exception as error:
            # It is gone, or its folder is.
            self.log.debug("Warm kernel %s: %s", kernel.id, type(error).__name__)
            return False

    async def _is_untouched(self, kernel: _Kernel) -> bool:
        """Whether it lives, is young enough, and its owner has not found and used it."""
        if time.monotonic() - kernel.since > self.warm_seconds:
            return False
        # It may be ended at any moment.
        with contextlib.suppress(Exception):
            if not self._is_used(kernel):
                return bool(await ensure_async(self._kernels.is_alive(kernel.id)))
        return False

    def _is_used(self, kernel: _Kernel) -> bool:
        model = self._kernels.kernel_model(kernel.id)
        return bool(model["connections"]) or (
            self._kernels.get_kernel(kernel.id).last_activity != kernel.active
        )

    def _is_unchanged(self, kernel: _Kernel) -> bool:
        if self._folder(kernel.kind) != kernel.folder:
            return False
        return not kernel.sources.changed_since(kernel.started)

    def _folder(self, kind: _Kind) -> tuple[int, int]:
        """Which folder it is: one that was removed and made again is another one, as long as a process works in the old one."""
        found = Path(self._kernels.cwd_for_path(kind.path)).stat()
        return found.st_dev, found.st_ino

    async def _spec(self, kernel_name: str) -> Mapping[str, Any]:
        spec = await ensure_async(self._specs.get_kernel_spec(kernel_name))
        found: Mapping[str, Any] = spec.to_dict()
        return found

    async def _tend(self) -> None:
        """Looks after the kernels until none waits, and none is wanted."""
        while self._wanted() or self._waiting:
            await asyncio.sleep(min(_LOOK, max(self.warm_delay, 0.05)))
            await self._drop()
            kind = self._missing()
            quiet = max(self._last_use + self.warm_delay, self._not_before)
            if kind is not None and time.monotonic() >= quiet:
                await self._add(kind)

    def _wanted(self) -> Counter[_Kind]:
        oldest = time.monotonic() - self.warm_seconds
        return Counter(kind for kind, used in self._used if used > oldest)

    def _missing(self) -> _Kind | None:
        there = Counter(kernel.kind for kernel in self._waiting)
        lacking = [*(self._wanted() - there)]
        return next((kind for kind in lacking if kind.kernel_name not in self._unfit), None)

    async def _drop(self) -> None:
        """Ends what is dead, used, too old or not wanted any more."""
        wanted = self._wanted()
        for kernel in list(self._waiting):
            keep = wanted[kernel.kind] > 0 and await self._is_untouched(kernel)
            wanted[kernel.kind] -= keep
            # A run may have taken it meanwhile.
            if not keep and kernel in self._waiting:
                self._waiting.remove(kernel)
                self._give_up(kernel)

    async def _add(self, kind: _Kind) -> None:
        """Starts a kernel, which waits from then on."""
        starting: asyncio.Future[str] | None = None
        kernel: _Kernel | None = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                started = time.time()
                spec = await self._spec(kind.kernel_name)
                folder = await asyncio.to_thread(self._folder, kind)
                starting = asyncio.ensure_future(
                    start_kernel(
                        self._kernels,
                        self._specs,
                        kernel_name=kind.kernel_name,
                        path=kind.path,
                        env=dict(kind.environment),
                    )
                )
                kernel_id = await asyncio.shield(starting)
                found = await self._found(kernel_id)
                active = await self._settled(kernel_id)
            kernel = _Kernel(
                kernel_id, kind, spec, found, folder, started, time.monotonic(), active
            )
            self._waiting.append(kernel)
            self.log.debug("Kernel %s waits for a run.", kernel_id)
        except _Unfit as unfit:
            self._unfit.add(kind.kernel_name)
            self.log.info("No warm kernels of %s: %s", kind.kernel_name, unfit)
        except Exception as error:
            self._failures += 1
            self._not_before = time.monotonic() + min(2.0**self._failures, _LONGEST_DELAY)
            self.log.warning("No warm kernel of %s yet: %s", kind.kernel_name, type(error).__name__)
        finally:
            if kernel is None and starting is not None:
                self._end(starting)

    async def _found(self, kernel_id: str) -> Sources:
        """What the kernel has read at its start, as soon as it answers. Raises `_Unfit`."""
        if pid_of(self._kernels, kernel_id) is None:
            raise _Unfit("they run elsewhere")
        manager = self._kernels.get_kernel(kernel_id)
        # A kernel that died is to be replaced by us.
        manager.stop_restarter()
        client = manager.client()
        client.start_channels(iopub=False, stdin=False, hb=False)
        try:
            reply = await _asked(client, manager)
            answer = reply["content"]["user_expressions"]["found"]
            if answer["status"] != "ok":
                raise _Unfit("they are not IPython's")
            found = await asyncio.to_thread(sources, answer["data"]["text/plain"])
        finally:
            client.stop_channels()
        if found.runs_code:
            raise _Unfit("code of the user runs when they start")
        return found

    async def _settled(self, kernel_id: str) -> datetime:
        """Waits until the kernel's manager knows that it is idle; puts idle cullers off, by an activity that is yet to come."""
        manager = self._kernels.get_kernel(kernel_id)
        idle = asyncio.Event()

        def changed(change: Mapping[str, Any]) -> None:
            if change["new"] == "idle":
                idle.set()

        manager.observe(changed, "execution_state")
        try:
            while True:
                idle.clear()
                # It has not heard what the kernel said before it listened.
                await poke(self._kernels, kernel_id)
                if manager.execution_state != "idle":
                    await asyncio.wait_for(idle.wait(), _IDLE_SECONDS)
                active = datetime.now(UTC) + timedelta(seconds=self.warm_seconds)
                manager.last_activity = active
                # What it is still to say of our own requests would be taken for somebody's use of it.
                await asyncio.sleep(_QUIET)
                if manager.last_activity == active and manager.execution_state == "idle":
                    return active
        finally:
            manager.unobserve(changed, "execution_state")

    def _give_up(self, kernel: _Kernel) -> None:
        is_used = False
        with contextlib.suppress(Exception):
            if is_used := self._is_used(kernel):
                # By the server's owner, among whose kernels it is listed: it is not ours any more.
                self._kernels.get_kernel(kernel.id).start_restarter()
        if not is_used:
            self._end(kernel.id)

    def _end(self, kernel: str | asyncio.Future[str]) -> None:
        task = asyncio.ensure_future(self._shut_down(kernel))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _shut_down(self, kernel: str | asyncio.Future[str]) -> None:
        with contextlib.suppress(Exception):
            kernel_id = kernel if isinstance(kernel, str) else await kernel
            with contextlib.suppress(Exception):
                await kill(self._kernels, kernel_id)
            if kernel_id in self._kernels:
                await ensure_async(self._kernels.shutdown_kernel(kernel_id, now=True))


async def _asked(client: Any, manager: Any) -> Mapping[str, Any]:
    """The reply to what is asked until it comes: ipykernel 7 may oversee what it is sent while it starts.

    Returns when all that was asked has an answer, as far as that comes soon. Raises `RuntimeError` when the kernel died, or never will answer.
    """
    sent: set[str] = set()
    reply: Mapping[str, Any] | None = None
    while reply is None:
        # Empty code is not run, and not counted.
        sent.add(
            client.execute(
                "", silent=True, store_history=False, user_expressions={"found": EXPRESSION}
            )
        )
        try:
            while sent:
                answer: Mapping[str, Any] = await client.get_shell_msg(timeout=_PATIENCE)
                if (msg_id := answer["parent_header"].get("msg_id")) in sent:
                    sent.discard(msg_id)
                    reply = reply or answer
        except Empty:
            if not await ensure_async(manager.is_alive()) or await has_lost_port(manager):
                raise RuntimeError("The kernel has died.") from None
    return reply
