"""What uvicorn is told where it serves a function: on Google."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from functions.runtimes.server.connection import HttpConnection
from functions.runtimes.server.websocket import OPTIONS, websocket_protocol

SERVER_OPTIONS: Final[Mapping[str, Any]] = {
    "http": HttpConnection,
    "ws": "none",
    "access_log": False,
    "server_header": False,
    # uvicorn would take the client's address from a front end's field, which names the router at best.
    "proxy_headers": False,
}
# Of a router, where the cloud carries WebSockets.
WEBSOCKET_OPTIONS: Final[Mapping[str, Any]] = {**SERVER_OPTIONS, **OPTIONS, "ws": websocket_protocol}
