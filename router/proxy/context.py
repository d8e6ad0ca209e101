"""What a relay works with: the caller's request and exchange, and what all requests of an instance share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Protocol

from router.core.balance.balancer import Balancer
from router.core.request.front_end import Door
from router.core.request.machine import Means
from router.net.deadlines import Deadlines
from router.net.fields import Header
from router.net.pool import Pool
from router.proxy.prober import Prober
from router.proxy.request_queue import RequestQueue
from skyfleet.values import frozen


@frozen
class Request:
    """A caller's request, whole. target: the request target as sent (path and query). path: percent-decoded.

    id: from the caller or made for it. drop: header fields that carried the caller's API key. arrived: when
    its head came, in ticks; None: just now. nonce: for the signature of the first attempt, 32 random
    hexadecimal digits; empty: one has to be drawn, as for all others.
    """

    method: str
    target: bytes
    path: str
    query: bytes
    headers: list[Header]
    body: bytes
    id: bytes
    drop: frozenset[bytes] = frozenset()
    arrived: float | None = None
    nonce: str = ""


class Exchange(Protocol):
    """The caller's side. It pauses, resumes and ends a relay by the relay's methods of those names."""

    def head(self, status: int, headers: list[Header], /) -> None: ...

    def body(self, data: bytes, /) -> None: ...

    def end(self) -> None: ...

    def abort(self, why: str, /) -> None: ...


Sign = Callable[[str, Request, str], Iterable[Header]]


@frozen
class Plane:
    """What all requests of one instance share. sign: headers for (target key, request, nonce or nothing).
    ticks: seconds of a clock that never goes back. means: what plans ask of the board. door: what is known of
    the agents.
    """

    balancer: Balancer
    pool: Pool
    prober: Prober
    watch: Deadlines
    sign: Sign
    ticks: Callable[[], float]
    means: Means
    outage: RequestQueue
    door: Door = field(default_factory=Door)
