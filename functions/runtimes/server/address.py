"""Addresses of a connection's two ends, as ASGI has them."""

from __future__ import annotations

from typing import cast


def address(found: object) -> tuple[str, int] | None:
    """(host, port) of an internet address; None for others, such as a Unix socket's."""
    if isinstance(found, tuple) and len(cast("tuple[object, ...]", found)) >= 2:
        host, port, *_ = cast("tuple[str, int]", found)
        return str(host), int(port)
    return None
