"""What a connection needs of the server that it belongs to: uvicorn's, or that of `runner`."""

from __future__ import annotations

from typing import Any, Protocol

from skyfleet.asgi import Header


class Config(Protocol):
    """Of uvicorn's Config what a connection needs. timeout_keep_alive: seconds."""

    loaded: bool
    ssl: Any
    timeout_keep_alive: Any

    def load(self) -> None: ...


class ServerState(Protocol):
    """Of uvicorn's ServerState what a connection needs. default_headers: `date`, as of this second."""

    connections: Any
    tasks: Any
    total_requests: int

    @property
    def default_headers(self) -> list[Header]: ...
