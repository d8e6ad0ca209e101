"""WebSockets of a router, where the cloud carries them: what uvicorn is told.

The protocol (`functions.runtimes.server.websocket_connection`) and the library under it are imported at the
first handshake: they take memory and time that most instances of a router never need, and packages of agents
do not have the library.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from skyfleet.asgi import BODY_LIMIT
from skyfleet.http1.head import RequestHead

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

# A body of the largest size, as JSON within a message.
MOST_BYTES: Final = BODY_LIMIT + 65_536

OPTIONS: Final[dict[str, Any]] = {
    "ws_max_size": MOST_BYTES,
    # A ping each 20 s finds a dead client, and keeps proxies from cutting a silent connection at 60 s.
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    # A context of zlib takes tens of kB for each connection, and small messages gain little.
    "ws_per_message_deflate": False,
}


def is_handshake(head: RequestHead) -> bool:
    """Whether a request is the handshake of a WebSocket (RFC 6455, section 4.1). Any other that asks for an
    upgrade is a plain request (RFC 9110, section 7.8)."""
    values = b",".join([value for name, value in head.fields if name == b"connection"])
    return (
        (head.method, head.minor, head.length) == ("GET", 1, 0)
        and head.by_name[b"upgrade"].lower() == b"websocket"
        and b"upgrade" in {option.strip() for option in values.lower().split(b",")}
    )


def websocket_protocol(
    *, config: Config, server_state: ServerState, app_state: dict[str, Any]
) -> asyncio.Protocol:
    """What uvicorn calls as a protocol class."""
    from functions.runtimes.server.websocket_connection import WebSocketConnection

    return WebSocketConnection(config, server_state, app_state)
