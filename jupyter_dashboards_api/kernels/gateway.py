"""Kernels of a gateway: binary frames that jupyter_server's gateway connection gets wrong.

`GatewayWebSocketConnection` decodes every frame of the gateway as UTF-8, and sends every frame of the
client as text. One widget with a binary buffer (an image, an array) ends its reading loop, and the
page hears nothing any more: https://github.com/jupyter-widgets/ipywidgets/issues/3798.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jupyter_server.gateway.connections import GatewayWebSocketConnection

from .frames import V1_SUBPROTOCOL


class BinaryGatewayConnection(GatewayWebSocketConnection):
    """A gateway connection that passes binary frames as what they are, both ways."""

    def _connection_done(self, fut: Any) -> None:
        super()._connection_done(fut)  # type: ignore[no-untyped-call]
        # Typed as nothing in particular: its method is replaced.
        ws: Any = self.ws
        if ws is None:
            return
        read = ws.read_message

        async def read_message() -> Any:
            message = await read()
            return _BinaryFrame(message) if isinstance(message, bytes) else message

        ws.read_message = read_message

    def _write_message(self, message: Any) -> None:
        if self.disconnected or self.ws is None:
            return
        try:
            self.ws.write_message(message, binary=isinstance(message, bytes))
        except Exception as error:
            self.log.error("Cannot write to the gateway: %s", type(error).__name__)


class _BinaryFrame(bytes):
    """Bytes that the upstream loop's ``message.decode("utf8")`` leaves as they are."""

    def decode(self, *args: Any, **options: Any) -> Any:
        return bytes(self)


def subprotocols(configured: type[Any], config: Mapping[str, Any]) -> list[str]:
    """The websocket subprotocols that a server with this connection class and configuration accepts.

    jupyter_server's rule: `kernel_ws_protocol` None is v1, empty is the form without a name (a gateway's default).
    """
    chosen = configured.kernel_ws_protocol.default_value
    for ancestor in reversed(configured.mro()):
        chosen = config.get(ancestor.__name__, {}).get("kernel_ws_protocol", chosen)
    if chosen is None:
        return [V1_SUBPROTOCOL]
    return [chosen] if chosen else []


@cache
def connection_class(configured: type[Any]) -> type[Any]:
    """The connection class to use where the server is configured for `configured`."""
    if configured is GatewayWebSocketConnection:
        return BinaryGatewayConnection
    return configured
