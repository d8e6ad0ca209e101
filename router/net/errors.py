"""What can go wrong on the wire.

    NetError
    ├── InvalidRequest   a method, target or header field that must not be written to a connection
    └── FetchError       a small exchange of this router or checker gave no usable response

`TransportError` names the ways in which an exchange ends without a complete response.
"""

from __future__ import annotations

from enum import StrEnum


class TransportError(StrEnum):
    """Why a response handler gets no complete response.

    CONNECT: no connection was opened, so nothing was sent. OVERFLOW: the limit of connections to the origin
    is reached, so nothing was sent. RESET: the connection broke, or something other than an HTTP/1.1 server
    answered; the request may have been processed. INVALID: a server answered, and its response is not valid
    HTTP/1.1: wrong bytes, not missing ones.
    """

    CONNECT = "connect"
    OVERFLOW = "overflow"
    RESET = "reset"
    INVALID = "invalid"


class NetError(Exception):
    """Base of the exceptions of this package."""


class InvalidRequest(NetError):
    """A request has bytes that must not be written to a connection."""


class FetchError(NetError):
    """A fetch got no usable response; the message says why."""
