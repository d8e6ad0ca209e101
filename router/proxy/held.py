"""The bodies of requests that one instance holds: their sum is bounded.

Rules
- A body is held as a whole: its signature covers it and is sent before it, and another attempt may need it
  (docs/adr/0011). It is let go when the reply begins, unless another target may have to resume that.
- A declared length counts before the first byte is read, so that a client which waits for 100 Continue sends
  nothing for nothing. A chunked body counts as it grows.
- Bodies up to `UNCOUNTED` bytes are not counted: the number of connections bounds them.
- A body beyond the bound is refused with 503 and Retry-After: it was not sent to any agent.
"""

from __future__ import annotations

from typing import Final

from router.core.errors import CallerError
from skyfleet.asgi import BODY_LIMIT, BodyTooLarge

UNCOUNTED: Final = 65_536
# 16 of the largest. An instance has 512 MB (infra/roles.py), its process takes 45, and a body may be there
# twice for a moment: when its parts are joined, and while a copy waits for a slow agent (before Python 3.12).
MOST_HELD: Final = 16 * BODY_LIMIT


class HeldBodies:
    """The bodies of one instance. size: bytes of those that count."""

    __slots__ = ("most", "size")

    def __init__(self, most: int = MOST_HELD) -> None:
        """most: bytes."""
        self.most = most
        self.size = 0


class HeldBody:
    """The part of one request in `HeldBodies`."""

    __slots__ = ("_bodies", "_size")

    def __init__(self, bodies: HeldBodies) -> None:
        self._bodies = bodies
        self._size = 0

    def grow(self, size: int) -> None:
        """Count that many bytes for it. Raises BodyTooLarge, and CallerError 503 if all are too many."""
        bodies, more = self._bodies, size - self._size
        if size > BODY_LIMIT:
            raise BodyTooLarge(BODY_LIMIT)
        if more <= 0:
            return
        if bodies.size + more > bodies.most:
            raise CallerError(
                503,
                "too-many-bodies",
                f"The bodies of active requests at this router have {bodies.size} bytes already; it holds at "
                f"most {bodies.most}. The request was not sent to any agent; repeat it in a second.",
                [(b"retry-after", b"1"), (b"x-should-retry", b"true")],
            )
        bodies.size += more
        self._size = size

    def release(self) -> None:
        """It is not held any more."""
        self._bodies.size -= self._size
        self._size = 0
