"""The kernel proxy's routes: `/_api/kernels`, `/_api/kernels/ID`, `/_api/kernels/ID/channels`."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from jupyter_client.jsonutil import json_default
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from ..access.callers import Caller
from ..access.shares import OpenShare
from ..access.throttle import network
from ..dashboards.contents import clean_path
from ..errors import InvalidRequest, NotFound, TooLarge
from ..kernels.binding import Binding
from ..kernels.connection import MessageFilter
from ..kernels.environment import KernelRequest
from ..kernels.frames import V1_SUBPROTOCOL
from ..kernels.gateway import connection_class
from ..kernels.poke import poking
from ..kernels.synchronous import on_this_loop
from .base import DashboardsAPIHandler, DashboardsHandlerMixin
from .identity import PAGE_TOKEN_SUBPROTOCOL

PATH_HEADER = "X-jupyter-notebook-path"
SESSION_HEADER = "X-jupyter-session-id"

MAX_BODY_BYTES = 64 * 1024

REFUSAL_PAUSE = 0.02
"""Seconds before the next frame is read from a client whose last one was refused."""

RIGHT_ENDED = 4401
"""Close code of a websocket whose caller may not use it any more: the page need not try again."""

_SESSION_ID = re.compile(r"[0-9A-Za-z_.-]{1,128}", re.ASCII)
_PAGES = ("dashboards", "dashboards-plain")


class KernelsHandler(DashboardsAPIHandler):
    """Starts kernels."""

    _left = False

    def on_connection_close(self) -> None:
        """The client has gone without the answer: a page that was left or loaded again while its kernel started."""
        super().on_connection_close()
        self._left = True

    @authenticated
    async def post(self) -> None:
        """Start the kernel of a notebook.

        The notebook is the JSON body's `path`, or, as clients of the Node dashboards server send it,
        the page's URL path in the header `X-jupyter-notebook-path`. Which kernel it is and what
        environment it has is never the client's choice.
        """
        if len(self.request.body) > MAX_BODY_BYTES:
            raise TooLarge("The body is too large.")
        body = self.json_body()
        share = await self.access.open_share(self.caller)
        if share is None:
            path, query = await self._notebook_path(body), _text(body, "query")
        else:
            path = await self._shared_path(share)
            query = share.parameters or _text(body, "query")
        caller, address = self.caller, self.request.remote_ip
        visitor = caller.kind == "visitor"
        request = KernelRequest(
            path=path,
            owner=caller.owner_id,
            query=query,
            session_id=self._session_id(body),
            user=self.identity_provider.identity_model(self.current_user),
            counted_as=_counted_as(caller, address),
            visitor=visitor,
            ended=lambda reason: self.access.audit.emit("kernel_stopped", caller, address, path),
        )
        kernels = self.dashboards.kernels
        binding = await kernels.start(request)
        self.audit("kernel_started", path)
        if self._left:
            kernels.end(binding, "The page is gone.")
            return
        model = await kernels.model(binding)
        if share is not None:
            # A link tells nothing of where its notebook lies.
            model["path"] = ""
        self.set_status(201)
        self.set_header("Location", url_path_join(self.base_url, "_api/kernels", binding.kernel_id))
        self.finish(json.dumps(model, default=json_default))

    async def _shared_path(self, share: OpenShare) -> str:
        """The contents path of the notebook that a link shows; the client has no say in it."""
        path = self.dashboards.store.own_path(share.path)
        if path is None or not share.live:
            raise NotFound("This link has no live dashboard.")
        return await self._find_notebook(path)

    def _session_id(self, body: dict[str, Any]) -> str:
        session_id = self.request.headers.get(SESSION_HEADER) or _text(body, "session_id")
        if not session_id:
            return uuid.uuid4().hex
        return check_session_id(session_id)

    async def _notebook_path(self, body: dict[str, Any]) -> str:
        header = self.request.headers.get(PATH_HEADER)
        if header is None:
            path = _text(body, "path")
            if not path:
                raise InvalidRequest("Name the notebook: JSON field `path`.")
            return await self._find_notebook(path)
        # Clients send the path of the page's URL with its percent-encoding or without.
        page = _header_text(header)
        decoded = unquote(page)
        candidates = {
            path: None
            for path in (self._page_path(decoded), self._page_path(page))
            if path is not None
        }
        if not candidates:
            raise InvalidRequest(f"{PATH_HEADER} is not the path of a dashboard's page.")
        for path in candidates:
            try:
                return await self._find_notebook(path)
            except NotFound:
                continue
        raise NotFound("There is no such notebook.")

    def _page_path(self, page: str) -> str | None:
        """The part below `/BASE/dashboards/`, or None for another page."""
        for base in (self.base_url, unquote(self.base_url)):
            for name in _PAGES:
                prefix = url_path_join(base, name) + "/"
                if page.startswith(prefix):
                    return page.removeprefix(prefix)
        return None

    async def _find_notebook(self, path: str) -> str:
        """The contents path of the dashboard at `path`, with or without `.ipynb`."""
        clean = clean_path(path)
        if not clean:
            raise InvalidRequest("Name the notebook: JSON field `path`.")
        found = await self.find(clean)
        if found.kind == "moved":
            found = await self.find(found.path)
        if found.kind != "dashboard":
            raise NotFound("There is no such notebook.")
        return found.path


class KernelHandler(DashboardsAPIHandler):
    """One kernel of the caller's."""

    @authenticated
    async def get(self, kernel_id: str) -> None:
        """The kernel's state."""
        kernels = self.dashboards.kernels
        binding = kernels.find(kernel_id, self.caller.owner_id)
        await _permit(self, binding)
        model = await kernels.model(binding)
        if self.caller.visit is not None and self.caller.visit.share:
            model["path"] = ""
        self.finish(json.dumps(model, default=json_default))

    @authenticated
    async def delete(self, kernel_id: str) -> None:
        """End the kernel; its websockets close."""
        kernels = self.dashboards.kernels
        kernels.end(kernels.find(kernel_id, self.caller.owner_id), "The kernel was deleted.")
        self.set_status(204)
        self.finish()


class KernelChannelsHandler(DashboardsHandlerMixin, KernelWebsocketHandler):
    """The websocket to a kernel of the caller's.

    Everything from the client passes `on_message`, everything to it `write_message`, whatever
    connection class the server is configured with: that is where the filter stands.
    """

    session_id: str
    kernel_id: str
    connection: Any = None
    _binding: Binding | None = None
    _filter: MessageFilter | None = None
    _unreadable = 0
    _pending_bytes = 0
    _has_logged = False
    _disconnecting: asyncio.Future[Any] | None = None
    _unwatch: Callable[[], None] = staticmethod(lambda: None)

    @property
    def max_message_size(self) -> int:
        """Bytes; Tornado closes the socket for a longer message."""
        return int(self.dashboards.kernels.max_message_size)

    @property
    def kernel_websocket_connection_class(self) -> Any:
        """The server's own, with a fix for gateways."""
        return connection_class(super().kernel_websocket_connection_class)

    @ws_authenticated
    async def get(self, kernel_id: str) -> None:
        """The handshake, and then the whole life of the websocket."""
        try:
            await super().get(kernel_id)  # type: ignore[no-untyped-call]
        finally:
            self.release()

    async def pre_get(self) -> None:
        """Join the kernel, if it is the caller's own.

        Upstream asks the server's authorizer whether the caller may execute *kernels*. Whoever may
        see dashboards may execute exactly the kernels that are bound to them.
        """
        # Before anything is touched: upstream would let a stale socket go first, and check after.
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise HTTPError(400)
        if self.get_origin() is not None and not self.check_origin(self.get_origin()):
            raise HTTPError(403)
        kernels = self.dashboards.kernels
        binding = kernels.find(self.kernel_id, self.caller.owner_id)
        await _permit(self, binding)
        self.session_id = check_session_id(
            self.get_query_argument("session_id", "") or uuid.uuid4().hex
        )
        kernels.attach(binding, self)
        self._binding = binding
        kernel = self.kernel_manager.get_kernel(self.kernel_id)
        connection = self.kernel_websocket_connection_class(
            parent=kernel, websocket_handler=self, config=self.config
        )
        connection.session.session = self.session_id
        self.connection = connection
        self._guard(connection)
        if hasattr(connection, "prepare"):
            await connection.prepare()
        if self.connection is None:
            # Released meanwhile: whoever asked has left the page, or has connected once more.
            raise NotFound("This connection was given up.")

    async def open(self, kernel_id: str) -> None:
        """Connect to the kernel. Messages are read only when this has returned."""
        # Nagle's algorithm and delayed acknowledgements together hold each output back for 40 ms.
        self.set_nodelay(True)
        binding = self._binding
        if binding is None or self.connection is None:
            self.close(1001, "The kernel is gone.")
            return
        binding.joined = True
        self._unwatch = self.access.watch.add(self.caller, binding.path, self._right_ended)
        self._filter = MessageFilter(
            binding, v1=self.selected_subprotocol == V1_SUBPROTOCOL, sender=self.session_id
        )
        async with poking(self.kernel_manager, kernel_id):
            await super().open(kernel_id)  # type: ignore[no-untyped-call]
        if kernel_id not in self.kernel_manager:
            self.close(1001, "The kernel is gone.")

    def on_message(self, ws_message: str | bytes) -> Awaitable[None] | None:
        """Pass on what the policy makes of a client's frame."""
        if self._filter is None or self.connection is None or self._binding is None:
            return None
        started = time.thread_time()
        try:
            incoming = self._filter.incoming(ws_message)
            for answer in incoming.to_client:
                self._send(answer)
            for frame in incoming.to_kernel:
                self.connection.handle_incoming_message(frame)
        except Exception as error:
            self._log_once("to the kernel", error)
            return asyncio.sleep(REFUSAL_PAUSE)
        if not incoming.readable:
            self._unreadable += 1
            if self._unreadable > self.dashboards.kernels.max_unreadable_frames:
                self.close(1008, "Too many unreadable messages.")
        # Whoever sends what has to be refused, or what takes long, is read more slowly.
        pause = self._binding.rest(time.thread_time() - started, time.monotonic())
        if not incoming.accepted:
            pause = max(pause, REFUSAL_PAUSE)
        return asyncio.sleep(pause) if pause > 0 else None

    def write_message(self, message: Any, binary: bool = False) -> asyncio.Future[None]:
        """Send what the policy makes of a kernel's frame.

        Never raises: an exception here ends the kernel's output stream for good.
        """
        try:
            frame = self._filter.outgoing(message) if self._filter is not None else None
        except Exception as error:
            self._log_once("to the client", error)
            frame = None
        if frame is not None:
            self._send(frame)
        done: asyncio.Future[None] = asyncio.Future()
        done.set_result(None)
        return done

    def on_close(self) -> None:
        """The websocket is closed."""
        self.release()

    def _right_ended(self) -> None:
        """The caller has logged out, the link is closed, or the like: the kernel goes too."""
        binding = self._binding
        self.close(RIGHT_ENDED, "Not permitted any more.")
        if binding is not None:
            self.dashboards.kernels.end(binding, "The right to use it has ended.")

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The kernel's, if the client offers it; else the one that carried the page token, which says nothing else."""
        selected: str | None = super().select_subprotocol(subprotocols)  # type: ignore[no-untyped-call]
        if selected is None and self.page_token is not None:
            # A browser gives up a handshake that selects none of what it offered.
            carriers = (each for each in subprotocols if each.startswith(PAGE_TOKEN_SUBPROTOCOL))
            return next(carriers, None)
        return selected

    def release(self) -> None:
        """Let go of the kernel; may be called more than once."""
        self._unwatch()
        connection, self.connection = self.connection, None
        if connection is not None:
            try:
                result = connection.disconnect()
                if inspect.isawaitable(result):
                    # The connection classes of third parties may disconnect in a coroutine.
                    self._disconnecting = asyncio.ensure_future(result)
            except Exception as error:
                self.log.debug("Disconnecting from kernel: %s", type(error).__name__)
        if self._binding is not None:
            self.dashboards.kernels.detach(self._binding, self)

    def _send(self, frame: str | bytes) -> None:
        """Write a frame that has passed the filter, unless the client reads too slowly."""
        size = len(frame)
        self._pending_bytes += size
        try:
            written = super().write_message(frame, binary=isinstance(frame, bytes))
        except Exception:
            # Closed by the client; its `on_close` is on the way.
            self._pending_bytes -= size
            return

        def done(future: Any) -> None:
            self._pending_bytes -= size
            if not future.cancelled():
                future.exception()

        written.add_done_callback(done)
        if self._pending_bytes > self.dashboards.kernels.max_pending_bytes:
            self.log.warning("Kernel %s: the client reads too slowly.", self.kernel_id)
            self.close(1008, "Too slow.")

    def _guard(self, connection: Any) -> None:
        """Keep exceptions out of the callbacks of the kernel's streams.

        Upstream's own hiding of tracebacks (`allow_tracebacks`) raises in version 2.21; the policy
        hides them instead.
        """
        if hasattr(connection, "_on_error"):
            connection._on_error = lambda *args: None
        handle = connection.handle_outgoing_message

        def guarded(*args: Any) -> None:
            try:
                handle(*args)
            except Exception as error:
                self._log_once("from the kernel", error)

        connection.handle_outgoing_message = guarded
        for name in ("on_kernel_restarted", "on_restart_failed"):
            if callback := getattr(connection, name, None):
                setattr(connection, name, on_this_loop(callback))

    def _log_once(self, direction: str, error: Exception) -> None:
        """Say that a message was dropped, without a word of it."""
        if not self._has_logged:
            self._has_logged = True
            self.log.warning(
                "Kernel %s: dropped a message %s (%s).",
                self.kernel_id,
                direction,
                type(error).__name__,
            )


async def _permit(handler: DashboardsHandlerMixin, binding: Binding) -> None:
    """Raises `NotFound` unless the caller may still use this kernel of theirs."""
    if not await handler.access.still_permitted(handler.caller, binding.path):
        handler.audit("denied", binding.path)
        raise NotFound("There is no such kernel.")


def check_session_id(session_id: str) -> str:
    """The id, if it may be one: it becomes the identity of a ZMQ socket. Else `InvalidRequest`."""
    if not _SESSION_ID.fullmatch(session_id):
        raise InvalidRequest("A session id is made of up to 128 letters, digits, `_`, `.` and `-`.")
    return session_id


def _counted_as(caller: Caller, address: str | None) -> str:
    """Under which name a caller's kernels are counted: more sessions give a viewer no more kernels."""
    if caller.kind == "visitor":
        return f"visitors of {network(address or '')}"
    return f"viewer:{caller.name}" if caller.kind == "viewer" else ""


def _header_text(value: str) -> str:
    """A header's value; Tornado reads the bytes as latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return value


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is not a text.")
    return value
