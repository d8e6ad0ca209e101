"""The bounds of WebSockets, in one value."""

from __future__ import annotations

from typing import Final

from skyfleet import contract
from skyfleet.asgi import BODY_LIMIT
from skyfleet.values import frozen


@frozen
class Limits:
    """sockets: open ones of one instance. in_flight: requests of one session without a complete answer.

    answer_bytes: unsent messages of one answer, above which its target is paused. kept_bytes: messages of one
    answer that are kept once they were sent. body_bytes: a reply that is no stream, which is one message.
    held_answers: complete ones that a session keeps. held_bytes: messages of all sessions. hold_s: for how
    long answers are kept without a connection. connection_s: after so long a connection takes no new request,
    and closes once all answers are sent. The platform ends it later by more than the longest request.
    """

    sockets: int = 1_000
    in_flight: int = 64
    answer_bytes: int = 262_144
    kept_bytes: int = 1_048_576
    body_bytes: int = BODY_LIMIT
    held_answers: int = 64
    held_bytes: int = 64 * 1024 * 1024
    hold_s: float = 60.0
    connection_s: float = contract.WEBSOCKET_S - contract.REQUEST_S


LIMITS: Final = Limits()
