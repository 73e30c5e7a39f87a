"""The viewers' kernels: how they start, whom they belong to, and when they end.

Terms
    A *binding* ties a kernel to a notebook, an owner and the cells' sources at start (`binding.py`).
    A *socket* is one websocket of a binding; it is *joined* once it had one.
    A binding *ends* when it is deleted, abandoned (no socket for `retention` or `join_timeout`
    seconds), its kernel is gone, or the server stops.

Kernels are those of the server's own kernel manager, local or of a gateway.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_core.utils import ensure_async
from jupyter_server.gateway.managers import GatewayMappingKernelManager
from nbformat import NotebookNode
from traitlets import Bool, Dict, Float, Instance, Integer, List, Unicode
from traitlets.config import LoggingConfigurable

from ..errors import NotFound, Unavailable
from . import replay
from .binding import Binding, Socket
from .capacity import Capacity
from .environment import (
    SERVER_CREDENTIALS,
    KernelRequest,
    gateway_environment,
    local_environment,
)
from .launch import start_kernel
from .poke import poke
from .policy import Rules
from .preamble import PREAMBLES
from .synchronous import on_this_loop
from .throttle import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable


class NotebookStore(Protocol):
    """Where notebooks are read from; `dashboards.contents.ContentsStore` is one."""

    def api_path(self, path: str) -> str:
        """The path as the kernel manager knows it."""

    async def notebook(self, path: str) -> tuple[NotebookNode, Any]:
        """The notebook at a contents path, in nbformat 4."""


class KernelBindings(LoggingConfigurable):
    """Starts, finds and ends the kernels of viewers."""

    max_kernels = Integer(
        50,
        min=1,
        help="""Most kernels of viewers at once. Beyond it a page says that the server is at capacity, and the answer
        to `POST /_api/kernels` is 503 with `Retry-After`.""",
    ).tag(config=True)

    max_kernels_per_viewer = Integer(
        8,
        min=1,
        help="""Most kernels of one viewer at once; 503 beyond it. All callers that share the server's token and send
        no cookie are one viewer.""",
    ).tag(config=True)

    max_visitor_kernels = Integer(
        20,
        min=0,
        help="""Most kernels at once of visitors who are not logged in: those of share links and of public dashboards.
        They count for `max_kernels` too. `max_kernels_per_viewer` holds for the visitors from one address together.""",
    ).tag(config=True)

    retry_after = Integer(
        10,
        min=1,
        help="""Seconds after which a client that met a limit should try again (`Retry-After`).""",
    ).tag(config=True)

    retention = Float(
        30.0,
        min=0.0,
        help="""Seconds that a kernel lives on after its last websocket has closed. A page that reconnects within them
        gets the output it missed.""",
    ).tag(config=True)

    join_timeout = Float(
        60.0,
        min=0.0,
        help="""Seconds that a kernel waits for its first websocket.""",
    ).tag(config=True)

    stop_timeout = Float(
        10.0,
        min=0.0,
        help="""Longest time in seconds that a stopping server waits for viewers' kernels to end.""",
    ).tag(config=True)

    max_replay_bytes = Integer(
        32 * 1024 * 1024,
        min=0,
        help="""Most bytes of output that are kept for a page that has lost its connection; later output is dropped.""",
    ).tag(config=True)

    max_sockets = Integer(
        4,
        min=1,
        help="""Most websockets of one kernel at once; 503 beyond it. A page has one. Each takes a dozen of the file
        descriptors that the server may have.""",
    ).tag(config=True)

    execute_rate = Float(
        10.0,
        min=0.0,
        help="""Cells per second that one dashboard may run in the long run.""",
    ).tag(config=True)

    execute_burst = Integer(
        50,
        min=0,
        help="""Cells that may be run at once beyond one run of the whole notebook.""",
    ).tag(config=True)

    max_executing = Integer(
        500,
        min=1,
        help="""Most cells of one dashboard that may wait to run, beyond one run of the whole notebook.""",
    ).tag(config=True)

    max_waiting_bytes = Integer(
        64 * 1024 * 1024,
        min=1024,
        help="""Most bytes of messages from one dashboard that wait for a busy kernel.""",
    ).tag(config=True)

    watch_interval = Float(
        10.0,
        min=0.1,
        help="""Seconds between two looks for kernels that something else has ended: an idle culler, the owner in
        JupyterLab, a gateway (which is asked about each kernel).""",
    ).tag(config=True)

    comm_rate = Float(
        300.0,
        min=0.0,
        help="""Widget messages per second that one dashboard may send in the long run. A message of more than 16 KiB
        of JSON counts as several; binary buffers don't count.""",
    ).tag(config=True)

    comm_burst = Integer(
        1000,
        min=1,
        help="""Widget messages that one dashboard may send at once.""",
    ).tag(config=True)

    max_message_size = Integer(
        20 * 1024 * 1024,
        min=1024,
        help="""Most bytes of one websocket message from a viewer; the socket is closed beyond it. Bounds what a
        FileUpload widget can take.""",
    ).tag(config=True)

    max_pending_bytes = Integer(
        256 * 1024 * 1024,
        min=1024,
        help="""Most bytes of output that wait for a viewer who reads too slowly; the socket is closed beyond it.""",
    ).tag(config=True)

    max_unreadable_frames = Integer(
        20,
        min=0,
        help="""Frames of one websocket that are no kernel messages before the socket is closed.""",
    ).tag(config=True)

    allow_stdin = Bool(
        False,
        help="""Let cells ask the viewer for input (`input()`). When off, such a cell fails at once.""",
    ).tag(config=True)

    hidden_environment = List(
        Unicode(),
        default_value=list(SERVER_CREDENTIALS),
        help="""Names of environment variables of the server, as shell patterns in upper case, that viewers' kernels do
        not inherit. A value of your own replaces the default.""",
    ).tag(config=True)

    preambles = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        default_value=dict(PREAMBLES),
        help="""Code by kernel language (`python`, `R`, …) that the server runs silently before a dashboard's first
        cell. The default makes Altair show charts without an outside host.""",
    ).tag(config=True)

    kernel_manager = Instance("jupyter_client.multikernelmanager.MultiKernelManager")
    kernel_spec_manager = Instance("jupyter_client.kernelspec.KernelSpecManager")
    store: NotebookStore

    show_tracebacks = Bool(False)
    show_stderr = Bool(False)
    stop_on_error = Bool(False)
    error_text = Unicode("")

    def __init__(self, *, store: NotebookStore, **options: Any) -> None:
        """`store` gives the notebooks; the other options are traits."""
        super().__init__(**options)
        self.store = store
        self._bindings: dict[str, Binding] = {}
        self._starting: list[KernelRequest] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, request: KernelRequest) -> Binding:
        """Start a kernel for the notebook at `request.path`.

        Raises `NotFound` and `Unreadable` for the notebook, `InvalidRequest` for the query, and
        `Unavailable` at capacity or when the kernel does not start.
        """
        notebook, _entry = await self.store.notebook(request.path)
        environment = self._environment(request)
        self._check_capacity(request)
        self._starting.append(request)
        try:
            name, language = await self._kernel_of(notebook)
            kernel_id = await self._start_kernel(request.path, name, environment)
        finally:
            self._starting.remove(request)
        binding = self._bind(kernel_id, request, notebook, language)
        if self._stopped:
            self.end(binding, "The server is stopping.")
            raise Unavailable("The server is stopping.", self.retry_after)
        return binding

    def find(self, kernel_id: str, owner: str) -> Binding:
        """The owner's binding of this id. Raises `NotFound`, for other viewers' kernels too."""
        binding = self._bindings.get(kernel_id)
        if binding is not None and kernel_id not in self.kernel_manager:
            self._forget(binding, "The kernel is gone.")
            binding = None
        if binding is None or binding.owner != owner:
            raise NotFound("There is no such kernel.")
        return binding

    async def model(self, binding: Binding) -> dict[str, Any]:
        """The kernel as jupyter_server's API describes it, with the notebook's path and session."""
        kernel = await ensure_async(self.kernel_manager.kernel_model(binding.kernel_id))
        names = ("id", "name", "last_activity", "execution_state", "connections")
        model = {name: kernel.get(name) for name in names}
        return model | {"path": binding.path, "session_id": binding.session_id}

    def attach(self, binding: Binding, socket: Socket) -> None:
        """A websocket joins. One of the same session that is still open is let go first.

        Raises `Unavailable` when the kernel has too many.

        Upstream would leave that to the old socket's close; two sockets of one session that overlap
        have the same ZMQ identity, and lose replies.
        """
        for other in list(binding.sockets):
            if other.session_id == socket.session_id:
                other.release()
                other.close(1000, "Replaced by a new connection of this session.")
        if len(binding.sockets) >= self.max_sockets:
            raise Unavailable("This kernel has too many connections.", self.retry_after)
        if not binding.sockets and binding.last_session_id != socket.session_id:
            # What another session had running is not replayed to this one.
            binding.forget_waiting()
        binding.last_session_id = socket.session_id
        binding.sockets.add(socket)
        self._set_timer(binding, None)

    def detach(self, binding: Binding, socket: Socket) -> None:
        """A websocket is gone, or did not come about; may be called more than once."""
        if socket not in binding.sockets:
            return
        binding.sockets.discard(socket)
        if binding.sockets or self._bindings.get(binding.kernel_id) is not binding:
            return
        replay.bound(self.kernel_manager, binding.kernel_id, self.max_replay_bytes)
        self._set_timer(binding, self.retention if binding.joined else self.join_timeout)

    def end(self, binding: Binding, reason: str) -> None:
        """End a binding and its kernel; the sockets close. The kernel's end is not waited for."""
        if self._forget(binding, reason):
            task = asyncio.ensure_future(self._shut_down(binding.kernel_id))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """End all kernels and wait for that, `stop_timeout` seconds at most."""
        self._stopped = True
        for binding in list(self._bindings.values()):
            self.end(binding, "The server is stopping.")
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        for task in self._tasks:
            task.cancel()
        if self._ending:
            _done, pending = await asyncio.wait(self._ending, timeout=self.stop_timeout)
            if pending:
                self.log.warning("%d kernels of viewers have not ended in time.", len(pending))

    def _check_capacity(self, request: KernelRequest) -> None:
        if self._stopped:
            raise Unavailable("The server is stopping.", self.retry_after)
        self._prune()
        held = [*self._starting, *(binding.request for binding in self._bindings.values())]
        capacity = Capacity(
            self.max_kernels,
            self.max_kernels_per_viewer,
            self.max_visitor_kernels,
            self.retry_after,
        )
        capacity.check(
            Counter(name for each in held for name in each.holders),
            len(self._ending),
            request.holders[0],
            request.visitor,
        )

    def _environment(self, request: KernelRequest) -> dict[str, str]:
        if self._is_gateway:
            return gateway_environment(request, os.environ)
        return local_environment(request, os.environ, self.hidden_environment)

    async def _kernel_of(self, notebook: NotebookNode) -> tuple[str, str]:
        """Name and language of the notebook's kernel; the server's default if it has none we know."""
        default: str = self.kernel_manager.default_kernel_name
        wanted = notebook.metadata.get("kernelspec", {}).get("name")
        for name in (wanted, default):
            if isinstance(name, str) and name:
                language = await self._language(name)
                if language is not None:
                    return name, language
        return default, ""

    async def _language(self, name: str) -> str | None:
        """The language of an installed kernel; None when there is no such kernel."""
        try:
            spec = await ensure_async(self.kernel_spec_manager.get_kernel_spec(name))
        except Exception:
            self.log.info("No kernel named %r: using the server's default.", name)
            return None
        # A gateway's is the JSON of the kernelspecs API.
        found = spec["spec"].get("language") if isinstance(spec, dict) else spec.language
        return str(found or "").lower()

    async def _start_kernel(self, path: str, name: str, environment: dict[str, str]) -> str:
        folder = self.store.api_path(path).rpartition("/")[0]
        try:
            kernel_id = await start_kernel(
                self.kernel_manager,
                None if self._is_gateway else self.kernel_spec_manager,
                kernel_name=name,
                path=folder,
                env=environment,
            )
        except Exception as error:
            self.log.error("Kernel %r for %r does not start: %s", name, path, type(error).__name__)
            self.log.debug("Why the kernel does not start:", exc_info=True)
            raise Unavailable("The kernel could not be started.", self.retry_after) from error
        if not self._is_gateway:
            self._run(poke(self.kernel_manager, kernel_id))
        return kernel_id

    def _bind(
        self, kernel_id: str, request: KernelRequest, notebook: NotebookNode, language: str
    ) -> Binding:
        sources = sources_of(notebook)
        cells = sum(source is not None for source in sources)
        binding = Binding(
            kernel_id=kernel_id,
            path=request.path,
            owner=request.owner,
            request=request,
            session_id=request.session_id or uuid.uuid4().hex,
            rules=Rules(
                sources=sources,
                allow_stdin=self.allow_stdin,
                stop_on_error=self.stop_on_error,
                show_tracebacks=self.show_tracebacks
                and getattr(self.kernel_manager, "allow_tracebacks", True),
                show_stderr=self.show_stderr,
                error_text=self.error_text,
            ),
            execute_limit=TokenBucket(self.execute_rate, self.execute_burst + cells),
            comm_limit=TokenBucket(self.comm_rate, self.comm_burst),
            max_executing=self.max_executing + cells,
            max_waiting_bytes=self.max_waiting_bytes,
            preamble=self.preambles.get(language, ""),
            preamble_id=uuid.uuid4().hex,
        )
        self._bindings[kernel_id] = binding
        self._on_kernel(kernel_id, binding.restarted, "restart")
        self._on_kernel(kernel_id, lambda: self._died(binding), "dead")
        self._set_timer(binding, self.join_timeout)
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch())
        return binding

    def _on_kernel(self, kernel_id: str, callback: Callable[[], Any], event: str) -> None:
        try:
            self.kernel_manager.add_restart_callback(kernel_id, on_this_loop(callback), event)
        except Exception:
            # The kernel is gone already, or its manager has no restarter: the watcher sees to it.
            self.log.debug("No %s callback for kernel %s.", event, kernel_id)

    def _set_timer(self, binding: Binding, seconds: float | None) -> None:
        """End the binding in so many seconds, unless told otherwise; None: don't."""
        if binding.timer is not None:
            binding.timer.cancel()
        binding.timer = (
            None
            if seconds is None
            else asyncio.get_running_loop().call_later(
                seconds, self.end, binding, "No page is connected."
            )
        )

    def _forget(self, binding: Binding, reason: str) -> bool:
        """Drop a binding and close its sockets. False when that was done before."""
        if self._bindings.get(binding.kernel_id) is not binding:
            return False
        del self._bindings[binding.kernel_id]
        self._set_timer(binding, None)
        for socket in list(binding.sockets):
            socket.close(1001, reason)
        self.log.info("Kernel %s is released: %s", binding.kernel_id, reason)
        binding.request.ended(reason)
        return True

    def _prune(self) -> None:
        for binding in list(self._bindings.values()):
            if binding.kernel_id not in self.kernel_manager:
                self._forget(binding, "The kernel is gone.")

    def _died(self, binding: Binding) -> None:
        # Afterwards: the sockets have yet to be told by upstream that the kernel is dead.
        asyncio.get_running_loop().call_soon(self._forget, binding, "The kernel died.")

    async def _watch(self) -> None:
        """Notice kernels that others have ended."""
        while True:
            await asyncio.sleep(self.watch_interval)
            if self._is_gateway:
                for kernel_id in list(self._bindings):
                    await self._ask_gateway(kernel_id)
            self._prune()

    async def _ask_gateway(self, kernel_id: str) -> None:
        """Drop a kernel that the gateway doesn't have any more; it tells nobody by itself."""
        try:
            kernel: Any = self.kernel_manager.get_kernel(kernel_id)
            if await kernel.refresh_model() is None:
                self.kernel_manager.remove_kernel(kernel_id)
        except Exception as error:
            self.log.debug("The gateway does not answer: %s", type(error).__name__)

    async def _shut_down(self, kernel_id: str) -> None:
        if kernel_id not in self.kernel_manager:
            return
        try:
            await ensure_async(self.kernel_manager.shutdown_kernel(kernel_id))
        except Exception as error:
            self.log.warning("Kernel %s does not end: %s", kernel_id, type(error).__name__)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def _is_gateway(self) -> bool:
        return isinstance(self.kernel_manager, GatewayMappingKernelManager)


def sources_of(notebook: NotebookNode) -> tuple[str | None, ...]:
    """The source of each cell in notebook order, None for a cell that is not code."""
    return tuple(
        _source(cell.get("source", "")) if cell.get("cell_type") == "code" else None
        for cell in notebook.cells
    )


def _source(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
